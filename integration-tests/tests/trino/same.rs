//! Answers of Trino and DataFusion, compared cell by cell.

use std::collections::BTreeSet;

use integration_tests::Data;
use serde_json::Value;

use crate::lake::Lake;

/// Relative difference of sums of floating-point numbers: both engines add in an order of their own.
const ROUNDING: f64 = 1e-12;

/// Asks both with the same text and panics unless the answers are equal: columns' names, rows in order, cells. The
/// number of rows.
#[track_caller]
pub fn assert_same(lake: &Lake, name: &str, sql: &str) -> usize {
    let theirs = lake.ask(sql);
    let names: Vec<_> = theirs.columns.iter().map(|(name, _)| name.as_str()).collect();
    let ours = by_datafusion(&lake.data, sql, &names);
    assert_eq!(theirs.rows.len(), ours.len(), "{name}: rows of Trino and of DataFusion");
    for (at, (theirs_row, ours_row)) in theirs.rows.iter().zip(&ours).enumerate() {
        for ((column, kind), (theirs, ours)) in
            theirs.columns.iter().zip(theirs_row.iter().zip(ours_row))
        {
            let same = equal(kind, theirs, ours);
            assert!(same, "{name}: row {at}, {column} ({kind}): Trino {theirs}, DataFusion {ours}");
        }
    }
    println!("{name}: {} rows are the same", ours.len());
    ours.len()
}

/// Rows of `millstream query`, their cells in the order of these columns: they have those and no others.
#[track_caller]
fn by_datafusion(data: &Data, sql: &str, columns: &[&str]) -> Vec<Vec<Value>> {
    let sorted =
        |names: &mut dyn Iterator<Item = &str>| names.map(str::to_owned).collect::<BTreeSet<_>>();
    let expected = sorted(&mut columns.iter().copied());
    let cells = |row: &Value| {
        let row = row.as_object().expect("an object");
        assert_eq!(sorted(&mut row.keys().map(String::as_str)), expected, "columns");
        columns.iter().map(|name| row[*name].clone()).collect()
    };
    data.query(sql).iter().map(cells).collect()
}

/// Whether two cells are the same value, each written as its engine writes it.
fn equal(kind: &str, trino: &Value, datafusion: &Value) -> bool {
    match (trino, datafusion) {
        (Value::Null, Value::Null) => true,
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::Number(a), Value::Number(b)) if kind == "double" || kind == "real" => {
            let (a, b) = (a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(f64::NAN));
            (a - b).abs() <= ROUNDING * a.abs().max(b.abs())
        }
        // Decimals are texts in Trino's API, with all their digits.
        (Value::String(a), Value::Number(b)) if kind.starts_with("decimal") => {
            decimal(a) == decimal(&b.to_string())
        }
        (Value::String(a), Value::String(b)) if kind.starts_with("decimal") => {
            decimal(a) == decimal(b)
        }
        (Value::String(a), Value::String(b)) if kind.starts_with("timestamp") => time(a) == time(b),
        (a, b) => a == b,
    }
}

/// Without zeros at its end.
fn decimal(text: &str) -> &str {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => text,
    }
}

/// "2026-11-21 08:00:00.120" and "2026-11-21T08:00:00.12Z" are both "2026-11-21 08:00:00.12".
fn time(text: &str) -> String {
    let text = text.trim_end_matches(" UTC").trim_end_matches('Z').replacen('T', " ", 1);
    decimal(&text).to_owned()
}

#[test]
fn cells_are_equal_as_values() {
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let equal = |kind: &str, a: &str, b: &str| equal(kind, &json(a), &json(b));
    assert!(equal("decimal(8,1)", "\"7.0\"", "7") && !equal("decimal(8,1)", "\"7.0\"", "7.1"));
    assert!(equal("decimal(8,0)", "\"70\"", "70") && !equal("decimal(8,0)", "\"70\"", "7"));
    assert!(equal("timestamp(3)", "\"2026-11-21 08:00:00.000\"", "\"2026-11-21T08:00:00Z\""));
    assert!(equal("timestamp(3)", "\"2026-11-21 08:00:00.120\"", "\"2026-11-21T08:00:00.12Z\""));
    assert!(!equal("timestamp(3)", "\"2026-11-21 08:00:00.120\"", "\"2026-11-21T08:00:00Z\""));
    assert!(equal("double", "0.30000000000000004", "0.3") && !equal("double", "0.3", "0.301"));
    assert!(equal("bigint", "5", "5") && !equal("bigint", "5", "6"));
    assert!(!equal("varchar", "\"\"", "null") && equal("varchar", "null", "null"));
}
