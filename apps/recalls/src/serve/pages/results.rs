use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use millstream_sinks::search::Found;
use millstream_web::parts::pager;

use super::pieces::{card, search_box};
use super::states::live;
use crate::serve::asked::{
    Asked, CLASSES, Facet, OFFSET_MAX, Order, PAGES_MAX, PER_PAGE, STATUSES,
};
use crate::serve::highlight::Terms;
use crate::serve::record::{Recall, count, recalls};
use crate::serve::site::Site;
use crate::serve::suggest::{Proposal, proposals};

/// Values of a facet that are shown at once.
const VALUES: usize = 8;

/// `/search?q=…`
pub async fn search(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let asked = match Asked::read(&query) {
        Ok(asked) => asked,
        Err(refusal) => return site.refused(&refusal),
    };
    // One search, one address: what a form adds of empty fields goes away.
    if asked.render() != query {
        return Redirect::to(&asked.href()).into_response();
    }
    let mut query = asked.query((asked.page - 1) * PER_PAGE, PER_PAGE);
    query.facets = Facet::OFFERED.map(|facet| facet.name().to_owned()).to_vec();
    let found = match site.search(&query).await {
        Ok(found) => found,
        Err(error) => return site.failed(&error),
    };
    let last = found.total.div_ceil(PER_PAGE).clamp(1, PAGES_MAX);
    if asked.page > last {
        return Redirect::to(&asked.on(last).href()).into_response();
    }
    let others = if found.total == 0 { others(&site, &asked).await } else { Others::default() };
    site.shell.page(&title(&asked, found.total), "/search", page(&site, &asked, &found, &others))
}

/// What else might be meant, where nothing was found.
#[derive(Default)]
struct Others {
    meant: Vec<Proposal>,
    /// The same search with one word or filter less, and what it finds.
    looser: Vec<(String, Asked, usize)>,
}

async fn others(site: &Site, asked: &Asked) -> Others {
    let mut looser = Vec::new();
    let filters = asked.picks().map(|(facet, value)| {
        (format!("without {} {value}", facet.label().to_lowercase()), asked.without(facet, value))
    });
    let words: Vec<&str> = asked.text.split_whitespace().collect();
    let fewer = (0..words.len()).filter(|_| words.len() > 1).map(|at| {
        let rest = [&words[..at], &words[at + 1..]].concat().join(" ");
        (format!("without “{}”", words[at]), Asked { text: rest, page: 1, ..asked.clone() })
    });
    for (label, asked) in filters.chain(fewer).take(6) {
        // A proposal that can't be counted is just not made.
        if let Ok(Found { total: rows @ 1.., .. }) = site.search(&asked.query(0, 0)).await {
            looser.push((label, asked, rows));
        }
    }
    let last = words.last().copied().unwrap_or_default();
    let meant = proposals(site, last, 5).await.unwrap_or_default();
    Others { meant, looser }
}

fn title(asked: &Asked, total: usize) -> String {
    match asked.text.as_str() {
        "" => recalls(total),
        text => format!("{} for “{text}”", recalls(total)),
    }
}

fn page(site: &Site, asked: &Asked, found: &Found, others: &Others) -> Markup {
    let terms = Terms::of(&asked.text);
    let pages = found.total.div_ceil(PER_PAGE).min(PAGES_MAX);
    html! {
        (search_box(asked))
        (live(&site.pulse(), site.every, None))
        // A script tells here what a filter has come to: what is announced must stay when the hits are replaced.
        p.visually-hidden #told role="status" {}
        div.found {
            (facets(asked, found))
            section.hits aria-labelledby="found" {
                h1 #found { (title(asked, found.total)) }
                (chips(asked))
                @if found.total == 0 { (nothing(asked, others)) } @else {
                    div.bar { (orders(asked)) (exports(asked, found.total)) }
                    @for hit in &found.hits { (card(&Recall::new(hit.row.clone()), &terms, 2)) }
                    (pager(asked.page, pages, |page| asked.on(page).href()))
                    @if found.total > OFFSET_MAX && asked.page + 5 > pages {
                        p.hint { "Only the first " (count(OFFSET_MAX)) " can be paged through. Narrow the search down, or take all of them along as CSV or JSON." }
                    }
                }
            }
        }
    }
}

fn chips(asked: &Asked) -> Markup {
    html! {
        @if asked.picks().next().is_some() {
            ul.chips aria-label="Filters in use" {
                @for (facet, value) in asked.picks() {
                    li {
                        a.chip href=(asked.without(facet, value).href()) aria-label={ "Remove filter " (facet.label()) " " (value) } {
                            (value) span aria-hidden="true" { " ×" }
                        }
                    }
                }
                @if asked.picks().count() > 1 {
                    li { a href=(Asked { picked: Default::default(), page: 1, ..asked.clone() }.href()) { "Remove all filters" } }
                }
            }
        }
    }
}

fn orders(asked: &Asked) -> Markup {
    let offered =
        Order::ALL.into_iter().filter(|order| *order != Order::Relevance || !asked.text.is_empty());
    html! {
        nav.orders aria-label="Order" {
            span { "Sort by" }
            ul {
                @for order in offered {
                    li {
                        a href=(Asked { order: Some(order), page: 1, ..asked.clone() }.href())
                            aria-current=[(asked.sorted() == order).then_some("true")] { (order.label()) }
                    }
                }
            }
        }
    }
}

fn exports(asked: &Asked, total: usize) -> Markup {
    let all = asked.on(1);
    html! {
        p.exports {
            "All " (count(total)) " as "
            a href=(all.at("/search.csv")) download { "CSV" } " or "
            a href=(all.at("/search.json")) download { "JSON" }
        }
    }
}

fn facets(asked: &Asked, found: &Found) -> Markup {
    let offered: Vec<(Facet, Vec<(String, usize)>)> =
        Facet::OFFERED.into_iter().map(|facet| (facet, values(facet, asked, found))).collect();
    let any = offered.iter().any(|(_, values)| !values.is_empty());
    html! {
        aside.facets aria-label="Filters" {
            @if any {
                details.facet-box open {
                    summary { "Filters" }
                    @for (facet, values) in &offered {
                        @if !values.is_empty() { (fieldset(*facet, values, asked)) }
                    }
                    button.apply type="submit" form="search" { "Apply filters" }
                }
            }
        }
    }
}

/// What a facet offers, in the order in which it is looked through; what is picked is always among it.
fn values(facet: Facet, asked: &Asked, found: &Found) -> Vec<(String, usize)> {
    let counted = found.facets.iter().find(|(column, _)| column == facet.name());
    let mut values = counted.map(|(_, values)| values.clone()).unwrap_or_default();
    for (of, value) in asked.picks() {
        if of == facet && !values.iter().any(|(known, _)| known == value) {
            values.push((value.clone(), 0));
        }
    }
    let place = |known: &[&str], value: &str| {
        known.iter().position(|of| *of == value).unwrap_or(known.len())
    };
    match facet {
        Facet::Classification => values.sort_by_key(|(value, _)| place(&CLASSES, value)),
        Facet::Status => values.sort_by_key(|(value, _)| place(&STATUSES, value)),
        Facet::Year => values.sort_by(|(a, _), (b, _)| b.cmp(a)),
        Facet::State | Facet::Event | Facet::Firm => {}
    }
    values
}

fn fieldset(facet: Facet, values: &[(String, usize)], asked: &Asked) -> Markup {
    let (first, more) = values.split_at(values.len().min(VALUES));
    let picked = more.iter().any(|(value, _)| asked.has(facet, value));
    html! {
        fieldset.facet {
            legend { (facet.label()) }
            (boxes(facet, first, asked))
            @if !more.is_empty() {
                details open[picked] { summary { (more.len()) " more" } (boxes(facet, more, asked)) }
            }
        }
    }
}

fn boxes(facet: Facet, values: &[(String, usize)], asked: &Asked) -> Markup {
    html! {
        ul {
            @for (value, rows) in values {
                @if facet.allows(value) {
                    li {
                        label {
                            input type="checkbox" form="search" name=(facet.name()) value=(value) checked[asked.has(facet, value)];
                            span.value { (value) } " "
                            span.rows { (count(*rows)) span.visually-hidden { " recalls" } }
                        }
                    }
                } @else {
                    // The feed has it, but it isn't one of the values that the FDA gives.
                    li.other { span.value { (value) } " " span.rows { (count(*rows)) } }
                }
            }
        }
    }
}

fn nothing(asked: &Asked, others: &Others) -> Markup {
    html! {
        div.nothing {
            p.lead { "Nothing was found" @if asked.text.is_empty() { " with these filters" } "." }
            @if !others.meant.is_empty() {
                h2 { "Did you mean" }
                ul { @for meant in &others.meant { li { a href=(meant.url) { (meant.text) } " " span.hint { (meant.label) } } } }
            }
            @if !others.looser.is_empty() {
                h2 { "The same search" }
                ul {
                    @for (label, asked, rows) in &others.looser {
                        li { a href=(asked.href()) { (label) } ": " (recalls(*rows)) }
                    }
                }
            }
            ul {
                @if !asked.text.is_empty() { li { "All words must occur: try fewer, or more general ones." } }
                li { a href="/search" { "Show all recalls, newest first" } }
            }
        }
    }
}
