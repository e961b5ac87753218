//! Tables that grow, tables that somebody made half, and tables that are somebody else's.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use millstream_engine::{Outcome, Rows, SinkError, Target};

use crate::events::{PIPELINE, assignment, connect, held, last, noted, put, range_of, schema};
use crate::place::{Place, client, own};

on_both!(
    an_older_worker_writes_null_to_a_newer_column,
    what_was_left_half_made_is_finished,
    tables_of_others_are_refused,
    two_tables_of_one_database_stand_for_themselves,
    long_names_are_names,
);

async fn an_older_worker_writes_null_to_a_newer_column(place: Place<'_>) {
    let table = place.upsert("users");
    let mut older = connect(&table).await;
    put(&mut older, 0, &[("a", 1, 1)]).await;
    let wider = noted();
    let mut newer = table.connect(PIPELINE, &wider).await.unwrap();
    let after = last(&mut newer, 0).await;
    let mut range = range_of(&after, 2, &[("a", 2, 2), ("b", 2, 3)]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec!["a", "b"])),
        Arc::new(Int64Array::from(vec![2, 2])),
        Arc::new(StringArray::from(vec!["new", "new"])),
    ];
    let versions = range.rows[0].versions.clone();
    range.rows = vec![Rows { batch: RecordBatch::try_new(wider, columns).unwrap(), versions }];
    assert_eq!(newer.commit(&assignment(0), &range).await.unwrap(), Outcome::Committed);
    put(&mut older, 0, &[("a", 3, 4)]).await;
    let seen = place.lines("SELECT id, n, note FROM users ORDER BY id").await;
    assert_eq!(seen, ["a\t3\tNULL", "b\t2\tnew"]);
}

/// A worker dies between any two of the steps that make a table; the servers commit at each.
async fn what_was_left_half_made_is_finished(place: Place<'_>) {
    connect(&place.upsert("other")).await;
    // Only the record is there; or the first of two tables.
    for undone in
        ["DROP TABLE users, _millstream_gone_users", "DROP TABLE _millstream_gone_users", "DO 0"]
    {
        connect(&place.upsert("users")).await;
        let half =
            format!("{undone}; UPDATE _millstream_owner SET made = 0 WHERE table_name = 'users'");
        place.sql(&half).await;
        assert_eq!(held(&place.upsert("users")).await, [].into(), "nothing to see yet");
    }
    let mut sink = connect(&place.upsert("users")).await;
    put(&mut sink, 0, &[("a", 1, 1)]).await;
    // The column is there, and the record doesn't know it.
    place.sql("ALTER TABLE users ADD COLUMN note LONGTEXT").await;
    let wider = noted();
    place.upsert("users").connect(PIPELINE, &wider).await.unwrap();
    put(&mut sink, 0, &[("b", 1, 2)]).await;
    assert_eq!(held(&place.upsert("users")).await.len(), 2);
}

async fn tables_of_others_are_refused(place: Place<'_>) {
    let refused = async |table: &str| match place.upsert(table).connect(PIPELINE, &schema()).await {
        Err(error @ SinkError::Refused { .. }) => error.to_string(),
        Err(error) => panic!("{table} is to be refused: {error}"),
        Ok(_) => panic!("{table} is to be refused"),
    };
    connect(&place.upsert("users")).await;
    place.sql("CREATE TABLE strangers (id INT PRIMARY KEY)").await;
    assert!(refused("strangers").await.contains("did not make"));
    assert!(refused("USERS").await.contains("spelt \"users\""));
    let counts = place.count("users").connect(PIPELINE, &schema()).await.err().unwrap();
    assert!(counts.to_string().contains("made as"), "{counts}");
    place.sql("DROP TABLE users").await;
    assert!(refused("users").await.contains("dropped"));
}

async fn two_tables_of_one_database_stand_for_themselves(place: Place<'_>) {
    let mut words = connect(&place.count("wordCount")).await;
    put(&mut words, 0, &[("a", 1, 1)]).await;
    let mut anew = connect(&place.count("wordCount2")).await;
    assert_eq!(last(&mut anew, 0).await.seq, 0, "a new table starts anew");
    assert_eq!(held(&place.count("wordCount")).await.len(), 1);
    assert!(place.count("x").about().place.ends_with(&format!("/{}", place.database)));
}

async fn long_names_are_names(place: Place<'_>) {
    for name in ["x".repeat(64), "naïve `table` ; --".to_owned()] {
        let mut sink = connect(&place.upsert(&name)).await;
        put(&mut sink, 0, &[("a", 1, 1)]).await;
        assert_eq!(held(&place.upsert(&name)).await.len(), 1, "{name}");
    }
}

/// As on servers whose file system tells no case; MySQL is given that when its data is made, MariaDB at each start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_keep_their_case_where_the_server_knows_none() {
    let server = own("MARIADB").command(&["--lower-case-table-names=1"]).start().await;
    let place = Place::on(&server, client("MARIADB"), "case");
    let mut sink = connect(&place.count("wordCount")).await;
    put(&mut sink, 0, &[("a", 1, 1)]).await;
    let mut again = connect(&place.count("wordCount")).await;
    put(&mut again, 0, &[("a", 1, 2)]).await;
    assert_eq!(held(&place.count("wordCount")).await, [("a".to_owned(), 2)].into());
    let error = place.count("wordcount").connect(PIPELINE, &schema()).await.err().unwrap();
    assert!(error.to_string().contains("spelt \"wordCount\""), "{error}");
    assert_eq!(place.lines("SELECT * FROM wordcount").await, ["a\t2"]);
}
