//! The rows of a memory table and the three ways rows meet those that are there.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, new_null_array};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;

use crate::{Delete, Keeping, Range, Rows, SinkError};

/// A row's key, as text: the texts of its key columns.
type Key = Vec<String>;

#[derive(Debug, Default)]
pub(super) struct Table {
    keeping: Option<Keeping>,
    schema: Option<SchemaRef>,
    appended: Vec<RecordBatch>,
    /// Version and row; `None`: deleted at that version.
    latest: BTreeMap<Key, (i64, Option<RecordBatch>)>,
    /// A row that bears the key, and the sum.
    sums: BTreeMap<Key, (RecordBatch, i64)>,
}

impl Table {
    pub fn new(keeping: Keeping) -> Self {
        Self { keeping: Some(keeping), ..Self::default() }
    }

    /// Takes the schema over; a column that is new is null in the rows that are there.
    pub fn connect(&mut self, schema: &SchemaRef) -> Result<(), SinkError> {
        let Some(before) = &self.schema else {
            self.schema = Some(schema.clone());
            return Ok(());
        };
        for field in before.fields() {
            let now = schema.field_with_name(field.name()).map(Field::data_type);
            if now.ok() != Some(field.data_type()) {
                return Err(SinkError::refused(
                    "connect to the table",
                    format!("column {} is missing or has another type", field.name()),
                    "use a new table",
                ));
            }
        }
        let added =
            schema.fields().iter().filter(|field| before.field_with_name(field.name()).is_err());
        let added = added.map(|field| Arc::new(field.as_ref().clone().with_nullable(true)));
        let fields: Vec<_> = before.fields().iter().cloned().chain(added).collect();
        self.schema = Some(Arc::new(Schema::new(fields)));
        Ok(())
    }

    /// Everything, as one batch.
    pub fn rows(&self) -> Result<Option<RecordBatch>, SinkError> {
        let Some(schema) = &self.schema else { return Ok(None) };
        let rows: Result<Vec<_>, ArrowError> = match &self.keeping {
            Some(Keeping::Upsert { .. }) => self
                .latest
                .values()
                .filter_map(|(_, row)| row.as_ref())
                .map(|row| fit(row, schema))
                .collect(),
            Some(Keeping::Count { count, .. }) => {
                self.sums.values().map(|(row, sum)| with_sum(row, count, *sum)).collect()
            }
            _ => self.appended.iter().map(|batch| fit(batch, schema)).collect(),
        };
        rows.and_then(|rows| concat_batches(schema, &rows)).map(Some).map_err(broken)
    }

    /// All of the range, or on an error nothing of it.
    pub fn apply(&mut self, range: &Range) -> Result<(), SinkError> {
        match self.keeping.clone() {
            Some(Keeping::Upsert { key }) => self.apply_latest(range, &key),
            _ if !range.deletes.is_empty() => Err(SinkError::refused(
                "delete keys",
                "only a table with one row per key can take the tombstones of a compacted topic",
                "use an upsert table",
            )),
            Some(Keeping::Count { key, count }) => self.apply_sums(range, &key, &count),
            _ => {
                self.appended.extend(range.rows.iter().map(|rows| rows.batch.clone()));
                Ok(())
            }
        }
    }

    /// What is there stays unless the version is higher: rows may come in any order and more than once.
    fn apply_latest(&mut self, range: &Range, key: &[String]) -> Result<(), SinkError> {
        let mut changes = Vec::new();
        for Rows { batch, versions } in &range.rows {
            for (row, version) in versions.values().iter().enumerate() {
                changes.push((key_of(batch, key, row)?, *version, Some(batch.slice(row, 1))));
            }
        }
        for delete in &range.deletes {
            changes.push((deleted_key(delete, key.len())?, delete.version, None));
        }
        for (key, version, row) in changes {
            if self.latest.get(&key).is_none_or(|(there, _)| version > *there) {
                self.latest.insert(key, (version, row));
            }
        }
        Ok(())
    }

    fn apply_sums(&mut self, range: &Range, key: &[String], count: &str) -> Result<(), SinkError> {
        let mut deltas: BTreeMap<Key, (RecordBatch, i128)> = BTreeMap::new();
        for Rows { batch, .. } in &range.rows {
            let counts = counts_of(batch, count)?;
            for row in 0..batch.num_rows() {
                let sum =
                    deltas.entry(key_of(batch, key, row)?).or_insert((batch.slice(row, 1), 0));
                sum.1 += i128::from(counts.value(row));
            }
        }
        let mut sums = Vec::new();
        for (key, (row, delta)) in deltas {
            let sum = delta + i128::from(self.sums.get(&key).map_or(0, |(_, sum)| *sum));
            let sum = i64::try_from(sum).map_err(|_| too_large(&key))?;
            sums.push((key, (row, sum)));
        }
        self.sums.extend(sums);
        Ok(())
    }
}

fn counts_of<'a>(batch: &'a RecordBatch, count: &str) -> Result<&'a Int64Array, SinkError> {
    let column = batch.column_by_name(count).filter(|column| column.null_count() == 0);
    column.and_then(|column| column.as_primitive_opt::<Int64Type>()).ok_or_else(|| {
        SinkError::refused(
            "add up counts",
            format!("column {count} is not there, is no BIGINT or has nulls"),
            "correct the pipeline's SQL",
        )
    })
}

fn too_large(key: &[String]) -> SinkError {
    SinkError::refused(
        "add up counts",
        format!("the count of {key:?} leaves the range of 64 bits"),
        "correct the deltas and start with a new table",
    )
}

fn key_of(batch: &RecordBatch, key: &[String], row: usize) -> Result<Key, SinkError> {
    let text = |name: &String| match batch.column_by_name(name) {
        Some(column) if column.is_valid(row) => array_value_to_string(column, row).map_err(broken),
        _ => Err(SinkError::refused(
            "file a row by its key",
            format!("key column {name} is not there or null"),
            "correct the pipeline's SQL",
        )),
    };
    key.iter().map(text).collect()
}

/// A tombstone's key: the text of the one key column, or a JSON array of texts where there are several.
fn deleted_key(delete: &Delete, columns: usize) -> Result<Key, SinkError> {
    let bad = |why: String| {
        SinkError::refused(
            format!("delete key {:?}", String::from_utf8_lossy(&delete.key)),
            why,
            "see what the topic is keyed by, or pass the record with `millstream position skip`",
        )
    };
    if columns == 1 {
        let key = std::str::from_utf8(&delete.key).map_err(|error| bad(error.to_string()))?;
        return Ok(vec![key.to_owned()]);
    }
    let key: Key = serde_json::from_slice(&delete.key).map_err(|error| bad(error.to_string()))?;
    if key.len() == columns { Ok(key) } else { Err(bad(format!("the key has {columns} columns"))) }
}

/// The batch with the columns of `schema`, by name.
fn fit(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let column = |field: &Arc<Field>| match batch.column_by_name(field.name()) {
        Some(column) => column.clone(),
        None => new_null_array(field.data_type(), batch.num_rows()),
    };
    RecordBatch::try_new(schema.clone(), schema.fields().iter().map(column).collect())
}

fn with_sum(row: &RecordBatch, count: &str, sum: i64) -> Result<RecordBatch, ArrowError> {
    let mut columns = row.columns().to_vec();
    let index = row.schema().index_of(count)?;
    if row.column(index).data_type() == &DataType::Int64 {
        columns[index] = Arc::new(Int64Array::from(vec![sum])) as ArrayRef;
    }
    RecordBatch::try_new(row.schema(), columns)
}

fn broken(error: ArrowError) -> SinkError {
    SinkError::refused("put rows together", error.to_string(), "report this as a bug of the sink")
}
