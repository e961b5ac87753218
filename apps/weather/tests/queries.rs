//! Every file of `queries/` on what the pipelines make of a few observations.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::display::array_value_to_string;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use millstream_config::Settings;
use millstream_engine::Pipeline;
use millstream_sinks::Stores;

/// Two cities, two days, one observation without a time.
const OBSERVATIONS: [&str; 5] = [
    r#"{"name":"Oslo","dt":1588791600,"main":{"temp":280.15},"wind":{"speed":3.0}}"#,
    r#"{"name":"Oslo","dt":1588793400,"main":{"temp":283.65},"wind":{"speed":9.0}}"#,
    r#"{"name":"Oslo","dt":1588878000,"main":{"temp":275.15},"wind":{"speed":5.0}}"#,
    r#"{"name":"Bergen","dt":1588791600,"main":{"temp":279.15},"wind":{"speed":8.0}}"#,
    r#"{"columns":["Name","windSpeed"],"data":[["Bergen",99]]}"#,
];

fn rows(pipeline: &Pipeline) -> RecordBatch {
    let decoded = pipeline.decoder.decode(&OBSERVATIONS.map(str::as_bytes)).expect("decoded");
    pipeline.transform.apply(&decoded.batch).expect("transformed").batch
}

/// The answer of `queries/<name>.sql`, a line a row.
async fn ask(name: &str) -> Vec<String> {
    let settings = Settings::load("weather", weather::APP.defaults, None, []).expect("settings");
    let stores = Stores::open(&millstream_sinks::Urls::embedded(), Path::new(".")).expect("stores");
    let pipelines = (weather::APP.pipelines)(&settings, &stores).expect("pipelines");
    let tables = SessionContext::new();
    for (name, pipeline) in ["weather", "weather_backup"].into_iter().zip(&pipelines) {
        let rows = rows(pipeline);
        let table = MemTable::try_new(rows.schema(), vec![vec![rows]]).expect("a table");
        tables.register_table(name, Arc::new(table)).expect("registered");
    }
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
async fn latest() {
    // The table would keep one row a city; here all of them are asked.
    let answer = ask("latest").await;
    assert_eq!(answer.len(), 5);
    assert!(answer.contains(&"Oslo  9.0 10.5   2020-05-06T19:30:00Z".to_owned()), "{answer:?}");
}

#[tokio::test]
async fn windiest_hours() {
    let expected = [
        "2020-05-06T19:00:00Z Oslo 9.0 6.0",
        "2020-05-06T19:00:00Z Bergen 8.0 8.0",
        "2020-05-07T19:00:00Z Oslo 5.0 5.0",
    ];
    assert_eq!(ask("windiest_hours").await, expected);
}

#[tokio::test]
async fn daily_range() {
    let expected =
        ["2020-05-06 Bergen 6.0 6.0 1", "2020-05-06 Oslo 7.0 10.5 2", "2020-05-07 Oslo 2.0 2.0 1"];
    assert_eq!(ask("daily_range").await, expected);
}
