//! Partitions are registered before a commit is answered: whatever fails, whoever dies, and by whomever it is made up for.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::FutureExt;
use millstream_engine::{Outcome, Sink, SinkError, Standing, Target};
use tokio::sync::Notify;

use super::world::{
    Again, PIPELINE, TABLE, Way, Worker, assignment, exact, lake, range, schema, stores,
};
use crate::lake::catalog::directories;
use crate::lake::{
    Catalog, CatalogPartition, CatalogTable, Faults, Format, MemoryStore, Store, committed_files,
};

const UNTIL: i64 = 7;
/// More I/Os than any run has.
const BOUND: usize = 500;

/// What a catalog holds, however many ways lead to it.
#[derive(Debug, Default)]
struct Held {
    tables: Mutex<BTreeSet<String>>,
    partitions: Mutex<BTreeSet<CatalogPartition>>,
    calls: AtomicUsize,
}

/// A worker's way to a catalog in memory, with the faults of its way to the store: its calls are I/Os among the others.
#[derive(Debug)]
struct ToCatalog {
    held: Arc<Held>,
    faults: Faults,
    /// It makes no tables, and this one isn't there.
    lacks_table: AtomicBool,
}

impl ToCatalog {
    fn new(held: &Arc<Held>, faults: Faults) -> Arc<Self> {
        Arc::new(Self { held: held.clone(), faults, lacks_table: AtomicBool::new(false) })
    }
}

#[async_trait]
impl Catalog for ToCatalog {
    async fn table(&self, table: &CatalogTable) -> Result<(), SinkError> {
        let reply = self.faults.before("table", &table.name).await?;
        if self.lacks_table.load(Ordering::SeqCst) {
            return Err(SinkError::refused("find table", "it isn't there", "apply Terraform"));
        }
        self.held.tables.lock().unwrap().insert(table.location.clone());
        reply.deliver(())
    }

    async fn partitions(
        &self,
        table: &CatalogTable,
        partitions: &[CatalogPartition],
    ) -> Result<(), SinkError> {
        let reply = self.faults.before("partitions", &table.name).await?;
        assert!(
            self.held.tables.lock().unwrap().contains(&table.location),
            "the table comes first"
        );
        self.held.calls.fetch_add(1, Ordering::SeqCst);
        self.held.partitions.lock().unwrap().extend(partitions.iter().cloned());
        reply.deliver(())
    }

    fn place(&self) -> String {
        "memory".into()
    }
}

/// Every Hive partition that holds committed rows is registered, with its place.
async fn all_registered(store: &Arc<dyn Store>, held: &Held, when: &str) {
    let files = committed_files(&**store, TABLE).await.unwrap();
    let known = held.partitions.lock().unwrap().clone();
    for directory in directories(TABLE, files.iter().map(|file| file.path.as_str())) {
        let location = format!("/{TABLE}/{directory}");
        let is_known = known.iter().any(|known| known.location.ends_with(&location));
        assert!(is_known, "{location} is not registered, {when}; {known:?}");
    }
}

/// Runs `case` for k = 1, 2, … until it says that its run had fewer than k I/Os.
macro_rules! at_every_io {
    ($case:expr) => {
        for k in 1..BOUND {
            let (store, _held) = stores().swap_remove(0);
            if !$case(store, k).await {
                assert!(k > 30, "the run ended after {k} I/Os: too few to mean anything");
                break;
            }
        }
    };
}

fn worker(way: Arc<Way>, held: &Arc<Held>, code: &'static str, roll: i64) -> Worker {
    let catalog = ToCatalog::new(held, way.faults.clone());
    Worker { catalog: Some(catalog), ..Worker::through(way, code, roll) }
}

async fn survives(store: Arc<dyn Store>, k: usize, again: Again, fault: fn(&Faults)) -> bool {
    let (way, held) = (Way::to(&store), Arc::new(Held::default()));
    let count = way.before_io(k, move |faults| {
        fault(&faults);
        async {}.boxed()
    });
    let worker = Worker { again, ..worker(way, &held, "a", 3) };
    worker.work(UNTIL).await;
    let when = format!("fault at I/O {k}, then {again:?}");
    exact(&store, Format::Csv, UNTIL, &when).await;
    all_registered(&store, &held, &when).await;
    count.load(Ordering::SeqCst) >= k
}

#[tokio::test]
async fn a_failure_at_every_io_of_lake_and_catalog() {
    for again in [Again::Same, Again::Open, Again::Connect] {
        at_every_io!(|store, k| survives(store, k, again, |faults| faults.fail_next(2)));
    }
}

#[tokio::test]
async fn a_lost_reply_at_every_io_of_lake_and_catalog() {
    for again in [Again::Same, Again::Open] {
        at_every_io!(|store, k| survives(store, k, again, |faults| faults.lose_reply_next(1)));
    }
}

/// The first worker dies before its `k`th I/O; one of other code, whose rows go into other directories, takes over. What
/// the first one committed is registered before the second one commits anything.
async fn taken_over(store: Arc<dyn Store>, k: usize) -> bool {
    let (way, held) = (Way::to(&store), Arc::new(Held::default()));
    let died = Arc::new(Notify::new());
    let dying = died.clone();
    way.before_io(k, move |_| {
        dying.notify_one();
        futures::future::pending().boxed()
    });
    let first = worker(way, &held, "a", 3);
    let alive = tokio::select! {
        () = first.work(UNTIL) => true,
        () = died.notified() => false,
    };
    let when = format!("crash at I/O {k}");
    let second = worker(Way::to(&store), &held, "b", 2);
    second.connect().await.open(&assignment("b")).await.unwrap();
    all_registered(&store, &held, &format!("{when}, opened")).await;
    second.work(UNTIL).await;
    exact(&store, Format::Csv, UNTIL, &when).await;
    all_registered(&store, &held, &when).await;
    !alive
}

#[tokio::test]
async fn a_crash_at_every_io_is_made_up_for_when_the_partition_is_opened() {
    at_every_io!(taken_over);
}

/// Before its `k`th I/O the first worker sleeps while another one works; then it wakes up.
async fn overtaken(store: Arc<dyn Store>, k: usize, until: i64) -> bool {
    let (way, held) = (Way::to(&store), Arc::new(Held::default()));
    let (theirs, known) = (store.clone(), held.clone());
    let count = way.before_io(k, move |_| {
        let (store, held) = (theirs.clone(), known.clone());
        async move {
            worker(Way::to(&store), &held, "b", 2).work(until).await;
            all_registered(&store, &held, "while the first sleeps").await;
        }
        .boxed()
    });
    worker(way, &held, "a", 3).work(UNTIL).await;
    exact(&store, Format::Csv, UNTIL, &format!("overtaken at I/O {k}")).await;
    all_registered(&store, &held, &format!("overtaken at I/O {k}")).await;
    count.load(Ordering::SeqCst) >= k
}

#[tokio::test]
async fn a_zombie_between_any_two_ios() {
    for until in [2, 5, UNTIL] {
        at_every_io!(|store, k| overtaken(store, k, until));
    }
}

/// A worker's sink over a catalog of its own faults, opened, and where it stands.
async fn opened(
    store: &Arc<dyn Store>,
    catalog: Arc<ToCatalog>,
) -> (Box<dyn Sink>, Result<Standing, SinkError>) {
    let lake = lake(store.clone(), Format::Csv).registered_in(Some(catalog));
    let mut sink = lake.connect(PIPELINE, &schema()).await.unwrap();
    let standing = sink.open(&assignment("a")).await;
    (sink, standing)
}

#[tokio::test]
async fn a_commit_waits_for_its_catalog_and_then_is_the_same_commit() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let held = Arc::new(Held::default());
    let catalog = ToCatalog::new(&held, Faults::default());
    let (mut sink, standing) = opened(&store, catalog.clone()).await;
    let first = range("a", standing.unwrap().entry(), 2, 1);
    catalog.faults.fail_next(3);
    for _ in 0..3 {
        let waits = sink.commit(&assignment("a"), &first).await.unwrap_err();
        assert!(waits.is_retryable(), "{waits}");
        // The rows count meanwhile: nobody plans the range anew.
        assert_eq!(committed_files(&*store, TABLE).await.unwrap().len(), 2);
    }
    let tries = store.list("_millstream/app.rows/", None, usize::MAX).await.unwrap().len();
    assert_eq!(sink.commit(&assignment("a"), &first).await.unwrap(), Outcome::Committed);
    let after = store.list("_millstream/app.rows/", None, usize::MAX).await.unwrap().len();
    assert_eq!(tries, after, "the ledger is as it was");
    all_registered(&store, &held, "after three failures").await;
}

#[tokio::test]
async fn a_partition_costs_one_call_of_a_worker() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let held = Arc::new(Held::default());
    let (mut sink, standing) = opened(&store, ToCatalog::new(&held, Faults::default())).await;
    let mut last = standing.unwrap().entry().clone();
    for end in [1, 3, 5, 7, 9] {
        let next = range("a", &last, end, end);
        assert_eq!(sink.commit(&assignment("a"), &next).await.unwrap(), Outcome::Committed);
        last = next.entry;
    }
    assert_eq!(held.calls.load(Ordering::SeqCst), 1, "both directories at once, and never again");
    assert_eq!(held.partitions.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_table_that_is_missing_stops_the_partition_until_it_is_there() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let held = Arc::new(Held::default());
    let catalog = ToCatalog::new(&held, Faults::default());
    catalog.lacks_table.store(true, Ordering::SeqCst);
    let (mut sink, refused) = opened(&store, catalog.clone()).await;
    let refused = refused.unwrap_err();
    assert!(!refused.is_retryable() && refused.to_string().contains("apply Terraform"));
    catalog.lacks_table.store(false, Ordering::SeqCst);
    assert!(matches!(sink.open(&assignment("a")).await, Ok(Standing::At(_))));
}
