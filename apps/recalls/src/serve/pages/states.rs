//! How feed and index are, in words: the part of the pages that moves.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use maud::{Markup, html};
use millstream_sinks::search::IndexState;
use millstream_web::parts::{Tone, notice, progress};
use millstream_web::words::{ago, bytes, count};

use crate::feed_state::{FeedState, Phase};
use crate::serve::live::Pulse;
use crate::serve::record::day;

/// A refresh that hasn't been heard of for so long has died.
const SILENT: TimeDelta = TimeDelta::minutes(5);

/// The part of a page that follows the feed, and the numbers if the page has them. It is whole without a script, too.
pub fn live(pulse: &Pulse, every: Duration, figures: Option<Markup>) -> Markup {
    html! {
        div.site-state data-live={ "/events?since=" (pulse.news) } {
            div.news role="status" data-event="news" { (news(false)) }
            div.feed data-event="feed" { (feed_state(pulse, every, Utc::now())) }
            @if let Some(figures) = figures { div.figures data-event="figures" { (figures) } }
        }
    }
}

/// That there is more to see than what the page shows.
pub fn news(any: bool) -> Markup {
    html! {
        @if any { p.news-line { "There are new recalls or changes. " a href="" { "Show them" } } }
    }
}

/// How index and feed are; the feed is refreshed `every` so long.
pub fn feed_state(pulse: &Pulse, every: Duration, now: DateTime<Utc>) -> Markup {
    let feed = pulse.feed.clone().unwrap_or_default();
    html! {
        (index_state(pulse.index.as_ref(), &feed))
        (made_up(&feed))
        @if let Some(trouble) = &feed.trouble {
            (notice(Tone::Warn, "The last refresh failed", html! {
                p { (trouble.what) }
                p { "It was tried " (times(trouble.tries)) ", last " (moment(trouble.at, now)) ". What you see is the last good data." }
            }))
        } @else if is_stale(&feed, every, now) {
            (notice(Tone::Warn, "These data may be out of date", html! {
                p { "The feed should be refreshed every " (lasting(every)) ". Is " code { "recalls produce" } " running?" }
            }))
        }
        @if feed.is_busy() && now - feed.told_at.unwrap_or(now) < SILENT { (busy(&feed.phase)) }
        (fresh(&feed, now))
    }
}

/// What nobody may overlook, wherever recalls are shown.
pub fn made_up(feed: &FeedState) -> Markup {
    html! {
        @if feed.made_up {
            (notice(Tone::Warn, "These recalls are made up", html! {
                p { "The FDA's feed couldn't be reached, so records of the same shape stand in for it. Nothing here is a real recall." }
            }))
        }
    }
}

fn index_state(index: Option<&IndexState>, feed: &FeedState) -> Markup {
    match index {
        None => notice(
            Tone::Bad,
            "The search can't be reached just now",
            html! {
                p { "It is tried again each second. What the pages show is the last good data." }
            },
        ),
        Some(IndexState::Missing) => notice(
            Tone::Info,
            "There is nothing to search yet",
            html! {
                p { "The search index is made by " code { "recalls process" } ", which hasn't run here yet." }
            },
        ),
        Some(IndexState::Loading { rows, from }) => {
            let of = (feed.total > 0).then_some(feed.total.max(*rows as u64));
            let label = match of {
                Some(of) => {
                    format!("Loading recalls from {from}: {} of {}", count(*rows as u64), count(of))
                }
                None => format!("Loading recalls from {from}: {} so far", count(*rows as u64)),
            };
            progress(&label, *rows as u64, of)
        }
        Some(IndexState::Ready { .. }) => html! {},
    }
}

fn busy(phase: &Phase) -> Markup {
    match phase {
        Phase::Idle => html! {},
        Phase::Downloading { bytes: done, of: Some(of) } => progress(
            &format!("Refreshing: {} of {} downloaded", bytes(*done), bytes(*of)),
            *done,
            Some(*of),
        ),
        Phase::Downloading { bytes: done, of: None } => {
            progress(&format!("Refreshing: {} downloaded", bytes(*done)), *done, None)
        }
        Phase::Comparing { records, of: Some(of) } => {
            let label =
                format!("Refreshing: {} of {} recalls compared", count(*records), count(*of));
            progress(&label, *records, Some(*of))
        }
        Phase::Comparing { records, of: None } => {
            progress(&format!("Refreshing: {} recalls compared", count(*records)), *records, None)
        }
        Phase::Sending { records, of } => {
            let label = format!("Refreshing: {} of {} changes sent", count(*records), count(*of));
            progress(&label, *records, Some(*of))
        }
    }
}

fn fresh(feed: &FeedState, now: DateTime<Utc>) -> Markup {
    html! {
        p.feed-line {
            @match feed.refreshed_at {
                Some(at) => { "Last refreshed " (moment(at, now)) }
                None => "Not refreshed yet",
            }
            @if !feed.source.is_empty() && !feed.made_up { " from " span.source { (feed.source) } }
            @if let Some(date) = &feed.last_updated { "; the feed's own date is " (dated(date)) }
            "."
        }
    }
}

fn dated(date: &str) -> Markup {
    match date.parse::<NaiveDate>() {
        Ok(date) => html! { time datetime=(date) { (day(date)) } },
        Err(_) => html! { (date) },
    }
}

/// A moment as a time that a script keeps current, and that reads well without one.
fn moment(at: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    html! {
        time datetime=(at.format("%Y-%m-%dT%H:%M:%SZ")) title=(at.format("%-d %B %Y, %H:%M UTC")) data-ago {
            (ago((now - at).num_milliseconds()))
        }
    }
}

fn times(tries: u32) -> String {
    match tries {
        0 | 1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    }
}

fn lasting(every: Duration) -> String {
    match every.as_secs() {
        3600 => "hour".to_owned(),
        secs => millstream_web::words::lasting(
            i64::try_from(secs).unwrap_or(i64::MAX).saturating_mul(1000),
        ),
    }
}

/// Whether the topic hasn't been known to agree with the feed for two rounds.
fn is_stale(feed: &FeedState, every: Duration, now: DateTime<Utc>) -> bool {
    let limit = TimeDelta::from_std(every.saturating_mul(2)).unwrap_or(TimeDelta::MAX);
    feed.refreshed_at.is_some_and(|at| now - at > limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed_state::Trouble;

    const HOUR: Duration = Duration::from_secs(3600);

    fn told(feed: FeedState, index: Option<IndexState>) -> String {
        let now = DateTime::from_timestamp(1_000_000, 0).expect("a time");
        feed_state(&Pulse { feed: Some(feed), index, ..Pulse::default() }, HOUR, now).into_string()
    }

    fn at(second: i64) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(second, 0)
    }

    fn ready() -> Option<IndexState> {
        Some(IndexState::Ready { rows: 1, rebuilding: false })
    }

    #[test]
    fn each_state_is_told() {
        let fresh = FeedState {
            refreshed_at: at(999_400),
            source: "<b>x</b>".into(),
            ..FeedState::default()
        };
        let text = told(fresh.clone(), ready());
        assert!(
            text.contains("10 min ago") && text.contains("&lt;b&gt;x") && !text.contains("notice"),
            "{text}"
        );
        assert!(told(FeedState::default(), ready()).contains("Not refreshed yet"));
        let stale = FeedState { refreshed_at: at(1_000_000 - 7_201), ..FeedState::default() };
        assert!(told(stale, ready()).contains("out of date"));
        assert!(
            told(FeedState { made_up: true, ..FeedState::default() }, ready()).contains("made up")
        );
        let trouble =
            Some(Trouble { at: at(999_990).expect("a time"), what: "HTTP 500".into(), tries: 3 });
        let text = told(FeedState { trouble, ..fresh }, ready());
        assert!(
            text.contains("HTTP 500")
                && text.contains("3 times")
                && text.contains("last good data"),
            "{text}"
        );
        assert!(told(FeedState::default(), None).contains("can't be reached"));
        assert!(told(FeedState::default(), Some(IndexState::Missing)).contains("recalls process"));
        let loading = Some(IndexState::Loading { rows: 12_000, from: "the topic".into() });
        assert!(
            told(FeedState { total: 40_000, ..FeedState::default() }, loading)
                .contains("12,000 of 40,000")
        );
    }

    #[test]
    fn a_refresh_under_way_is_shown_unless_it_has_died() {
        let phase = Phase::Comparing { records: 12_000, of: Some(40_000) };
        let busy = FeedState { phase, told_at: at(999_999), ..FeedState::default() };
        assert!(told(busy.clone(), ready()).contains("12,000 of 40,000 recalls compared"));
        assert!(!told(FeedState { told_at: at(999_000), ..busy }, ready()).contains("compared"));
    }
}
