//! Rows, ranges, and a keyspace of the test's own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use bytes::Bytes;
use integration_tests::stack;
use millstream_config::{Endpoint, Secret};
use millstream_engine::ledger::{Assignment, Buckets, Entry, EntryKind};
use millstream_engine::{Delete, Outcome, Range, Rows, Sink, SinkError, Target, conformance};
use millstream_sinks::cassandra::{Cassandra, CassandraTable};

pub const PIPELINE: &str = "app.pipe";
/// Long enough for a slow disk to make five tables, which Cassandra does one after the other.
const PATIENCE: Duration = Duration::from_secs(90);

/// A keyspace nobody else uses, on the shared server or on one of the test's own.
#[derive(Clone, Debug)]
pub struct Place {
    pub server: Cassandra,
    pub keyspace: String,
}

impl Place {
    /// On the shared server.
    pub async fn new() -> Self {
        Self::at(&stack::cassandra().await.address())
    }

    /// On the server at `host:port`.
    pub fn at(address: &str) -> Self {
        let server = server(&format!("cassandra://{address}?replication=1"), "");
        Self { server: server.unwrap(), keyspace: stack::unique("test") }
    }

    /// The same keyspace through a session of its own.
    pub fn through(&self, address: &str) -> Self {
        Self { keyspace: self.keyspace.clone(), ..Self::at(address) }
    }

    pub fn table(&self, table: &str) -> CassandraTable {
        CassandraTable::upsert(self.server.clone(), &self.keyspace, table, &["id"])
    }
}

pub fn server(url: &str, password: &str) -> Result<Cassandra, SinkError> {
    let endpoint = Endpoint::parse("stores.tables", url, Secret::new(password), 9042);
    Cassandra::new(endpoint.unwrap())
}

pub fn schema(names: &[&str]) -> SchemaRef {
    let field = |name: &&str| {
        let kind = if *name == "n" { DataType::Int64 } else { DataType::Utf8 };
        Field::new(*name, kind, true)
    };
    Arc::new(Schema::new(names.iter().map(field).collect::<Vec<_>>()))
}

/// A record: its key, its value (`None`: the key is deleted), its version.
pub type Record<'a> = (&'a str, Option<i64>, i64);

/// The range after `after` with these records.
pub fn range(after: &Entry, records: &[Record<'_>]) -> Range {
    let rows: Vec<_> = records.iter().filter(|(_, n, _)| n.is_some()).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| Some(row.0)).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()),
    ];
    let rows = Rows {
        batch: RecordBatch::try_new(schema(&["id", "n"]), columns).unwrap(),
        versions: Arc::new(rows.iter().map(|row| row.2).collect()),
    };
    let deletes = records.iter().filter(|(_, n, _)| n.is_none()).map(|(key, _, version)| Delete {
        key: Bytes::copy_from_slice(key.as_bytes()),
        version: *version,
    });
    let entry = entry(after, records.len());
    Range { entry, rows: vec![rows], deletes: deletes.collect() }
}

/// The entry after `after` that covers `count` records.
pub fn entry(after: &Entry, count: usize) -> Entry {
    Entry {
        seq: after.seq + 1,
        start: after.next(),
        end: after.end + count as i64,
        buckets: Buckets { delivered: count as u64, ..Buckets::default() },
        rows: count as u64,
        kind: EntryKind::Range,
        ..after.clone()
    }
}

pub fn assignment(partition: u32) -> Assignment {
    conformance::assignment(PIPELINE, partition)
}

/// Nothing is refused; what passes is to be tried again, as the engine does: a machine may be busy with much else.
async fn passes(since: Instant, error: SinkError) {
    assert!(error.is_retryable(), "refused for good: {error}");
    assert!(since.elapsed() < PATIENCE, "after {:?} still: {error:?}", since.elapsed());
    tokio::time::sleep(Duration::from_millis(50)).await;
}

pub async fn connect(table: &CassandraTable) -> Box<dyn Sink> {
    connect_with(table, &schema(&["id", "n"])).await
}

pub async fn connect_with(table: &CassandraTable, schema: &SchemaRef) -> Box<dyn Sink> {
    settled(table, schema).await.unwrap_or_else(|error| panic!("refused for good: {error}"))
}

/// Connected, or refused for good.
pub async fn settled(
    table: &CassandraTable,
    schema: &SchemaRef,
) -> Result<Box<dyn Sink>, SinkError> {
    let since = Instant::now();
    loop {
        match table.connect(PIPELINE, schema).await {
            Err(error) if error.is_retryable() => passes(since, error).await,
            settled => return settled,
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

/// Commits a range of a partition that nobody else has.
pub async fn commit(sink: &mut Box<dyn Sink>, partition: u32, range: &Range) {
    let outcome = outcome(sink, partition, range).await;
    assert_eq!(outcome, Outcome::Committed, "{:?}", range.entry);
}

/// What becomes of a range in the end.
pub async fn outcome(sink: &mut Box<dyn Sink>, partition: u32, range: &Range) -> Outcome {
    let since = Instant::now();
    loop {
        match sink.commit(&assignment(partition), range).await {
            Ok(outcome) => return outcome,
            Err(error) => passes(since, error).await,
        }
    }
}

pub async fn put(sink: &mut Box<dyn Sink>, records: &[Record<'_>]) {
    let range = range(&last(sink, 0).await, records);
    commit(sink, 0, &range).await;
}

/// Columns id and n of the table.
pub async fn held(table: &CassandraTable) -> BTreeMap<String, Option<i64>> {
    let mut held = BTreeMap::new();
    let mut visit = |batch: RecordBatch| {
        let ids = batch.column_by_name("id").unwrap().as_string::<i32>();
        let ns = batch.column_by_name("n").unwrap().as_primitive::<Int64Type>();
        for (id, n) in ids.iter().zip(ns) {
            assert!(held.insert(id.unwrap().to_owned(), n).is_none(), "{id:?} is there twice");
        }
        Ok(())
    };
    table.scan(PIPELINE, &mut visit).await.unwrap();
    held
}

/// What a map would hold after all of these records.
pub fn model<'a>(records: impl Iterator<Item = Record<'a>>) -> BTreeMap<String, Option<i64>> {
    let mut latest: BTreeMap<&str, (i64, Option<i64>)> = BTreeMap::new();
    for (key, n, version) in records {
        if latest.get(key).is_none_or(|(there, _)| version > *there) {
            latest.insert(key, (version, n));
        }
    }
    let there = latest.into_iter().filter(|(_, (_, n))| n.is_some());
    there.map(|(key, (_, n))| (key.to_owned(), n)).collect()
}

/// Fails unless the partition's ledger is whole and ends at offset `end`; tells how many ranges there are.
pub async fn check_ledger(sink: &mut Box<dyn Sink>, partition: u32, end: i64) -> usize {
    let entries = sink.ledger(&assignment(partition).at, 0, usize::MAX).await.unwrap();
    for (seq, entry) in entries.iter().enumerate() {
        assert_eq!(entry.seq, seq as u64);
    }
    assert!(entries.windows(2).all(|pair| pair[0].next() == pair[1].start), "{entries:?}");
    assert_eq!(entries.last().unwrap().end, end, "the last offset");
    entries.len() - 1
}
