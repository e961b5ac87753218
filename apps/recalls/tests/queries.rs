//! Every file of `queries/` on a few recalls.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::display::array_value_to_string;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use millstream_engine::{Decoder, Json};
use recalls::event::schema;

const RECALLS: [&str; 5] = [
    r#"{"recall_number":"Z-1","event_id":"1","classification":"Class I","status":"Ongoing","recalling_firm":"A","recall_initiation_date":"20260102"}"#,
    r#"{"recall_number":"Z-2","event_id":"1","classification":"Class II","status":"Ongoing","recalling_firm":"A","recall_initiation_date":"20260131"}"#,
    r#"{"recall_number":"Z-3","event_id":"2","classification":"Class I","status":"Terminated","recalling_firm":"B","recall_initiation_date":"20251231"}"#,
    r#"{"recall_number":"Z-4","event_id":"3","classification":"Class I","status":"Ongoing","recalling_firm":"B","recall_initiation_date":"20260301"}"#,
    r#"{"recall_number":"Z-5","event_id":"4"}"#,
];

/// The answer of `queries/<name>.sql`, a line a row.
async fn ask(name: &str) -> Vec<String> {
    let rows = Json::new(schema()).decode(&RECALLS.map(str::as_bytes)).expect("decoded").batch;
    let table = MemTable::try_new(rows.schema(), vec![vec![rows]]).expect("a table");
    let tables = SessionContext::new();
    tables.register_table("enforcement", Arc::new(table)).expect("registered");
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("queries").join(name).with_extension("sql");
    let sql = std::fs::read_to_string(&file).expect(name);
    let answer = tables.sql(&sql).await.expect("planned").collect().await.expect("answered");
    let line = |batch: &RecordBatch, row| {
        let cells = batch.columns().iter().map(|c| array_value_to_string(c, row).expect("text"));
        cells.collect::<Vec<_>>().join(" ")
    };
    answer.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| line(batch, row))).collect()
}

#[tokio::test]
async fn by_classification() {
    assert_eq!(ask("by_classification").await, ["Class I 3", "Class II 1", "none 1"]);
}

#[tokio::test]
async fn dangerous_and_open() {
    let answer = ask("dangerous_and_open").await;
    assert_eq!(answer.len(), 2, "{answer:?}");
    assert!(
        answer[0].starts_with("Z-4 20260301 B") && answer[1].starts_with("Z-1 20260102 A"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn by_month() {
    assert_eq!(ask("by_month").await, ["202512 1 1", "202601 2 1", "202603 1 1"]);
}

#[tokio::test]
async fn firms() {
    assert_eq!(ask("firms").await, ["B 2 2", "A 1 2", " 1 1"]);
}
