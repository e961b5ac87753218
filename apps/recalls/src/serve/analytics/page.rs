//! The page: figures in words, charts with their tables, and how current all is.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use maud::{Markup, PreEscaped, html};
use millstream_sinks::search::IndexState;
use millstream_web::parts::{Tone, figure_of, notice, progress, scrolling};
use millstream_web::sse::Message;
use millstream_web::words::{count, grouped};

use super::board::Shown;
use super::charts::{COUNTRIES, PLANS, Plan};
use super::figures::Figures;
use crate::serve::live::Pulse;
use crate::serve::pages::feed_state;
use crate::serve::record::day;

/// The whole page.
pub fn page(shown: &Shown, every: Duration, now: DateTime<Utc>) -> Markup {
    let figures = &shown.figures;
    html! {
        div.analytics data-live="/analytics/events" {
            h1 { "Analytics" }
            p.lead { "The FDA's device recalls in figures. Charts change by themselves when recalls come in." }
            div.site-state data-event="state" { (state(shown, every, now)) }
            div data-event="summary" { (summary(figures)) }
            div.charts {
                @for plan in &PLANS {
                    figure.chart.whole[plan.is_whole()] id=(plan.name) {
                        figcaption { h2 { (plan.title) } p.hint { (plan.about) } }
                        div data-event=(plan.name) { (chart(plan, figures)) }
                    }
                }
                section.chart id=(COUNTRIES.name) {
                    h2 { (COUNTRIES.title) }
                    p.hint { (COUNTRIES.about) }
                    div data-event=(COUNTRIES.name) { (table(&COUNTRIES, figures)) }
                }
            }
            p.more { a href="/static/output.png" { "All charts as one picture (PNG)" } }
        }
    }
}

/// The parts of the page that change, by the names of their events.
pub fn parts(shown: &Shown, every: Duration, now: DateTime<Utc>) -> Vec<Message> {
    let figures = &shown.figures;
    let mut parts = vec![
        ("state", state(shown, every, now).into_string()),
        ("summary", summary(figures).into_string()),
        (COUNTRIES.name, table(&COUNTRIES, figures).into_string()),
    ];
    parts.extend(PLANS.iter().map(|plan| (plan.name, chart(plan, figures).into_string())));
    parts
}

fn state(shown: &Shown, every: Duration, now: DateTime<Utc>) -> Markup {
    let view = &shown.view;
    html! {
        @if let Some(trouble) = &view.trouble {
            (notice(Tone::Warn, "New recalls can't be read just now", html! {
                p { (trouble) }
                p { "It is tried again by itself. The charts show what was read before." }
            }))
        }
        @if shown.failed {
            (notice(Tone::Bad, "The charts can't be drawn anew just now", html! {
                p { "They show the last good figures. It is tried again with the next change; the log says why." }
            }))
        }
        @if view.loading {
            @let (read, of) = (view.read.unsigned_abs(), view.of.unsigned_abs());
            @if of > 0 {
                (progress(&format!("Reading the recalls: {} of {} records", count(read), count(of)), read, Some(of)))
            } @else {
                (progress("Looking for the recalls", 0, None))
            }
        } @else if view.rows == 0 {
            (notice(Tone::Info, "There are no recalls here yet", html! {
                p { "The charts fill as soon as they come in. They are sent by " code { "recalls produce" } "." }
            }))
        }
        @if view.bad > 0 {
            p.hint {
                (count(view.bad)) (if view.bad == 1 { " record" } else { " records" }) " can't be read: not counted."
            }
        }
        (feed(shown, every, now))
    }
}

/// How the feed is, as the other pages tell it. They tell of the index, too, which isn't needed here.
fn feed(shown: &Shown, every: Duration, now: DateTime<Utc>) -> Markup {
    let index = Some(IndexState::Ready { rows: shown.view.rows, rebuilding: false });
    feed_state(&Pulse { feed: shown.feed.clone(), index, ..Pulse::default() }, every, now)
}

fn summary(figures: &Figures) -> Markup {
    let newest = figures.newest.as_deref().map_or_else(|| "–".to_owned(), written_out);
    html! {
        h2.visually-hidden { "In short" }
        dl.stats {
            (figure_of("Recalls", &grouped(figures.total)))
            (figure_of("Ongoing", &grouped(figures.ongoing)))
            (figure_of("Class I, most serious", &grouped(figures.class_one)))
            (figure_of("Firms", &grouped(figures.firms)))
            (figure_of("Newest report", &newest))
        }
    }
}

/// `20260401` → `1 April 2026`; what is no date stays as it is.
fn written_out(date: &str) -> String {
    NaiveDate::parse_from_str(date, "%Y%m%d").map_or_else(|_| date.to_owned(), day)
}

fn chart(plan: &Plan, figures: &Figures) -> Markup {
    html! {
        (scrolling(&format!("{}, chart", plan.title), PreEscaped(plan.chart(figures).svg())))
        div.chart-foot {
            details {
                summary { "As a table" span.visually-hidden { ": " (plan.title) } }
                (table(plan, figures))
            }
            p.downloads {
                @for (ending, kind) in [("png", "PNG"), ("svg", "SVG"), ("csv", "CSV")] {
                    a href={ "/analytics/charts/" (plan.name) "." (ending) } download { (kind) span.visually-hidden { " of " (plan.title) } }
                    " "
                }
            }
        }
    }
}

fn table(plan: &Plan, figures: &Figures) -> Markup {
    let rows = plan.rows(figures);
    html! {
        @if rows.is_empty() {
            p.empty { "Nothing to show yet." }
        } @else {
            (scrolling(&format!("{}, table", plan.title), html! {
                table {
                    thead { tr { th scope="col" { (plan.of) } th.n scope="col" { "Recalls" } th.n scope="col" { "Share" } } }
                    tbody {
                        @for row in &rows {
                            tr {
                                th scope="row" { @match &row.href { Some(href) => a href=(href) { (row.name) }, None => (row.name) } }
                                td.n { (grouped(row.recalls)) }
                                td.n { (share(row.recalls, figures.total)) }
                            }
                        }
                    }
                }
            }))
        }
    }
}

/// Per cent, with one decimal.
pub fn share(part: i64, of: i64) -> String {
    if of <= 0 { "–".to_owned() } else { format!("{:.1} %", part as f64 * 100.0 / of as f64) }
}
