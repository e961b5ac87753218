//! Tables that change, in the pipeline's code or by hand, and names and keys of all kinds.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use integration_tests::stack;
use millstream_engine::{Range, Target};
use millstream_sinks::cassandra::CassandraTable;

use crate::world::{
    PIPELINE, Place, assignment, commit, connect, connect_with, held, last, put, range, schema,
    server, settled,
};

async fn cql(cql: &str) {
    stack::cassandra().await.exec(&["cqlsh", "-e", cql]).await;
}

fn noted(mut range: Range, note: &str) -> Range {
    let rows = &mut range.rows[0];
    let notes: ArrayRef = Arc::new(StringArray::from(vec![note; rows.batch.num_rows()]));
    let columns = rows.batch.columns().iter().cloned().chain([notes]).collect();
    rows.batch = RecordBatch::try_new(schema(&["id", "n", "note"]), columns).unwrap();
    range
}

async fn notes(table: &CassandraTable) -> Vec<Option<String>> {
    let mut notes = Vec::new();
    let mut visit = |batch: RecordBatch| {
        let column = batch.column_by_name("note").unwrap().as_string::<i32>();
        notes.extend(column.iter().map(|note| note.map(str::to_owned)));
        Ok(())
    };
    table.scan(PIPELINE, &mut visit).await.unwrap();
    notes.sort();
    notes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_before_a_column_was_added_writes_null_into_it() {
    let table = Place::new().await.table("rows");
    let mut old = connect(&table).await;
    put(&mut old, &[("old", Some(1), 1)]).await;
    let mut new = connect_with(&table, &schema(&["id", "n", "note"])).await;
    let range = noted(range(&last(&mut new, 0).await, &[("new", Some(2), 20)]), "here");
    commit(&mut new, 0, &range).await;
    assert_eq!(notes(&table).await, [None, Some("here".to_owned())]);
    put(&mut old, &[("new", Some(3), 30)]).await;
    assert_eq!(notes(&table).await, [None, None], "whole rows: null writes null");
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_start_together_make_one_table() {
    let place = Place::new().await;
    let address = stack::cassandra().await.address();
    let workers: Vec<_> = (0..6)
        .map(|worker| {
            let place = place.through(&address);
            tokio::spawn(async move {
                let columns: &[&str] =
                    if worker % 2 == 0 { &["id", "n"] } else { &["id", "n", "note"] };
                let connected = settled(&place.table("rows"), &schema(columns)).await;
                // Who comes after the column was added lacks it.
                connected.map(|_| ()).map_err(|error| error.to_string())
            })
        })
        .collect();
    for (worker, connected) in workers.into_iter().enumerate() {
        match connected.await.unwrap() {
            Ok(()) => {}
            Err(error) => assert!(worker % 2 == 0 && error.contains("\"note\""), "{error}"),
        }
    }
    let mut sink = connect_with(&place.table("rows"), &schema(&["id", "n", "note"])).await;
    let range = noted(range(&last(&mut sink, 0).await, &[("a", Some(2), 20)]), "here");
    commit(&mut sink, 0, &range).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_or_removed_column_is_refused() {
    let place = Place::new().await;
    let table = place.table("rows");
    connect(&table).await;
    for columns in [&["id"][..], &["id", "m"]] {
        let error = settled(&table, &schema(columns)).await.err().unwrap();
        let text = error.to_string();
        assert!(
            !error.is_retryable() && text.contains("\"n\"") && text.contains("new table"),
            "{text}"
        );
    }
    let key = &["id", "n"];
    let other = CassandraTable::upsert(place.server.clone(), &place.keyspace, "rows", key);
    let error = settled(&other, &schema(key)).await.err().unwrap();
    assert!(error.to_string().contains("was made as"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_others_and_dropped_ones_are_left_alone() {
    let place = Place::new().await;
    let table = place.table("rows");
    let mut sink = connect(&table).await;
    put(&mut sink, &[("a", Some(1), 1)]).await;
    cql(&format!("CREATE TABLE {}.notes (id text PRIMARY KEY)", place.keyspace)).await;
    let error = settled(&place.table("notes"), &schema(&["id", "n"])).await.err().unwrap();
    assert!(!error.is_retryable() && error.to_string().contains("did not make"), "{error}");

    cql(&format!("DROP TABLE {}.rows", place.keyspace)).await;
    let range = range(&last(&mut sink, 0).await, &[("b", Some(1), 2)]);
    let error = sink.commit(&assignment(0), &range).await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("name a new table"), "{error}");
    let error = settled(&table, &schema(&["id", "n"])).await.err().unwrap();
    assert!(error.to_string().contains("dropped"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_somebody_else_makes_the_tables_the_cql_is_told() {
    let shared = Place::new().await;
    let address = stack::cassandra().await.address();
    let server = server(&format!("cassandra://{address}?create=off"), "").unwrap();
    let place = Place { server, ..shared };
    let mut told = 0;
    let sink = loop {
        let error = match settled(&place.table("rows"), &schema(&["id", "n"])).await {
            Ok(sink) => break sink,
            Err(error) => error.to_string(),
        };
        let (_, statement) = error.split_once("; run: ").unwrap_or_else(|| panic!("{error}"));
        cql(statement).await;
        told += 1;
    };
    assert_eq!(told, 5, "the keyspace, our three tables, the table");
    drop(sink);
    let error = place.table("rows").connect(PIPELINE, &schema(&["id", "n", "note"])).await;
    let error = error.err().unwrap().to_string();
    assert!(error.contains("ALTER TABLE") && error.contains("ADD \"note\" text"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_may_be_anything_that_can_be_quoted() {
    let place = Place::new().await;
    let odd = "Größe in m² \"x\"";
    let columns = Arc::new(Schema::new(vec![
        Field::new("Select", DataType::Utf8, true),
        Field::new(odd, DataType::Int64, true),
    ]));
    for table in ["Rows", "rows", "token"] {
        let (server, keyspace) = (place.server.clone(), &place.keyspace);
        let target = CassandraTable::upsert(server, keyspace, table, &["Select"]);
        let mut sink = connect_with(&target, &columns).await;
        let mut range = range(&last(&mut sink, 0).await, &[(table, Some(1), 1)]);
        let rows = &mut range.rows[0];
        rows.batch = RecordBatch::try_new(columns.clone(), rows.batch.columns().to_vec()).unwrap();
        commit(&mut sink, 0, &range).await;
        let mut seen = Vec::new();
        let mut visit = |batch: RecordBatch| {
            assert_eq!(batch.schema().field(1).name(), odd);
            let keys = batch.column(0).as_string::<i32>();
            seen.extend(keys.iter().map(|key| key.unwrap().to_owned()));
            Ok(())
        };
        target.scan(PIPELINE, &mut visit).await.unwrap();
        assert_eq!(seen, [table], "names differ by case");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cassandra_cannot_hold_are_named() {
    let place = Place::new().await;
    let table = place.table("rows");
    let mut sink = connect(&table).await;
    let (most, long) = ("k".repeat(65_535), "k".repeat(65_536));
    put(&mut sink, &[(most.as_str(), Some(1), 1), (" ", Some(2), 2)]).await;
    for (key, reason) in [("", "key is empty"), (long.as_str(), "65536 bytes")] {
        let after = last(&mut sink, 0).await;
        let rows = range(&after, &[("fine", Some(1), 5), (key, Some(1), 6)]);
        let unfit = table.unfit(&rows.rows[0].batch);
        assert!(unfit.len() == 1 && unfit[0].0 == 1 && unfit[0].1.contains(reason), "{unfit:?}");
        let error = sink.commit(&assignment(0), &rows).await.unwrap_err();
        let text = error.to_string();
        assert!(!error.is_retryable() && text.contains(reason), "{text}");
        assert!(text.contains("position skip") && text.len() < 1_000, "{text}");
        // A tombstone of such a key has nothing to delete.
        let deletes = range(&after, &[(key, None, 7), (" ", Some(3), 8)]);
        commit(&mut sink, 0, &deletes).await;
    }
    let there = held(&table).await;
    assert_eq!(there.len(), 2, "nothing of a refused range is written");
    assert_eq!(there[" "], Some(3));

    let key = &["id", "note"];
    let both = CassandraTable::upsert(place.server.clone(), &place.keyspace, "both", key);
    let mut sink = connect_with(&both, &schema(&["id", "n", "note"])).await;
    let empty = noted(range(&last(&mut sink, 0).await, &[("", Some(1), 1)]), "");
    commit(&mut sink, 0, &empty).await;
    let long = "k".repeat(40_000);
    let two = noted(range(&last(&mut sink, 0).await, &[(&long, Some(1), 2)]), &long);
    let error = sink.commit(&assignment(0), &two).await.unwrap_err().to_string();
    assert!(error.contains("80006 bytes"), "{error}");
    assert_eq!(held(&both).await.len(), 1);
}
