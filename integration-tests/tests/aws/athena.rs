//! Queries by our client, over Parquet that health wrote.

use std::sync::Mutex;

use integration_tests::number;
use millstream_aws::AwsError;
use millstream_aws::athena::Progress;
use millstream_aws::glue::Change;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::lake::{PATIENTS, VEHICLES, declared, register, write, written};
use crate::place::Place;

/// Some 14 s of work: on a busy machine, too, it is seen under way.
pub const LONG_QUERY: &str = "SELECT max(md5(CAST(i AS VARCHAR))) FROM range(100000000) t(i)";

/// More than two pages.
const READINGS: usize = 2_500;

fn one(place: &millstream_aws::athena::Rows) -> Vec<Option<&str>> {
    assert_eq!(place.rows.len(), 1, "{place:?}");
    place.rows[0].iter().map(Option::as_deref).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_comes_over_pages_and_is_what_datafusion_reads() {
    let place = Place::new("pages").await;
    let data = written(&place, READINGS).await;
    let sql = "SELECT id, patient_id, heart_rate, oxygen_saturation, emergency_alert, date FROM patient_data ORDER BY id";
    let rows = place.ask(sql).await;
    let kinds: Vec<_> = rows.columns.iter().map(|column| column.kind.as_str()).collect();
    assert_eq!(kinds, ["varchar", "varchar", "bigint", "double", "boolean", "varchar"]);
    assert_eq!(rows.rows.len(), READINGS);
    let local = data.query(sql);
    assert_eq!(local.len(), READINGS);
    for (ours, local) in rows.rows.iter().zip(&local) {
        let ours: Vec<_> =
            ours.iter().map(|value| value.as_deref().unwrap_or("null").to_owned()).collect();
        let local: Vec<_> =
            ["id", "patient_id", "heart_rate", "oxygen_saturation", "emergency_alert", "date"]
                .map(|name| {
                    local[name].as_str().map_or_else(|| local[name].to_string(), str::to_owned)
                })
                .into();
        assert_eq!(ours, local);
    }
    // What the catalog declares is what the files have.
    for table in [PATIENTS, VEHICLES] {
        let all: Vec<_> =
            declared(&place, table).columns.into_iter().map(|(name, _)| name).collect();
        let rows =
            place.ask(&format!("SELECT {}, date FROM {table} LIMIT 1", all.join(", "))).await;
        assert_eq!(rows.columns.len(), all.len() + 1, "{table}");
    }
    let counted =
        place.ask("SELECT count(*) AS n, count(DISTINCT date) AS days FROM patient_data").await;
    let days = place.partitions(PATIENTS).await.len().to_string();
    assert_eq!(one(&counted), [Some(READINGS.to_string().as_str()), Some(days.as_str())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_came_later_is_null_where_it_was_not() {
    let place = Place::new("grown").await;
    let data = written(&place, 2_500).await;
    let before = number(&data.query("SELECT count(*) AS n FROM emergency_vehicle_data")[0], "n");
    let sql = "SELECT id, vehicle_id, vehicle_type, vehicle_capacity, location['latitude'] AS latitude, \
               location['longitude'] AS longitude, patient_id, dispatch_time, \"timestamp\" AS ts, vehicle_id || '!' AS note, \
               CAST(CAST(\"timestamp\" AS DATE) AS VARCHAR) AS \"date\" FROM emergency_vehicle_data";
    let data = data.with("HEALTH_SQL__VEHICLES", sql);
    write(&data);
    let mut wide = declared(&place, VEHICLES);
    wide.columns.push(("note".to_owned(), "string".to_owned()));
    let change = place.catalog("").glue().ensure_table(&wide).await.unwrap();
    assert_eq!(change, Change::Widened(vec!["note".to_owned()]));
    register(&place, &wide).await;
    let sql = "SELECT count(*) AS n, count(note) AS noted FROM emergency_vehicle_data";
    let local = &data.query(sql)[0];
    let (all, noted) = (number(local, "n"), number(local, "noted"));
    assert!(noted > 0 && all == before + noted, "{local}");
    let told = place.ask(sql).await;
    assert_eq!(one(&told), [Some(all.to_string().as_str()), Some(noted.to_string().as_str())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_every_kind_are_told_apart() {
    let place = Place::new("kinds").await;
    let sql = "SELECT CAST(12.340 AS DECIMAL(10,3)) AS a, DATE '2026-11-21' AS b, TIMESTAMP '2026-11-21 08:00:00.250' AS c, \
               true AS d, CAST(NULL AS VARCHAR) AS e, '' AS f, CAST(-5 AS BIGINT) AS g, 'ä\n\"x\",' AS h";
    let rows = place.ask(sql).await;
    let kinds: Vec<_> = rows.columns.iter().map(|column| column.kind.as_str()).collect();
    assert_eq!(
        kinds,
        ["decimal", "date", "timestamp", "boolean", "varchar", "varchar", "bigint", "varchar"]
    );
    let values = one(&rows);
    assert_eq!(values[0], Some("12.340"));
    assert_eq!((values[1], values[3]), (Some("2026-11-21"), Some("true")));
    assert!(values[2].unwrap().starts_with("2026-11-21 08:00:00.25"), "{values:?}");
    assert_eq!((values[4], values[5]), (None, Some("")), "null is no empty text");
    assert_eq!((values[6], values[7]), (Some("-5"), Some("ä\n\"x\",")));
    // One whose only row looks like a header, and one without rows.
    assert_eq!(one(&place.ask("SELECT 'x' AS x").await), [Some("x")]);
    let none = place.ask("SELECT 1 AS n WHERE 1 = 2").await;
    assert_eq!((none.rows.len(), none.columns[0].name.as_str()), (0, "n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_carry_the_engines_reason_and_what_to_do() {
    let place = Place::new("failures").await;
    let athena = place.catalog("").athena();
    let fail = async |sql: &str| {
        let error = athena.run(sql, &CancellationToken::new(), &|_| {}).await.unwrap_err();
        assert!(!error.is_retryable(), "{error}");
        error.to_string()
    };
    let told = fail("SELECT * FROM nothere").await;
    assert!(
        told.contains("nothere") && told.contains("crawl") && told.contains(&place.name),
        "{told}"
    );
    let told = fail("SELEC 1").await;
    assert!(told.contains("SELEC") && told.contains("correct the query"), "{told}");
    let catalog = place.catalog("").workgroup("no-such-workgroup");
    let error =
        catalog.athena().run("SELECT 1", &CancellationToken::new(), &|_| {}).await.unwrap_err();
    assert!(error.to_string().contains("--workgroup"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stops_a_query_has_it_cancelled() {
    let place = Place::new("stopped").await;
    let (athena, stop, seen) =
        (place.catalog("").athena(), CancellationToken::new(), Mutex::new(0));
    let told = |progress: &Progress| {
        *seen.lock().unwrap() += 1;
        assert!(["QUEUED", "RUNNING"].contains(&progress.state.as_str()), "{progress:?}");
        stop.cancel();
    };
    let error = athena.run(LONG_QUERY, &stop, &told).await.unwrap_err();
    assert!(matches!(error, AwsError::Stopped { .. }), "{error}");
    assert_eq!(*seen.lock().unwrap(), 1);
    assert_cancelled(&place).await;
}

/// Not by the state: the local API calls a stopped query SUCCEEDED once its work is through, and leaves the reason.
pub async fn assert_cancelled(place: &Place) {
    let statuses = statuses(place).await;
    let [status] = &statuses[..] else { panic!("one query: {statuses:?}") };
    assert_eq!(status["StateChangeReason"], "Query was cancelled by user", "{status}");
}

/// Of all queries of the place's workgroup.
async fn statuses(place: &Place) -> Vec<Value> {
    let asked = json!({ "WorkGroup": place.name });
    let told = place.call("athena", "list_query_executions", asked).await;
    if told["QueryExecutionIds"] == json!([]) {
        return vec![];
    }
    let asked = json!({ "QueryExecutionIds": told["QueryExecutionIds"] });
    let told = place.call("athena", "batch_get_query_execution", asked).await;
    let all = told["QueryExecutions"].as_array().unwrap();
    all.iter().map(|one| one["Status"].clone()).collect()
}
