use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tantivy::IndexReader;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::builds::Place;
use super::faults::Fault;
use super::fields::Fields;
use super::index::Index;
use super::positions::Positions;
use super::searcher::{self, Found, IndexState, Query, SearchError, Searcher, Suggestion};
use super::session;
use super::snapshot::Snapshot;
use super::suggestions::Suggestions;

/// How often is looked whether something was committed.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Suggestions are gathered anew after so many times as long as it takes, so that a stream of commits doesn't keep a
/// processor busy.
const REST: u32 = 4;

/// Reads an index and follows it, for as long as somebody holds it.
#[derive(Debug)]
pub struct SearchReader {
    follower: Arc<Follower>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// What is read, and how it stands.
#[derive(Debug)]
struct Follower {
    place: Place,
    index: Index,
    shown: RwLock<Shown>,
    /// Held while looking; has what was seen last.
    seen: Mutex<Option<Seen>>,
    /// Held while gathering.
    gathering: Mutex<()>,
    /// Searches at once: more than there are processors only make each other slow.
    searches: Arc<Semaphore>,
}

#[derive(Clone, Debug, Default)]
struct Shown {
    /// Whether was looked at all.
    looked: bool,
    snapshot: Option<Arc<Snapshot>>,
    /// What tells it from others.
    commit: Arc<str>,
    /// Of this or an earlier snapshot.
    suggestions: Option<(Arc<Snapshot>, Arc<Suggestions>)>,
    ready: bool,
    rebuilding: bool,
    /// What it was seeded from.
    from: Option<String>,
}

/// What tells one moment of an index from another.
struct Seen {
    stamp: Stamp,
    reader: Option<IndexReader>,
}

#[derive(Debug, PartialEq)]
struct Stamp {
    current: Option<String>,
    next: Option<String>,
    /// Checksums of what describes the build and its commit.
    described: Option<[u32; 2]>,
    /// Grows with commits; merging segments leaves it as it is.
    opstamp: Option<u64>,
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seen").field("stamp", &self.stamp).finish_non_exhaustive()
    }
}

impl SearchReader {
    /// `search`: the directory of all indexes. Reads nothing yet.
    pub fn new(search: &Path, index: &Index) -> Self {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let follower = Follower {
            place: Place::new(search, index.name),
            index: *index,
            shown: RwLock::default(),
            seen: Mutex::default(),
            gathering: Mutex::default(),
            searches: Arc::new(Semaphore::new(processors)),
        };
        Self { follower: Arc::new(follower), tasks: Mutex::default() }
    }

    /// What is there, after a first look if there was none.
    async fn shown(&self) -> Result<Shown, SearchError> {
        self.follow();
        let shown = self.follower.shown();
        if shown.looked {
            return Ok(shown);
        }
        let follower = self.follower.clone();
        self.work("open the index", move || follower.look()).await?;
        Ok(self.follower.shown())
    }

    /// Which state of the index is to answer, and its commit; `None` if there is none yet.
    async fn asked_of(
        &self,
        query: &Query,
    ) -> Result<Option<(Arc<Snapshot>, Arc<str>)>, SearchError> {
        let Some(within) = &query.within else {
            let shown = self.shown().await?;
            return Ok(shown.snapshot.map(|snapshot| (snapshot, shown.commit)));
        };
        let index = self.follower.index.name;
        let ours = |snapshot: &Arc<Snapshot>| snapshot.index.name == index;
        match within.state::<Snapshot>().filter(ours) {
            Some(snapshot) => Ok(Some((snapshot, within.commit()))),
            None => Err(SearchError::Foreign { index: index.to_owned() }),
        }
    }

    /// Sees to it that somebody follows: the tasks end with the runtime they were started in.
    fn follow(&self) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if tasks.is_empty() || tasks.iter().any(JoinHandle::is_finished) {
            tasks.iter().for_each(JoinHandle::abort);
            let weak = Arc::downgrade(&self.follower);
            *tasks = vec![tokio::spawn(look_again(weak.clone())), tokio::spawn(gather_again(weak))];
        }
    }

    async fn work<T: Send + 'static>(
        &self,
        doing: &str,
        work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, SearchError> {
        let index = self.follower.index.name;
        let unavailable =
            |source| SearchError::Unavailable { doing: format!("{doing} {index}"), source };
        let place = self.follower.place.clone();
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(fault)) => Err(unavailable(fault.told("read", place.path()).into())),
            Err(error) => Err(unavailable(error.into())),
        }
    }
}

impl Drop for SearchReader {
    fn drop(&mut self) {
        let tasks = self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner);
        tasks.iter().for_each(JoinHandle::abort);
    }
}

#[async_trait]
impl Searcher for SearchReader {
    async fn search(&self, query: &Query) -> Result<Found, SearchError> {
        let Some((snapshot, commit)) = self.asked_of(query).await? else {
            return Ok(Found::default());
        };
        let query = Query { within: None, ..query.clone() };
        // The semaphore is never closed. Who asked may go away; the work goes on, and takes its place as long.
        let permit = self.follower.searches.clone().acquire_owned().await;
        let search = move || {
            let _permit = permit;
            let found = snapshot.search(&query);
            Ok(found.map(|found| Found {
                snapshot: Some(searcher::Snapshot::new(snapshot, commit)),
                ..found
            }))
        };
        self.work("search index", search).await?
    }

    async fn suggest(&self, text: &str, max: usize) -> Result<Vec<Suggestion>, SearchError> {
        let shown = self.shown().await?;
        if shown.snapshot.is_none() {
            return Ok(Vec::new());
        }
        let suggestions = match shown.suggestions {
            Some((_, suggestions)) => Some(suggestions),
            None => {
                let follower = self.follower.clone();
                self.work("gather suggestions of index", move || follower.gather()).await?;
                self.follower.shown().suggestions.map(|(_, suggestions)| suggestions)
            }
        };
        let Some(suggestions) = suggestions else { return Ok(Vec::new()) };
        let found = suggestions.ask(text, max).map_err(|error| SearchError::Unavailable {
            doing: format!("suggest texts of index {}", self.follower.index.name),
            source: error.into(),
        })?;
        Ok(found.as_ref().clone())
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

    fn show(&self, change: impl FnOnce(&mut Shown)) {
        change(&mut self.shown.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Opens what was committed since the last look. Blocks.
    fn look(&self) -> Result<(), Fault> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = self.stamp()?;
        if seen.as_ref().is_some_and(|seen| seen.stamp == stamp) {
            return Ok(());
        }
        let Some(current) = self.place.current()? else {
            self.show(|shown| *shown = Shown { looked: true, ..Shown::default() });
            *seen = Some(Seen { stamp, reader: None });
            return Ok(());
        };
        let before = seen.take().filter(|seen| seen.stamp.current == stamp.current);
        let reader = match before.and_then(|seen| seen.reader) {
            Some(reader) => {
                reader.reload()?;
                reader
            }
            None => session::open(&self.place.build_path(&current.id))?.1,
        };
        let searcher = reader.searcher();
        let seeded = Positions::read(searcher.index())?.seeded;
        let fields = Fields::of(&self.index, searcher.schema())?;
        let snapshot = Snapshot::new(self.index, searcher, fields, current.build.schema)?;
        self.show(|shown| {
            shown.looked = true;
            shown.snapshot = Some(Arc::new(snapshot));
            // Read before the searcher was opened: it may tell one commit twice, and misses none.
            shown.commit = format!("{} {}", current.id, stamp.opstamp.unwrap_or_default()).into();
            shown.ready = current.build.ready;
            shown.rebuilding = stamp.next.is_some();
            shown.from = seeded.and_then(|seeded| seeded.from);
        });
        *seen = Some(Seen { stamp, reader: Some(reader) });
        Ok(())
    }

    fn stamp(&self) -> Result<Stamp, Fault> {
        let current = self.place.name("current")?;
        let next = self.place.next()?.map(|next| next.id);
        let files = current.as_ref().and_then(|id| {
            let read = |file| fs::read(self.place.build_path(id).join(file)).ok();
            Some([read("build.json")?, read("meta.json")?])
        });
        let opstamp = files.as_ref().and_then(|[_, meta]| {
            serde_json::from_slice::<serde_json::Value>(meta).ok()?.get("opstamp")?.as_u64()
        });
        let described = files.map(|files| files.map(|bytes| crc32fast::hash(&bytes)));
        Ok(Stamp { current, next, described, opstamp })
    }

    /// Gathers suggestions, unless those of the newest snapshot are there. Blocks.
    fn gather(&self) -> Result<(), Fault> {
        let _alone = self.gathering.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = self.shown();
        let Some(snapshot) = shown.snapshot else { return Ok(()) };
        if shown.suggestions.is_some_and(|(of, _)| Arc::ptr_eq(&of, &snapshot)) {
            return Ok(());
        }
        let suggestions = Suggestions::gather(&self.index, &snapshot.searcher)?;
        self.show(|shown| {
            if shown.snapshot.is_some() {
                shown.suggestions = Some((snapshot, Arc::new(suggestions)));
            }
        });
        Ok(())
    }
}

async fn look_again(follower: Weak<Follower>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(follower) = follower.upgrade() else { return };
        let place = follower.place.clone();
        // What went wrong now, a build that was replaced in this moment say, is mended by the next look or told by it.
        let looked = tokio::task::spawn_blocking(move || follower.look()).await;
        if let Ok(Err(fault)) = looked {
            tracing::debug!("{}", fault.told("follow the index", place.path()));
        }
    }
}

async fn gather_again(follower: Weak<Follower>) {
    loop {
        let since = Instant::now();
        let Some(ours) = follower.upgrade() else { return };
        let place = ours.place.clone();
        let gathered = tokio::task::spawn_blocking(move || ours.gather()).await;
        if let Ok(Err(fault)) = gathered {
            tracing::debug!("{}", fault.told("gather suggestions", place.path()));
        }
        tokio::time::sleep((since.elapsed() * REST).max(LOOK_EVERY)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::tests::world::{World, put, rows};

    /// Waits until so many searches have room.
    async fn until_room(reader: &SearchReader, room: usize) {
        let waited = async {
            while reader.follower.searches.available_permits() != room {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waited).await.unwrap();
    }

    #[test]
    fn who_goes_away_leaves_no_room_while_the_search_goes_on() {
        // One thread to block, which this test holds: a search that has begun can't end.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async {
            let world = World::new();
            let mut sink = world.sink().await;
            put(&mut sink, 0, vec![rows(&[["Z-1", "A", "B", "C", "", ""]], 1)], vec![]).await;
            let reader = Arc::new(world.reader());
            reader.search(&Query::default()).await.unwrap();
            let room = reader.follower.searches.available_permits();
            let (release, held) = std::sync::mpsc::channel::<()>();
            let holding = tokio::task::spawn_blocking(move || held.recv());
            let asking = reader.clone();
            let asked = tokio::spawn(async move { asking.search(&Query::default()).await });
            until_room(&reader, room - 1).await;
            asked.abort();
            assert!(asked.await.unwrap_err().is_cancelled());
            assert_eq!(reader.follower.searches.available_permits(), room - 1);
            drop(release);
            assert!(holding.await.unwrap().is_err());
            until_room(&reader, room).await;
        });
    }
}
