use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::asking::Plan;
use super::builds::{Builds, Place};
use super::faults::Fault;
use super::server::{Call, OpenSearch};
use super::snapshot::Snapshot;
use super::suggestions;
use crate::search::{self, Found, Index, IndexState, Query, SearchError, Searcher, Suggestion};

/// How often is looked whether something was committed.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// After an error is looked less often.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// So many answers are kept, of this and the last few moments, and none with more hits.
const ANSWERS: usize = 500;
const KEPT_HITS: usize = 50;

/// Reads an index on a server and follows it, for as long as somebody holds it. What is committed shows as soon as
/// the server has refreshed the index, within two seconds.
#[derive(Debug)]
pub struct OpenSearchReader {
    follower: Arc<Follower>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What is read, and how it stands.
#[derive(Debug)]
struct Follower {
    place: Place,
    shown: RwLock<Shown>,
    /// Held while looking; has what was seen last.
    seen: tokio::sync::Mutex<Option<Stamp>>,
    answers: Mutex<HashMap<String, Found>>,
}

#[derive(Clone, Debug, Default)]
struct Shown {
    /// Whether was looked at all.
    looked: bool,
    snapshot: Option<Arc<Snapshot>>,
    /// What tells it from others.
    commit: Arc<str>,
    ready: bool,
    rebuilding: bool,
    /// What it was seeded from.
    from: Option<String>,
}

/// What tells one moment of an index from another: its builds, and the newest write that is to be found.
#[derive(Clone, Debug, PartialEq)]
struct Stamp {
    current: String,
    next: Option<String>,
    newest: u64,
}

impl OpenSearchReader {
    /// Reads nothing yet.
    pub fn new(at: OpenSearch, index: &Index) -> Self {
        let follower = Follower {
            place: Place::new(at, index),
            shown: RwLock::default(),
            seen: tokio::sync::Mutex::default(),
            answers: Mutex::default(),
        };
        Self { follower: Arc::new(follower), task: Mutex::default() }
    }

    /// What is there, after a first look if there was none.
    async fn shown(&self) -> Result<Shown, SearchError> {
        self.follow();
        let shown = self.follower.shown();
        if shown.looked {
            return Ok(shown);
        }
        self.look("open index").await?;
        Ok(self.follower.shown())
    }

    async fn look(&self, doing: &str) -> Result<(), SearchError> {
        self.follower.look().await.map_err(|fault| self.unavailable(doing, fault))
    }

    fn unavailable(&self, doing: &str, fault: Fault) -> SearchError {
        let place = &self.follower.place;
        let doing = format!("{doing} {}", place.names.served);
        SearchError::Unavailable { source: place.told(&doing, fault).into(), doing }
    }

    /// Sees to it that somebody follows: the task ends with the runtime it was started in.
    fn follow(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            *task = Some(tokio::spawn(look_again(Arc::downgrade(&self.follower))));
        }
    }

    async fn search_in(
        &self,
        snapshot: &Arc<Snapshot>,
        commit: &Arc<str>,
        query: &Query,
    ) -> Result<Result<Found, Fault>, SearchError> {
        let plan = Plan::new(&self.follower.place.index, query)?;
        let name = format!("{commit} {:?}", Query { within: None, ..query.clone() });
        if let Some(known) = self.follower.answers().get(&name) {
            let state = search::Snapshot::new(snapshot.clone(), commit.clone());
            return Ok(Ok(Found { snapshot: Some(state), ..known.clone() }));
        }
        let found = match plan.run(snapshot).await {
            Ok(found) => found,
            Err(fault) => return Ok(Err(fault)),
        };
        if found.hits.len() <= KEPT_HITS {
            let mut answers = self.follower.answers();
            if answers.len() >= ANSWERS {
                answers.clear();
            }
            answers.insert(name, found.clone());
        }
        let state = search::Snapshot::new(snapshot.clone(), commit.clone());
        Ok(Ok(Found { snapshot: Some(state), ..found }))
    }

    async fn search_within(
        &self,
        within: &search::Snapshot,
        query: &Query,
    ) -> Result<Found, SearchError> {
        let place = &self.follower.place;
        let ours = |snapshot: &Arc<Snapshot>| {
            snapshot.place.names == place.names
                && snapshot.place.server().origin.shown == place.server().origin.shown
        };
        let Some(snapshot) = within.state::<Snapshot>().filter(ours) else {
            return Err(SearchError::Foreign { index: place.index.name.to_owned() });
        };
        let found = self.search_in(&snapshot, &within.commit(), query).await?;
        found.map_err(|fault| self.unavailable("search a state of index", fault))
    }
}

impl Drop for OpenSearchReader {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task {
            task.abort();
        }
    }
}

#[async_trait]
impl Searcher for OpenSearchReader {
    async fn search(&self, query: &Query) -> Result<Found, SearchError> {
        if let Some(within) = &query.within {
            return self.search_within(within, query).await;
        }
        let shown = self.shown().await?;
        let Some(snapshot) = shown.snapshot else { return Ok(Found::default()) };
        match self.search_in(&snapshot, &shown.commit, query).await? {
            Ok(found) => return Ok(found),
            // The server was started anew, say: it has forgotten this moment, and there is another one.
            Err(fault) if fault.is_gone() => self.follower.forget(&snapshot).await,
            Err(fault) => return Err(self.unavailable("search index", fault)),
        }
        self.look("open index").await?;
        let shown = self.follower.shown();
        let Some(snapshot) = shown.snapshot else { return Ok(Found::default()) };
        let found = self.search_in(&snapshot, &shown.commit, query).await?;
        found.map_err(|fault| self.unavailable("search index", fault))
    }

    async fn suggest(&self, text: &str, max: usize) -> Result<Vec<Suggestion>, SearchError> {
        let shown = self.shown().await?;
        let Some(snapshot) = shown.snapshot else { return Ok(Vec::new()) };
        match suggestions::suggest(&snapshot, text, max).await {
            Ok(found) => return Ok(found),
            Err(fault) if fault.is_gone() => self.follower.forget(&snapshot).await,
            Err(fault) => return Err(self.unavailable("suggest texts of index", fault)),
        }
        self.look("open index").await?;
        let Some(snapshot) = self.follower.shown().snapshot else { return Ok(Vec::new()) };
        let found = suggestions::suggest(&snapshot, text, max).await;
        found.map_err(|fault| self.unavailable("suggest texts of index", fault))
    }

    async fn state(&self) -> Result<IndexState, SearchError> {
        let Shown { snapshot, ready, rebuilding, from, .. } = self.shown().await?;
        Ok(match snapshot {
            None => IndexState::Missing,
            Some(snapshot) if ready => IndexState::Ready { rows: snapshot.rows, rebuilding },
            Some(snapshot) => IndexState::Loading {
                rows: snapshot.rows,
                from: from.unwrap_or_else(|| "the topic".to_owned()),
            },
        })
    }
}

impl Follower {
    fn shown(&self) -> Shown {
        self.shown.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn show(&self, shown: Shown) {
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = shown;
    }

    fn answers(&self) -> std::sync::MutexGuard<'_, HashMap<String, Found>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the next look open the index, unless it has already.
    async fn forget(&self, lost: &Arc<Snapshot>) {
        let mut seen = self.seen.lock().await;
        if self.shown().snapshot.is_some_and(|snapshot| Arc::ptr_eq(&snapshot, lost)) {
            *seen = None;
        }
    }

    /// Opens what was committed since the last look.
    async fn look(&self) -> Result<(), Fault> {
        let mut seen = self.seen.lock().await;
        let Builds { current, next } = self.place.look().await?;
        let Some(current) = current else {
            self.show(Shown { looked: true, ..Shown::default() });
            *seen = None;
            return Ok(());
        };
        let newest = self.newest(&current.id).await?;
        let stamp = Stamp { current: current.id.clone(), next: next.map(|next| next.id), newest };
        let before = self.shown();
        if seen.as_ref() == Some(&stamp) {
            if let Some(snapshot) = before.snapshot {
                snapshot.keep().await?;
            }
            return Ok(());
        }
        let is_same = |seen: &Stamp| seen.current == stamp.current && seen.newest == newest;
        let snapshot = match before.snapshot.filter(|_| seen.as_ref().is_some_and(is_same)) {
            Some(snapshot) => snapshot,
            None => Arc::new(Snapshot::open(&self.place, &current).await?),
        };
        self.show(Shown {
            looked: true,
            snapshot: Some(snapshot),
            // Asked before the moment was held: it may tell one commit twice, and misses none.
            commit: format!("{} {newest}", stamp.current).into(),
            ready: current.state.ready,
            rebuilding: stamp.next.is_some(),
            from: current.state.seeded.and_then(|seeded| seeded.from),
        });
        *seen = Some(stamp);
        Ok(())
    }

    /// The sequence number of the newest write that is to be found: the index has one shard, and so one sequence.
    async fn newest(&self, build: &str) -> Result<u64, Fault> {
        let body = json!({
            "size": 0, "track_total_hits": false,
            "aggs": {"newest": {"max": {"field": "_seq_no"}}},
        });
        let call = Call::post(format!("{build}/_search?filter_path=aggregations"), body);
        let answer: Value = self.place.server().send(&call).await?;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "sequence numbers are told as floating point"
        )]
        let newest =
            answer["aggregations"]["newest"]["value"].as_f64().map(|newest| newest as u64 + 1);
        Ok(newest.unwrap_or(0))
    }
}

async fn look_again(follower: Weak<Follower>) {
    let mut pause = LOOK_EVERY;
    loop {
        tokio::time::sleep(pause).await;
        let Some(follower) = follower.upgrade() else { return };
        // What went wrong now, a build that was replaced in this moment say, is mended by the next look or told by it.
        pause = match follower.look().await {
            Ok(()) => LOOK_EVERY,
            Err(fault) => {
                tracing::debug!("follow index {}: {fault}", follower.place.names.served);
                if fault.is_gone() {
                    *follower.seen.lock().await = None;
                }
                LOOK_AGAIN
            }
        };
    }
}
