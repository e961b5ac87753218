//! Hive partitions: `column=value/` directories.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{CastOptions, cast_with_options, take};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use arrow::util::display::array_value_to_string;

/// What Hive calls the partition of an empty value.
pub(super) const EMPTY: &str = "__HIVE_DEFAULT_PARTITION__";

/// Types whose values can be written into a path and read back exactly.
pub(super) fn can_partition(column: &DataType) -> bool {
    use DataType::{Boolean, Date32, Date64, Decimal128, LargeUtf8, Timestamp, Utf8, Utf8View};
    column.is_integer()
        || matches!(
            column,
            Boolean
                | Date32
                | Date64
                | Decimal128(..)
                | LargeUtf8
                | Timestamp(..)
                | Utf8
                | Utf8View
        )
}

/// As Hive escapes what can't stand in a path: `%` and two hexadecimal digits.
pub(super) fn escape(value: &str) -> Cow<'_, str> {
    let special = |c: char| c.is_ascii_control() || "\"#%'*/:=?\\{[]^".contains(c);
    if value.is_empty() {
        return Cow::Borrowed(EMPTY);
    }
    if value == EMPTY {
        return Cow::Owned(value.replacen('_', "%5F", 1));
    }
    if !value.contains(special) {
        return Cow::Borrowed(value);
    }
    let mut escaped = String::with_capacity(value.len() + 8);
    for c in value.chars() {
        if special(c) {
            escaped.push_str(&format!("%{:02X}", c as u32));
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// Undoes [`escape`]. A `%` without two hexadecimal digits stays as it is.
pub(super) fn unescape(value: &str) -> String {
    if value == EMPTY {
        return String::new();
    }
    let mut parts = value.split('%');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok());
        match code.filter(u8::is_ascii) {
            Some(code) => {
                plain.push(char::from(code));
                plain.push_str(&part[2..]);
            }
            None => {
                plain.push('%');
                plain.push_str(part);
            }
        }
    }
    plain
}

/// `column=value/…/` of one row.
fn directory(columns: &[(&str, ArrayRef)], row: usize) -> Result<String, ArrowError> {
    let mut path = String::new();
    for (name, column) in columns {
        if column.is_null(row) {
            let why = format!("column {name} is null: it can't be partitioned by");
            return Err(ArrowError::InvalidArgumentError(why));
        }
        let value = array_value_to_string(column, row)?;
        path.push_str(&format!("{}={}/", escape(name), escape(&value)));
    }
    Ok(path)
}

/// Rows by directory, in the order they came; `None` stands for all rows of the batch.
pub(super) type Groups = BTreeMap<String, Option<Vec<u32>>>;

/// Sorts a batch's rows into directories, in one pass. Directories are in order, so that a plan depends on
/// nothing but its rows.
pub(super) fn group(batch: &RecordBatch, by: &[String]) -> Result<Groups, ArrowError> {
    if batch.num_rows() == 0 {
        return Ok(Groups::new());
    }
    let columns = columns(batch, by)?;
    if columns.is_empty() {
        return Ok(Groups::from([(String::new(), None)]));
    }
    let fields = columns.iter().map(|(_, c)| SortField::new(c.data_type().clone())).collect();
    let arrays: Vec<ArrayRef> = columns.iter().map(|(_, column)| column.clone()).collect();
    let keys = RowConverter::new(fields)?.convert_columns(&arrays)?;
    let mut group_of = HashMap::new();
    let mut members: Vec<Vec<u32>> = vec![];
    let mut last = None;
    for (row, key) in keys.iter().enumerate() {
        // Neighbours mostly share their directory: that saves looking it up.
        let group = match last {
            Some((before, group)) if before == key => group,
            _ => *group_of.entry(key).or_insert_with(|| {
                members.push(vec![]);
                members.len() - 1
            }),
        };
        last = Some((key, group));
        members[group].push(row as u32);
    }
    if let [_] = members.as_slice() {
        return Ok(Groups::from([(directory(&columns, 0)?, None)]));
    }
    let named = members.into_iter().map(|rows| {
        let first = rows.first().map_or(0, |row| *row as usize);
        Ok((directory(&columns, first)?, Some(rows)))
    });
    named.collect()
}

fn columns<'a>(
    batch: &RecordBatch,
    by: &'a [String],
) -> Result<Vec<(&'a str, ArrayRef)>, ArrowError> {
    let find = |name: &'a String| {
        let column = batch.column_by_name(name).cloned();
        let missing = || ArrowError::InvalidArgumentError(format!("column {name} is missing"));
        Ok((name.as_str(), column.ok_or_else(missing)?))
    };
    by.iter().map(find).collect()
}

/// The values in a data file's path, by column, unescaped.
pub(super) fn values(path: &str) -> Vec<(String, String)> {
    let directories = path.rsplit_once('/').map_or("", |(directories, _)| directories);
    directories
        .split('/')
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (unescape(name), unescape(value)))
        .collect()
}

/// A column of `rows` times one path's value.
pub(super) fn column(value: &str, to: &DataType, rows: usize) -> Result<ArrayRef, ArrowError> {
    let text: ArrayRef = Arc::new(StringArray::from(vec![value]));
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let one = cast_with_options(&text, to, &strict)?;
    take(&one, &UInt32Array::from(vec![0; rows]), None)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, Int64Array};
    use arrow::datatypes::{Field, Schema, TimeUnit};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_as_hive_does() {
        for (plain, escaped) in [
            ("2024-01-01", "2024-01-01"),
            ("a b", "a b"),
            ("Zürich", "Zürich"),
            ("10:30", "10%3A30"),
            ("a/b=c", "a%2Fb%3Dc"),
            ("100%", "100%25"),
            ("line\nbreak", "line%0Abreak"),
            ("{[x]}", "%7B%5Bx%5D}"),
            ("", "__HIVE_DEFAULT_PARTITION__"),
            ("__HIVE_DEFAULT_PARTITION__", "%5F_HIVE_DEFAULT_PARTITION__"),
        ] {
            assert_eq!(escape(plain), escaped);
            assert_eq!(unescape(escaped), plain);
        }
    }

    #[test]
    fn a_percent_sign_of_somebody_else_stays() {
        assert_eq!(unescape("50%"), "50%");
        assert_eq!(unescape("50%zz%C3%"), "50%zz%C3%");
        assert_eq!(unescape("%é"), "%é");
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text: String) {
            let escaped = escape(&text);
            prop_assert!(!escaped.contains(['/', '\0', '\n']) && !escaped.is_empty());
            prop_assert_eq!(unescape(&escaped), text);
        }
    }

    #[test]
    fn values_of_all_kinds_come_back_from_a_path() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["", " x", "a/b", "NULL"]));
        let kinds = [
            (DataType::Int64, vec!["-9223372036854775808", "0"]),
            (DataType::UInt8, vec!["255"]),
            (DataType::Boolean, vec!["true", "false"]),
            (DataType::Date32, vec!["0001-01-01", "9999-12-31"]),
            (DataType::Decimal128(10, 2), vec!["-12.30"]),
            (DataType::Timestamp(TimeUnit::Microsecond, None), vec!["2024-02-29T23:59:59.123456"]),
            (
                DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
                vec!["2024-02-29T23:59:59.000000001Z"],
            ),
        ];
        let mut columns = vec![texts];
        for (kind, values) in kinds {
            let values: ArrayRef = Arc::new(StringArray::from(values));
            columns.push(
                cast_with_options(
                    &values,
                    &kind,
                    &CastOptions { safe: false, ..Default::default() },
                )
                .unwrap(),
            );
        }
        for column in columns {
            assert!(can_partition(column.data_type()));
            for row in 0..column.len() {
                let path =
                    format!("t/{}file.csv", directory(&[("a=b", column.clone())], row).unwrap());
                let [(name, value)] = &values(&path)[..] else { panic!("one column in {path}") };
                assert_eq!(name, "a=b");
                let back = super::column(value, column.data_type(), 2).unwrap();
                assert_eq!(&back.slice(1, 1), &column.slice(row, 1), "{path}");
            }
        }
    }

    fn batch(days: Vec<Option<i32>>, numbers: Vec<i64>) -> RecordBatch {
        let fields =
            vec![Field::new("day", DataType::Date32, true), Field::new("n", DataType::Int64, true)];
        let columns: Vec<ArrayRef> =
            vec![Arc::new(Date32Array::from(days)), Arc::new(Int64Array::from(numbers))];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    }

    #[test]
    fn rows_keep_their_order_within_a_directory() {
        let rows = batch(vec![Some(1), Some(0), Some(0), Some(1)], vec![5, 6, 5, 5]);
        let both = group(&rows, &["day".into(), "n".into()]).unwrap();
        let expected = [
            ("day=1970-01-01/n=5/", vec![2]),
            ("day=1970-01-01/n=6/", vec![1]),
            ("day=1970-01-02/n=5/", vec![0, 3]),
        ];
        let expected = expected.map(|(path, rows)| (path.to_owned(), Some(rows)));
        assert_eq!(both, Groups::from(expected));
        let one = group(&rows.slice(1, 2), &["day".into()]).unwrap();
        assert_eq!(one, Groups::from([("day=1970-01-01/".to_owned(), None)]));
        assert_eq!(group(&rows, &[]).unwrap(), Groups::from([(String::new(), None)]));
        assert_eq!(group(&rows.slice(0, 0), &["day".into()]).unwrap(), Groups::new());
    }

    #[test]
    fn null_and_missing_columns_are_named() {
        let rows = batch(vec![None], vec![1]);
        let error = group(&rows, &["day".into()]).unwrap_err().to_string();
        assert!(error.contains("column day is null"), "{error}");
        let error = group(&rows, &["month".into()]).unwrap_err().to_string();
        assert!(error.contains("column month is missing"), "{error}");
    }

    #[test]
    fn many_directories_take_one_pass() {
        let numbers: Vec<i64> = (0..200_000).map(|row| row % 20_000).collect();
        let rows = batch(vec![Some(0); numbers.len()], numbers);
        let groups = group(&rows, &["n".into()]).unwrap();
        assert_eq!(groups.len(), 20_000);
        assert!(groups.values().all(|rows| rows.as_ref().is_some_and(|rows| rows.len() == 10)));
    }
}
