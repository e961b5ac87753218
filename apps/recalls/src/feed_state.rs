//! How the feed stands: what is being done, when it last worked, and what troubles it. One record of topic
//! `recalls.feed`, so that every page and process sees the same.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use millstream_topic::{Backend, Outgoing, TopicPartition};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::pipeline::FEED;

const KEY: &str = "feed";
/// A refresh that goes on tells of it no more often.
const TELL_EVERY: Duration = Duration::from_millis(400);
/// How often the topic is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// How the feed stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FeedState {
    /// Where the records come from: the URL or the file, or that they are made up. Fit for people: no secrets.
    pub source: String,
    /// The records in the topic are made up, as the real feed could not be reached.
    pub made_up: bool,
    pub phase: Phase,
    /// Who refreshes, or did last: "process 4711".
    pub by: String,
    /// When this was told. A phase under way that hasn't been told of for minutes has died.
    pub told_at: Option<DateTime<Utc>>,
    /// When the feed was last asked for.
    pub checked_at: Option<DateTime<Utc>>,
    /// When the topic was last known to agree with the feed: after a refresh, or an answer "nothing new".
    pub refreshed_at: Option<DateTime<Utc>>,
    /// The feed's own date, `YYYY-MM-DD`.
    pub last_updated: Option<String>,
    /// Recalls in the feed.
    pub total: u64,
    /// What the last refresh sent.
    pub new: u64,
    pub changed: u64,
    pub gone: u64,
    /// Records of the feed that were none (no recall number), and those whose number came again later.
    pub passed_over: u64,
    /// What made the server's answer recognisable; only after a complete refresh.
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    /// The topic's identity at the last complete refresh: a topic made anew needs all records again.
    pub devices_id: Option<String>,
    /// Where its partitions ended then, if nobody else had sent anything meanwhile: one that reaches elsewhere was
    /// restored from a backup, or written to by somebody else, and must be compared again.
    pub devices_ends: Vec<i64>,
    /// `None`: the last refresh worked. Otherwise the last good data is still there.
    pub trouble: Option<Trouble>,
}

/// What is being done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    #[default]
    Idle,
    Downloading {
        bytes: u64,
        of: Option<u64>,
    },
    /// Reading the feed and comparing it with the topic.
    Comparing {
        records: u64,
        of: Option<u64>,
    },
    Sending {
        records: u64,
        of: u64,
    },
}

/// Why the last refresh failed, or why the one under way has to try again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    pub at: DateTime<Utc>,
    /// What was being done, why it failed, what to do.
    pub what: String,
    /// Tries that failed since it last worked.
    pub tries: u32,
}

impl FeedState {
    /// Whether a refresh is under way.
    pub fn is_busy(&self) -> bool {
        self.phase != Phase::Idle
    }
}

impl Phase {
    /// What is being done, for a line on a terminal; empty: nothing.
    pub fn in_words(&self) -> String {
        match *self {
            Self::Idle => String::new(),
            Self::Downloading { bytes, of } => {
                let megabytes = |bytes: u64| format!("{:.1}", bytes as f64 / 1e6);
                let of = of.map(|of| (bar(bytes, of), format!(" of {}", megabytes(of))));
                let (bar, of) = of.unwrap_or_default();
                format!("{bar}downloading {}{of} MB", megabytes(bytes))
            }
            Self::Comparing { records, of } => {
                let of = of.map(|of| (bar(records, of), format!(" of {of}"))).unwrap_or_default();
                format!("{}comparing {records}{} recalls", of.0, of.1)
            }
            Self::Sending { records, of } => {
                format!("{}sending {records} of {of} changes", bar(records, of))
            }
        }
    }
}

fn bar(done: u64, of: u64) -> String {
    const WIDTH: usize = 24;
    let full = (done * WIDTH as u64).checked_div(of).unwrap_or(0) as usize;
    let full = full.min(WIDTH);
    format!("[{}{}] ", "=".repeat(full), " ".repeat(WIDTH - full))
}

/// Tells of a refresh under way, as often as it makes sense. Clones tell the same.
#[derive(Clone, Debug)]
pub struct Teller(watch::Sender<FeedState>);

impl Teller {
    /// Begins with what was told last, and publishes in a task of its own until [`Telling::end`].
    pub fn start(topics: Arc<dyn Backend>, last: FeedState) -> (Self, Telling) {
        let (sender, states) = watch::channel(last);
        let ended = CancellationToken::new();
        let task = tokio::spawn(tell(topics.clone(), states, ended.clone()));
        (Self(sender.clone()), Telling { topics, state: sender, ended, task })
    }

    pub fn change(&self, change: impl FnOnce(&mut FeedState)) {
        self.0.send_modify(|state| {
            change(state);
            state.told_at = Some(Utc::now());
        });
    }

    pub fn phase(&self, phase: Phase) {
        self.change(|state| state.phase = phase);
    }

    /// What is told now.
    pub fn state(&self) -> FeedState {
        self.0.borrow().clone()
    }

    /// For whoever shows it in this process.
    pub fn follow(&self) -> watch::Receiver<FeedState> {
        self.0.subscribe()
    }
}

/// The task behind a [`Teller`].
#[derive(Debug)]
pub struct Telling {
    topics: Arc<dyn Backend>,
    state: watch::Sender<FeedState>,
    ended: CancellationToken,
    task: JoinHandle<()>,
}

impl Telling {
    /// Publishes the last state for sure, if `publishing`; otherwise somebody else tells now.
    pub async fn end(self, publishing: bool) -> Result<()> {
        self.ended.cancel();
        self.task.await.context("tell of the refresh")?;
        if !publishing {
            return Ok(());
        }
        let state = self.state.borrow().clone();
        publish(self.topics.as_ref(), &state).await
    }
}

async fn tell(
    topics: Arc<dyn Backend>,
    mut states: watch::Receiver<FeedState>,
    ended: CancellationToken,
) {
    while let Some(Ok(())) = ended.run_until_cancelled(states.changed()).await {
        let state = states.borrow_and_update().clone();
        if let Err(error) = publish(topics.as_ref(), &state).await {
            warn!("{error:#}");
        }
        let _ = ended.run_until_cancelled(tokio::time::sleep(TELL_EVERY)).await;
    }
}

/// Follows the topic until `stop`. `None`: nothing was told yet.
pub async fn watch(
    topics: Arc<dyn Backend>,
    stop: CancellationToken,
) -> watch::Receiver<Option<FeedState>> {
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        let mut next = 0;
        while !stop.is_cancelled() && !sender.is_closed() {
            match newest(topics.as_ref(), &mut next).await {
                Ok(Some(state)) => {
                    sender.send_replace(Some(state));
                }
                Ok(None) => {}
                Err(error) => warn!("follow topic {}: {error:#}", FEED.name),
            }
            let _ = stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await;
        }
    });
    receiver
}

/// What was told last; the default where nothing was.
pub async fn last(topics: &dyn Backend) -> Result<FeedState> {
    Ok(newest(topics, &mut 0).await?.unwrap_or_default())
}

/// Tells everybody.
pub async fn publish(topics: &dyn Backend, state: &FeedState) -> Result<()> {
    let record = Outgoing::keyed(KEY, serde_json::to_vec(state).context("write the feed's state")?);
    topics.append(&FEED.name, vec![record]).await.context("publish the feed's state")?;
    Ok(())
}

/// The last state from offset `next` on, which moves along; `None`: nothing new.
async fn newest(topics: &dyn Backend, next: &mut i64) -> Result<Option<FeedState>> {
    if topics.info(&FEED.name).await.context("look for the feed's state")?.is_none() {
        return Ok(None);
    }
    let at = TopicPartition::new(FEED.name.clone(), 0);
    let mut found = None;
    loop {
        let slice = topics.read(&at, *next, 1_000).await.context("read the feed's state")?;
        let values = slice.records.iter().filter_map(|record| record.value.as_ref());
        // A state of another version of this program is as good as none.
        let states = values.filter_map(|value| serde_json::from_slice(value).ok());
        found = states.last().or(found);
        let stuck = slice.next <= *next;
        *next = slice.next.max(*next);
        if stuck || *next >= slice.end {
            return Ok(found);
        }
    }
}
