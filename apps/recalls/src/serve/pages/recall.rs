use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use millstream_sinks::search::{Query, Sort};
use millstream_web::parts::scrolling;

use super::pieces::{card, class_badge, status_badge, when};
use super::states::made_up;
use crate::serve::asked::{Asked, Facet};
use crate::serve::highlight::Terms;
use crate::serve::record::{Recall, href, meaning, recalls, segment};
use crate::serve::site::Site;
use crate::serve::suggest::{Proposal, proposals};

/// Characters of the product in the heading.
const HEADING: usize = 160;
/// Related recalls that are shown.
const RELATED: usize = 5;
/// Longest number that is looked for, in characters.
const NUMBER_MAX: usize = 100;

/// `/recalls/{recall_number}`
pub async fn recall(State(site): State<Arc<Site>>, Path(number): Path<String>) -> Response {
    if number.chars().count() > NUMBER_MAX {
        return site.missing(
            "No recall has a number as long as that.",
            "A recall number looks like Z-0056-2013.",
        );
    }
    match site.recall(&number).await {
        Ok(Some(recall)) => found(&site, &recall).await,
        Ok(None) => elsewhere(&site, &number).await,
        Err(error) => site.failed(&error),
    }
}

async fn found(site: &Site, recall: &Recall) -> Response {
    let (event, firm) = (like(recall, Facet::Event), like(recall, Facet::Firm));
    let (event, firm) = futures::join!(related(site, recall, event), related(site, recall, firm));
    let main = html! {
        (made_up(&site.pulse().feed.unwrap_or_default()))
        article.recall-page {
            (head(recall))
            div.prose { (prose(recall)) }
            div.aside { (facts(recall)) (firm_section(recall)) }
        }
        div.columns {
            (related_section("Other recalls of this event", &event))
            (related_section("More recalls by this firm", &firm))
        }
        p.more { a href={ "/api/v1/recalls/" (segment(recall.number())) } { "This recall as JSON" } }
    };
    let title = format!("{}: {}", recall.number(), short(recall.product(), 60));
    site.shell.page(&title, "", main)
}

/// Another way of writing the number, or what is like it.
async fn elsewhere(site: &Site, number: &str) -> Response {
    let usual = number.trim().to_uppercase();
    if usual != number && matches!(site.recall(&usual).await, Ok(Some(_))) {
        return Redirect::to(&href(&usual)).into_response();
    }
    let near = near(site, number).await;
    let main = html! {
        div.error-page {
            p.error-code aria-hidden="true" { "404" }
            h1 { "There is no recall " (number) }
            p.lead { "It may be mistyped, or the FDA has taken it back. A recall number looks like Z-0056-2013." }
            @if !near.is_empty() {
                h2 { "Near it" }
                ul { @for near in &near { li { a href=(near.url) { (near.text) } " " span.hint { (near.label) } } } }
            }
            p { a.button href=(Asked { text: number.to_owned(), ..Asked::default() }.href()) { "Search for it" } }
        }
    };
    (StatusCode::NOT_FOUND, site.shell.page("No such recall", "", main)).into_response()
}

/// Numbers that begin as this one, looked for with less and less of it.
async fn near(site: &Site, number: &str) -> Vec<Proposal> {
    let letters: Vec<char> = number.trim().chars().collect();
    for less in [1, 3, 5, 7] {
        let begin: String =
            letters.iter().take(letters.len().saturating_sub(less).max(2)).collect();
        // Without proposals the page is useful all the same.
        let near = proposals(site, &begin, 5).await.unwrap_or_default();
        if !near.is_empty() {
            return near;
        }
    }
    Vec::new()
}

/// The search for all recalls that have the same value.
fn like(recall: &Recall, facet: Facet) -> Option<Asked> {
    recall.text(facet.name())?;
    // The index knows the value as the feed has it, spaces and all.
    let value = recall.raw(facet.name());
    facet.allows(value).then(|| Asked::default().with(facet, value))
}

/// Others that are found by `asked`.
struct Related {
    asked: Asked,
    total: usize,
    shown: Vec<Recall>,
}

async fn related(site: &Site, recall: &Recall, asked: Option<Asked>) -> Option<Related> {
    let asked = asked?;
    let sort = Sort::Newest("report_date".into());
    let query = Query { sort, ..asked.query(0, RELATED + 1) };
    // A recall without its relatives is still worth reading.
    let found = site.search(&query).await.ok()?;
    let others = found.hits.into_iter().map(|hit| Recall::new(hit.row));
    let shown: Vec<Recall> =
        others.filter(|other| other.number() != recall.number()).take(RELATED).collect();
    (!shown.is_empty()).then_some(Related { asked, total: found.total, shown })
}

fn related_section(title: &str, related: &Option<Related>) -> Markup {
    html! {
        @if let Some(Related { asked, total, shown }) = related {
            section.list {
                h2 { (title) }
                @for recall in shown { (card(recall, &Terms::default(), 3)) }
                @if *total > shown.len() + 1 { p.more { a href=(asked.href()) { "All " (recalls(*total)) } } }
            }
        }
    }
}

fn head(recall: &Recall) -> Markup {
    let class = recall.text("classification").unwrap_or("Not Yet Classified");
    html! {
        header.recall-head {
            p.recall-tags { (class_badge(recall)) " " (status_badge(recall)) " " span.recall-number { (recall.number()) } }
            h1 { (short(recall.product(), HEADING)) }
            p.lead { "Recalled by " (recall.firm()) @if let Some(day) = when(recall, "report_date") { ", reported " (day) } "." }
            p.meaning { strong { (class) ": " } (meaning(class)) }
        }
    }
}

fn facts(recall: &Recall) -> Markup {
    let text = |field: &str| recall.text(field).map(|text| html! { (text) });
    let event = recall.text("event_id").map(|event| {
        html! { @match like(recall, Facet::Event) { Some(asked) => a href=(asked.href()) { (event) }, None => (event) } }
    });
    let facts: [(&str, Option<Markup>); 11] = [
        ("Recall number", text("recall_number")),
        ("Event", event),
        ("Status", text("status")),
        ("Begun", when(recall, "recall_initiation_date")),
        ("Reported", when(recall, "report_date")),
        ("Classified", when(recall, "center_classification_date")),
        ("Terminated", when(recall, "termination_date")),
        ("Initiated by", text("voluntary_mandated")),
        ("First notice by", text("initial_firm_notification")),
        ("Quantity", text("product_quantity")),
        ("Kind of product", text("product_type")),
    ];
    html! { section.card { h2 { "In short" } (list(&facts)) } }
}

fn list(facts: &[(&str, Option<Markup>)]) -> Markup {
    html! {
        dl.facts {
            @for (label, value) in facts {
                @if let Some(value) = value { div { dt { (label) } dd.text { (value) } } }
            }
        }
    }
}

fn prose(recall: &Recall) -> Markup {
    let text = |title: &str, field: &str| {
        html! { @if let Some(text) = recall.text(field) { section { h2 { (title) } p.text { (text) } } } }
    };
    html! {
        (text("Product", "product_description"))
        (text("Reason", "reason_for_recall"))
        @for (title, field) in [("Lots and codes", "code_info"), ("More lots and codes", "more_code_info")] {
            @if let Some(codes) = recall.text(field) {
                section.codes-box { h2 { (title) } (scrolling(title, html! { p.codes { (codes) } })) }
            }
        }
        (text("Distribution", "distribution_pattern"))
    }
}

fn firm_section(recall: &Recall) -> Markup {
    let line = |fields: &[&str]| {
        let words: Vec<&str> = fields.iter().filter_map(|field| recall.text(field)).collect();
        (!words.is_empty()).then(|| words.join(", "))
    };
    let place = [line(&["city", "state"]), line(&["postal_code"])]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ");
    let lines = [line(&["address_1"]), line(&["address_2"]), Some(place), line(&["country"])];
    html! {
        section.card {
            h2 { "Firm" }
            p {
                @match like(recall, Facet::Firm) {
                    Some(asked) => a href=(asked.href()) { (recall.firm()) },
                    None => (recall.firm()),
                }
            }
            address { @for line in lines.iter().flatten().filter(|line| !line.is_empty()) { (line) br; } }
        }
    }
}

/// At most `max` characters, cut after a word.
fn short(text: &str, max: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((end, _)) = text.char_indices().nth(max) else { return text };
    let cut = text[..end].rfind(' ').filter(|cut| *cut > end / 2).unwrap_or(end);
    format!("{} …", text[..cut].trim_end_matches([',', ';', ' ']))
}
