//! An index of recalls in a directory of its own, and what tests do with it.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field as Column, Schema, SchemaRef};
use bytes::Bytes;
use millstream_engine::ledger::{Assignment, Buckets, Entry, EntryKind};
use millstream_engine::{Delete, Outcome, Range, Rows, Sink, SinkError, Target, conformance};

use super::*;

pub(crate) const PIPELINE: &str = "app.search";
const COLUMNS: [&str; 6] = ["number", "firm", "product", "class", "date", "codes"];

pub(crate) const RECALLS: Index = Index {
    name: "recalls",
    key: "number",
    fields: &[
        Field { column: "number", kind: Kind::Id, suggest: true },
        Field { column: "firm", kind: Kind::Text { boost: 3.0 }, suggest: true },
        Field { column: "product", kind: Kind::Text { boost: 2.0 }, suggest: true },
        Field { column: "codes", kind: Kind::Text { boost: 0.5 }, suggest: false },
        Field { column: "class", kind: Kind::Facet, suggest: false },
        Field { column: "firm", kind: Kind::Facet, suggest: false },
        Field { column: "date", kind: Kind::Date, suggest: false },
    ],
};

/// Number, firm, product, class, date, codes; empty: null.
pub(crate) type Row<'a> = [&'a str; 6];

pub(crate) struct World {
    pub directory: tempfile::TempDir,
    pub index: Index,
}

impl World {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), index: RECALLS }
    }

    pub fn target(&self, seed: Option<Arc<dyn Seed>>) -> SearchTarget {
        SearchTarget::new(self.directory.path(), &self.index, seed)
    }

    pub fn reader(&self) -> SearchReader {
        SearchReader::new(self.directory.path(), &self.index)
    }

    pub async fn sink(&self) -> Box<dyn Sink> {
        self.target(None).connect(PIPELINE, &schema()).await.unwrap()
    }

    /// Everything a scan shows, as `number=firm`, sorted.
    pub async fn scan(&self) -> Result<Vec<String>, SinkError> {
        let mut seen = Vec::new();
        let mut visit = |batch: RecordBatch| {
            let column = |n: usize| batch.column(n).as_any().downcast_ref::<StringArray>().cloned();
            let (numbers, firms) = (column(0).unwrap(), column(1).unwrap());
            for row in 0..batch.num_rows() {
                seen.push(format!("{}={}", numbers.value(row), firms.value(row)));
            }
            Ok(())
        };
        self.target(None).scan(PIPELINE, &mut visit).await?;
        seen.sort();
        Ok(seen)
    }

    /// The names of the builds that are there.
    pub fn builds(&self) -> Vec<String> {
        let place = self.directory.path().join(self.index.name);
        let entries = std::fs::read_dir(place).unwrap().flatten();
        let directories = entries.filter(|entry| entry.path().is_dir());
        let mut names: Vec<_> =
            directories.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

pub(crate) fn schema() -> SchemaRef {
    let field = |name: &&str| Column::new(*name, DataType::Utf8, true);
    Arc::new(Schema::new(COLUMNS.iter().map(field).collect::<Vec<_>>()))
}

/// Rows whose versions count up from `version`.
pub(crate) fn rows(rows: &[Row<'_>], version: i64) -> Rows {
    let column = |n: usize| -> ArrayRef {
        let text = |row: &Row<'_>| Some(row[n].to_owned()).filter(|text| !text.is_empty());
        Arc::new(rows.iter().map(text).collect::<StringArray>())
    };
    let columns = (0..COLUMNS.len()).map(column).collect();
    Rows {
        batch: RecordBatch::try_new(schema(), columns).unwrap(),
        versions: Arc::new((version..).take(rows.len()).collect::<Int64Array>()),
    }
}

pub(crate) fn delete(key: &str, version: i64) -> Delete {
    Delete { key: Bytes::copy_from_slice(key.as_bytes()), version }
}

pub(crate) fn assignment(partition: u32) -> Assignment {
    conformance::assignment(PIPELINE, partition)
}

/// The range after the partition's last entry that does all this.
pub(crate) fn range(after: &Entry, rows: Vec<Rows>, deletes: Vec<Delete>) -> Range {
    let delivered: usize = rows.iter().map(|rows| rows.batch.num_rows()).sum();
    let entry = Entry {
        seq: after.seq + 1,
        start: after.next(),
        end: after.end + (delivered + deletes.len()) as i64,
        buckets: Buckets {
            delivered: delivered as u64,
            tombstones: deletes.len() as u64,
            ..Buckets::default()
        },
        rows: delivered as u64,
        kind: EntryKind::Range,
        ..after.clone()
    };
    Range { entry, rows, deletes }
}

/// Opens the partition and commits one range.
pub(crate) async fn put(
    sink: &mut Box<dyn Sink>,
    partition: u32,
    rows: Vec<Rows>,
    deletes: Vec<Delete>,
) -> Entry {
    let ours = assignment(partition);
    let after = sink.open(&ours).await.unwrap().entry().clone();
    let range = range(&after, rows, deletes);
    assert_eq!(sink.commit(&ours, &range).await.unwrap(), Outcome::Committed);
    range.entry
}

/// A seed of fixed rows, which may fail after the first batch.
#[derive(Debug, Default)]
pub(crate) struct Fixed {
    pub batches: Vec<Rows>,
    pub from: Option<&'static str>,
    pub fails: std::sync::atomic::AtomicBool,
    pub reads: std::sync::atomic::AtomicUsize,
}

#[async_trait::async_trait]
impl Seed for Fixed {
    async fn read(
        &self,
        visit: &mut (dyn FnMut(Rows) -> Result<(), SinkError> + Send),
    ) -> Result<Option<String>, SinkError> {
        self.reads.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        for batch in &self.batches {
            visit(batch.clone())?;
            if self.fails.swap(false, std::sync::atomic::Ordering::SeqCst) {
                return Err(SinkError::unavailable("read the snapshot", "the test said so"));
            }
        }
        Ok(self.from.map(str::to_owned))
    }
}
