//! Tables and partitions, made by our client and read by AWS's own.

use std::collections::BTreeSet;

use millstream_aws::glue::{Change, Format, Partition, TableSpec};
use serde_json::json;
use tokio::task::JoinSet;

use crate::place::{Place, names};

fn pairs(columns: &[(&str, &str)]) -> Vec<(String, String)> {
    columns.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect()
}

fn spec(place: &Place, columns: &[(&str, &str)]) -> TableSpec {
    TableSpec {
        name: "readings".to_owned(),
        location: format!("s3://{}/readings", place.bucket),
        format: Format::Parquet,
        columns: pairs(columns),
        partitions: pairs(&[("date", "string"), ("hour", "int")]),
    }
}

const COLUMNS: [(&str, &str); 3] = [("id", "bigint"), ("Value", "DOUBLE"), ("at", "timestamp")];

fn partitions(place: &Place, n: usize) -> Vec<Partition> {
    let one = |n: usize| {
        let (day, hour) = (format!("2026-11-{:02}", 1 + n / 24), n % 24);
        let location = format!("s3://{}/readings/date={day}/hour={hour}/", place.bucket);
        Partition { values: vec![day, hour.to_string()], location }
    };
    (0..n).map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_make_a_table_one_does_and_all_have_it() {
    let place = Place::new("tables").await;
    let mut makers = JoinSet::new();
    for _ in 0..8 {
        let (glue, spec) = (place.catalog("").glue(), spec(&place, &COLUMNS));
        makers.spawn(async move { glue.ensure_table(&spec).await.unwrap() });
    }
    let changes = makers.join_all().await;
    let created = changes.iter().filter(|change| **change == Change::Created).count();
    assert_eq!(created, 1, "{changes:?}");
    let table = place.table("readings").await;
    assert_eq!(names(&table["StorageDescriptor"]["Columns"]), ["id", "value", "at"], "{table}");
    assert_eq!(table["StorageDescriptor"]["Columns"][1]["Type"], "double");
    assert_eq!(names(&table["PartitionKeys"]), ["date", "hour"]);
    let location = format!("s3://{}/readings/", place.bucket);
    assert_eq!(table["StorageDescriptor"]["Location"], location.as_str());
    assert_eq!(
        (&table["Parameters"]["classification"], &table["TableType"]),
        (&json!("parquet"), &json!("EXTERNAL_TABLE"))
    );
    let serde = &table["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"];
    assert!(serde.as_str().unwrap().contains("ParquetHiveSerDe"), "{table}");
    assert_eq!(place.catalog("").glue().tables().await.unwrap(), ["readings"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_registered_as_often_as_one_likes_and_are_there_once() {
    let place = Place::new("partitions").await;
    let (glue, spec) = (place.catalog("").glue(), spec(&place, &COLUMNS));
    glue.ensure_table(&spec).await.unwrap();
    let all = partitions(&place, 250);
    let mut workers = JoinSet::new();
    for worker in 0..4 {
        let (glue, spec, mut mine) = (glue.clone(), spec.clone(), all.clone());
        // Each in another order, so that they meet in the middle of batches.
        mine.rotate_left(worker * 60);
        workers.spawn(async move { glue.register(&spec, &mine).await.unwrap() });
    }
    let new: u64 = workers.join_all().await.iter().sum();
    assert_eq!(new, 250, "each is new to one of them");
    assert_eq!(glue.register(&spec, &all).await.unwrap(), 0, "and to nobody later");
    let registered = place.partitions("readings").await;
    let values: BTreeSet<_> = registered.iter().map(|one| one["Values"].to_string()).collect();
    assert_eq!((registered.len(), values.len()), (250, 250));
    let one = registered.iter().find(|one| one["Values"] == json!(["2026-11-02", "3"])).unwrap();
    let location = format!("s3://{}/readings/date=2026-11-02/hour=3/", place.bucket);
    assert_eq!(one["StorageDescriptor"]["Location"], location.as_str());
    assert_eq!(names(&one["StorageDescriptor"]["Columns"]), ["id", "value", "at"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_come_to_the_table_and_its_partitions_and_nothing_else_changes() {
    let place = Place::new("widened").await;
    let glue = place.catalog("").glue();
    let narrow = spec(&place, &COLUMNS);
    glue.ensure_table(&narrow).await.unwrap();
    glue.register(&narrow, &partitions(&place, 130)).await.unwrap();
    // What Terraform, say, wrote there.
    let mut input = place.table("readings").await;
    let kept: Vec<_> =
        ["Name", "StorageDescriptor", "PartitionKeys", "TableType", "Parameters"].into();
    let object = input.as_object_mut().unwrap();
    object.retain(|key, _| kept.contains(&key.as_str()));
    object.insert("Description".to_owned(), json!("of the hospital"));
    object["Parameters"]["owner"] = json!("terraform");
    let update = json!({ "DatabaseName": place.name, "TableInput": input });
    place.call("glue", "update_table", update).await;

    let more: Vec<_> =
        COLUMNS.into_iter().chain([("note", "string"), ("dose", "decimal(10,2)")]).collect();
    let wide = spec(&place, &more);
    let mut workers = JoinSet::new();
    for _ in 0..4 {
        let (glue, wide) = (glue.clone(), wide.clone());
        workers.spawn(async move { glue.ensure_table(&wide).await.unwrap() });
    }
    let changes = workers.join_all().await;
    let widened = Change::Widened(vec!["note".to_owned(), "dose".to_owned()]);
    assert_eq!(changes.iter().filter(|change| **change == widened).count(), 1, "{changes:?}");
    let table = place.table("readings").await;
    let expected = ["id", "value", "at", "note", "dose"];
    assert_eq!(names(&table["StorageDescriptor"]["Columns"]), expected);
    assert_eq!(
        (&table["Description"], &table["Parameters"]["owner"]),
        (&json!("of the hospital"), &json!("terraform"))
    );
    let registered = place.partitions("readings").await;
    assert_eq!(registered.len(), 130);
    for one in &registered {
        assert_eq!(names(&one["StorageDescriptor"]["Columns"]), expected, "{one}");
    }
    assert_eq!(glue.ensure_table(&wide).await.unwrap(), Change::Nothing);
    // A worker of older code registers what it knows; the columns are the table's.
    let late =
        Partition { values: vec!["2027-01-01".into(), "0".into()], location: "s3://x/".into() };
    glue.register(&narrow, &[late]).await.unwrap();
    let registered = place.partitions("readings").await;
    assert_eq!(names(&registered.last().unwrap()["StorageDescriptor"]["Columns"]), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_make_files_unreadable_is_refused_and_nothing_done() {
    let place = Place::new("refused").await;
    let glue = place.catalog("").glue();
    let good = spec(&place, &COLUMNS);
    glue.ensure_table(&good).await.unwrap();
    let before = place.table("readings").await;
    let other = |columns| TableSpec { columns, ..good.clone() };
    let cases = [
        (
            other(pairs(&[("id", "string"), COLUMNS[1], COLUMNS[2]])),
            "id is bigint there, and would become string",
        ),
        (other(pairs(&COLUMNS[..2])), "column at would be gone"),
        (other(pairs(&[COLUMNS[0], ("ID", "bigint"), COLUMNS[1], COLUMNS[2]])), "no upper case"),
        (
            TableSpec { location: "s3://elsewhere/readings".into(), ..good.clone() },
            "s3://elsewhere",
        ),
        (TableSpec { format: Format::Csv, ..good.clone() }, "Csv"),
        (TableSpec { partitions: pairs(&[("date", "string")]), ..good.clone() }, "partitioned by"),
    ];
    for (spec, expected) in cases {
        let error = glue.ensure_table(&spec).await.unwrap_err();
        assert!(!error.is_retryable() && error.to_string().contains(expected), "{error}");
        assert!(
            error.to_string().contains(&format!("set up table {}.readings", place.name)),
            "{error}"
        );
    }
    assert_eq!(place.table("readings").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_missing_is_made_if_asked_for() {
    let place = Place::bare("nowhere").await;
    let spec = spec(&place, &COLUMNS);
    let error = place.catalog("").glue().ensure_table(&spec).await.unwrap_err().to_string();
    for part in [place.name.as_str(), "EntityNotFoundException", "Terraform", "create=on"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let mut workers = JoinSet::new();
    for _ in 0..4 {
        let (glue, spec) = (place.catalog("create=on").glue(), spec.clone());
        workers.spawn(async move { glue.ensure_table(&spec).await.unwrap() });
    }
    workers.join_all().await;
    assert_eq!(place.catalog("").glue().tables().await.unwrap(), ["readings"]);
}
