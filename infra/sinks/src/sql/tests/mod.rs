mod files;
mod growth;
mod model;
mod suite;

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use millstream_engine::ledger::{Assignment, Buckets, Entry, EntryKind};
use millstream_engine::{Outcome, Range, Rows, Sink, Target, conformance};

use super::*;

pub(crate) const PIPELINE: &str = "app.pipe";

/// A database in a directory of its own, which goes when this goes.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn database(&self) -> Database {
        Database::new(self.directory.path().join("suite.db"))
    }

    fn upsert(&self, table: &str) -> SqlTable {
        SqlTable::upsert(self.database(), table, &["id"])
    }

    fn count(&self, table: &str) -> SqlTable {
        SqlTable::count(self.database(), table, &["id"], "n")
    }

    /// As somebody with `sqlite3` would look.
    fn sqlite(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.database().path()).unwrap()
    }
}

fn schema(names: &[&str]) -> SchemaRef {
    let field = |name: &&str| {
        let kind = if *name == "n" { DataType::Int64 } else { DataType::Utf8 };
        Field::new(*name, kind, true)
    };
    Arc::new(Schema::new(names.iter().map(field).collect::<Vec<_>>()))
}

/// Columns id and n, and the versions.
fn rows(rows: &[(&str, i64, i64)]) -> Rows {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| Some(row.0)).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()),
    ];
    Rows {
        batch: RecordBatch::try_new(schema(&["id", "n"]), columns).unwrap(),
        versions: Arc::new(rows.iter().map(|row| row.2).collect()),
    }
}

fn range(after: &Entry, rows: Rows) -> Range {
    let count = rows.batch.num_rows() as u64;
    let entry = Entry {
        seq: after.seq + 1,
        start: after.next(),
        end: after.end + count as i64,
        buckets: Buckets { delivered: count, ..Buckets::default() },
        rows: count,
        kind: EntryKind::Range,
        ..after.clone()
    };
    Range { entry, rows: vec![rows], deletes: Vec::new() }
}

fn assignment() -> Assignment {
    conformance::assignment(PIPELINE, 0)
}

async fn connect(table: &SqlTable) -> Box<dyn Sink> {
    table.connect(PIPELINE, &schema(&["id", "n"])).await.unwrap()
}

async fn put(sink: &mut Box<dyn Sink>, changes: &[(&str, i64, i64)]) {
    let after = sink.open(&assignment()).await.unwrap().entry().clone();
    let range = range(&after, rows(changes));
    assert_eq!(sink.commit(&assignment(), &range).await.unwrap(), Outcome::Committed);
}

/// Columns id and n of the table.
fn held(database: &Database, table: &str) -> Vec<(String, Option<i64>)> {
    let read = read_table(database.path(), table).unwrap();
    let pairs = |batch: &RecordBatch| {
        let ids = batch.column_by_name("id").unwrap().as_string::<i32>().clone();
        let ns = batch.column_by_name("n").unwrap().as_primitive::<Int64Type>().clone();
        let ids: Vec<_> = ids.iter().map(|id| id.unwrap().to_owned()).collect();
        ids.into_iter().zip(ns.iter().collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    read.batches.iter().flat_map(pairs).collect()
}
