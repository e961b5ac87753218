//! A range's rows as one change per key, in key order. Knows no database: every SQL sink needs just this, so
//! that transactions lock rows in one order and no key is written twice.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, new_null_array};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Int64Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{Row, RowConverter, Rows as KeyRows, SortField};
use millstream_engine::{Delete, Range, Rows, SinkError};

use super::layout::{Kept, Layout, plain};
use super::values::{Stored, exact, from_texts};

/// What a range does to a table.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    /// The values, by column name.
    pub columns: Vec<(String, Stored)>,
    /// One per key, in key order.
    pub changes: Vec<Change>,
}

impl Merged {
    /// The values of a column; `None`: the range knows nothing of it.
    pub fn column(&self, name: &str) -> Option<&Stored> {
        self.columns.iter().find(|(known, _)| known == name).map(|(_, stored)| stored)
    }
}

/// What happens to one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Where its values are.
    pub row: usize,
    pub action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Write the row at this version.
    Put(i64),
    /// Take the row away at this version.
    Delete(i64),
    /// Add this to the count.
    Add(i64),
}

/// Refused, nothing of it done: a key or count that is null, a sum beyond 64 bits, a delete on a counter.
pub(crate) fn merge(layout: &Layout, range: &Range) -> Result<Merged, SinkError> {
    let (values, changes) = changes(layout, range)?;
    let broken = |error: ArrowError| refused(layout, &error.to_string());
    let mut columns = Vec::new();
    if values.num_rows() > 0 {
        for (field, column) in values.schema_ref().fields().iter().zip(values.columns()) {
            columns.push((field.name().clone(), Stored::of(column).map_err(broken)?));
        }
    }
    Ok(Merged { columns, changes })
}

/// As [`merge`], with the values as Arrow has them: columns in the layout's order and of [`plain`] types.
pub(crate) fn changes(
    layout: &Layout,
    range: &Range,
) -> Result<(RecordBatch, Vec<Change>), SinkError> {
    let refuse = |why: &str| refused(layout, why);
    if matches!(layout.kept, Kept::Count { .. }) && !range.deletes.is_empty() {
        return Err(refuse("a counter can't take the tombstones of a compacted topic"));
    }
    let (values, versions) = gather(layout, range)?;
    if values.num_rows() == 0 {
        return Ok((values, Vec::new()));
    }
    let keys = keys(layout, &values)?;
    let changes = match &layout.kept {
        Kept::Upsert { .. } => latest(&keys, &versions, range),
        Kept::Count { count, .. } => sums(layout, &keys, &values, count)?,
    };
    Ok((values, changes))
}

/// All rows, then all deleted keys (with null in the other columns), and the version of each.
fn gather(layout: &Layout, range: &Range) -> Result<(RecordBatch, Vec<i64>), SinkError> {
    let schema = plain_schema(layout);
    let mut batches = Vec::new();
    let mut versions = Vec::new();
    for Rows { batch, versions: theirs } in &range.rows {
        if theirs.len() != batch.num_rows() {
            return Err(refused(layout, "there is not one version per row"));
        }
        batches.push(fit(layout, batch, &schema)?);
        versions.extend_from_slice(theirs.values());
    }
    if !range.deletes.is_empty() {
        batches.push(deleted(layout, &range.deletes, &schema)?);
        versions.extend(range.deletes.iter().map(|delete| delete.version));
    }
    let all = concat_batches(&schema, &batches).map_err(|e| refused(layout, &e.to_string()))?;
    Ok((all, versions))
}

fn plain_schema(layout: &Layout) -> SchemaRef {
    let field = |field: &Arc<Field>| Field::new(field.name(), plain(field.data_type()), true);
    Arc::new(Schema::new(layout.schema.fields().iter().map(field).collect::<Vec<_>>()))
}

fn fit(layout: &Layout, batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, SinkError> {
    let column = |field: &Arc<Field>| -> Result<ArrayRef, SinkError> {
        let name = field.name();
        let column = batch.column_by_name(name);
        let Some(column) = column.filter(|c| plain(c.data_type()) == *field.data_type()) else {
            return Err(refused(
                layout,
                &format!("the rows have no column {name:?} of type {}", field.data_type()),
            ));
        };
        if layout.kept.required().contains(name) && column.null_count() > 0 {
            return Err(refused(layout, &format!("column {name:?} is null in a row")));
        }
        exact(column, field.data_type()).map_err(|error| refused(layout, &error.to_string()))
    };
    if batch.num_columns() != schema.fields().len() {
        return Err(refused(
            layout,
            "the rows have other columns than the table was connected with",
        ));
    }
    let columns: Result<Vec<_>, _> = schema.fields().iter().map(column).collect();
    RecordBatch::try_new(schema.clone(), columns?).map_err(|e| refused(layout, &e.to_string()))
}

/// The deleted keys as rows. A record's key is the text of the one key column, or a JSON array of texts in the
/// order of the key's columns.
fn deleted(
    layout: &Layout,
    deletes: &[Delete],
    schema: &SchemaRef,
) -> Result<RecordBatch, SinkError> {
    let key = layout.kept.key();
    let mut texts = vec![Vec::new(); key.len()];
    for delete in deletes {
        for (column, text) in texts.iter_mut().zip(key_texts(delete, key.len())?) {
            column.push(text);
        }
    }
    let column = |field: &Arc<Field>| match key.iter().position(|name| name == field.name()) {
        Some(index) => from_texts(&StringArray::from(texts[index].clone()), field.data_type()),
        None => Ok(new_null_array(field.data_type(), deletes.len())),
    };
    let columns: Result<Vec<_>, _> = schema.fields().iter().map(column).collect();
    columns
        .and_then(|columns| RecordBatch::try_new(schema.clone(), columns))
        .map_err(|error| bad_key(&deletes[0], &error.to_string()))
}

fn key_texts(delete: &Delete, columns: usize) -> Result<Vec<String>, SinkError> {
    if columns == 1 {
        let text = std::str::from_utf8(&delete.key).map_err(|e| bad_key(delete, &e.to_string()))?;
        return Ok(vec![text.to_owned()]);
    }
    let texts: Vec<String> =
        serde_json::from_slice(&delete.key).map_err(|error| bad_key(delete, &error.to_string()))?;
    if texts.len() != columns {
        return Err(bad_key(delete, &format!("the table's key has {columns} columns")));
    }
    Ok(texts)
}

/// The key of each row in a form whose order is the order of the keys.
fn keys(layout: &Layout, values: &RecordBatch) -> Result<KeyRows, SinkError> {
    let columns: Vec<ArrayRef> =
        layout.kept.key().iter().filter_map(|name| values.column_by_name(name).cloned()).collect();
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    RowConverter::new(fields)
        .and_then(|converter| converter.convert_columns(&columns))
        .map_err(|error| refused(layout, &error.to_string()))
}

/// Per key, the highest version; of equal versions the first, as in the table itself.
fn latest(keys: &KeyRows, versions: &[i64], range: &Range) -> Vec<Change> {
    let rows = versions.len() - range.deletes.len();
    // Keys are found by hash and then put in order: there are far fewer of them than rows.
    let mut highest: HashMap<Row<'_>, usize> = HashMap::new();
    for (row, version) in versions.iter().enumerate() {
        let kept = highest.entry(keys.row(row)).or_insert(row);
        if *version > versions[*kept] {
            *kept = row;
        }
    }
    let mut order: Vec<usize> = highest.into_values().collect();
    order.sort_unstable_by_key(|&row| keys.row(row));
    let action = |row| match versions[row] {
        version if row < rows => Action::Put(version),
        version => Action::Delete(version),
    };
    order.into_iter().map(|row| Change { row, action: action(row) }).collect()
}

/// Per key, the sum. Wide enough inside, so that no order of the deltas matters.
fn sums(
    layout: &Layout,
    keys: &KeyRows,
    values: &RecordBatch,
    count: &str,
) -> Result<Vec<Change>, SinkError> {
    let deltas =
        values.column_by_name(count).and_then(|column| column.as_primitive_opt::<Int64Type>());
    let Some(deltas) = deltas else {
        return Err(refused(layout, &format!("the rows have no column {count:?} of type Int64")));
    };
    let mut sums: HashMap<Row<'_>, (usize, i128)> = HashMap::new();
    for (row, delta) in deltas.values().iter().enumerate() {
        sums.entry(keys.row(row)).or_insert((row, 0)).1 += i128::from(*delta);
    }
    let mut sums: Vec<(usize, i128)> = sums.into_values().collect();
    sums.sort_unstable_by_key(|(row, _)| keys.row(*row));
    let change = |(row, sum): (usize, i128)| {
        let sum = i64::try_from(sum)
            .map_err(|_| refused(layout, "the range's sum for one key is beyond 64 bits"))?;
        Ok(Change { row, action: Action::Add(sum) })
    };
    sums.into_iter().map(change).collect()
}

fn refused(layout: &Layout, why: &str) -> SinkError {
    SinkError::refused(
        format!("merge a range's rows for table {}", layout.table),
        why,
        "correct the pipeline's SQL or its table",
    )
}

fn bad_key(delete: &Delete, why: &str) -> SinkError {
    SinkError::refused(
        format!("delete key {:?}", String::from_utf8_lossy(&delete.key)),
        why,
        "see what the topic is keyed by, or pass the record with `millstream position skip`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringViewArray};
    use arrow::datatypes::DataType;
    use bytes::Bytes;
    use millstream_engine::conformance;
    use millstream_engine::ledger::Entry;

    fn layout(kept: Kept) -> Layout {
        let fields =
            vec![Field::new("k", DataType::Utf8View, true), Field::new("n", DataType::Int64, true)];
        Layout::new("t", &kept, &Arc::new(Schema::new(fields))).unwrap()
    }

    fn upsert() -> Layout {
        layout(Kept::Upsert { key: vec!["k".to_owned()] })
    }

    fn count() -> Layout {
        layout(Kept::Count { key: vec!["k".to_owned()], count: "n".to_owned() })
    }

    /// One part per slice; rows are `(k, n, version)`.
    fn range(layout: &Layout, parts: &[&[(Option<&str>, i64, i64)]]) -> Range {
        let schema =
            layout.schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        let schema = Arc::new(Schema::new(schema.collect::<Vec<_>>()));
        let rows = parts.iter().map(|rows| Rows {
            batch: RecordBatch::try_new(
                schema.clone(),
                vec![
                    Arc::new(rows.iter().map(|row| row.0).collect::<StringViewArray>()),
                    Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()),
                ],
            )
            .unwrap(),
            versions: Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>()),
        });
        let assignment = conformance::assignment("a.b", 0);
        Range { entry: Entry::genesis(&assignment, 0), rows: rows.collect(), deletes: Vec::new() }
    }

    fn actions(merged: &Merged) -> Vec<Action> {
        merged.changes.iter().map(|change| change.action).collect()
    }

    #[test]
    fn one_change_per_key_in_key_order() {
        let layout = upsert();
        let parts: [&[_]; 2] = [
            &[(Some("b"), 1, 1), (Some("a"), 2, 2), (Some("b"), 3, 3)],
            &[(Some("B"), 4, 4), (Some("a"), 5, 2)],
        ];
        let mut range = range(&layout, &parts);
        range.deletes = vec![
            Delete { key: Bytes::from_static(b"a"), version: 1 },
            Delete { key: Bytes::from_static(b"b"), version: 9 },
        ];
        let merged = merge(&layout, &range).unwrap();
        assert_eq!(actions(&merged), [Action::Put(4), Action::Put(2), Action::Delete(9)]);
        assert_eq!(merged.changes[1].row, 1, "of equal versions the first stays");
    }

    #[test]
    fn deltas_of_a_key_become_one() {
        let layout = count();
        let parts: [&[_]; 2] = [
            &[(Some("b"), i64::MAX, 1), (Some("a"), 2, 2), (Some("b"), 1, 3)],
            &[(Some("b"), -2, 4)],
        ];
        let merged = merge(&layout, &range(&layout, &parts)).unwrap();
        assert_eq!(actions(&merged), [Action::Add(2), Action::Add(i64::MAX - 1)]);
    }

    #[test]
    fn impossible_ranges_are_refused_with_the_reason() {
        for (layout, rows, reason) in
            [(upsert(), (None, 1, 1), "\"k\" is null"), (count(), (None, 1, 1), "\"k\" is null")]
        {
            let error = merge(&layout, &range(&layout, &[&[rows]])).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        let layout = upsert();
        let mut lacking = range(&layout, &[&[(Some("a"), 1, 1)]]);
        lacking.rows[0].versions = Arc::new(Int64Array::from(vec![1, 2]));
        assert!(merge(&layout, &lacking).unwrap_err().to_string().contains("one version per row"));
        let mut lacking = range(&layout, &[&[(Some("a"), 1, 1)]]);
        lacking.rows[0].batch = lacking.rows[0].batch.project(&[0]).unwrap();
        assert!(merge(&layout, &lacking).unwrap_err().to_string().contains("other columns"));
    }

    #[test]
    fn deleted_keys_are_read_by_the_keys_types() {
        let fields = vec![
            Field::new("day", DataType::Date32, true),
            Field::new("n", DataType::Int64, true),
            Field::new("x", DataType::Utf8, true),
        ];
        let key = vec!["n".to_owned(), "day".to_owned()];
        let schema = Arc::new(Schema::new(fields));
        let layout = Layout::new("t", &Kept::Upsert { key }, &schema).unwrap();
        let mut range = range(&upsert(), &[]);
        let delete =
            |key: &'static str| Delete { key: Bytes::from_static(key.as_bytes()), version: 1 };
        range.deletes = vec![delete(r#"["10", "2024-02-29"]"#), delete(r#"["9", "2024-02-29"]"#)];
        let merged = merge(&layout, &range).unwrap();
        let rows: Vec<_> = merged.changes.iter().map(|change| change.row).collect();
        assert_eq!(rows, [1, 0], "9 comes before 10");

        for key in ["9", r#"["9"]"#, r#"["nine", "2024-02-29"]"#, r#"["9", "some day"]"#] {
            range.deletes = vec![delete(key)];
            let error = merge(&layout, &range).unwrap_err().to_string();
            assert!(error.contains("position skip"), "{key}: {error}");
        }
    }
}
