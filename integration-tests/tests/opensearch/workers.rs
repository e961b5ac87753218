use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use integration_tests::stack::{self, Server};
use millstream_engine::ledger::{Assignment, Entry};
use millstream_engine::{Outcome, Sink, SinkError, Standing, Target};
use millstream_sinks::opensearch::{OpenSearch, OpenSearchTarget};
use millstream_sinks::search::Index;
use millstream_sinks::search::conformance::rows::{Row, delete, range, rows, scan, schema};
use millstream_sinks::search::conformance::{PIPELINE, RECALLS, rows as suite};
use serde_json::{Value, json};

use crate::place::{Place, rows_by_curl};

pub const INDEX: Index = Index { name: "numbers", ..RECALLS };
/// All work of a test is done by then, or it hangs.
const LIMIT: Duration = Duration::from_secs(300);
/// Keys come again after so many offsets: rows are replaced and deleted as well as made.
const KEYS: i64 = 17;

/// A worker that puts one row, or deletion, per offset into the index: how many make a range, its partition, and its
/// way to the server.
#[derive(Clone, Debug)]
pub struct Worker {
    pub target: Arc<OpenSearchTarget>,
    pub roll: i64,
    pub partition: u32,
}

impl Worker {
    pub fn new(at: OpenSearch, roll: i64) -> Self {
        let target = OpenSearchTarget::new(at, &INDEX, None);
        Self { target: Arc::new(target), roll, partition: 0 }
    }

    fn assignment(&self) -> Assignment {
        suite::assignment(self.partition)
    }

    /// Works until everything before offset `until` is committed; tries again what may pass, as the engine does.
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
            None => sink.insert(self.target.connect(PIPELINE, &schema()).await?),
        };
        let ours = self.assignment();
        let Standing::At(after) = sink.open(&ours).await? else { panic!("nothing is planned") };
        if after.next() >= until {
            return Ok(true);
        }
        let range = self.range(&after, self.roll.min(until - after.next()));
        let outcome = sink.commit(&ours, &range).await?;
        if outcome == Outcome::Committed {
            let there = sink.ledger(&ours.at, range.entry.seq, 1).await?;
            assert_eq!(there, [range.entry], "what was called committed");
        }
        Ok(false)
    }

    fn range(&self, after: &Entry, count: i64) -> millstream_engine::Range {
        let offsets = after.next()..after.next() + count;
        let mut parts = Vec::new();
        let mut deletes = Vec::new();
        for offset in offsets {
            match row(self.partition, offset) {
                (key, Some(row)) => parts.push(rows(&[as_row(&key, &row)], version(offset))),
                (key, None) => deletes.push(delete(&key, version(offset))),
            }
        }
        range(after, parts, deletes)
    }
}

fn version(offset: i64) -> i64 {
    1_000 + offset
}

/// The key of an offset, and its row's firm and product; `None`: it is deleted.
fn row(partition: u32, offset: i64) -> (String, Option<(String, String)>) {
    let key = format!("Z-{partition}-{:04}", offset % KEYS);
    let is_deleted = offset % 5 == 4;
    (key, (!is_deleted).then(|| (format!("firm {offset}"), format!("Pump of {offset}"))))
}

fn as_row<'a>(key: &'a str, (firm, product): &'a (String, String)) -> Row<'a> {
    [key, firm, product, "Class I", "20200101", ""]
}

/// What a map would hold in the end.
fn model(partitions: u32, until: i64) -> BTreeMap<String, (String, String)> {
    let mut model = BTreeMap::new();
    for partition in 0..partitions {
        for offset in 0..until {
            match row(partition, offset) {
                (key, Some(row)) => drop(model.insert(key, row)),
                (key, None) => drop(model.remove(&key)),
            }
        }
    }
    model
}

/// Every row is there as the last offset of its key made it, and none else; the ledgers have no gap.
pub async fn exact(place: &Place, partitions: u32, until: i64, when: &str) {
    let target = OpenSearchTarget::new(place.open(), &INDEX, None);
    let expected: Vec<_> =
        model(partitions, until).iter().map(|(key, (firm, _))| format!("{key}={firm}")).collect();
    assert_eq!(scan(&target).await.expect("scan"), expected, "{when}");
    let mut sink = target.connect(PIPELINE, &schema()).await.expect("connect");
    for partition in 0..partitions {
        let at = suite::assignment(partition).at;
        let ledger = sink.ledger(&at, 0, usize::MAX).await.expect("read the ledger");
        let seqs: Vec<_> = ledger.iter().map(|entry| entry.seq).collect();
        assert_eq!(seqs, (0..ledger.len() as u64).collect::<Vec<_>>(), "{when}");
        assert!(
            ledger.windows(2).all(|pair| pair[0].next() == pair[1].start),
            "{when}: {ledger:?}"
        );
        assert_eq!(ledger.last().map(Entry::next), Some(until), "{when}");
    }
}

/// The same, seen by curl through the served alias: whole rows.
pub async fn exact_for_others(place: &Place, partitions: u32, until: i64) {
    exact_on(stack::opensearch().await, place, partitions, until).await;
}

pub async fn exact_on(server: &Server, place: &Place, partitions: u32, until: i64) {
    let seen = rows_by_curl(server, &format!("{}{}", place.prefix, INDEX.name)).await;
    let expected: BTreeMap<String, Value> = model(partitions, until)
        .into_iter()
        .map(|(key, (firm, product))| {
            let row = json!({
                "number": key, "firm": firm, "product": product, "class": "Class I", "date": "20200101", "codes": null,
            });
            (key, row)
        })
        .collect();
    assert_eq!(seen, expected);
}
