//! An index of recalls: its rows, ranges of them, and seeds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field as Column, Schema, SchemaRef};
use async_trait::async_trait;
use bytes::Bytes;
use millstream_engine::ledger::{Assignment, Buckets, Entry, EntryKind};
use millstream_engine::{Delete, Outcome, Range, Rows, Sink, SinkError, Target, conformance};

use crate::search::{Field, Index, Kind, Seed};

/// The name every case connects with.
pub const PIPELINE: &str = "app.search";
const COLUMNS: [&str; 6] = ["number", "firm", "product", "class", "date", "codes"];

/// Every kind of field, and a column that is searched in two ways.
pub const RECALLS: Index = Index {
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
pub type Row<'a> = [&'a str; 6];

/// All columns are texts.
pub fn schema() -> SchemaRef {
    let field = |name: &&str| Column::new(*name, DataType::Utf8, true);
    Arc::new(Schema::new(COLUMNS.iter().map(field).collect::<Vec<_>>()))
}

/// Rows whose versions count up from `version`.
pub fn rows(rows: &[Row<'_>], version: i64) -> Rows {
    let column = |n: usize| -> ArrayRef {
        let text = |row: &Row<'_>| Some(row[n].to_owned()).filter(|text| !text.is_empty());
        Arc::new(rows.iter().map(text).collect::<StringArray>())
    };
    let columns = (0..COLUMNS.len()).map(column).collect();
    Rows {
        batch: RecordBatch::try_new(schema(), columns).expect("the columns fit the schema"),
        versions: Arc::new((version..).take(rows.len()).collect::<Int64Array>()),
    }
}

/// A deletion of one row.
pub fn delete(key: &str, version: i64) -> Delete {
    Delete { key: Bytes::copy_from_slice(key.as_bytes()), version }
}

/// A partition of the suite's topic.
pub fn assignment(partition: u32) -> Assignment {
    conformance::assignment(PIPELINE, partition)
}

/// The range after the partition's last entry that does all this.
pub fn range(after: &Entry, rows: Vec<Rows>, deletes: Vec<Delete>) -> Range {
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

/// Where the partition stands when it is opened.
pub async fn opened(sink: &mut Box<dyn Sink>, partition: u32) -> Entry {
    let standing = sink.open(&assignment(partition)).await;
    standing.expect("open a partition").entry().clone()
}

/// Opens the partition and commits one range.
pub async fn put(
    sink: &mut Box<dyn Sink>,
    partition: u32,
    rows: Vec<Rows>,
    deletes: Vec<Delete>,
) -> Entry {
    let range = range(&opened(sink, partition).await, rows, deletes);
    let committed = sink.commit(&assignment(partition), &range).await.expect("commit a range");
    assert_eq!(committed, Outcome::Committed);
    range.entry
}

/// Everything a scan shows, as `number=firm`, sorted.
pub async fn scan(target: &dyn Target) -> Result<Vec<String>, SinkError> {
    let mut seen = Vec::new();
    let mut visit = |batch: RecordBatch| {
        let column = |n: usize| batch.column(n).as_any().downcast_ref::<StringArray>().cloned();
        let (numbers, firms) = (column(0).expect("numbers"), column(1).expect("firms"));
        for row in 0..batch.num_rows() {
            let firm = if firms.is_null(row) { "" } else { firms.value(row) };
            seen.push(format!("{}={firm}", numbers.value(row)));
        }
        Ok(())
    };
    target.scan(PIPELINE, &mut visit).await?;
    seen.sort();
    Ok(seen)
}

/// A seed of fixed rows, which may fail after the first batch.
#[derive(Debug, Default)]
pub struct Fixed {
    pub batches: Vec<Rows>,
    pub from: Option<&'static str>,
    pub fails: AtomicBool,
    pub reads: AtomicUsize,
}

#[async_trait]
impl Seed for Fixed {
    async fn read(
        &self,
        visit: &mut (dyn FnMut(Rows) -> Result<(), SinkError> + Send),
    ) -> Result<Option<String>, SinkError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        for batch in &self.batches {
            visit(batch.clone())?;
            if self.fails.swap(false, Ordering::SeqCst) {
                return Err(SinkError::unavailable("read the snapshot", "the test said so"));
            }
        }
        Ok(self.from.map(str::to_owned))
    }
}
