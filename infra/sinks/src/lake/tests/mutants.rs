//! The store bent on purpose, so that the protocol's order or one of its fences is no longer there: the harness of
//! `world` has to find out. The model (`infra/sinks/tests/model`) breaks the same rules, and one
//! more: an end that overwrites does harm only where two workers sleep, each before its own end.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use millstream_engine::SinkError;
use tokio::sync::Notify;

use super::world::{TABLE, Way, Worker, exact};
use crate::lake::{Format, Listed, MemoryStore, Put, Store, Stored};

const UNTIL: i64 = 7;
/// More I/Os than any run has.
const BOUND: usize = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bend {
    Nothing,
    /// Files are written once the end is.
    FilesAfterTheEnd,
    PlansOverwrite,
    FilesOverwrite,
    /// Files of abandoned tries stay as they are.
    NothingIsEmptied,
    /// Listings show only plans that have ended.
    OpenPlansAreHidden,
    /// 412 is taken for success.
    ExistsIsCreated,
}

/// One worker's way to the store, bent.
#[derive(Debug)]
struct Bent {
    way: Arc<Way>,
    bend: Bend,
    held: Mutex<Vec<(String, Bytes)>>,
}

#[async_trait]
impl Store for Bent {
    async fn put(&self, path: &str, bytes: Bytes, how: Put) -> Result<Stored, SinkError> {
        let is_data = path.starts_with(&format!("{TABLE}/"));
        let (is_file, is_emptied) =
            (is_data && how == Put::IfAbsent, is_data && how == Put::Overwrite);
        match self.bend {
            Bend::FilesAfterTheEnd if is_file => {
                self.held.lock().unwrap().push((path.to_owned(), bytes));
                return Ok(Stored::Created);
            }
            Bend::FilesAfterTheEnd if path.ends_with(".end") => {
                let stored = self.way.put(path, bytes, how).await?;
                let held = std::mem::take(&mut *self.held.lock().unwrap());
                for (path, bytes) in held {
                    self.way.put(&path, bytes, Put::IfAbsent).await?;
                }
                return Ok(stored);
            }
            Bend::NothingIsEmptied if is_emptied => return Ok(Stored::Created),
            _ => {}
        }
        let overwrites = match self.bend {
            Bend::PlansOverwrite => path.ends_with(".plan"),
            Bend::FilesOverwrite => is_file,
            _ => false,
        };
        let stored =
            self.way.put(path, bytes, if overwrites { Put::Overwrite } else { how }).await?;
        Ok(if self.bend == Bend::ExistsIsCreated { Stored::Created } else { stored })
    }

    async fn get(&self, path: &str) -> Result<Option<Bytes>, SinkError> {
        self.way.get(path).await
    }

    async fn list(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        max: usize,
    ) -> Result<Vec<Listed>, SinkError> {
        let listed = self.way.list(prefix, start_after, max).await?;
        // The genesis is shown: without it nobody would ever begin.
        let hidden = |path: &str| {
            let end = path.strip_suffix(".plan").map(|key| format!("{key}.end"));
            let is_open = end.is_some_and(|end| !listed.iter().any(|listed| listed.path == end));
            is_open && !path.ends_with("/00000000000000000000.0.plan")
        };
        let shown = listed
            .iter()
            .filter(|listed| self.bend != Bend::OpenPlansAreHidden || !hidden(&listed.path));
        Ok(shown.cloned().collect())
    }
}

fn worker(store: &Arc<dyn Store>, bend: Bend, code: &'static str, roll: i64) -> (Arc<Way>, Worker) {
    let way = Way::to(store);
    let bent = Bent { way: way.clone(), bend, held: Mutex::default() };
    (way.clone(), Worker { store: Arc::new(bent), ..Worker::through(way, code, roll) })
}

/// The first worker dies before its `k`th I/O, and one with `code` takes over. False: it had fewer.
async fn taken_over(bend: Bend, k: usize, code: &'static str) -> bool {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (way, first) = worker(&store, bend, "a", 3);
    let died = Arc::new(Notify::new());
    let dying = died.clone();
    way.before_io(k, move |_| {
        dying.notify_one();
        futures::future::pending().boxed()
    });
    let alive = tokio::select! {
        () = first.work(UNTIL) => true,
        () = died.notified() => false,
    };
    worker(&store, bend, code, 2).1.work(UNTIL).await;
    exact(&store, Format::Csv, UNTIL, &format!("crash at I/O {k}, then code {code}")).await;
    !alive
}

/// The first worker sleeps before its `k`th I/O, while one with `code` commits `until` records. False: it had fewer.
async fn overtaken(bend: Bend, k: usize, code: &'static str, until: i64) -> bool {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (way, first) = worker(&store, bend, "a", 3);
    let theirs = store.clone();
    let count = way.before_io(k, move |_| {
        let store = theirs.clone();
        async move { worker(&store, bend, code, 2).1.work(until).await }.boxed()
    });
    first.work(UNTIL).await;
    exact(&store, Format::Csv, UNTIL, &format!("overtaken at I/O {k} by code {code}")).await;
    count.load(Ordering::SeqCst) >= k
}

/// One run; whether it had a `k`th I/O, or else what it found.
async fn run(bend: Bend, k: usize, code: &'static str, until: Option<i64>) -> Result<bool, String> {
    let run = tokio::spawn(async move {
        match until {
            None => taken_over(bend, k, code).await,
            Some(until) => overtaken(bend, k, code, until).await,
        }
    });
    run.await.map_err(|panic| {
        let panic = panic.into_panic();
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        format!("I/O {k}, code {code}, until {until:?}: {}", text.unwrap_or_default())
    })
}

/// What the harness finds first, if anything.
async fn finding(bend: Bend) -> Option<String> {
    for code in ["a", "b"] {
        for until in [None, Some(2), Some(5), Some(UNTIL)] {
            for k in 1..BOUND {
                match run(bend, k, code, until).await {
                    Ok(true) => {}
                    Ok(false) => {
                        assert!(k > 30, "the run ended after {k} I/Os: too few to mean anything");
                        break;
                    }
                    Err(found) => return Some(found),
                }
            }
        }
    }
    None
}

#[tokio::test]
async fn nothing_is_found_where_nothing_is_bent() {
    assert_eq!(finding(Bend::Nothing).await, None);
}

macro_rules! found {
    ($($test:ident: $bend:ident;)*) => {$(
        #[tokio::test]
        async fn $test() {
            let found = finding(Bend::$bend).await.expect("the harness finds it");
            println!("{:?}: {found}", Bend::$bend);
        }
    )*};
}

found! {
    files_after_the_end_are_found: FilesAfterTheEnd;
    plans_that_overwrite_are_found: PlansOverwrite;
    files_that_overwrite_are_found: FilesOverwrite;
    tries_that_keep_their_rows_are_found: NothingIsEmptied;
    open_plans_that_are_hidden_are_found: OpenPlansAreHidden;
    conflicts_taken_for_success_are_found: ExistsIsCreated;
}
