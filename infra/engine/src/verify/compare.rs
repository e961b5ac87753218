use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};

use super::Report;
use crate::batch::Worked;
use crate::pipeline::Pipeline;
use crate::sink::{Keeping, SinkError};

/// What the records say the sink should hold, by hashes of rows or keys. Columns that were looked up are not compared,
/// as the table may hold something else by now; but every row has to tell in which snapshot they were.
pub(super) struct Expected {
    schema: SchemaRef,
    /// The columns that are compared.
    whole: Vec<String>,
    /// The columns with the versions of lookup tables.
    versions: Vec<String>,
    hash: BuildHasherDefault<DefaultHasher>,
    held: Held,
}

enum Held {
    /// Row → how often.
    Append(HashMap<u64, i64>),
    /// Key → version, and the whole row (`None`: deleted).
    Upsert { key: Vec<String>, rows: HashMap<u64, (i64, Option<u64>)> },
    /// Key → sum.
    Count { key: Vec<String>, count: String, sums: HashMap<u64, i64> },
}

impl Expected {
    pub(super) fn new(pipeline: &Pipeline) -> Self {
        let held = match pipeline.target.about().keeping {
            Keeping::Append => Held::Append(HashMap::new()),
            Keeping::Upsert { key } => Held::Upsert { key, rows: HashMap::new() },
            Keeping::Count { key, count } => Held::Count { key, count, sums: HashMap::new() },
        };
        let schema = pipeline.schema();
        let names = schema.fields().iter().map(|field| field.name().clone());
        let looked_up = pipeline.transform.looked_up();
        let whole = names.filter(|name| !looked_up.contains(name)).collect();
        let versions = pipeline.lookups().iter().map(|lookup| lookup.version_column()).collect();
        Self { schema, whole, versions, hash: BuildHasherDefault::default(), held }
    }

    pub(super) fn add(&mut self, worked: Worked) -> Result<(), ArrowError> {
        for rows in &worked.rows {
            match &mut self.held {
                Held::Append(held) => {
                    for row in hashes(&self.hash, &rows.batch, &self.whole)? {
                        *held.entry(row).or_default() += 1;
                    }
                }
                Held::Upsert { key, rows: held } => {
                    let keys = hashes(&self.hash, &rows.batch, key)?;
                    let whole = hashes(&self.hash, &rows.batch, &self.whole)?;
                    for ((key, row), version) in
                        keys.into_iter().zip(whole).zip(rows.versions.values())
                    {
                        newer(held, key, *version, Some(row));
                    }
                }
                Held::Count { key, count, sums } => {
                    let deltas = counts(&rows.batch, count);
                    for (row, key) in hashes(&self.hash, &rows.batch, key)?.iter().enumerate() {
                        *sums.entry(*key).or_default() += deltas.value(row);
                    }
                }
            }
        }
        self.delete(worked)
    }

    /// A record's key is the table's, as text: compacted topics go into tables of one key column.
    fn delete(&mut self, worked: Worked) -> Result<(), ArrowError> {
        let Held::Upsert { key, rows } = &mut self.held else { return Ok(()) };
        let Some(name) = key.first().filter(|_| !worked.deletes.is_empty()) else { return Ok(()) };
        let kind = self.schema.field_with_name(name)?.data_type().clone();
        for delete in worked.deletes {
            let text = String::from_utf8_lossy(&delete.key);
            let column: ArrayRef = Arc::new(StringArray::from(vec![text.as_ref()]));
            for key in hash_columns(&self.hash, &[cast(&column, &kind)?])? {
                newer(rows, key, delete.version, None);
            }
        }
        Ok(())
    }

    /// Scans the sink and counts what differs.
    pub(super) async fn hold_against(
        mut self,
        pipeline: &Pipeline,
        report: &mut Report,
    ) -> Result<(), SinkError> {
        let (mut duplicated, mut unversioned) = (0, 0);
        let schema = self.schema.clone();
        let mut visit = |batch: RecordBatch| {
            let batch = as_declared(&schema, &batch)?;
            let versions = self.versions.iter().filter_map(|name| batch.column_by_name(name));
            unversioned += versions.map(Array::null_count).sum::<usize>();
            duplicated += self.strike_out(&batch).map_err(|error| refused(error.to_string()))?;
            Ok(())
        };
        pipeline.target.scan(&pipeline.id(), &mut visit).await?;
        let lost = self.left();
        if unversioned > 0 {
            report.problem(format!(
                "{unversioned} rows don't tell in which snapshot of a lookup table they were looked up"
            ));
        }
        if lost + duplicated > 0 {
            let about = pipeline.target.about();
            report.problem(format!(
                "table {} in {}: {lost} lost, {duplicated} too many",
                about.table, about.place
            ));
        }
        report.lost += lost;
        report.duplicated += duplicated;
        Ok(())
    }

    /// Removes found rows from what is expected; tells how many were too many.
    fn strike_out(&mut self, batch: &RecordBatch) -> Result<u64, ArrowError> {
        let whole = hashes(&self.hash, batch, &self.whole)?;
        Ok(match &mut self.held {
            Held::Append(held) => {
                whole.into_iter().filter(|row| !take_one(held, *row)).count() as u64
            }
            Held::Upsert { key, rows } => {
                let keys = hashes(&self.hash, batch, key)?;
                let mut over = 0;
                for (key, row) in keys.into_iter().zip(whole) {
                    match rows.get(&key) {
                        Some((_, Some(expected))) if *expected == row => {
                            rows.remove(&key);
                        }
                        // A stale or wrong row: the right one stays among the lost.
                        Some((_, Some(_))) => {}
                        _ => over += 1,
                    }
                }
                over
            }
            Held::Count { key, count, sums } => {
                let found = counts(batch, count);
                let mut over = 0;
                for (row, key) in hashes(&self.hash, batch, key)?.iter().enumerate() {
                    let left = sums.remove(key).unwrap_or_default() - found.value(row);
                    over += (-left).max(0) as u64;
                    if left > 0 {
                        sums.insert(*key, left);
                    }
                }
                over
            }
        })
    }

    /// What was expected and not found.
    fn left(&self) -> u64 {
        match &self.held {
            Held::Append(held) => held.values().map(|count| *count as u64).sum(),
            Held::Upsert { rows, .. } => {
                rows.values().filter(|(_, row)| row.is_some()).count() as u64
            }
            Held::Count { sums, .. } => sums.values().map(|sum| sum.unsigned_abs()).sum(),
        }
    }
}

fn newer(held: &mut HashMap<u64, (i64, Option<u64>)>, key: u64, version: i64, row: Option<u64>) {
    let before = held.entry(key).or_insert((version, row));
    // As sinks do: of equal versions the first one stays.
    if version > before.0 {
        *before = (version, row);
    }
}

fn take_one(held: &mut HashMap<u64, i64>, row: u64) -> bool {
    match held.get_mut(&row) {
        Some(count) if *count > 1 => *count -= 1,
        Some(_) => {
            held.remove(&row);
        }
        None => return false,
    }
    true
}

fn counts(batch: &RecordBatch, count: &str) -> Int64Array {
    let column = batch.column_by_name(count).and_then(|c| c.as_primitive_opt::<Int64Type>());
    column.cloned().unwrap_or_else(|| Int64Array::from(vec![0; batch.num_rows()]))
}

/// Columns in the order and of the types that the pipeline declares.
fn as_declared(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch, SinkError> {
    let columns = schema
        .fields()
        .iter()
        .map(|field| {
            let column = batch
                .column_by_name(field.name())
                .ok_or_else(|| refused(format!("column `{}` is missing", field.name())))?;
            cast(column, field.data_type()).map_err(|error| refused(error.to_string()))
        })
        .collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(schema.clone(), columns).map_err(|error| refused(error.to_string()))
}

fn refused(why: String) -> SinkError {
    SinkError::refused("compare rows", why, "look at the table's columns with `millstream query`")
}

/// One hash a row, over the named columns.
fn hashes(
    hash: &BuildHasherDefault<DefaultHasher>,
    batch: &RecordBatch,
    columns: &[String],
) -> Result<Vec<u64>, ArrowError> {
    let columns = columns.iter().filter_map(|name| batch.column_by_name(name).cloned());
    let columns: Vec<ArrayRef> = columns.collect();
    hash_columns(hash, &columns)
}

fn hash_columns(
    hash: &BuildHasherDefault<DefaultHasher>,
    columns: &[ArrayRef],
) -> Result<Vec<u64>, ArrowError> {
    let fields = columns.iter().map(|c| SortField::new(c.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(columns)?;
    Ok(rows.iter().map(|row| hash.hash_one(row.data())).collect())
}
