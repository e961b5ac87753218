use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::AwsError;
use crate::athena::Progress;
use crate::fake::{Asked, Fake, Reply};

fn execution(state: &str, why: &str) -> Reply {
    Reply::Ok(json!({ "QueryExecution": {
        "QueryExecutionId": "q-1", "StatementType": "DML", "Status": { "State": state, "StateChangeReason": why },
        "Statistics": { "DataScannedInBytes": 12_000_000, "TotalExecutionTimeInMillis": 1500 } } }))
}

fn page(asked: &Asked) -> Reply {
    let rows = |values: &[&str]| -> Vec<Value> {
        values.iter().map(|value| json!({ "Data": [{ "VarCharValue": value }, {}] })).collect()
    };
    let header = json!({ "Data": [{ "VarCharValue": "id" }, { "VarCharValue": "name" }] });
    let (rows, next) = match asked.body["NextToken"].as_str() {
        None => ([vec![header], rows(&["1", "2"])].concat(), json!("more")),
        // A row that looks like the header, on a later page.
        Some(_) => (rows(&["id"]), Value::Null),
    };
    let info = json!([{ "Name": "id", "Type": "varchar" }, { "Name": "name", "Type": "varchar" }]);
    let set = json!({ "Rows": rows, "ResultSetMetadata": { "ColumnInfo": info } });
    Reply::Ok(json!({ "ResultSet": set, "NextToken": next }))
}

#[tokio::test]
async fn a_statement_is_started_once_whatever_gets_lost_or_is_throttled() {
    let fake = Fake::start(|asked| match (asked.operation.as_str(), asked.n) {
        ("StartQueryExecution", 1) => Reply::Lost,
        ("StartQueryExecution", 2) => Reply::No(400, "TooManyRequestsException", "Rate exceeded"),
        ("StartQueryExecution", _) => Reply::Ok(json!({ "QueryExecutionId": "q-1" })),
        ("GetQueryExecution", 1) => execution("QUEUED", ""),
        ("GetQueryExecution", 2) => Reply::No(500, "InternalServerException", ""),
        ("GetQueryExecution", 3) => execution("RUNNING", ""),
        ("GetQueryExecution", _) => execution("SUCCEEDED", ""),
        _ => page(asked),
    })
    .await;
    let athena = fake.catalog().workgroup("ours").athena();
    let (stop, seen) = (CancellationToken::new(), Mutex::new(Vec::new()));
    let told = |progress: &Progress| seen.lock().unwrap().push(progress.state.clone());
    let finished = athena.run("SELECT 1", &stop, &told).await.unwrap();
    let started = fake.seen("StartQueryExecution");
    assert_eq!(started.len(), 3, "{started:?}");
    let first = &started[0].body;
    assert!(first["ClientRequestToken"].as_str().unwrap().len() >= 32, "{first}");
    assert!(started.iter().all(|asked| asked.body == *first), "{started:?}");
    assert_eq!(
        (first["WorkGroup"].as_str(), first["QueryExecutionContext"]["Database"].as_str()),
        (Some("ours"), Some("lake"))
    );
    assert_eq!(*seen.lock().unwrap(), ["QUEUED", "RUNNING"]);
    assert_eq!(finished.statistics.scanned, 12_000_000);
    assert_eq!(finished.statistics.took, Duration::from_millis(1500));
    let rows = athena.rows(&finished, &stop).await.unwrap();
    let ids: Vec<_> = rows.rows.iter().map(|row| (row[0].as_deref(), row[1].clone())).collect();
    assert_eq!(ids, [(Some("1"), None), (Some("2"), None), (Some("id"), None)]);
}

#[tokio::test]
async fn a_failure_is_explained() {
    let fake = Fake::start(|asked| match asked.operation.as_str() {
        "StartQueryExecution" => Reply::Ok(json!({ "QueryExecutionId": "q-1" })),
        _ => execution("FAILED", "COLUMN_NOT_FOUND: line 1:8: Column 'x' cannot be resolved"),
    })
    .await;
    let athena = fake.catalog().athena();
    let error = athena.run("SELECT x", &CancellationToken::new(), &|_| {}).await.unwrap_err();
    let told = error.to_string();
    assert!(told.contains("SELECT x\n         ^") && told.contains("DESCRIBE"), "{told}");
}

#[tokio::test]
async fn whoever_stops_has_athena_stop() {
    let fake = Fake::start(|asked| match asked.operation.as_str() {
        "StartQueryExecution" => Reply::Ok(json!({ "QueryExecutionId": "q-1" })),
        "StopQueryExecution" => Reply::Ok(json!({})),
        _ => execution("RUNNING", ""),
    })
    .await;
    let (athena, stop) = (fake.catalog().athena(), CancellationToken::new());
    let told = |_: &Progress| stop.cancel();
    let error = athena.run("SELECT 1", &stop, &told).await.unwrap_err();
    assert!(matches!(error, AwsError::Stopped { .. }), "{error}");
    let stopped = fake.seen("StopQueryExecution");
    assert_eq!(stopped.len(), 1);
    assert_eq!(stopped[0].body["QueryExecutionId"], "q-1");
}

#[tokio::test]
async fn throttling_that_stays_is_told_as_what_passes() {
    let fake = Fake::start(|_| Reply::No(400, "TooManyRequestsException", "Rate exceeded")).await;
    let athena = fake.catalog().athena();
    let error = athena.run("SELECT 1", &CancellationToken::new(), &|_| {}).await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("Rate exceeded"), "{error}");
    assert_eq!(fake.seen("StartQueryExecution").len(), 5, "the SDK's tries");
}

#[tokio::test]
async fn a_permission_that_is_missing_is_named_and_not_tried_again() {
    let fake =
        Fake::start(|_| Reply::No(400, "AccessDeniedException", "You are not authorized")).await;
    let athena = fake.catalog().workgroup("ours").athena();
    let error = athena.run("SELECT 1", &CancellationToken::new(), &|_| {}).await.unwrap_err();
    let told = error.to_string();
    assert!(
        told.contains("allow athena:StartQueryExecution on arn:aws:athena:*:*:workgroup/ours"),
        "{told}"
    );
    assert_eq!(fake.seen("StartQueryExecution").len(), 1);
}
