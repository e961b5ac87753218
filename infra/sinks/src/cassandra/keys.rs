//! Which keys Cassandra can hold: none that is empty, none beyond 64 KiB.

use arrow::array::{Array, ArrayRef, RecordBatch};

use super::values::Stored;
use crate::sql::layout::plain;
use crate::sql::values::exact;

/// The longest partition key.
const MOST_BYTES: usize = 65_535;
/// What each column of a key of several takes beside its value: the length and an end mark.
const BESIDE: usize = 3;

/// Why there can be no row of this key; `None`: there can.
pub(super) fn problem(key: &[&Stored], row: usize) -> Option<String> {
    let bytes: usize = key.iter().map(|column| column.bytes(row)).sum();
    let bytes = if key.len() > 1 { bytes + BESIDE * key.len() } else { bytes };
    match bytes {
        0 => Some("its key is empty, and Cassandra holds no such row".to_owned()),
        1..=MOST_BYTES => None,
        _ => Some(format!("its key has {bytes} bytes, and Cassandra's have at most {MOST_BYTES}")),
    }
}

/// The rows whose key is such a one.
pub(super) fn unfit(key: &[String], rows: &RecordBatch) -> Vec<(usize, String)> {
    let columns: Option<Vec<&ArrayRef>> =
        key.iter().map(|name| rows.column_by_name(name)).collect();
    let Some(columns) = columns else { return Vec::new() };
    let stored: Result<Vec<_>, _> = columns
        .iter()
        .map(|column| exact(column, &plain(column.data_type())).and_then(|c| Stored::of(&c)))
        .collect();
    // What can't be read as a key here can't be made ready for a write either, and is refused there by name.
    let Ok(stored) = stored else { return Vec::new() };
    let stored: Vec<_> = stored.iter().collect();
    let whole = |row: &usize| columns.iter().all(|column| column.is_valid(*row));
    let rows = (0..rows.num_rows()).filter(whole);
    rows.filter_map(|row| Some((row, problem(&stored, row)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringArray, StringViewArray};
    use arrow::datatypes::{DataType, Field, Schema};
    use std::sync::Arc;

    fn unfit_rows(key: &[&str]) -> Vec<usize> {
        let (most, long) = ("k".repeat(65_535), "k".repeat(65_536));
        let ids = vec![Some(""), Some("a"), Some(most.as_str()), Some(long.as_str()), None];
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringViewArray::from(ids)),
            Arc::new(Int64Array::from_iter_values(0..5)),
            Arc::new(StringArray::from(vec![""; 5])),
        ];
        let fields = vec![
            Field::new("id", DataType::Utf8View, true),
            Field::new("n", DataType::Int64, true),
            Field::new("empty", DataType::Utf8, true),
        ];
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        let key: Vec<_> = key.iter().map(|&name| name.to_owned()).collect();
        unfit(&key, &batch).into_iter().map(|(row, _)| row).collect()
    }

    #[test]
    fn empty_and_endless_keys_are_unfit() {
        assert_eq!(unfit_rows(&["id"]), [0, 3], "a null is another matter");
        assert_eq!(unfit_rows(&["empty", "id"]), [2, 3], "of several columns each may be empty");
        assert_eq!(unfit_rows(&["n"]), Vec::<usize>::new());
        assert_eq!(unfit_rows(&["n", "id"]), [2, 3]);
        assert_eq!(unfit_rows(&["nowhere"]), Vec::<usize>::new());
    }
}
