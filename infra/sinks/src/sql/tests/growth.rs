//! Tables that change, in the pipeline's code or by hand.

use super::*;

fn noted(note: &str) -> Rows {
    let plain = rows(&[("new", 2, 20)]);
    let mut columns = plain.batch.columns().to_vec();
    columns.push(Arc::new(StringArray::from(vec![note])));
    let batch = RecordBatch::try_new(schema(&["id", "n", "note"]), columns).unwrap();
    Rows { batch, ..plain }
}

fn notes(place: &Place) -> Vec<Option<String>> {
    let read = read_table(place.database().path(), "t").unwrap();
    let notes = |batch: &RecordBatch| {
        let notes = batch.column_by_name("note").unwrap().as_string::<i32>().clone();
        notes.iter().map(|note| note.map(str::to_owned)).collect::<Vec<_>>()
    };
    read.batches.iter().flat_map(notes).collect()
}

#[tokio::test]
async fn a_worker_of_before_a_column_was_added_writes_null_into_it() {
    let place = Place::new();
    let mut old = connect(&place.upsert("t")).await;
    put(&mut old, &[("old", 1, 1)]).await;
    let mut new = place.upsert("t").connect(PIPELINE, &schema(&["id", "n", "note"])).await.unwrap();
    let after = new.open(&assignment()).await.unwrap().entry().clone();
    let range = range(&after, noted("here"));
    assert_eq!(new.commit(&assignment(), &range).await.unwrap(), Outcome::Committed);
    assert_eq!(notes(&place), [Some("here".to_owned()), None]);
    put(&mut old, &[("new", 3, 30)]).await;
    assert_eq!(notes(&place), [None, None], "whole rows: null writes null");
}

#[tokio::test]
async fn a_changed_or_removed_column_is_refused() {
    let place = Place::new();
    connect(&place.upsert("t")).await;
    for columns in [&["id"][..], &["id", "m"]] {
        let error = place.upsert("t").connect(PIPELINE, &schema(columns)).await.err().unwrap();
        let text = error.to_string();
        assert!(
            !error.is_retryable() && text.contains("\"n\"") && text.contains("new table"),
            "{text}"
        );
    }
    let other_key = SqlTable::upsert(place.database(), "t", &["id", "n"]);
    let error = other_key.connect(PIPELINE, &schema(&["id", "n"])).await.err().unwrap();
    assert!(error.to_string().contains("was made as"), "{error}");
}

#[tokio::test]
async fn a_table_that_somebody_else_made_is_left_alone() {
    let place = Place::new();
    connect(&place.upsert("t")).await;
    place.sqlite().execute_batch("CREATE TABLE Notes (id TEXT)").unwrap();
    let error = place.upsert("notes").connect(PIPELINE, &schema(&["id", "n"])).await.err().unwrap();
    assert!(error.to_string().contains("did not make"), "{error}");
    let error = place.upsert("T").connect(PIPELINE, &schema(&["id", "n"])).await.err().unwrap();
    assert!(error.to_string().contains("spelt \"t\""), "{error}");
}

#[tokio::test]
async fn a_dropped_table_is_not_made_anew_in_silence() {
    let place = Place::new();
    let mut sink = connect(&place.upsert("t")).await;
    put(&mut sink, &[("a", 1, 1)]).await;
    place.sqlite().execute_batch("DROP TABLE t").unwrap();
    let after = sink.open(&assignment()).await.unwrap().entry().clone();
    let range = range(&after, rows(&[("b", 1, 2)]));
    let error = sink.commit(&assignment(), &range).await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("no such table"), "{error}");
    let error = place.upsert("t").connect(PIPELINE, &schema(&["id", "n"])).await.err().unwrap();
    assert!(error.to_string().contains("dropped"), "{error}");
}

#[tokio::test]
async fn names_may_be_anything_that_can_be_quoted() {
    let place = Place::new();
    let (table, odd) = ("my \"table\"; --", "Größe in m² \"x\"");
    let columns = Arc::new(Schema::new(vec![
        Field::new("select", DataType::Utf8, true),
        Field::new(odd, DataType::Int64, true),
    ]));
    let target = SqlTable::upsert(place.database(), table, &["select"]);
    let mut sink = target.connect(PIPELINE, &columns).await.unwrap();
    let mut changes = rows(&[("a", 1, 1)]);
    changes.batch =
        RecordBatch::try_new(columns.clone(), changes.batch.columns().to_vec()).unwrap();
    let after = sink.open(&assignment()).await.unwrap().entry().clone();
    sink.commit(&assignment(), &range(&after, changes)).await.unwrap();
    let read = read_table(place.database().path(), table).unwrap();
    assert_eq!(read.schema.field(1).name(), odd);
    assert_eq!(read.batches[0].num_rows(), 1);
}
