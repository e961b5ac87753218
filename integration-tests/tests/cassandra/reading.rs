//! What is there for others: cqlsh, and those who fill an index from a table.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
    RecordBatch, StringArray, TimestampMicrosecondArray, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Schema};
use integration_tests::stack;
use millstream_engine::{Range, Rows, Target};
use millstream_sinks::Upserted;
use millstream_sinks::cassandra::CassandraTable;

use crate::world::{
    PIPELINE, Place, assignment, commit, connect, connect_with, entry, held, last, put, schema,
};

/// Lines of `SELECT JSON …`, by cqlsh inside the container.
async fn cqlsh(cql: &str) -> Vec<serde_json::Value> {
    let said = stack::cassandra().await.exec(&["cqlsh", "--no-color", "-e", cql]).await;
    let rows = said.lines().map(str::trim).filter(|line| line.starts_with('{'));
    rows.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Two rows: a value of every type, and nulls.
fn every_type() -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("Id", Arc::new(StringArray::from(vec!["a", "b"]))),
        ("select", Arc::new(StringArray::from(vec![Some("Zürich – 東京"), None]))),
        ("n", Arc::new(Int64Array::from(vec![Some(i64::MAX), None]))),
        ("x", Arc::new(Float64Array::from(vec![Some(0.1), None]))),
        ("fine", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("day", Arc::new(Date32Array::from(vec![Some(19_782), None]))),
        (
            "at",
            Arc::new(
                TimestampMillisecondArray::from(vec![Some(1_709_208_000_123), None])
                    .with_timezone("UTC"),
            ),
        ),
        (
            "exact",
            Arc::new(
                TimestampMicrosecondArray::from(vec![Some(1_709_208_000_123_456), None])
                    .with_timezone("UTC"),
            ),
        ),
        (
            "price",
            Arc::new(
                Decimal128Array::from(vec![Some(-12_345), None])
                    .with_precision_and_scale(20, 2)
                    .unwrap(),
            ),
        ),
    ];
    let fields = columns.iter().map(|(name, column)| {
        arrow::datatypes::Field::new(*name, column.data_type().clone(), true)
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let arrays = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(schema, arrays).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn cqlsh_reads_every_type_as_what_it_is() {
    let place = Place::new().await;
    let batch = every_type();
    let schema = batch.schema();
    let table = CassandraTable::upsert(place.server.clone(), &place.keyspace, "Types", &["Id"]);
    let mut sink = connect_with(&table, &schema).await;
    let after = last(&mut sink, 0).await;
    let versions = Arc::new(Int64Array::from(vec![1_709_208_000_123_000, 1_709_208_000_123_001]));
    let rows = vec![Rows { batch: batch.clone(), versions }];
    let range = Range { entry: entry(&after, 2), rows, deletes: Vec::new() };
    commit(&mut sink, 0, &range).await;

    let select = format!(
        "SELECT JSON \"Id\" AS id, \"_version\" AS version, \"select\" AS text, n, x, fine, day, at, exact, price \
         FROM {}.\"Types\" WHERE \"Id\" = 'a'",
        place.keyspace
    );
    let seen = cqlsh(&select).await.remove(0);
    let expected = serde_json::json!({
        "id": "a", "version": 1_709_208_000_123_000_i64, "at": "2024-02-29 12:00:00.123Z", "day": "2024-02-29",
        "exact": "2024-02-29T12:00:00.123456Z", "fine": true, "n": i64::MAX, "price": -123.45, "text": "Zürich – 東京",
        "x": 0.1
    });
    assert_eq!(seen, expected);
    let select = format!(
        "SELECT JSON \"Id\" AS id, n, \"select\" AS text, writetime(\"_version\") AS at FROM \"{}\".\"Types\" WHERE \"Id\" = 'b'",
        place.keyspace
    );
    let seen = cqlsh(&select).await.remove(0);
    let version = 1_709_208_000_123_001_i64;
    let expected = serde_json::json!({ "id": "b", "n": null, "text": null, "at": version });
    assert_eq!(seen, expected, "null is written as null, and the version is the write's time");

    let mut batches = Vec::new();
    let mut visit = |batch| {
        batches.push(batch);
        Ok(())
    };
    table.scan(PIPELINE, &mut visit).await.unwrap();
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].schema(), range.rows[0].batch.schema().as_ref().clone().into_key("Id"));
    assert_eq!(batches[0].num_rows(), 2);
}

/// A schema as a table has it: the key can't be null.
trait IntoKey {
    fn into_key(self, key: &str) -> Arc<Schema>;
}

impl IntoKey for Schema {
    fn into_key(self, key: &str) -> Arc<Schema> {
        let fields = self
            .fields()
            .iter()
            .map(|field| field.as_ref().clone().with_nullable(field.name() != key));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cqlsh_reads_the_rows_that_we_do() {
    let place = Place::new().await;
    let table = place.table("rows");
    let mut sink = connect(&table).await;
    let keys: Vec<_> = (0..3_000).map(|n| format!("key {n}")).collect();
    let records: Vec<_> = keys.iter().zip(1..).map(|(key, n)| (key.as_str(), Some(n), n)).collect();
    put(&mut sink, &records).await;
    put(&mut sink, &[("key 7", None, 9_000), ("key 8", Some(-8), 9_001), ("key 9", None, 3)]).await;
    let seen = cqlsh(&format!("PAGING OFF; SELECT JSON id, n FROM {}.rows", place.keyspace)).await;
    let seen: BTreeMap<_, _> = seen
        .iter()
        .map(|row| (row["id"].as_str().unwrap().to_owned(), row["n"].as_i64()))
        .collect();
    assert_eq!(seen.len(), 2_999);
    assert_eq!(seen["key 8"], Some(-8));
    assert_eq!(seen, held(&table).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_filled_from_rows_with_their_versions() {
    let place = Place::new().await;
    let table = place.table("rows");
    assert_eq!(table.count().await.unwrap(), None);
    assert_eq!(table.topic_ids("suite_topic").await.unwrap(), Vec::<String>::new());
    let mut sink = connect(&table).await;
    assert_eq!(table.count().await.unwrap(), Some(0));
    put(&mut sink, &[("b", Some(1), 7), ("a", Some(2), 9), ("c", Some(3), 10)]).await;
    put(&mut sink, &[("c", None, 11)]).await;
    assert_eq!(table.count().await.unwrap(), Some(2));
    assert_eq!(table.topic_ids("suite_topic").await.unwrap(), ["t1"]);
    assert_eq!(table.topic_ids("another").await.unwrap(), Vec::<String>::new());
    let mut read = BTreeMap::new();
    let mut visit = |rows: Rows| {
        let ids = rows.batch.column_by_name("id").unwrap().as_string::<i32>();
        let ids = ids.iter().map(|id| id.unwrap().to_owned());
        read.extend(ids.zip(rows.versions.values().iter().copied()));
        Ok(())
    };
    Upserted::read(&table, &mut visit).await.unwrap();
    assert_eq!(read, BTreeMap::from([("b".to_owned(), 7), ("a".to_owned(), 9)]));
    let other = place.table("nobodys");
    Upserted::read(&other, &mut |_| panic!("there is none")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_whole_across_cassandras_partitions_of_it() {
    const RANGES: u64 = 1_005;
    let place = Place::new().await;
    let mut sink = connect(&place.table("rows")).await;
    let mut after = last(&mut sink, 0).await;
    for _ in 0..RANGES {
        let range = Range { entry: entry(&after, 1), rows: Vec::new(), deletes: Vec::new() };
        commit(&mut sink, 0, &range).await;
        after = range.entry;
    }
    let at = assignment(0).at;
    for (from, max, expected) in [
        (0, 5_000, 0..=RANGES),
        (998, 4, 998..=1_001),
        (1_000, 1, 1_000..=1_000),
        (RANGES, 9, RANGES..=RANGES),
    ] {
        let seen = sink.ledger(&at, from, max).await.unwrap();
        let seen: Vec<_> = seen.iter().map(|entry| entry.seq).collect();
        assert_eq!(seen, expected.collect::<Vec<_>>(), "at most {max} from {from}");
    }
    assert_eq!(sink.ledger(&at, RANGES + 1, 9).await.unwrap(), vec![]);
    let cql = format!(
        "SELECT JSON bucket, count(*) AS n FROM {}.millstream_ledger GROUP BY table_name, pipeline, topic, \"partition\", bucket",
        place.keyspace
    );
    let mut buckets: Vec<_> = cqlsh(&cql).await.iter().map(|row| row["n"].as_i64()).collect();
    buckets.sort_unstable();
    assert_eq!(buckets, [Some(5), Some(1_000)], "the last entry is in the position's row");
    assert_eq!(schema(&["n"]).field(0).data_type(), &DataType::Int64);
}
