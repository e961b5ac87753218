//! What moves on the pages while they are open: how the feed is, how far the index is, whether there is anything new.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use chrono::Utc;
use millstream_sinks::search::{IndexState, Searcher};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::pages::{feed_state, news};
use super::params::{number, pairs};
use super::site::Site;
use crate::feed_state::FeedState;

/// How often the index is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How feed and index are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pulse {
    /// `None`: nothing was told yet.
    pub feed: Option<FeedState>,
    /// `None`: the index can't be read.
    pub index: Option<IndexState>,
    /// Grows whenever there is something new to see.
    pub news: usize,
}

impl Pulse {
    /// Takes what was seen now; whether anything is otherwise.
    fn take(&mut self, feed: Option<FeedState>, index: Option<IndexState>) -> bool {
        if (&self.feed, &self.index) == (&feed, &index) {
            return false;
        }
        let rows = |index: &Option<IndexState>| match index {
            Some(IndexState::Ready { rows, .. }) => Some(*rows),
            _ => None,
        };
        let refreshed = |feed: &Option<FeedState>| {
            let feed = feed.as_ref().filter(|feed| feed.new + feed.changed + feed.gone > 0);
            feed.and_then(|feed| feed.refreshed_at)
        };
        // What is counted before the first look isn't news, nor is an index that can be read again.
        let more = rows(&index).is_some() && self.index.is_some() && rows(&index) != rows(&self.index);
        let fresh = self.feed.is_some() && refreshed(&feed).is_some() && refreshed(&feed) != refreshed(&self.feed);
        self.news += usize::from(more || fresh);
        (self.feed, self.index) = (feed, index);
        true
    }
}

/// Follows feed and index until `stop`.
pub async fn follow(
    searcher: Arc<dyn Searcher>,
    mut feed: watch::Receiver<Option<FeedState>>,
    stop: CancellationToken,
) -> watch::Receiver<Pulse> {
    let index = searcher.state().await.ok();
    let first = Pulse { feed: feed.borrow_and_update().clone(), index, news: 0 };
    let (sender, receiver) = watch::channel(first);
    tokio::spawn(async move {
        let mut told = true;
        while !sender.is_closed() {
            tokio::select! {
                changed = feed.changed(), if told => told = changed.is_ok(),
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => return,
            }
            let (index, feed) = (searcher.state().await.ok(), feed.borrow_and_update().clone());
            sender.send_if_modified(|pulse| pulse.take(feed, index));
        }
    });
    receiver
}

/// `/events?since=…`: fragments for the open page that was made when `news` was `since`.
pub async fn events(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Response {
    let since = pairs(query.unwrap_or_default().as_bytes())
        .and_then(|pairs| number(&pairs, "since", 0..=usize::MAX, 0));
    let since = match since {
        Ok(since) => since,
        Err(refusal) => return site.refused(&refusal),
    };
    let every = site.every;
    site.hub.stream(site.pulse.clone(), move |pulse| {
        vec![
            ("feed", feed_state(pulse, every, Utc::now()).into_string()),
            ("news", news(pulse.news != since).into_string()),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(new: u64, second: i64) -> Option<FeedState> {
        let refreshed_at = chrono::DateTime::from_timestamp(second, 0);
        Some(FeedState { new, refreshed_at, ..FeedState::default() })
    }

    #[test]
    fn news_is_what_can_be_seen_after_loading_again() {
        let ready = |rows| Some(IndexState::Ready { rows, rebuilding: false });
        let mut pulse = Pulse::default();
        assert!(pulse.take(fed(40, 1), ready(40)));
        assert_eq!(pulse.news, 0, "the first look");
        assert!(!pulse.take(fed(40, 1), ready(40)));
        assert!(pulse.take(fed(0, 2), ready(40)));
        assert_eq!(pulse.news, 0, "a refresh that found nothing");
        assert!(pulse.take(fed(3, 3), ready(40)));
        assert_eq!(pulse.news, 1, "a refresh that found something");
        assert!(pulse.take(fed(3, 3), ready(43)));
        assert_eq!(pulse.news, 2, "its rows");
        assert!(pulse.take(fed(3, 3), None) && pulse.take(fed(3, 3), ready(43)));
        assert_eq!(pulse.news, 2, "an index that can be read again");
    }
}
