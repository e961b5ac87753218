use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use integration_tests::stack::{self, Server};
use millstream_engine::conformance::{self, PARTITION_BY};
use millstream_engine::ledger::Assignment;
use millstream_engine::{Keeping, Outcome, Sink, SinkError, Standing, Target};
use millstream_sinks::lake::{Format, Lake, Store};

use crate::place::Place;

pub const PIPELINE: &str = "suite.numbers";
const TABLE: &str = "numbers";
/// All work of a test is done by then, or it hangs.
const LIMIT: Duration = Duration::from_secs(300);

/// A worker that puts records into the table: its code, how many make a range, and its way to the bucket.
#[derive(Clone, Debug)]
pub struct Worker {
    pub code: &'static str,
    pub roll: i64,
    pub store: Arc<dyn Store>,
}

impl Worker {
    pub fn new(store: &Arc<dyn Store>, code: &'static str, roll: i64) -> Self {
        Self { code, roll, store: store.clone() }
    }

    fn assignment(&self) -> Assignment {
        Assignment { fingerprint: self.code.to_owned(), ..conformance::assignment(PIPELINE, 0) }
    }

    /// Works until all records before `until` are committed; tries again what may pass, as the engine does.
    pub async fn work(&self, until: i64) {
        let started = Instant::now();
        let mut sink = None;
        let mut last = String::new();
        while started.elapsed() < LIMIT {
            match self.step(&mut sink, until).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    assert!(error.is_retryable(), "{self:?}: {error}");
                    last = format!("{error}: {:?}", std::error::Error::source(&error));
                    sink = None;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        panic!("{self:?} is not done after {LIMIT:?}; its last error: {last}");
    }

    /// One range, if one is left; true: none is.
    async fn step(&self, sink: &mut Option<Box<dyn Sink>>, until: i64) -> Result<bool, SinkError> {
        let sink = match sink {
            Some(sink) => sink,
            None => {
                let schema = conformance::schema(&Keeping::Append);
                sink.insert(lake(&self.store).connect(PIPELINE, &schema).await?)
            }
        };
        let ours = self.assignment();
        let standing = sink.open(&ours).await?;
        let after = standing.entry();
        let count = match &standing {
            Standing::At(entry) if entry.next() >= until => return Ok(true),
            Standing::At(entry) => self.roll.min(until - entry.next()),
            Standing::Planned { end, .. } => end - after.end,
        };
        let mut range = conformance::range(&Keeping::Append, &ours, after, count);
        range.entry.fingerprint = self.code.to_owned();
        let outcome = sink.commit(&ours, &range).await?;
        if outcome == Outcome::Committed {
            let there = sink.ledger(&ours.at, range.entry.seq, 1).await?;
            let there = there.first().map(|entry| (entry.start, entry.end));
            assert_eq!(
                there,
                Some((range.entry.start, range.entry.end)),
                "what was called committed"
            );
        }
        Ok(false)
    }
}

/// Small enough that checkpoints are written, too.
pub fn lake(store: &Arc<dyn Store>) -> Lake {
    Lake::new(store.clone(), TABLE, Format::Parquet, PARTITION_BY).checkpoint_every(3)
}

/// Every record before `until` is in the table once, its row as it was made, and the ledger has no gap.
pub async fn exact(store: &Arc<dyn Store>, until: i64, when: &str) {
    let mut rows: BTreeMap<i64, usize> = BTreeMap::new();
    let mut visit = |batch: arrow::array::RecordBatch| {
        let amounts = batch.column_by_name("amount").expect("amount").as_primitive::<Int64Type>();
        let ids = batch.column_by_name("id").expect("id").as_string::<i32>();
        for (amount, id) in amounts.values().iter().zip(ids) {
            assert!(id.expect("an id").ends_with(&format!("@{amount}")), "{when}: {id:?} {amount}");
            *rows.entry(*amount).or_default() += 1;
        }
        Ok(())
    };
    lake(store).scan(PIPELINE, &mut visit).await.expect("scan the table");
    let expected: BTreeMap<i64, usize> = (0..until).map(|n| (n, 1)).collect();
    assert_eq!(rows, expected, "{when}: rows by number, and how often each is there");
    let worker = Worker::new(store, "reader", 1);
    let schema = conformance::schema(&Keeping::Append);
    let mut sink = lake(store).connect(PIPELINE, &schema).await.expect("connect");
    let ledger = sink.ledger(&worker.assignment().at, 0, usize::MAX).await.expect("the ledger");
    let mut next = 0;
    for (seq, entry) in ledger.iter().enumerate() {
        assert_eq!((entry.seq, entry.start), (seq as u64, next), "{when}: {ledger:?}");
        next = entry.next();
    }
    assert_eq!(next, until, "{when}");
}

/// The same by PyArrow, which knows of no ledger: what it sees in the table's directory.
pub fn exact_for_others(server: &Server, place: &Place, until: i64) {
    let environment = stack::s3_environment(server);
    let rows = stack::parquet::rows(&format!("s3://{}/{TABLE}", place.bucket), &environment);
    let mut numbers: Vec<i64> =
        rows.iter().map(|row| row["amount"].as_i64().expect("amount")).collect();
    for row in &rows {
        let (amount, id) = (&row["amount"], row["id"].as_str().expect("id"));
        assert!(id.ends_with(&format!("@{amount}")), "{row}");
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..until).collect::<Vec<_>>(), "PyArrow's rows by number");
}
