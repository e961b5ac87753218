//! What is in the file, for `millstream query` and for whoever opens it with `sqlite3`.

use bytes::Bytes;
use millstream_engine::{Delete, Keeping};

use super::*;
use crate::Upserted;

#[tokio::test]
async fn databases_show_the_tables_that_pipelines_write() {
    let place = Place::new();
    assert!(databases(&place.directory.path().join("missing")).unwrap().is_empty());
    connect(&place.count("wordCount")).await;
    connect(&place.upsert("weather")).await;
    place.sqlite().execute_batch("CREATE TABLE mine (id TEXT)").unwrap();
    std::fs::write(place.directory.path().join("notes.txt"), "no database").unwrap();
    std::fs::write(place.directory.path().join("empty.db"), "").unwrap();

    let found = databases(place.directory.path()).unwrap();
    let names: Vec<_> = found.iter().map(|database| database.name.as_str()).collect();
    assert_eq!(names, ["empty", "suite"]);
    assert!(found[0].tables.is_empty());
    let tables: Vec<_> = found[1].tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(tables, ["weather", "wordCount"], "neither ours nor anybody else's");
    assert_eq!(found[1].tables[0].owner, PIPELINE);
    assert_eq!(
        found[1].tables[1].keeping,
        Keeping::Count { key: vec!["id".to_owned()], count: "n".to_owned() }
    );
    let read = read_table(&found[1].path, "wordCount").unwrap();
    assert_eq!(read.schema, found[1].tables[1].schema);
    let error = read_table(&found[1].path, "mine").unwrap_err();
    assert!(error.to_string().contains("mine"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named() {
    let place = Place::new();
    let path = place.directory.path().join("broken.db");
    std::fs::write(&path, "not a database at all ".repeat(300)).unwrap();
    let error = databases(place.directory.path()).unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("broken.db"), "{error}");
    let directory = Place::new();
    std::fs::create_dir(directory.database().path()).unwrap();
    let error = directory.upsert("t").connect(PIPELINE, &schema(&["id", "n"])).await.err().unwrap();
    assert!(!error.is_retryable() && error.to_string().contains("stores.tables"), "{error}");
}

#[tokio::test]
async fn a_table_is_read_while_a_writer_is_at_it() {
    let place = Place::new();
    let mut sink = connect(&place.upsert("t")).await;
    put(&mut sink, &[("a", 1, 1)]).await;
    let writer = place.sqlite();
    writer.execute_batch("BEGIN IMMEDIATE; UPDATE t SET n = 2").unwrap();
    assert_eq!(held(&place.database(), "t"), [("a".to_owned(), Some(1))]);
    writer.execute_batch("COMMIT").unwrap();
    assert_eq!(held(&place.database(), "t"), [("a".to_owned(), Some(2))]);
}

#[tokio::test]
async fn the_table_itself_holds_just_the_rows_that_are_there() {
    let place = Place::new();
    let mut sink = connect(&place.upsert("t")).await;
    put(&mut sink, &[("a", 1, 10), ("b", 1, 11)]).await;
    let after = sink.open(&assignment()).await.unwrap().entry().clone();
    let mut deletion = range(&after, rows(&[]));
    deletion.deletes = vec![Delete { key: Bytes::from_static(b"a"), version: 20 }];
    sink.commit(&assignment(), &deletion).await.unwrap();

    let sqlite = place.sqlite();
    let count: i64 = sqlite.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 1);
    let gone: (String, i64) = sqlite
        .query_row("SELECT * FROM _millstream_gone_t", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(gone, ("a".to_owned(), 20));
}

#[tokio::test]
async fn a_value_put_there_by_hand_is_named() {
    let place = Place::new();
    let mut sink = connect(&place.upsert("t")).await;
    put(&mut sink, &[("a", 1, 1)]).await;
    place.sqlite().execute_batch("UPDATE t SET n = 'many'").unwrap();
    let error = read_table(place.database().path(), "t").unwrap_err();
    assert!(error.to_string().contains("column n"), "{error}");
}

#[tokio::test]
async fn a_large_table_comes_in_batches_and_may_be_left_early() {
    let place = Place::new();
    let mut sink = connect(&place.upsert("t")).await;
    let keys: Vec<_> = (0..20_000).map(|n| format!("{n:05}")).collect();
    let changes: Vec<_> = keys.iter().zip(0..).map(|(key, n)| (key.as_str(), n, n)).collect();
    put(&mut sink, &changes).await;
    let mut sizes = Vec::new();
    let mut visit = |batch: RecordBatch| {
        sizes.push(batch.num_rows());
        Ok(())
    };
    place.upsert("t").scan(PIPELINE, &mut visit).await.unwrap();
    assert_eq!(sizes, [8192, 8192, 3616]);

    let mut visit =
        |_| Err(millstream_engine::SinkError::refused("look", "seen enough", "nothing to do"));
    let error = place.upsert("t").scan(PIPELINE, &mut visit).await.unwrap_err();
    assert!(error.to_string().contains("seen enough"));
    let error = place.upsert("t").scan("app.other", &mut |_| Ok(())).await.unwrap_err();
    assert!(error.to_string().contains(PIPELINE), "{error}");
}

#[tokio::test]
async fn an_upserted_table_is_read_with_its_versions() {
    let place = Place::new();
    let table = place.upsert("t");
    assert_eq!(table.count().await.unwrap(), None);
    table.read(&mut |_| panic!("there is none")).await.unwrap();
    let mut sink = connect(&table).await;
    put(&mut sink, &[("b", 1, 7), ("a", 2, 9)]).await;
    assert_eq!(table.count().await.unwrap(), Some(2));
    let mut read = Vec::new();
    let mut visit = |rows: millstream_engine::Rows| {
        read.push(rows);
        Ok(())
    };
    table.read(&mut visit).await.unwrap();
    assert_eq!(read.len(), 1);
    let keys = read[0].batch.column_by_name("id").unwrap().as_string::<i32>();
    assert_eq!(keys.iter().flatten().collect::<Vec<_>>(), ["b", "a"], "the lowest version first");
    assert_eq!(read[0].versions.values(), &[7, 9]);
    connect(&place.count("wordCount")).await;
    assert_eq!(place.upsert("wordCount").count().await.unwrap(), None, "it has no versions");
}
