//! What more than one page shows.

use maud::{Markup, html};
use millstream_web::parts::{Tone, badge};

use crate::serve::asked::{Asked, Facet};
use crate::serve::highlight::Terms;
use crate::serve::params::TEXT_MAX;
use crate::serve::record::{Recall, day};

/// Characters of a product's description in a list.
const PRODUCT: usize = 140;
/// Characters of a reason in a list.
const REASON: usize = 220;

/// The box to search with; what `asked` picks that no box of the page shows stays picked.
pub fn search_box(asked: &Asked) -> Markup {
    let hidden = asked.picks().filter(|(facet, _)| !Facet::OFFERED.contains(facet));
    html! {
        form.search-form #search action="/search" method="get" role="search" {
            label for="q" { "Recall number, firm, product or reason" }
            div.search-row {
                div.search-field {
                    input #q type="search" name="q" value=(asked.text) maxlength=(TEXT_MAX) autocomplete="off"
                        autocapitalize="off" spellcheck="false" aria-describedby="q-hint" data-suggest="/api/v1/suggest";
                }
                button type="submit" { "Search" }
            }
            p.hint #q-hint { "Small slips of spelling are forgiven; “quotation marks” keep words together." }
            @for (facet, value) in hidden { input type="hidden" name=(facet.name()) value=(value); }
            @if let Some(order) = asked.order { input type="hidden" name="sort" value=(order.name()); }
        }
    }
}

/// A recall's class as a badge.
pub fn class_badge(recall: &Recall) -> Markup {
    let class = recall.text("classification").unwrap_or("Not Yet Classified");
    let tone = match class {
        "Class I" => Tone::Bad,
        "Class II" => Tone::Warn,
        "Class III" => Tone::Info,
        _ => Tone::Plain,
    };
    badge(tone, class)
}

/// A recall's status as a badge.
pub fn status_badge(recall: &Recall) -> Markup {
    let status = recall.text("status").unwrap_or("Status unknown");
    badge(if status == "Ongoing" { Tone::Info } else { Tone::Plain }, status)
}

/// A field's day as people write it; as the feed has it, if it is no day.
pub fn when(recall: &Recall, field: &str) -> Option<Markup> {
    let text = recall.text(field)?;
    Some(match recall.date(field) {
        Some(date) => html! { time datetime=(date.format("%Y-%m-%d")) { (day(date)) } },
        None => html! { (text) },
    })
}

/// A recall in a list. `level` is its heading's.
pub fn card(recall: &Recall, terms: &Terms, level: u8) -> Markup {
    let title = html! { a href=(recall.href()) { (terms.excerpt(recall.product(), PRODUCT)) } };
    html! {
        article.recall {
            p.recall-tags {
                (class_badge(recall)) " " (status_badge(recall)) " "
                span.recall-number { (terms.mark(recall.number())) }
            }
            @if level == 2 { h2.recall-title { (title) } } @else { h3.recall-title { (title) } }
            p.recall-firm {
                (terms.mark(recall.firm()))
                @if let Some(place) = place(recall) { ", " (place) }
                @if let Some(day) = when(recall, "report_date") { " · reported " (day) }
            }
            @if let Some(reason) = recall.text("reason_for_recall") {
                p.recall-reason { (terms.excerpt(reason, REASON)) }
            }
        }
    }
}

/// Where the firm is: city and state, else the country.
fn place(recall: &Recall) -> Option<String> {
    match (recall.text("city"), recall.text("state").or(recall.text("country"))) {
        (Some(city), Some(state)) => Some(format!("{city}, {state}")),
        (one, other) => one.or(other).map(str::to_owned),
    }
}
