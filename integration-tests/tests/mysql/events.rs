//! Numbered events as ranges, and what must be in a table in the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use bytes::Bytes;
use millstream_engine::ledger::{Assignment, Buckets, Entry, EntryKind};
use millstream_engine::{
    Delete, Keeping, Outcome, Range, Rows, Sink, SinkError, Target, conformance,
};
use millstream_sinks::mysql::MysqlTable;

pub const PIPELINE: &str = "app.pipe";
/// For what passes.
const PATIENCE: Duration = Duration::from_secs(90);
/// Keys that meet again and again, in all partitions.
const KEYS: i64 = 40;
/// Of so many events one takes its key away.
const DELETES: i64 = 11;

/// Columns id and n.
pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Utf8, true),
        Field::new("n", DataType::Int64, true),
    ]))
}

/// With a third column, note.
pub fn noted() -> SchemaRef {
    let mut fields = schema().fields().to_vec();
    fields.push(Arc::new(Field::new("note", DataType::Utf8, true)));
    Arc::new(Schema::new(fields))
}

pub fn assignment(partition: u32) -> Assignment {
    conformance::assignment(PIPELINE, partition)
}

/// What the record at this offset says: its key, its number (`None`: a tombstone), its version. Versions of all
/// partitions interleave, so that old writes come late.
pub fn event(partition: u32, offset: i64) -> (String, Option<i64>, i64) {
    let mixed = (offset * 7_919 + i64::from(partition) * 104_729) % 1_000_003;
    let number = (mixed % DELETES != 0).then_some(mixed);
    (format!("k{}", mixed % KEYS), number, offset * 10 + i64::from(partition))
}

/// The range of `count` events after `after`.
pub fn range(keeping: &Keeping, partition: u32, after: &Entry, count: i64) -> Range {
    let events = (after.next()..after.next() + count).map(|offset| event(partition, offset));
    let mut rows = Vec::new();
    let mut deletes = Vec::new();
    for (key, number, version) in events {
        match (keeping, number) {
            (Keeping::Count { .. }, number) => rows.push((key, number.unwrap_or(-1), version)),
            (_, Some(number)) => rows.push((key, number, version)),
            (_, None) => deletes.push(Delete { key: Bytes::from(key), version }),
        }
    }
    let rows: Vec<_> = rows.iter().map(|(key, n, version)| (key.as_str(), *n, *version)).collect();
    Range { deletes, ..range_of(after, count, &rows) }
}

/// A range of `count` records that makes these rows: id, n, version.
pub fn range_of(after: &Entry, count: i64, rows: &[(&str, i64, i64)]) -> Range {
    let entry = Entry {
        seq: after.seq + 1,
        start: after.next(),
        end: after.end + count,
        buckets: Buckets { delivered: count as u64, ..Buckets::default() },
        rows: rows.len() as u64,
        units: rows.iter().map(|row| row.1).sum(),
        kind: EntryKind::Range,
        ..after.clone()
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| Some(row.0)).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()),
    ];
    let rows = Rows {
        batch: RecordBatch::try_new(schema(), columns).unwrap(),
        versions: Arc::new(rows.iter().map(|row| row.2).collect()),
    };
    Range { entry, rows: vec![rows], deletes: Vec::new() }
}

/// What a table holds after these partitions' events below each of the offsets.
pub fn model(keeping: &Keeping, ends: &[i64]) -> BTreeMap<String, i64> {
    let mut latest: BTreeMap<String, (i64, Option<i64>)> = BTreeMap::new();
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    for (partition, end) in (0_u32..).zip(ends) {
        for offset in 0..*end {
            let (key, number, version) = event(partition, offset);
            *sums.entry(key.clone()).or_default() += number.unwrap_or(-1);
            if latest.get(&key).is_none_or(|(there, _)| version > *there) {
                latest.insert(key, (version, number));
            }
        }
    }
    match keeping {
        Keeping::Count { .. } => sums,
        _ => latest.into_iter().filter_map(|(key, (_, number))| Some((key, number?))).collect(),
    }
}

/// Nothing is refused; what passes is to be tried again, as the engine does: a machine may be busy with much else.
async fn passes(since: Instant, error: SinkError) {
    assert!(error.is_retryable(), "refused for good: {error}");
    assert!(since.elapsed() < PATIENCE, "after {:?} still: {error:?}", since.elapsed());
    tokio::time::sleep(Duration::from_millis(50)).await;
}

pub async fn connect(table: &MysqlTable) -> Box<dyn Sink> {
    let since = Instant::now();
    loop {
        match table.connect(PIPELINE, &schema()).await {
            Ok(sink) => return sink,
            Err(error) => passes(since, error).await,
        }
    }
}

pub async fn last(sink: &mut Box<dyn Sink>, partition: u32) -> Entry {
    let since = Instant::now();
    loop {
        match sink.open(&assignment(partition)).await {
            Ok(standing) => return standing.entry().clone(),
            Err(error) => passes(since, error).await,
        }
    }
}

/// Commits a range that nobody competes for.
pub async fn put(sink: &mut Box<dyn Sink>, partition: u32, rows: &[(&str, i64, i64)]) {
    let after = last(sink, partition).await;
    let range = range_of(&after, rows.len() as i64, rows);
    let since = Instant::now();
    loop {
        match sink.commit(&assignment(partition), &range).await {
            Ok(outcome) => return assert_eq!(outcome, Outcome::Committed, "{:?}", range.entry),
            Err(error) => passes(since, error).await,
        }
        // What was given up may have been done.
        if last(sink, partition).await == range.entry {
            return;
        }
    }
}

/// Columns id and n, by our own scan.
pub async fn held(table: &MysqlTable) -> BTreeMap<String, i64> {
    let mut held = BTreeMap::new();
    let mut visit = |batch: RecordBatch| {
        let ids = batch.column_by_name("id").unwrap().as_string::<i32>().clone();
        let ns = batch.column_by_name("n").unwrap().as_primitive::<Int64Type>().clone();
        for (id, n) in ids.iter().zip(ns.iter()) {
            let twice = held.insert(id.unwrap().to_owned(), n.unwrap_or_default());
            assert_eq!(twice, None, "{id:?} is there twice");
        }
        Ok(())
    };
    table.scan(PIPELINE, &mut visit).await.unwrap();
    held
}
