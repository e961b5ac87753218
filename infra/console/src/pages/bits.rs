use maud::{Markup, html};
use millstream_web::parts::badge;
use millstream_web::words;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::view::Standing;

/// The address of a pipeline's page.
pub(super) fn pipeline_path(id: &str) -> String {
    format!("/pipelines/{}", escaped(id))
}

/// The address of a worker's page.
pub(super) fn worker_path(id: &str) -> String {
    format!("/workers/{}", escaped(id))
}

fn escaped(id: &str) -> String {
    // Readable as far as can be: ids are made of letters, digits, dots and dashes.
    const KEEP: &percent_encoding::AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');
    utf8_percent_encode(id, KEEP).to_string()
}

pub(super) fn standing(standing: &Standing) -> Markup {
    badge(standing.is.tone(), standing.is.word())
}

/// The same, with its reason below.
pub(super) fn standing_why(of: &Standing) -> Markup {
    html! { (standing(of)) @if !of.why.is_empty() { span.why { (of.why) } } }
}

/// A rate with its unit.
pub(super) fn per_second(rate: f64) -> String {
    format!("{}/s", words::measured(rate))
}

pub(super) fn ms(of: Option<u64>) -> String {
    of.map_or_else(|| "–".to_owned(), |ms| words::lasting(i64::try_from(ms).unwrap_or(i64::MAX)))
}

/// A moment, in UTC: `14:03:20`, with the day when it isn't today's.
pub(super) fn clock(at_ms: i64, now_ms: i64) -> String {
    let Some(at) = chrono::DateTime::from_timestamp_millis(at_ms) else { return "–".to_owned() };
    let today = chrono::DateTime::from_timestamp_millis(now_ms)
        .is_some_and(|now| now.date_naive() == at.date_naive());
    at.format(if today { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" }).to_string()
}

/// A moment of a chart, in UTC; without seconds when it covers long enough.
pub(super) fn moment(at_ms: i64, long: bool) -> String {
    let at = chrono::DateTime::from_timestamp_millis(at_ms).unwrap_or_default();
    at.format(if long { "%H:%M" } else { "%H:%M:%S" }).to_string()
}

/// A moment for machines.
pub(super) fn iso(at_ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(at_ms).map(|at| at.to_rfc3339()).unwrap_or_default()
}

/// What a count is shown as in a table: trouble stands out.
pub(super) fn troubling(count: u64) -> Markup {
    html! { @if count > 0 { strong.hot { (words::count(count)) } } @else { "0" } }
}
