//! Who owns a table, and how its columns grow.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use millstream_engine::{SinkError, Target};

use super::world::schema;
use crate::lake::{Format, Lake, MemoryStore, Store, tables};

fn store() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

fn with(fields: Vec<Field>) -> SchemaRef {
    let before = schema();
    Arc::new(Schema::new(
        before.fields().iter().cloned().chain(fields.into_iter().map(Arc::new)).collect::<Vec<_>>(),
    ))
}

async fn connect(lake: &Lake, pipeline: &str, schema: &SchemaRef) -> Result<(), SinkError> {
    lake.connect(pipeline, schema).await.map(|_| ())
}

async fn refused(lake: &Lake, pipeline: &str, schema: &SchemaRef, words: &[&str]) {
    let error = connect(lake, pipeline, schema).await.unwrap_err();
    assert!(!error.is_retryable(), "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "{word:?} in: {error}");
    }
}

#[tokio::test]
async fn a_table_is_one_pipelines_and_a_pipeline_one_tables() {
    let store = store();
    let table = |name| Lake::new(store.clone(), name, Format::Parquet, &["day"]);
    connect(&table("t"), "app.p", &schema()).await.unwrap();
    refused(&table("t"), "app.renamed", &schema(), &["app.p", "app.renamed", "old name"]).await;
    refused(&table("u"), "app.p", &schema(), &["table t", "table u", "another name"]).await;
    let names: Vec<_> = tables(&*store).await.unwrap().into_iter().map(|t| t.table).collect();
    assert_eq!(names, ["t"], "what was refused left nothing behind");
    connect(&table("u"), "app.q", &schema()).await.unwrap();
    connect(&table("t"), "app.p", &schema()).await.unwrap();
}

#[tokio::test]
async fn format_and_partitions_stay() {
    let store = store();
    let lake = |format, by: &[&str]| Lake::new(store.clone(), "t", format, by);
    connect(&lake(Format::Parquet, &["day"]), "app.p", &schema()).await.unwrap();
    let words = ["Parquet", "[day]", "another table"];
    refused(&lake(Format::Csv, &["day"]), "app.p", &schema(), &words).await;
    refused(&lake(Format::Parquet, &[]), "app.p", &schema(), &words).await;
}

#[tokio::test]
async fn columns_are_added_and_never_change() {
    let store = store();
    let lake = Lake::new(store.clone(), "t", Format::Csv, &["day"]);
    connect(&lake, "app.p", &schema()).await.unwrap();
    let more = with(vec![Field::new("more", DataType::Float64, false)]);
    let other = with(vec![Field::new("other", DataType::Utf8, true)]);
    for schema in [&more, &other, &more, &schema()] {
        connect(&lake, "app.p", schema).await.unwrap();
    }
    let record = tables(&*store).await.unwrap().pop().unwrap();
    let column = |(name, nullable): (&str, bool)| {
        let kind = match name {
            "n" => DataType::Int64,
            "more" => DataType::Float64,
            _ => DataType::Utf8,
        };
        Field::new(name, kind, nullable)
    };
    let union = [("n", false), ("day", false), ("text", true), ("more", true), ("other", true)];
    assert_eq!(record.schema.fields(), &Fields::from_iter(union.map(column)));
    assert_eq!((record.owner.as_str(), record.format), ("app.p", Format::Csv));
    let written = store.list("_millstream/columns/t/", None, 99).await.unwrap();
    assert_eq!(written.len(), 2, "one per schema that brought something new");

    let changed = with(vec![Field::new("more", DataType::Utf8, true)]);
    refused(&lake, "app.p", &changed, &["more", "Utf8", "Float64", "differently"]).await;
}

#[tokio::test]
async fn workers_that_add_columns_at_once_lose_none() {
    let store = store();
    let connects = (0..8).map(|n| {
        let lake = Lake::new(store.clone(), "t", Format::Parquet, &[]);
        let schema = with(vec![Field::new(format!("c{n}"), DataType::Int32, true)]);
        async move { connect(&lake, "app.p", &schema).await.unwrap() }
    });
    futures::future::join_all(connects).await;
    let record = tables(&*store).await.unwrap().pop().unwrap();
    assert_eq!(record.schema.fields().len(), 3 + 8);
}

#[tokio::test]
async fn what_can_not_be_a_table_is_refused_before_anything_is_written() {
    let objects = MemoryStore::new();
    let store: Arc<dyn Store> = Arc::new(objects.clone());
    let lake = |name: &str, format, by: &[&str]| Lake::new(store.clone(), name, format, by);
    let list = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
    let nested = with(vec![Field::new("tags", list, true)]);
    let ratio = with(vec![Field::new("ratio", DataType::Float64, true)]);
    let csv = Format::Csv;
    refused(&lake("a/b", csv, &[]), "app.p", &schema(), &["a/b", "rename"]).await;
    refused(&lake("t", csv, &[]), "../p", &schema(), &["../p", "rename"]).await;
    refused(&lake("t", csv, &["month"]), "app.p", &schema(), &["month", "no column"]).await;
    refused(&lake("t", csv, &["ratio"]), "app.p", &ratio, &["ratio", "Float64"]).await;
    refused(&lake("t", csv, &["n", "day", "text"]), "app.p", &schema(), &["all its columns"]).await;
    refused(&lake("t", csv, &[]), "app.p", &nested, &["tags", "write Parquet"]).await;
    let sorted = lake("t", csv, &["day"]).sorted_by(&["day"]);
    refused(&sorted, "app.p", &schema(), &["sorted by day"]).await;
    assert_eq!(objects.snapshot().len(), 0);
    connect(&lake("t", Format::Parquet, &[]), "app.p", &nested).await.unwrap();
}
