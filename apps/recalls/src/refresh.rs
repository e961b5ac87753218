//! When the topic is made to agree with the feed, and by whom.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use futures::future::join;
use millstream_app::Sent;
use millstream_config::Settings;
use millstream_sinks::Stores;
use millstream_sources::Pace;
use millstream_topic::Backend;
use tokio::sync::{Mutex, Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::feed::FeedSection;
use crate::feed_state::{self, FeedState, Phase, Teller, Trouble};
use crate::round::{Ended, Round};
use crate::snapshot::Snapshots;
use crate::stand_in;
use crate::turn::Turn;

/// After trouble the next refresh waits so long for each try that failed, up to the usual time between two.
const PAUSE: Duration = Duration::from_secs(60);
/// Between two tries, if not even the state can be told.
const LEAST_PAUSE: Duration = Duration::from_secs(5);

/// Keeps topic `devices` as the feed is. Clones are the same refresher.
#[derive(Clone, Debug)]
pub struct Refresher(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub feed: FeedSection,
    pub stand_in: stand_in::Section,
    /// The feed was named on the command line: nothing else will do.
    pub named: bool,
    pub topics: Arc<dyn Backend>,
    pub snapshots: Snapshots,
    pub pace: Pace,
    pub limit: Option<u64>,
    pub sent: Sent,
    pub notice: fn(&str),
    alone: Mutex<()>,
    asked: Notify,
    busy: AtomicBool,
}

/// What the command line may say.
#[derive(Clone, Debug)]
pub struct Options {
    pub url: Option<String>,
    pub file: Option<PathBuf>,
    pub pace: Pace,
    /// Sends no more than so many records.
    pub limit: Option<u64>,
    pub sent: Sent,
    /// Lines for the person who started it.
    pub notice: fn(&str),
}

impl Default for Options {
    fn default() -> Self {
        let notice = |line: &str| warn!("{line}");
        Self { url: None, file: None, pace: Pace::Max, limit: None, sent: Sent::default(), notice }
    }
}

impl Refresher {
    /// From the settings' `[feed]`. Nothing is asked before [`Refresher::run`] or [`Refresher::once`].
    pub fn new(settings: &Settings, topics: Arc<dyn Backend>, stores: &Stores) -> Result<Self> {
        Self::with(settings, topics, stores, Options::default())
    }

    pub fn with(
        settings: &Settings,
        topics: Arc<dyn Backend>,
        stores: &Stores,
        options: Options,
    ) -> Result<Self> {
        let Options { url, file, pace, limit, sent, notice } = options;
        let mut feed: FeedSection = settings.section("feed")?;
        let named = url.is_some() || file.is_some();
        if let Some(url) = url {
            (feed.url, feed.file) = (url, PathBuf::new());
        }
        feed.file = file.unwrap_or(feed.file);
        Ok(Self(Arc::new(Inner {
            feed,
            stand_in: settings.section("stand_in")?,
            named,
            topics,
            snapshots: Snapshots::new(stores.lake_store()),
            pace,
            limit,
            sent,
            notice,
            alone: Mutex::new(()),
            asked: Notify::new(),
            busy: AtomicBool::new(false),
        })))
    }

    /// Asks for a refresh now; if one is under way, that one is it.
    pub fn request(&self) {
        if !self.0.busy.load(Ordering::SeqCst) {
            self.0.asked.notify_one();
        }
    }

    /// Refreshes each `feed.every_s` since the last time, whoever did that, and when asked, until `stop`. Trouble is
    /// told in the state and tried again.
    pub async fn run(self, stop: CancellationToken) -> Result<()> {
        let mut least = Duration::ZERO;
        while !stop.is_cancelled() {
            let due = self.due_in().await.max(least);
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(due) => {}
                () = self.0.asked.notified() => {}
            }
            // Told in the state and in the log.
            let _ = self.once(&stop).await;
            least = LEAST_PAUSE;
        }
        Ok(())
    }

    /// How long until the next refresh, by what was told of the last one.
    async fn due_in(&self) -> Duration {
        let every = Duration::from_secs(self.0.feed.every_s.get().into());
        let state = match feed_state::last(self.0.topics.as_ref()).await {
            Ok(state) => state,
            Err(error) => {
                warn!("{error:#}");
                return LEAST_PAUSE;
            }
        };
        let (since, pause) = match (&state.trouble, state.checked_at) {
            (Some(trouble), _) => (trouble.at, PAUSE.saturating_mul(trouble.tries).min(every)),
            (None, Some(at)) => (at, every),
            (None, None) => return Duration::ZERO,
        };
        pause.saturating_sub((Utc::now() - since).to_std().unwrap_or_default())
    }

    /// Refreshes now. An error was told in the state, too.
    pub async fn once(&self, stop: &CancellationToken) -> Result<Ended> {
        let asked_at = Utc::now();
        let _alone = self.0.alone.lock().await;
        self.0.busy.store(true, Ordering::SeqCst);
        let ended = self.in_turn(asked_at, stop).await;
        self.0.busy.store(false, Ordering::SeqCst);
        match &ended {
            Ok(ended) => info!("refresh: {ended}"),
            Err(error) => warn!("refresh: {error:#}"),
        }
        ended
    }

    async fn in_turn(&self, asked_at: DateTime<Utc>, stop: &CancellationToken) -> Result<Ended> {
        let topics = &self.0.topics;
        let Some(mut turn) = Turn::wait(topics.as_ref(), stop).await? else {
            return Ok(Ended::Stopped);
        };
        let last = feed_state::last(topics.as_ref()).await?;
        if self.is_done(&last, asked_at) {
            return Ok(Ended::SomebodyElse);
        }
        let failed = last.trouble.as_ref().map_or(0, |trouble| trouble.tries);
        let (teller, telling) = Teller::start(topics.clone(), last);
        let showing = tokio::spawn(show(teller.follow(), self.0.sent.clone()));
        teller.change(|state| state.by = format!("process {}", std::process::id()));
        let (working, keeping) = (stop.child_token(), CancellationToken::new());
        let round = async {
            let ended = Round { of: &self.0, teller: &teller, stop: &working }.run().await;
            keeping.cancel();
            ended
        };
        let kept = async {
            let kept = turn.keep(&keeping).await;
            if !kept {
                working.cancel();
            }
            kept
        };
        let (ended, kept) = join(round, kept).await;
        let ended = match ended {
            Err(_) if !kept => Ok(Ended::SomebodyElse),
            Err(_) if stop.is_cancelled() => Ok(Ended::Stopped),
            ended => ended.context("refresh the recalls"),
        };
        conclude(&teller, failed, ended.as_ref().err());
        drop(teller);
        let told = telling.end(kept).await;
        // Whoever is next begins with what was told.
        drop(turn);
        showing.abort();
        self.0.sent.says("");
        let ended = ended?;
        told.map(|()| ended)
    }

    /// Whether another process did it while this one waited for its turn.
    fn is_done(&self, last: &FeedState, asked_at: DateTime<Utc>) -> bool {
        let ours = last.source == self.0.feed.place() || (last.made_up && !self.0.named);
        ours && last.trouble.is_none() && last.checked_at.is_some_and(|at| at >= asked_at)
    }
}

/// Tells how it ended. `failed`: tries that had failed before this refresh.
fn conclude(teller: &Teller, failed: u32, error: Option<&anyhow::Error>) {
    teller.change(|state| {
        state.phase = Phase::Idle;
        let Some(error) = error else { return };
        let now = Utc::now();
        let told = state.trouble.as_ref().map_or(0, |trouble| trouble.tries);
        let what = format!("{error:#}; what was read before stays in use");
        state.trouble = Some(Trouble { at: now, what, tries: told.max(failed + 1) });
        state.checked_at = Some(now);
    });
}

/// A line on the terminal of whoever started it.
async fn show(mut state: watch::Receiver<FeedState>, sent: Sent) {
    while state.changed().await.is_ok() {
        let doing = state.borrow_and_update().phase.in_words();
        sent.says(doing);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
