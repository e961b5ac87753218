//! A topic of numbered records, workers that put them into a table, and what must be there in the end.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use millstream_engine::ledger::{Assignment, Buckets, Entry, EntryKind, Genesis, LastRecord};
use millstream_engine::{Outcome, Range, Rows, Sink, SinkError, Standing, Target};
use millstream_topic::TopicPartition;

use crate::lake::{
    Catalog, DirStore, Faults, Format, Lake, Listed, MemoryStore, Put, Store, Stored, TableRecord,
    read_file, tables,
};

pub(super) const PIPELINE: &str = "app.rows";
pub(super) const TABLE: &str = "rows";

/// No two workers close a range at the same time.
static CLOSED: AtomicI64 = AtomicI64::new(1000);

pub(super) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("n", DataType::Int64, false),
        Field::new("day", DataType::Utf8, false),
        Field::new("text", DataType::Utf8, true),
    ]))
}

/// The rows of these offsets as `code` makes them: other code, other directories.
pub(super) fn rows(code: &str, start: i64, end: i64) -> RecordBatch {
    let day = |n: i64| format!("{code}:{}", n % 2);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(start..=end)),
        Arc::new(StringArray::from_iter_values((start..=end).map(day))),
        Arc::new(
            (start..=end)
                .map(|n| (n % 3 > 0).then(|| format!("\"{n},\"")))
                .collect::<StringArray>(),
        ),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

pub(super) fn assignment(code: &str) -> Assignment {
    Assignment {
        pipeline: PIPELINE.into(),
        at: TopicPartition::new("numbers", 0),
        genesis: Genesis { cluster: "c".into(), topic_id: "t".into(), first_offset: 0 },
        fingerprint: code.into(),
    }
}

/// The range after `after` up to `end`. `closed_ms` differs from worker to worker.
pub(super) fn range(code: &str, after: &Entry, end: i64, closed_ms: i64) -> Range {
    let batch = rows(code, after.next(), end);
    let count = batch.num_rows();
    let entry = Entry {
        seq: after.seq + 1,
        start: after.next(),
        end,
        buckets: Buckets { delivered: count as u64, ..Buckets::default() },
        rows: count as u64,
        fingerprint: code.into(),
        version: end * 1000,
        last: Some(LastRecord { offset: end, timestamp_ms: end, checksum: 1 }),
        kind: EntryKind::Range,
        closed_ms,
        ..after.clone()
    };
    let versions = Arc::new(Int64Array::from_iter_values(after.next()..=end));
    Range { entry, rows: vec![Rows { batch, versions }], deletes: vec![] }
}

/// A worker's way to a store, with faults of its own.
#[derive(Debug)]
pub(super) struct Way {
    store: Arc<dyn Store>,
    pub faults: Faults,
}

impl Way {
    pub fn to(store: &Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self { store: store.clone(), faults: Faults::default() })
    }

    /// Calls `then` before the `k`th I/O (from 1) and waits for what it returns. Counts the I/Os.
    pub fn before_io(
        &self,
        k: usize,
        then: impl Fn(Faults) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Arc<AtomicUsize> {
        let (count, faults) = (Arc::new(AtomicUsize::new(0)), self.faults.clone());
        let counted = count.clone();
        self.faults.set_hook(Some(Arc::new(move |_, _| {
            if counted.fetch_add(1, Ordering::SeqCst) + 1 == k {
                return then(faults.clone());
            }
            async {}.boxed()
        })));
        count
    }
}

#[async_trait]
impl Store for Way {
    async fn put(&self, path: &str, bytes: Bytes, how: Put) -> Result<Stored, SinkError> {
        let reply = self.faults.before("put", path).await?;
        reply.deliver(self.store.put(path, bytes, how).await?)
    }

    async fn get(&self, path: &str) -> Result<Option<Bytes>, SinkError> {
        let reply = self.faults.before("get", path).await?;
        reply.deliver(self.store.get(path).await?)
    }

    async fn list(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        max: usize,
    ) -> Result<Vec<Listed>, SinkError> {
        let reply = self.faults.before("list", prefix).await?;
        reply.deliver(self.store.list(prefix, start_after, max).await?)
    }

    fn place(&self) -> String {
        self.store.place()
    }
}

/// The stores the tests run on, each with what must live as long as it does.
pub(super) fn stores() -> Vec<(Arc<dyn Store>, Option<tempfile::TempDir>)> {
    let directory = tempfile::tempdir().unwrap();
    let on_disk = Arc::new(DirStore::new(directory.path().join("lake")));
    vec![(Arc::new(MemoryStore::new()), None), (on_disk, Some(directory))]
}

pub(super) fn lake(store: Arc<dyn Store>, format: Format) -> Lake {
    Lake::new(store, TABLE, format, &["day"]).checkpoint_every(3)
}

/// A worker: code, how many records it takes into a range, and its sink. It drops what it knows and opens again
/// after errors, or tries the same again.
pub(super) struct Worker {
    pub code: &'static str,
    pub roll: i64,
    pub again: Again,
    pub store: Arc<dyn Store>,
    /// The store without its faults: tells whether what the sink says is so.
    pub truth: Arc<dyn Store>,
    pub format: Format,
    pub catalog: Option<Arc<dyn Catalog>>,
}

/// What a worker does after an error that may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    Same,
    Open,
    Connect,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.code, self.roll)
    }
}

impl Worker {
    pub fn new(store: Arc<dyn Store>, code: &'static str, roll: i64) -> Self {
        let truth = store.clone();
        Self { code, roll, again: Again::Same, store, truth, format: Format::Csv, catalog: None }
    }

    /// A worker with faults.
    pub fn through(way: Arc<Way>, code: &'static str, roll: i64) -> Self {
        let truth = way.store.clone();
        Self { truth, ..Self::new(way, code, roll) }
    }

    pub async fn connect(&self) -> Box<dyn Sink> {
        loop {
            let lake = lake(self.store.clone(), self.format).registered_in(self.catalog.clone());
            match lake.connect(PIPELINE, &schema()).await {
                Err(error) if error.is_retryable() => continue,
                sink => return sink.unwrap(),
            }
        }
    }

    /// Works until all records before `until` are committed.
    pub async fn work(&self, until: i64) {
        let mut sink = self.connect().await;
        for _ in 0..1000 {
            match self.one_range(&mut sink, until).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    assert!(error.is_retryable(), "{self:?}: {error}");
                    if self.again == Again::Connect {
                        sink = self.connect().await;
                    }
                }
            }
        }
        panic!("{self:?} gets nowhere");
    }

    /// One range, if one is left; true: none is.
    async fn one_range(&self, sink: &mut Box<dyn Sink>, until: i64) -> Result<bool, SinkError> {
        let ours = assignment(self.code);
        let standing = sink.open(&ours).await?;
        let end = match &standing {
            Standing::At(entry) if entry.next() >= until => return Ok(true),
            Standing::At(entry) => entry.end + self.roll.min(until - entry.next()),
            Standing::Planned { end, .. } => *end,
        };
        let closed_ms = CLOSED.fetch_add(1, Ordering::SeqCst);
        let range = range(self.code, standing.entry(), end, closed_ms);
        loop {
            match sink.commit(&ours, &range).await {
                Err(error) if error.is_retryable() && self.again == Again::Same => continue,
                Ok(Outcome::Committed) => self.is_in_the_ledger(&range.entry).await,
                Ok(Outcome::Superseded) => {}
                Err(error) => return Err(error),
            }
            return Ok(false);
        }
    }

    async fn is_in_the_ledger(&self, entry: &Entry) {
        let mut sink =
            lake(self.truth.clone(), self.format).connect(PIPELINE, &schema()).await.unwrap();
        let mut there = sink.ledger(&assignment(self.code).at, entry.seq, 1).await.unwrap();
        let mut there = there.pop().expect("what was called committed is in the ledger");
        there.closed_ms = entry.closed_ms;
        assert_eq!(&there, entry, "what was called committed is in the ledger");
    }
}

fn numbers(batches: &[RecordBatch]) -> Vec<i64> {
    use arrow::array::AsArray;
    let column = |batch: &RecordBatch| {
        let column = batch.column_by_name("n").unwrap().as_primitive::<Int64Type>();
        column.values().to_vec()
    };
    batches.iter().flat_map(column).collect()
}

/// The committed numbers, sorted.
pub(super) async fn scanned(store: &Arc<dyn Store>, format: Format) -> Vec<i64> {
    let mut batches = vec![];
    let mut visit = |batch| {
        batches.push(batch);
        Ok(())
    };
    lake(store.clone(), format).scan(PIPELINE, &mut visit).await.unwrap();
    for batch in &batches {
        let numbers = numbers(std::slice::from_ref(batch));
        assert_eq!(batch.schema(), schema());
        assert!(!numbers.is_empty(), "an empty file was committed");
    }
    let mut numbers = numbers(&batches);
    numbers.sort_unstable();
    numbers
}

/// What a reader of the table's directory sees, Athena say: no number twice.
pub(super) async fn nothing_twice_in_the_directory(store: &Arc<dyn Store>) {
    let Some(record) = tables(&**store).await.unwrap().pop() else { return };
    let mut seen = BTreeSet::new();
    for Listed { path, .. } in store.list(&format!("{TABLE}/"), None, usize::MAX).await.unwrap() {
        for number in in_file(store, &record, &path).await {
            assert!(seen.insert(number), "{number} is in {path} and in another file");
        }
    }
}

async fn in_file(store: &Arc<dyn Store>, record: &TableRecord, path: &str) -> Vec<i64> {
    let bytes = store.get(path).await.unwrap().unwrap();
    numbers(&record.format.decode(bytes, &record.in_files()).unwrap())
}

/// Every number before `until` is there once, and the ledger has no gap.
pub(super) async fn exact(store: &Arc<dyn Store>, format: Format, until: i64, when: &str) {
    assert_eq!(scanned(store, format).await, (0..until).collect::<Vec<_>>(), "{when}");
    nothing_twice_in_the_directory(store).await;
    let mut sink = lake(store.clone(), format).connect(PIPELINE, &schema()).await.unwrap();
    let entries = sink.ledger(&assignment("a").at, 0, usize::MAX).await.unwrap();
    let mut next = 0;
    for (seq, entry) in entries.iter().enumerate() {
        assert_eq!((entry.seq, entry.start), (seq as u64, next), "{when}");
        next = entry.next();
    }
    assert_eq!(next, until, "{when}");
    let files = crate::lake::committed_files(&**store, TABLE).await.unwrap();
    let record = tables(&**store).await.unwrap().pop().unwrap();
    let mut rows = 0;
    for file in files {
        rows += file.rows;
        read_file(&**store, &record, &file).await.unwrap();
    }
    assert_eq!(rows, until as u64, "{when}");
}
