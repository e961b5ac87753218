//! The rows the cases write and the way a scan is compared with them.

use std::ops::RangeInclusive;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use millstream_topic::TopicPartition;

use super::{Fixture, PIPELINE};
use crate::ledger::{Assignment, Buckets, Entry, EntryKind, Genesis, LastRecord};
use crate::{Keeping, Range, Rows, Sink, Standing};

/// Key of the upserted rows.
pub const UPSERT_KEY: &[&str] = &["id"];
/// Key of the counted rows.
pub const COUNT_KEY: &[&str] = &["word", "day"];
/// The counted column.
pub const COUNT: &str = "count";
/// Columns of the appended rows that may be Hive partitions; never null.
pub const PARTITION_BY: &[&str] = &["day"];

static ROWS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Utf8, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("amount", DataType::Int64, true),
        Field::new("ratio", DataType::Float64, true),
        Field::new("fine", DataType::Boolean, true),
        Field::new("since", DataType::Date32, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), true),
        Field::new("day", DataType::Date32, true),
    ]))
});

static COUNTS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("word", DataType::Utf8, true),
        Field::new("day", DataType::Date32, true),
        Field::new("count", DataType::Int64, true),
    ]))
});

/// The columns that the suite writes into a target of this keeping.
pub fn schema(keeping: &Keeping) -> SchemaRef {
    match keeping {
        Keeping::Count { .. } => COUNTS.clone(),
        _ => ROWS.clone(),
    }
}

/// One appended or upserted row.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub id: String,
    pub name: Option<String>,
    pub amount: Option<i64>,
    pub ratio: Option<f64>,
    pub fine: Option<bool>,
    pub since: Option<i32>,
    pub at: Option<i64>,
    pub day: i32,
}

pub(super) fn batch(rows: &[Row]) -> RecordBatch {
    let at: TimestampMillisecondArray = rows.iter().map(|row| row.at).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| Some(&row.id)).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.name.as_ref()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.amount).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.ratio).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|row| row.fine).collect::<BooleanArray>()),
        Arc::new(rows.iter().map(|row| row.since).collect::<Date32Array>()),
        Arc::new(at.with_timezone("UTC")),
        Arc::new(rows.iter().map(|row| Some(row.day)).collect::<Date32Array>()),
    ];
    RecordBatch::try_new(ROWS.clone(), columns).expect("the columns fit the schema")
}

pub(super) fn counts(rows: &[(&str, i64)]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|(word, _)| Some(word)).collect::<StringArray>()),
        Arc::new(rows.iter().map(|_| Some(20_000)).collect::<Date32Array>()),
        Arc::new(rows.iter().map(|(_, count)| Some(*count)).collect::<Int64Array>()),
    ];
    RecordBatch::try_new(COUNTS.clone(), columns).expect("the columns fit the schema")
}

/// The rows of these offsets: one each, with a key of its own, and on two days by turns.
pub fn records(
    keeping: &Keeping,
    at: &TopicPartition,
    offsets: RangeInclusive<i64>,
) -> RecordBatch {
    let key = |offset: i64| format!("{at}@{offset}");
    if let Keeping::Count { .. } = keeping {
        let rows: Vec<_> = offsets.map(|offset| (key(offset), 1)).collect();
        return counts(&rows.iter().map(|(key, one)| (key.as_str(), *one)).collect::<Vec<_>>());
    }
    let row = |offset: i64| Row {
        id: key(offset),
        amount: Some(offset),
        day: 20_000 + (offset % 2) as i32,
        ..Row::default()
    };
    batch(&offsets.map(row).collect::<Vec<_>>())
}

/// Partition `partition` of the suite's topic, for the pipeline `pipeline`.
pub fn assignment(pipeline: &str, partition: u32) -> Assignment {
    Assignment {
        pipeline: pipeline.to_owned(),
        at: TopicPartition::new("suite_topic", partition),
        genesis: Genesis { cluster: "c1".to_owned(), topic_id: "t1".to_owned(), first_offset: 0 },
        fingerprint: "code 1".to_owned(),
    }
}

/// The range of `count` records after `after`, with the rows of [`records`].
pub fn range(keeping: &Keeping, assignment: &Assignment, after: &Entry, count: i64) -> Range {
    let last = after.end + count;
    let batch = records(keeping, &assignment.at, after.next()..=last);
    let versions = (after.next()..=last).map(|offset| 1_000 * (offset + 1)).collect();
    range_of(after, vec![(batch, versions)])
}

/// The range after `after` that holds these rows, each of a record of its own.
pub(super) fn range_of(after: &Entry, parts: Vec<(RecordBatch, Vec<i64>)>) -> Range {
    let count: usize = parts.iter().map(|(batch, _)| batch.num_rows()).sum();
    let end = after.end + count as i64;
    let version = parts.iter().flat_map(|(_, versions)| versions).max().copied();
    let entry = Entry {
        seq: after.seq + 1,
        start: after.next(),
        end,
        buckets: Buckets { delivered: count as u64, ..Buckets::default() },
        rows: count as u64,
        version: version.unwrap_or(after.version),
        last: Some(LastRecord { offset: end, timestamp_ms: 1_700_000_000_000, checksum: 7 }),
        kind: EntryKind::Range,
        closed_ms: 1_700_000_000_001,
        ..after.clone()
    };
    let rows = parts
        .into_iter()
        .map(|(batch, versions)| Rows { batch, versions: Arc::new(versions.into()) });
    Range { entry, rows: rows.collect(), deletes: Vec::new() }
}

/// A range of upserts whose rows are `(id, amount, version)`.
pub(super) fn upserts(after: &Entry, rows: &[(&str, i64, i64)]) -> Range {
    let made = rows.iter().map(|(id, amount, _)| Row {
        id: (*id).to_owned(),
        amount: Some(*amount),
        ..Row::default()
    });
    let versions = rows.iter().map(|(_, _, version)| *version).collect();
    range_of(after, vec![(batch(&made.collect::<Vec<_>>()), versions)])
}

impl Fixture {
    /// A worker's connection.
    pub(super) async fn connect(&self) -> Box<dyn Sink> {
        let schema = schema(&self.keeping());
        self.target.connect(PIPELINE, &schema).await.expect("connect to the target")
    }

    /// A scan as lines of text, sorted: each row's `column=value` in the order of the suite's columns.
    pub(super) async fn scan(&self) -> Vec<String> {
        let names = schema(&self.keeping());
        let names: Vec<_> = names.fields().iter().map(|field| field.name().clone()).collect();
        let mut seen = Vec::new();
        for batch in self.batches().await {
            seen.extend(lines(&batch, &names, self.null_is_empty));
        }
        seen.sort();
        seen
    }

    pub(super) async fn batches(&self) -> Vec<RecordBatch> {
        let mut batches = Vec::new();
        let mut visit = |batch| {
            batches.push(batch);
            Ok(())
        };
        self.target.scan(PIPELINE, &mut visit).await.expect("scan the target");
        batches
    }

    /// `expected` as [`Fixture::scan`] shows it.
    pub(super) fn lines(&self, expected: &[RecordBatch]) -> Vec<String> {
        let names = schema(&self.keeping());
        let names: Vec<_> = names.fields().iter().map(|field| field.name().clone()).collect();
        let mut lines: Vec<_> =
            expected.iter().flat_map(|batch| lines(batch, &names, self.null_is_empty)).collect();
        lines.sort();
        lines
    }

    /// Panics unless a scan shows exactly these rows, in any order.
    pub(super) async fn shows(&self, expected: &[RecordBatch], when: &str) {
        assert_eq!(self.scan().await, self.lines(expected), "rows {when} (left: seen)");
    }
}

/// The last entry of a partition that nobody left half done.
pub(super) async fn last(sink: &mut Box<dyn Sink>, assignment: &Assignment) -> Entry {
    match sink.open(assignment).await.expect("open the partition") {
        Standing::At(entry) => entry,
        planned => panic!("nobody left a range half done, yet open says {planned:?}"),
    }
}

/// Rows as text. A column that is not there is null: older data may lack it.
pub(super) fn lines(batch: &RecordBatch, names: &[String], null_is_empty: bool) -> Vec<String> {
    let null = if null_is_empty { "" } else { "∅" };
    let options = FormatOptions::new().with_null(null);
    let columns: Vec<_> = names
        .iter()
        .filter_map(|name| {
            let column = batch.column_by_name(name)?;
            let texts =
                ArrayFormatter::try_new(column.as_ref(), &options).expect("format a column");
            let texts: Vec<_> =
                (0..batch.num_rows()).map(|row| texts.value(row).to_string()).collect();
            Some((name, texts))
        })
        .collect();
    let cell = |row: usize, name: &String| {
        let column = columns.iter().find(|(known, _)| *known == name);
        let text = column.map_or(null, |(_, texts)| texts[row].as_str());
        format!("{name}={text:?}")
    };
    let line = |row| names.iter().map(|name| cell(row, name)).collect::<Vec<_>>().join(" ");
    (0..batch.num_rows()).map(line).collect()
}
