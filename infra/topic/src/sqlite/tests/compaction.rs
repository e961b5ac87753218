//! What compaction leaves, and what a reader sees of it meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use bytes::Bytes;
use proptest::prelude::*;
use rusqlite::Connection;

use super::super::compact::{DELETE_RETENTION, LEAST_DIRTY};
use super::*;
use crate::Record;

/// A log with one compacted topic of one partition, and its clock.
async fn compacted() -> (TempDir, SqliteLog, Arc<AtomicI64>) {
    let dir = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicI64::new(0));
    let clock = now.clone();
    let clock = Arc::new(move || clock.load(Ordering::Relaxed));
    let log = SqliteLog::with_clock(dir.path(), clock).unwrap();
    log.ensure(&Topic::named(TOPIC).partitions(1).compacted()).await.unwrap();
    (dir, log, now)
}

fn record(key: &str, value: Option<&str>) -> Outgoing {
    let value = value.map(|value| Bytes::from(value.to_owned()));
    Outgoing { value, ..Outgoing::keyed(key.to_owned(), "") }
}

async fn all(log: &SqliteLog) -> Vec<Record> {
    let (mut records, mut next) = (Vec::new(), 0);
    loop {
        let slice = log.read(&at(0), next, 700).await.unwrap();
        next = slice.next;
        records.extend(slice.records);
        if next >= slice.end {
            return records;
        }
    }
}

async fn offsets(log: &SqliteLog) -> Vec<i64> {
    all(log).await.iter().map(|record| record.offset).collect()
}

#[tokio::test]
async fn the_last_of_each_key_stays_where_it_is() {
    let (dir, log, _) = compacted().await;
    let records = ["a", "b", "a", "c", "b", "b"].map(|key| record(key, Some("x")));
    log.append(TOPIC, records.to_vec()).await.unwrap();
    // The very last one takes no part, so the `b` before it stays.
    assert_eq!(log.compact(TOPIC).await.unwrap(), 2);
    assert_eq!(offsets(&log).await, [2, 3, 4, 5]);
    assert_eq!(bounds(&log).await, [Bounds { low: 0, end: 6 }]);
    assert_eq!(log.compact(TOPIC).await.unwrap(), 0, "nothing is left to do");

    let placed = log.append(TOPIC, vec![record("d", Some("x"))]).await.unwrap();
    assert_eq!(placed[0].offset, 6);
    log.compact(TOPIC).await.unwrap();
    assert_eq!(offsets(&open(dir.path())).await, [2, 3, 5, 6]);
    let slice = log.read(&at(0), 0, 1).await.unwrap();
    assert_eq!((slice.records[0].offset, slice.next), (2, 3), "reading goes over what is absent");
}

#[tokio::test]
async fn tombstones_shadow_at_once_and_go_a_day_after_a_pass_met_them() {
    let (_dir, log, now) = compacted().await;
    let day = DELETE_RETENTION.as_millis() as i64;
    now.store(10 * day, Ordering::Relaxed);
    // Its own timestamp is long past: that doesn't matter.
    let old = Outgoing { timestamp_ms: Some(1), ..record("a", None) };
    let records = vec![record("a", Some("1")), record("b", Some("1")), old, record("z", Some("1"))];
    log.append(TOPIC, records).await.unwrap();
    log.compact(TOPIC).await.unwrap();
    assert_eq!(offsets(&log).await, [1, 2, 3]);

    now.fetch_add(day - 1, Ordering::Relaxed);
    log.compact(TOPIC).await.unwrap();
    assert_eq!(offsets(&log).await, [1, 2, 3], "a millisecond too soon");
    now.fetch_add(1, Ordering::Relaxed);
    assert_eq!(log.compact(TOPIC).await.unwrap(), 1);
    assert_eq!(offsets(&log).await, [1, 3]);

    // As the last record a tombstone stays, however old.
    log.append(TOPIC, vec![record("b", None)]).await.unwrap();
    log.compact(TOPIC).await.unwrap();
    now.fetch_add(2 * day, Ordering::Relaxed);
    log.compact(TOPIC).await.unwrap();
    assert_eq!(offsets(&log).await, [1, 3, 4]);
}

#[tokio::test]
async fn only_topics_declared_compacted_are() {
    let (_dir, log) = log(1).await;
    let twice = vec![record("a", Some("1")), record("a", Some("2")), record("a", None)];
    log.append(TOPIC, twice).await.unwrap();
    let error = log.compact(TOPIC).await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("not declared"), "{error}");
    assert_eq!(offsets(&log).await, [0, 1, 2]);
    assert!(log.compact("nope").await.is_err());
}

#[tokio::test]
async fn appending_brings_it_about() {
    let (_dir, log, _) = compacted().await;
    let some = |count: i64| -> Vec<_> {
        (0..count).map(|n| record(&format!("key {}", n % 100), Some("x"))).collect()
    };
    log.append(TOPIC, some(LEAST_DIRTY - 1)).await.unwrap();
    assert_eq!(offsets(&log).await.len() as i64, LEAST_DIRTY - 1, "too few to be worth it");
    log.append(TOPIC, some(1)).await.unwrap();
    let deadline = Instant::now() + DEADLINE;
    loop {
        let left = offsets(&log).await.len();
        if left <= 101 {
            break;
        }
        assert!(Instant::now() < deadline, "{left} records are still there");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A file as it was before compaction, with a record that is refused today.
#[tokio::test]
async fn a_file_made_before_still_opens() {
    let (dir, log, _) = compacted().await;
    log.append(TOPIC, ["a", "a", "b"].map(|key| record(key, Some("x"))).to_vec()).await.unwrap();
    drop(log);
    let file = Connection::open(dir.path().join("t.db")).unwrap();
    file.execute_batch(
        "DROP TABLE compaction; DROP TABLE tombstones;
         UPDATE records SET key = NULL WHERE offset = 1;",
    )
    .unwrap();
    drop(file);
    let log = open(dir.path());
    log.append(TOPIC, ["a", "b", "c"].map(|key| record(key, Some("y"))).to_vec()).await.unwrap();
    assert_eq!(log.compact(TOPIC).await.unwrap(), 2);
    assert_eq!(offsets(&log).await, [1, 3, 4, 5], "nothing shadows a record without key");
}

/// Scans and a member see every key's newest record, while writers go on and passes come and are cut off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_miss_no_live_record_meanwhile() {
    let (dir, log, _) = compacted().await;
    let done = Arc::new(AtomicBool::new(false));
    let compactor = {
        let (log, done) = (open(dir.path()), done.clone());
        tokio::spawn(async move {
            let mut deleted = 0;
            for round in 0.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                // Some passes are dropped half-way, as by the end of a process.
                let limit = Duration::from_millis(if round % 3 == 0 { 4 } else { 30_000 });
                if let Ok(pass) = tokio::time::timeout(limit, log.compact(TOPIC)).await {
                    deleted += pass.unwrap();
                }
            }
            deleted
        })
    };
    let member = {
        let log = open(dir.path());
        tokio::spawn(async move {
            let mut consumer = join(&log).await;
            assigned(&mut consumer).await;
            consumer.steer(Order::Seek(at(0), 0)).unwrap();
            let (mut newest, mut last) = (HashMap::new(), -1);
            while !newest.contains_key(&Bytes::from("stop")) {
                let pick = |event| {
                    if let Event::Records { records, .. } = event {
                        Ok(records)
                    } else {
                        Err(event)
                    }
                };
                for record in until(&mut consumer, "records", pick).await {
                    assert!(record.offset > last, "{} after {last}", record.offset);
                    last = record.offset;
                    newest.insert(record.key.unwrap(), record.value);
                }
            }
            newest
        })
    };
    let mut written = HashMap::new();
    for call in 0..60_usize {
        let records: Vec<_> = (0..300)
            .map(|n| {
                let value = (n % 7 != 0).then(|| format!("{call}.{n}"));
                record(&format!("key {}", (call * 131 + n * 17) % 400), value.as_deref())
            })
            .collect();
        log.append(TOPIC, records.clone()).await.unwrap();
        written.extend(records.into_iter().map(|record| (record.key.unwrap(), record.value)));
        if call % 6 == 0 {
            let scanned = all(&log).await.into_iter();
            let scanned: HashMap<_, _> =
                scanned.map(|record| (record.key.unwrap(), record.value)).collect();
            assert_eq!(scanned, written, "a scan after call {call}");
        }
    }
    log.append(TOPIC, vec![record("stop", Some(""))]).await.unwrap();
    written.insert(Bytes::from("stop"), Some(Bytes::new()));
    assert_eq!(member.await.unwrap(), written);
    done.store(true, Ordering::Relaxed);
    assert!(compactor.await.unwrap() > 0, "the test needs something to be deleted meanwhile");
}

#[derive(Clone, Debug)]
enum Act {
    Append(Vec<(u8, Option<u8>)>),
    Compact,
    WaitHours(i64),
}

fn act() -> impl Strategy<Value = Act> {
    let append = prop::collection::vec((0..6_u8, prop::option::weighted(0.7, any::<u8>())), 1..12);
    prop_oneof![
        3 => append.prop_map(Act::Append),
        2 => Just(Act::Compact),
        1 => (1..30_i64).prop_map(Act::WaitHours),
    ]
}

/// The rules over again, in the plainest way.
#[derive(Default)]
struct Model {
    end: i64,
    records: BTreeMap<i64, (u8, Option<u8>)>,
    met_ms: HashMap<i64, i64>,
}

impl Model {
    fn compact(&mut self, now: i64) {
        let last = self.end - 1;
        let all = self.records.clone();
        let newest: HashMap<u8, i64> =
            all.range(..last).map(|(offset, (key, _))| (*key, *offset)).collect();
        self.records.retain(|offset, (key, _)| *offset == last || newest[key] == *offset);
        for (offset, (_, value)) in self.records.clone() {
            if value.is_none() && offset != last {
                let met = *self.met_ms.entry(offset).or_insert(now);
                if now - met >= DELETE_RETENTION.as_millis() as i64 {
                    self.records.remove(&offset);
                }
            }
        }
    }
}

async fn agrees(acts: Vec<Act>) -> Result<(), TestCaseError> {
    let (_dir, log, now) = compacted().await;
    let mut model = Model::default();
    for act in acts {
        match act {
            Act::Append(pairs) => {
                let to_record = |(key, value): &(u8, Option<u8>)| Outgoing {
                    value: value.map(|value| Bytes::from(vec![value])),
                    ..Outgoing::keyed(vec![*key], "")
                };
                log.append(TOPIC, pairs.iter().map(to_record).collect()).await.unwrap();
                for pair in pairs {
                    model.records.insert(model.end, pair);
                    model.end += 1;
                }
            }
            Act::Compact => {
                log.compact(TOPIC).await.unwrap();
                model.compact(now.load(Ordering::Relaxed));
            }
            Act::WaitHours(hours) => {
                now.fetch_add(hours * 3_600_000, Ordering::Relaxed);
            }
        }
        let found: BTreeMap<_, _> = all(&log)
            .await
            .into_iter()
            .map(|it| (it.offset, (it.key.unwrap()[0], it.value.map(|value| value[0]))))
            .collect();
        prop_assert_eq!(&found, &model.records);
        prop_assert_eq!(bounds(&log).await[0].end, model.end);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn agrees_with_a_model(acts in prop::collection::vec(act(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(agrees(acts))?;
    }
}
