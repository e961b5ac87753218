//! The conformance suite, and what is said about lost replies and races.

use millstream_engine::conformance::Fixture;
use millstream_engine::{Keeping, Standing};

use super::*;

#[tokio::test]
async fn passes_the_suite_when_upserting() {
    conformance::sink(&|case| {
        let place = Place::new();
        let table = SqlTable::upsert(place.database(), case, conformance::UPSERT_KEY);
        Fixture::new(table).holding(place)
    })
    .await;
}

#[tokio::test]
async fn passes_the_suite_when_counting() {
    conformance::sink(&|case| {
        let place = Place::new();
        let (key, count) = (conformance::COUNT_KEY, conformance::COUNT);
        Fixture::new(SqlTable::count(place.database(), case, key, count)).holding(place)
    })
    .await;
}

#[tokio::test]
async fn a_commit_whose_reply_was_lost_is_superseded_and_seen() {
    let place = Place::new();
    let mut sink = connect(&place.count("words")).await;
    let after = sink.open(&assignment()).await.unwrap().entry().clone();
    let range = range(&after, rows(&[("a", 2, 1)]));
    {
        // The worker goes away while it waits; the transaction comes to its end all the same.
        let ours = assignment();
        let commit = sink.commit(&ours, &range);
        tokio::select! { biased; _ = commit => {}, () = std::future::ready(()) => {} }
    }
    let mut again = connect(&place.count("words")).await;
    let outcome = sink.commit(&assignment(), &range).await.unwrap();
    assert_eq!(outcome, Outcome::Superseded);
    assert_eq!(again.open(&assignment()).await.unwrap(), Standing::At(range.entry.clone()));
    assert_eq!(again.commit(&assignment(), &range).await.unwrap(), Outcome::Superseded);
    assert_eq!(held(&place.database(), "words"), [("a".to_owned(), Some(2))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_racing_workers_exactly_one_commits_each_range() {
    const RANGES: u64 = 200;
    let place = Place::new();
    let race = async |table: SqlTable| {
        let mut sink = connect(&table).await;
        let mut committed = 0;
        loop {
            let after = sink.open(&assignment()).await.unwrap().entry().clone();
            if after.seq == RANGES {
                return committed;
            }
            let range = range(&after, rows(&[("one", 1, 1), (&format!("{}", after.seq), 1, 1)]));
            if sink.commit(&assignment(), &range).await.unwrap() == Outcome::Committed {
                committed += 1;
            }
        }
    };
    let workers: Vec<_> = (0..2).map(|_| tokio::spawn(race(place.count("words")))).collect();
    let mut committed = 0;
    for worker in workers {
        committed += worker.await.unwrap();
    }
    assert_eq!(committed, RANGES);
    let held = held(&place.database(), "words");
    assert_eq!(held.len() as u64, RANGES + 1);
    assert!(held.contains(&("one".to_owned(), Some(RANGES as i64))));
    assert!(held.iter().filter(|(id, _)| id != "one").all(|(_, n)| *n == Some(1)));
    let mut sink = connect(&place.count("words")).await;
    let entries = sink.ledger(&assignment().at, 0, 1_000).await.unwrap();
    assert!(entries.windows(2).all(|pair| pair[0].next() == pair[1].start));
    assert_eq!(entries.len() as u64, RANGES + 1);
}

#[tokio::test]
async fn two_tables_of_one_database_stand_for_themselves() {
    let place = Place::new();
    let mut words = connect(&place.count("wordCount")).await;
    put(&mut words, &[("a", 1, 1)]).await;
    let mut anew = connect(&place.count("wordCount2")).await;
    assert_eq!(anew.open(&assignment()).await.unwrap().entry().seq, 0, "a new table starts anew");
    let error = place.upsert("wordCount").connect("app.other", &schema(&["id", "n"])).await.err();
    assert!(error.unwrap().to_string().contains(PIPELINE));
    assert!(place.count("wordCount").about().place.ends_with("suite.db"));
    assert_eq!(place.count("x").about().required, ["id", "n"]);
    assert!(matches!(place.upsert("x").about().keeping, Keeping::Upsert { .. }));
}
