//! What moves on the pages while they are open: how the feed is, how far the index is, whether there is anything new.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use chrono::Utc;
use millstream_sinks::search::{IndexState, Searcher};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::figures::Figures;
use super::pages::{feed_state, key_figures, news};
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
    /// The last that could be asked for. `None`: none ever could.
    pub figures: Option<Arc<Figures>>,
    /// Grows whenever there is something new to see.
    pub news: usize,
}

impl Pulse {
    /// How things are now; what can't be asked for stays as it was.
    async fn next(&self, searcher: &dyn Searcher, feed: Option<FeedState>) -> Pulse {
        let index = searcher.state().await.ok();
        let figures = Figures::of(searcher).await.ok().map(Arc::new);
        // While the index is filled for the first time, its progress says enough.
        let ready = |index: &Option<IndexState>| matches!(index, Some(IndexState::Ready { .. }));
        let news =
            ready(&index) && figures.is_some() && self.figures.is_some() && figures != self.figures;
        let figures = figures.or_else(|| self.figures.clone());
        Pulse { feed, index, figures, news: self.news + usize::from(news) }
    }
}

/// Follows feed and index until `stop`.
pub async fn follow(
    searcher: Arc<dyn Searcher>,
    mut feed: watch::Receiver<Option<FeedState>>,
    stop: CancellationToken,
) -> watch::Receiver<Pulse> {
    let told = feed.borrow_and_update().clone();
    let (sender, receiver) = watch::channel(Pulse::default().next(searcher.as_ref(), told).await);
    tokio::spawn(async move {
        let mut telling = true;
        while !sender.is_closed() {
            tokio::select! {
                changed = feed.changed(), if telling => telling = changed.is_ok(),
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => return,
            }
            let (told, before) = (feed.borrow_and_update().clone(), sender.borrow().clone());
            let next = before.next(searcher.as_ref(), told).await;
            if next != before {
                sender.send_replace(next);
            }
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
        let feed = ("feed", feed_state(pulse, every, Utc::now()).into_string());
        let news = ("news", news(pulse.news != since).into_string());
        let figures =
            pulse.figures.iter().map(|figures| ("figures", key_figures(figures).into_string()));
        [feed, news].into_iter().chain(figures).collect()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::serve::tests::{Fake, recalls};

    #[tokio::test]
    async fn news_is_what_can_be_seen_after_loading_again() {
        let fake = Fake::of(recalls(4));
        let first = Pulse::default().next(&fake, None).await;
        assert_eq!(first.news, 0, "the first look");
        let refreshed = first.next(&fake, Some(FeedState::default())).await;
        assert_eq!(refreshed.news, 0, "a refresh that found nothing");
        fake.rows.lock().expect("lock")[3].insert("status".into(), json!("Ongoing"));
        let changed = refreshed.next(&fake, None).await;
        assert_eq!(changed.news, 1, "a change");
        fake.commit();
        let unseen = changed.next(&fake, None).await;
        assert_eq!(unseen.news, 2, "a change of what the home page doesn't show");
        let changed = unseen;
        *fake.broken.lock().expect("lock") = true;
        let broken = changed.next(&fake, None).await;
        assert_eq!((broken.news, &broken.index, &broken.figures), (2, &None, &changed.figures));
        *fake.broken.lock().expect("lock") = false;
        assert_eq!(broken.next(&fake, None).await, changed, "an index that can be read again");
        *fake.state.lock().expect("lock") =
            IndexState::Loading { rows: 1, from: "the topic".into() };
        fake.rows.lock().expect("lock").truncate(1);
        assert_eq!(changed.next(&fake, None).await.news, 2, "an index that is being filled");
    }
}
