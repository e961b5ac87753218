//! What needs no server. What needs one is in `integration-tests/tests`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
    RecordBatch, StringArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use mysql_async::Value;
use proptest::prelude::*;

use super::cells::{Cells, hash, read_beyond, take};
use super::columns::{Columns, Kind, check};
use crate::sql::gathering::Gathering;
use crate::sql::layout::{Kept, Layout};
use crate::sql::values::Stored;

fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    let field = |(name, kind): &(&str, DataType)| Field::new(*name, kind.clone(), true);
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

fn upserted(key: &[&str], schema: &SchemaRef) -> Layout {
    let key = key.iter().map(|&name| name.to_owned()).collect();
    Layout::new("t", &Kept::Upsert { key }, schema).unwrap()
}

/// What comes back of a batch, if the server gives back what it is given.
fn back(layout: &Layout, batch: &RecordBatch) -> RecordBatch {
    let columns = Columns::of(layout);
    let stored: Vec<_> = batch.columns().iter().map(|column| Stored::of(column).unwrap()).collect();
    let stored: Vec<_> = stored.iter().map(Some).collect();
    let mut gathering = Gathering::new(&layout.schema).unwrap();
    for row in 0..batch.num_rows() {
        let cells = Cells::of(&columns, &stored, row);
        let beyond = read_beyond(&cells.beyond()).unwrap();
        for (index, (name, kind)) in columns.all.iter().enumerate() {
            let value = as_read(*kind, &cells.values[index]);
            let beyond = beyond.get(name).map(String::as_str);
            take(&mut gathering.columns[index], *kind, &value, beyond).unwrap();
        }
        gathering.rows += 1;
    }
    gathering.finish().unwrap()
}

/// Dates are sent as texts and come back as dates.
fn as_read(kind: Kind, sent: &Value) -> Value {
    let (Kind::Date | Kind::Moment(_), Value::Bytes(text)) = (kind, sent) else {
        return sent.clone();
    };
    let numbers: Vec<u32> = std::str::from_utf8(text)
        .unwrap()
        .split(['-', 'T', ':', '.'])
        .map(|number| number.parse().unwrap())
        .collect();
    let at = |index: usize| numbers.get(index).copied().unwrap_or(0);
    let micros = match kind {
        Kind::Moment(3) => at(6) * 1_000,
        _ => at(6),
    };
    let small = |index| at(index) as u8;
    Value::Date(at(0) as u16, small(1), small(2), small(3), small(4), small(5), micros)
}

fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>) -> RecordBatch {
    RecordBatch::try_new(schema.clone(), columns).unwrap()
}

#[test]
fn what_columns_cannot_hold_stands_beside_them() {
    let schema =
        schema(&[("id", DataType::Utf8), ("ratio", DataType::Float64), ("day", DataType::Date32)]);
    let layout = upserted(&["id"], &schema);
    let long = "é".repeat(300);
    let rows = batch(
        &schema,
        vec![
            Arc::new(StringArray::from(vec!["a", "b", long.as_str()])),
            Arc::new(Float64Array::from(vec![Some(0.5), Some(f64::NEG_INFINITY), None])),
            Arc::new(Date32Array::from(vec![Some(0), Some(-800_000), Some(i32::MAX)])),
        ],
    );
    let columns = Columns::of(&layout);
    let stored: Vec<_> = rows.columns().iter().map(|column| Stored::of(column).unwrap()).collect();
    let stored: Vec<_> = stored.iter().map(Some).collect();
    let cells = |row| Cells::of(&columns, &stored, row);

    let expected = vec!["a".into(), 0.5.into(), "1970-01-01".into()];
    assert_eq!(cells(0), Cells { values: expected, long: vec![], beyond: None });
    let beyond = r#"{"day":"-800000","ratio":"-Infinity"}"#.to_owned();
    let expected = vec!["b".into(), Value::NULL, Value::NULL];
    assert_eq!(cells(1), Cells { values: expected, long: vec![], beyond: Some(beyond) });
    let third = cells(2);
    assert_eq!(third.values[0], Value::from("é".repeat(255)));
    assert_eq!(third.long, hash(&columns, &stored, 2));
    assert_eq!(back(&layout, &rows).columns(), rows.columns());
}

#[test]
fn days_that_are_none_are_keys_all_the_same() {
    let schema = schema(&[("day", DataType::Date32), ("n", DataType::Int64)]);
    let layout = upserted(&["day"], &schema);
    let days = Date32Array::from(vec![i32::MIN, i32::MAX, 2_932_896]);
    let rows = batch(&schema, vec![Arc::new(days), Arc::new(Int64Array::from(vec![1, 2, 3]))]);
    let columns = Columns::of(&layout);
    let stored: Vec<_> = rows.columns().iter().map(|column| Stored::of(column).unwrap()).collect();
    let stored: Vec<_> = stored.iter().map(Some).collect();
    let keys: Vec<_> = (0..3).map(|row| Cells::of(&columns, &stored, row).key(&columns)).collect();
    assert!(keys.iter().all(|key| key[0] == "9999-12-31".into()));
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[2][1] == Value::Bytes(vec![]));
    assert_eq!(back(&layout, &rows).columns(), rows.columns());
}

#[test]
fn a_whole_key_fits_an_index() {
    let text = |name| (name, DataType::Utf8);
    for (columns, key) in [
        (vec![text("a")], vec!["a"]),
        (vec![text("a"), text("b"), text("c"), ("n", DataType::Int64)], vec!["c", "n", "a", "b"]),
        (
            (0..15)
                .map(|n| {
                    (
                        ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o"]
                            [n],
                        DataType::Utf8,
                    )
                })
                .collect(),
            "a b c d e f g h i j k l m n o".split(' ').collect(),
        ),
    ] {
        let columns = Columns::of(&upserted(&key, &schema(&columns)));
        let bytes: usize = columns
            .key
            .iter()
            .map(|&index| match columns.all[index].1 {
                Kind::Name(chars) => chars * 4,
                _ => 8,
            })
            .sum();
        assert!(bytes + 32 <= 3_072, "{columns:?} takes {bytes}");
        assert_eq!(columns.key.len(), key.len());
    }
}

#[test]
fn what_mysql_can_not_name_is_refused() {
    for (name, reason) in
        [("_Long", "reserved"), ("_beyond", "reserved"), ("x ", "blank"), ("🌊", "blank")]
    {
        let layout = upserted(&["id"], &schema(&[("id", DataType::Utf8), (name, DataType::Int64)]));
        let error = check(&layout).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    let long =
        Layout { table: "x".repeat(65), ..upserted(&["id"], &schema(&[("id", DataType::Utf8)])) };
    assert!(check(&long).unwrap_err().to_string().contains("64"));
}

proptest! {
    #[test]
    fn every_value_comes_back(
        id in "\\PC{0,400}",
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        numbers in any::<(Option<i64>, Option<f64>, Option<bool>, Option<i32>)>(),
        moments in any::<(Option<i64>, Option<i64>, Option<i64>)>(),
        decimal in prop::option::of(-10_i128.pow(20)..10_i128.pow(20)),
    ) {
        let utc: Option<Arc<str>> = Some("UTC".into());
        let schema = schema(&[
            ("id", DataType::Utf8),
            ("bytes", DataType::Binary),
            ("n", DataType::Int64),
            ("x", DataType::Float64),
            ("yes", DataType::Boolean),
            ("day", DataType::Date32),
            ("ms", DataType::Timestamp(TimeUnit::Millisecond, utc.clone())),
            ("us", DataType::Timestamp(TimeUnit::Microsecond, None)),
            ("ns", DataType::Timestamp(TimeUnit::Nanosecond, utc)),
            ("sum", DataType::Decimal128(22, 3)),
        ]);
        let layout = upserted(&["bytes", "id"], &schema);
        let rows = batch(&schema, vec![
            Arc::new(StringArray::from(vec![id])),
            Arc::new(BinaryArray::from(vec![bytes.as_slice()])),
            Arc::new(Int64Array::from(vec![numbers.0])),
            Arc::new(Float64Array::from(vec![numbers.1])),
            Arc::new(BooleanArray::from(vec![numbers.2])),
            Arc::new(Date32Array::from(vec![numbers.3])),
            Arc::new(TimestampMillisecondArray::from(vec![moments.0]).with_timezone("UTC")),
            Arc::new(TimestampMicrosecondArray::from(vec![moments.1])),
            Arc::new(TimestampNanosecondArray::from(vec![moments.2]).with_timezone("UTC")),
            Arc::new(Decimal128Array::from(vec![decimal]).with_precision_and_scale(22, 3).unwrap()),
        ]);
        let back = back(&layout, &rows);
        // Not-a-number equals nothing, itself neither.
        let text = |batch: &RecordBatch| arrow::util::pretty::pretty_format_batches(std::slice::from_ref(batch)).unwrap().to_string();
        prop_assert_eq!(text(&back), text(&rows));
    }
}
