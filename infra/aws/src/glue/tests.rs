use std::sync::Mutex;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Change, Ended, Format, Partition, TableSpec};
use crate::fake::{Asked, Fake, Reply};

fn spec(columns: &[(&str, &str)]) -> TableSpec {
    let pairs = |columns: &[(&str, &str)]| {
        columns.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect()
    };
    TableSpec {
        name: "users".to_owned(),
        location: "s3://b/users".to_owned(),
        format: Format::Parquet,
        columns: pairs(columns),
        partitions: pairs(&[("date", "string")]),
    }
}

fn partitions(n: usize) -> Vec<Partition> {
    let partition = |n: usize| Partition {
        values: vec![format!("day-{n}")],
        location: format!("s3://b/users/date=day-{n}/"),
    };
    (0..n).map(partition).collect()
}

const NOT_THERE: Reply = Reply::No(400, "EntityNotFoundException", "Table users not found");

/// A catalog with one table, by what was sent to create or update it.
fn table(state: &Mutex<Value>) -> Reply {
    match &*state.lock().unwrap() {
        Value::Null => NOT_THERE,
        input => Reply::Ok(json!({ "Table": input })),
    }
}

#[tokio::test]
async fn a_reply_that_got_lost_makes_no_second_table() {
    let state = Mutex::new(Value::Null);
    let fake = Fake::start(move |asked| match (asked.operation.as_str(), asked.n) {
        ("GetTable", _) => table(&state),
        ("CreateTable", 1) => {
            *state.lock().unwrap() = asked.body["TableInput"].clone();
            Reply::Lost
        }
        ("CreateTable", _) => Reply::No(400, "AlreadyExistsException", "Table already exists"),
        _ => Reply::Ok(json!({ "Database": { "Name": "lake" } })),
    })
    .await;
    let change = fake.catalog().glue().ensure_table(&spec(&[("id", "bigint")])).await.unwrap();
    assert_eq!(change, Change::Nothing, "what is there is what was wanted");
    assert_eq!(fake.seen("CreateTable").len(), 2);
}

#[tokio::test]
async fn a_change_that_others_were_faster_with_is_looked_at_anew() {
    let wide = spec(&[("id", "bigint"), ("name", "string"), ("at", "timestamp")]);
    let of = |columns: Value| {
        json!({ "Table": { "Name": "users", "DatabaseName": "lake", "VersionId": "7",
        "Parameters": { "by": "terraform" }, "StorageDescriptor": { "Columns": columns, "Location": "s3://b/users/" },
        "PartitionKeys": [{ "Name": "date", "Type": "string" }] } })
    };
    let (id, name) =
        (json!({ "Name": "id", "Type": "bigint" }), json!({ "Name": "name", "Type": "string" }));
    let fake = Fake::start(move |asked| match (asked.operation.as_str(), asked.n) {
        ("GetTable", 1) => Reply::Ok(of(json!([id]))),
        ("GetTable", _) => Reply::Ok(of(json!([id, name]))),
        ("UpdateTable", 1) => Reply::No(400, "ConcurrentModificationException", "modified"),
        ("GetPartitions", _) => Reply::Ok(json!({ "Partitions": [
            { "Values": ["a"], "StorageDescriptor": { "Columns": [id], "Location": "s3://b/users/date=a/" } }] })),
        _ => Reply::Ok(json!({})),
    })
    .await;
    let change = fake.catalog().glue().ensure_table(&wide).await.unwrap();
    assert_eq!(change, Change::Widened(vec!["at".to_owned()]));
    let updated = fake.seen("UpdateTable");
    // The SDK doesn't try such an answer again: each was made of what was read before it.
    let last = &updated[updated.len() - 1].body;
    assert_eq!(last["VersionId"], "7", "{last}");
    assert_eq!(last["TableInput"]["Parameters"]["by"], "terraform", "{last}");
    let names = |input: &Value| -> Vec<String> {
        let columns = input["StorageDescriptor"]["Columns"].as_array().unwrap();
        columns.iter().map(|column| column["Name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&last["TableInput"]), ["id", "name", "at"]);
    let cascaded = fake.seen("BatchUpdatePartition");
    let entry = &cascaded[cascaded.len() - 1].body["Entries"][0]["PartitionInput"];
    assert_eq!(names(entry), ["id", "name", "at"], "{cascaded:?}");
    assert_eq!(entry["StorageDescriptor"]["Location"], "s3://b/users/date=a/");
}

#[tokio::test]
async fn partitions_go_by_the_hundred_and_known_ones_are_fine() {
    let answer = |asked: &Asked| {
        let list = asked.body["PartitionInputList"].as_array().unwrap();
        assert!(list.len() <= 100, "{}", list.len());
        let known: Vec<_> = list
            .iter()
            .take(10)
            .map(|one| {
                json!({ "PartitionValues": one["Values"],
            "ErrorDetail": { "ErrorCode": "AlreadyExistsException", "ErrorMessage": "known" } })
            })
            .collect();
        Reply::Ok(json!({ "Errors": known }))
    };
    let fake = Fake::start(move |asked| match (asked.operation.as_str(), asked.n) {
        ("BatchCreatePartition", 1) => Reply::Lost,
        ("BatchCreatePartition", 2) => Reply::No(400, "ThrottlingException", "Rate exceeded"),
        ("BatchCreatePartition", _) => answer(asked),
        _ => Reply::Ok(json!({ "Table": { "Name": "users", "StorageDescriptor": { "Columns": [
            { "Name": "id", "Type": "bigint" }, { "Name": "later", "Type": "string" }] } } })),
    })
    .await;
    let glue = fake.catalog().glue();
    let new = glue.register(&spec(&[("id", "bigint")]), &partitions(250)).await.unwrap();
    assert_eq!(new, 250 - 30);
    let sent = fake.seen("BatchCreatePartition");
    let sizes: Vec<_> = sent
        .iter()
        .map(|asked| asked.body["PartitionInputList"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [100, 100, 100, 100, 50]);
    let columns = &sent[0].body["PartitionInputList"][0]["StorageDescriptor"]["Columns"];
    assert_eq!(columns.as_array().unwrap().len(), 2, "as the table is now: {columns}");
    assert_eq!(glue.register(&spec(&[]), &[]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_partition_that_is_refused_is_named() {
    let fake = Fake::start(|asked| match asked.operation.as_str() {
        "BatchCreatePartition" => Reply::Ok(json!({ "Errors": [{ "PartitionValues": ["day-0"],
            "ErrorDetail": { "ErrorCode": "ResourceNumberLimitExceededException", "ErrorMessage": "too many" } }] })),
        _ => Reply::Ok(json!({ "Table": { "Name": "users" } })),
    })
    .await;
    let glue = fake.catalog().glue();
    let error = glue.register(&spec(&[]), &partitions(1)).await.unwrap_err();
    assert!(!error.is_retryable(), "{error}");
    let told = error.to_string();
    assert!(told.contains("partition day-0") && told.contains("quota"), "{told}");
    let wrong = Partition { values: vec![], location: "s3://b/users/".to_owned() };
    assert!(glue.register(&spec(&[]), &[wrong]).await.is_err(), "values are counted");
}

fn crawler(state: &str, last: Value) -> Reply {
    Reply::Ok(
        json!({ "Crawler": { "Name": "users", "DatabaseName": "lake", "State": state, "LastCrawl": last } }),
    )
}

#[tokio::test]
async fn a_crawl_that_fails_is_explained_and_an_old_end_is_not_taken_for_it() {
    let before = json!({ "Status": "SUCCEEDED", "StartTime": 1.0 });
    let failed = json!({ "Status": "FAILED", "StartTime": 2.0, "ErrorMessage": "Access Denied (Status Code: 403)",
        "LogGroup": "/aws-glue/crawlers", "LogStream": "users" });
    let fake = Fake::start(move |asked| match (asked.operation.as_str(), asked.n) {
        ("GetCrawler", 1 | 2) => crawler("READY", before.clone()),
        ("GetCrawler", 3) => crawler("RUNNING", before.clone()),
        ("GetCrawler", _) => crawler("READY", failed.clone()),
        ("StartCrawler", 1) => Reply::Lost,
        ("StartCrawler", _) => Reply::No(400, "CrawlerRunningException", "is already running"),
        _ => Reply::Ok(
            json!({ "CrawlerMetricsList": [{ "CrawlerName": "users", "TablesUpdated": 2 }] }),
        ),
    })
    .await;
    let (glue, stop) = (fake.catalog().glue(), CancellationToken::new());
    let crawled = glue.crawl("users", &stop, &|_| {}).await.unwrap();
    let Ended::Failed { why, remedy } = crawled.end else { panic!("{crawled:?}") };
    assert!(why.contains("403") && remedy.contains("s3:GetObject"), "{why}: {remedy}");
    assert!(remedy.contains("aws logs tail /aws-glue/crawlers"), "{remedy}");
    assert_eq!(crawled.tables_updated, 2);
}

#[tokio::test]
async fn whoever_stops_has_the_crawler_stopped() {
    let fake = Fake::start(|asked| match asked.operation.as_str() {
        "GetCrawler" if asked.n > 3 => {
            crawler("READY", json!({ "Status": "CANCELLED", "StartTime": 2.0 }))
        }
        "GetCrawler" => crawler("RUNNING", Value::Null),
        _ => Reply::Ok(json!({})),
    })
    .await;
    let (glue, stop) = (fake.catalog().glue(), CancellationToken::new());
    let crawled = glue.crawl("users", &stop, &|_| stop.cancel()).await.unwrap();
    assert_eq!(crawled.end, Ended::Cancelled);
    assert_eq!(fake.seen("StopCrawler").len(), 1);
}

#[tokio::test]
async fn lists_are_read_to_their_end() {
    let fake =
        Fake::start(|asked| match (asked.operation.as_str(), asked.body["NextToken"].as_str()) {
            ("GetCrawlers", None) => Reply::Ok(json!({ "NextToken": "x", "Crawlers": [
            { "Name": "b", "DatabaseName": "lake" }, { "Name": "c", "DatabaseName": "other" }] })),
            ("GetCrawlers", _) => {
                Reply::Ok(json!({ "Crawlers": [{ "Name": "a", "DatabaseName": "lake" }] }))
            }
            (_, None) => Reply::Ok(json!({ "NextToken": "x", "TableList": [{ "Name": "u" }] })),
            _ => Reply::Ok(json!({ "TableList": [{ "Name": "t" }] })),
        })
        .await;
    let glue = fake.catalog().glue();
    assert_eq!(glue.crawlers().await.unwrap(), ["a", "b"]);
    assert_eq!(glue.tables().await.unwrap(), ["t", "u"]);
}
