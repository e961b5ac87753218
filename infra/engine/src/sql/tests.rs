use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;

use super::*;
use crate::decode::{Decoder, Json};

fn vitals() -> SchemaRef {
    let place = DataType::Struct(vec![Field::new("lat", DataType::Float64, false)].into());
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Utf8, false),
        Field::new("heart", DataType::Int64, true),
        Field::new("place", place, true),
        Field::new("tags", DataType::new_list(DataType::Utf8, true), true),
    ]))
}

fn rows() -> RecordBatch {
    let values: [&[u8]; 3] = [
        br#"{"id":"a","heart":130,"place":{"lat":51.5},"tags":["x","y"]}"#,
        br#"{"id":"b","heart":60,"place":null,"tags":[]}"#,
        br#"{"id":"c","heart":null,"place":{"lat":1.0},"tags":["z"]}"#,
    ];
    Json::new(vitals()).decode(&values).expect("good values").batch
}

fn run(sql: &str) -> Decoded {
    RowSql::plan("vitals", &vitals(), sql).expect(sql).apply(&rows()).expect(sql)
}

#[test]
fn projects_computes_and_keeps_origin() {
    let made = run("SELECT id, heart * 2 AS twice, place['lat'] AS lat FROM vitals");
    assert_eq!(made.origin, [0, 1, 2]);
    assert_eq!(made.batch.schema().field(1).name(), "twice");
    assert_eq!(made.batch.column(1).as_primitive::<Int64Type>().value(0), 260);
    assert!(made.batch.column(2).is_null(1));
}

#[test]
fn filters_by_sql_rules_for_null() {
    let made = run("SELECT id FROM vitals WHERE heart > 50 AND id <> 'a'");
    assert_eq!(made.origin, [1], "the row with a null heart is neither over nor under 50");
}

#[test]
fn unnests_and_tells_where_from() {
    let made = run("SELECT id, tag FROM (SELECT id, unnest(tags) AS tag FROM vitals)");
    assert_eq!(made.origin, [0, 0, 2]);
    assert_eq!(made.batch.column(1).as_string::<i32>().value(2), "z");
}

#[test]
fn the_declared_schema_is_that_of_the_rows() {
    for sql in [
        "SELECT * FROM vitals",
        "SELECT heart FROM vitals WHERE id > 'a'",
        "SELECT 1 AS one FROM vitals",
        "SELECT concat(id, 'x') AS text, CAST(heart AS VARCHAR) AS heart FROM vitals",
        "SELECT CASE WHEN heart > 1 THEN 'a' ELSE 'b' END AS text FROM vitals",
    ] {
        let plan = RowSql::plan("vitals", &vitals(), sql).expect(sql);
        assert_eq!(plan.apply(&rows()).expect(sql).batch.schema(), plan.schema(), "{sql}");
        let text = |field: &&Arc<Field>| field.name() == "text";
        let kinds = plan.schema();
        assert!(kinds.fields().iter().filter(text).all(|f| *f.data_type() == DataType::Utf8));
    }
}

#[test]
fn refuses_what_is_not_row_wise() {
    for (sql, words) in [
        ("SELECT count(*) FROM vitals", "aggregates"),
        ("SELECT id, sum(heart) FROM vitals GROUP BY id", "aggregates"),
        ("SELECT DISTINCT id FROM vitals", "DISTINCT"),
        ("SELECT id FROM vitals ORDER BY id", "ORDER BY"),
        ("SELECT id FROM vitals LIMIT 1", "LIMIT"),
        ("SELECT row_number() OVER () FROM vitals", "window"),
        ("SELECT a.id FROM vitals a JOIN vitals b ON a.id = b.id", "joins"),
        ("SELECT id FROM vitals UNION ALL SELECT id FROM vitals", "UNION"),
        ("SELECT random() FROM vitals", "random()"),
        ("SELECT now() FROM vitals", "now()"),
        ("SELECT id FROM vitals WHERE heart > (SELECT max(heart) FROM vitals)", "not row-wise"),
        ("SELECT id FROM vitals WHERE false", "never true"),
    ] {
        let error = RowSql::plan("vitals", &vitals(), sql).expect_err(sql).to_string();
        assert!(error.contains(words), "{sql}: {error}");
    }
}

#[test]
fn malformed_sql_says_what_there_is() {
    for sql in ["SELEC id FROM vitals", "SELECT pulse FROM vitals", "SELECT id FROM nowhere"] {
        let error = RowSql::plan("vitals", &vitals(), sql).expect_err(sql).to_string();
        assert!(error.contains("id, heart, place, tags"), "{sql}: {error}");
    }
}

#[test]
fn a_row_that_can_not_be_computed_fails_the_batch() {
    let plan = RowSql::plan("vitals", &vitals(), "SELECT CAST(id AS BIGINT) AS n FROM vitals");
    assert!(plan.expect("plans").apply(&rows()).expect_err("a is no number").contains("Cast"));
}
