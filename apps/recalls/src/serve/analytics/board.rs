//! The figures as they are shown: made once for everybody, when the view has changed and somebody looks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use chrono::Utc;
use millstream_engine::view::{View, ViewState};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::figures::Figures;
use super::sheet;
use crate::feed_state::FeedState;

/// How long lies at least between two counts, when nobody asks for the page.
const PACE: Duration = Duration::from_millis(500);

/// What the page shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// The last ones that could be counted.
    pub figures: Arc<Figures>,
    pub view: ViewState,
    pub feed: Option<FeedState>,
    /// The figures can't be counted just now.
    pub failed: bool,
    /// Of the view when they were counted.
    revision: Option<u64>,
}

/// What it shows, and its PNG.
type Picture = (Arc<Figures>, Bytes);

/// Keeps [`Shown`] current. Clones share it.
#[derive(Clone)]
pub struct Board {
    view: View,
    feed: watch::Receiver<Option<FeedState>>,
    shown: Arc<watch::Sender<Arc<Shown>>>,
    counting: Arc<Semaphore>,
    drawing: Arc<Semaphore>,
    /// By name.
    pictures: Arc<Mutex<HashMap<String, Picture>>>,
}

impl Board {
    pub fn new(view: View, feed: watch::Receiver<Option<FeedState>>) -> Self {
        let shown =
            Shown { view: ViewState { loading: true, ..ViewState::default() }, ..Shown::default() };
        Self {
            view,
            feed,
            shown: Arc::new(watch::Sender::new(Arc::new(shown))),
            counting: Arc::new(Semaphore::new(1)),
            drawing: Arc::new(Semaphore::new(1)),
            pictures: Arc::default(),
        }
    }

    /// Follows view and feed for those who have subscribed, until `stop`.
    pub async fn keep_current(self, stop: CancellationToken) {
        let (mut view, mut feed) = (self.view.changed(), self.feed.clone());
        let (mut views, mut feeds) = (true, true);
        let following = async {
            while views || feeds {
                tokio::select! {
                    changed = view.changed(), if views => views = changed.is_ok(),
                    changed = feed.changed(), if feeds => feeds = changed.is_ok(),
                }
                if self.shown.receiver_count() > 0 {
                    self.current().await;
                }
                tokio::time::sleep(PACE).await;
            }
        };
        stop.run_until_cancelled(following).await;
    }

    pub fn subscribe(&self) -> watch::Receiver<Arc<Shown>> {
        self.shown.subscribe()
    }

    /// What is to be shown now. Counts only if the view has changed since the last time.
    pub async fn current(&self) -> Arc<Shown> {
        // One at a time: who waited finds it done.
        let _turn = self.counting.acquire().await;
        let before = self.shown.borrow().clone();
        let revision = *self.view.changed().borrow();
        let (view, feed) = (self.view.state(), self.feed.borrow().clone());
        let known = before.revision == Some(revision) && !before.failed;
        let (figures, failed) = match view.loading || known {
            // Half of the figures would be wrong figures.
            true if view.loading => (Arc::default(), false),
            true => (before.figures.clone(), before.failed),
            false => match Figures::ask(&self.view, Utc::now().date_naive()).await {
                Ok(figures) => (Arc::new(figures), false),
                Err(error) => {
                    warn!("show the charts: {error:#}; the figures before stay");
                    (before.figures.clone(), true)
                }
            },
        };
        let now = Arc::new(Shown { figures, view, feed, failed, revision: Some(revision) });
        self.shown.send_if_modified(|shown| {
            let changed = **shown != *now;
            *shown = now.clone();
            changed
        });
        now
    }

    /// A chart, or all of them, as PNG of what is shown now. Drawn once for the same figures.
    pub async fn picture(
        &self,
        name: &str,
        draw: fn(&str, &Figures) -> Result<Vec<u8>>,
    ) -> Result<Bytes> {
        let shown = self.current().await;
        // One at a time: drawing takes the processor and some megabytes.
        let _turn = self.drawing.acquire().await.context("wait for the turn to draw")?;
        if let Some(picture) = self.drawn(name, &shown.figures) {
            return Ok(picture);
        }
        let (named, figures) = (name.to_owned(), shown.figures.clone());
        let drawn = tokio::task::spawn_blocking(move || draw(&named, &figures));
        let picture = Bytes::from(drawn.await.context("draw a chart")??);
        let mut pictures = self.pictures.lock().unwrap_or_else(PoisonError::into_inner);
        pictures.insert(name.to_owned(), (shown.figures.clone(), picture.clone()));
        Ok(picture)
    }

    fn drawn(&self, name: &str, figures: &Arc<Figures>) -> Option<Bytes> {
        let pictures = self.pictures.lock().unwrap_or_else(PoisonError::into_inner);
        pictures.get(name).filter(|(of, _)| of == figures).map(|(_, picture)| picture.clone())
    }
}

/// The chart of that name, as [`Board::picture`] takes it.
pub fn one(name: &str, figures: &Figures) -> Result<Vec<u8>> {
    sheet::one(super::charts::Plan::named(name).context("find the chart")?, figures)
}

/// All charts, likewise.
pub fn all(_: &str, figures: &Figures) -> Result<Vec<u8>> {
    sheet::all(figures)
}

#[cfg(test)]
mod tests {
    use millstream_engine::Json;
    use millstream_topic::memory::Memory;
    use millstream_topic::{Outgoing, Topics};
    use serde_json::json;

    use super::super::COLUMNS;
    use super::*;
    use crate::event::schema;
    use crate::pipeline::DEVICES;

    /// Stands in for a picture: what it would show.
    fn total(_: &str, figures: &Figures) -> Result<Vec<u8>> {
        Ok(figures.total.to_string().into())
    }

    #[tokio::test]
    async fn a_picture_of_figures_that_could_not_be_renewed_goes_when_they_are() {
        let (topics, stop) = (Memory::new(), CancellationToken::new());
        topics.ensure(&DEVICES).await.expect("make the topic");
        let recall = Outgoing::keyed("Z-1", json!({"recall_number": "Z-1"}).to_string());
        topics.append(&DEVICES.name, vec![recall]).await.expect("append");
        let decoder = Arc::new(Json::new(schema()));
        let view = View::follow(Arc::new(topics), &DEVICES, decoder, COLUMNS, stop.clone());
        let mut changed = view.changed();
        let read = async {
            while view.state().loading || view.state().rows == 0 {
                changed.changed().await.expect("the view lives");
            }
        };
        tokio::time::timeout(Duration::from_secs(20), read).await.expect("the topic is read");
        let board = Board::new(view, watch::channel(None).1);
        assert_eq!(board.picture("one", total).await.expect("a picture"), "1");

        // The last count failed, and a picture of what was shown then was drawn at this very revision.
        let old = Arc::new(Figures { total: 7, ..Figures::default() });
        let shown = board.shown.borrow().clone();
        let failed = Shown { figures: old.clone(), failed: true, ..shown.as_ref().clone() };
        board.shown.send_replace(Arc::new(failed));
        board.pictures.lock().expect("lock").insert("one".into(), (old, Bytes::from("7")));
        assert_eq!(board.picture("one", total).await.expect("a picture"), "1");

        // Of figures that stay it is drawn once.
        let none = |_: &str, _: &Figures| -> Result<Vec<u8>> { anyhow::bail!("drawn again") };
        assert_eq!(board.picture("one", none).await.expect("a picture"), "1");
        stop.cancel();
    }
}
