//! COMMIT, and nobody answers.

use std::time::{Duration, Instant};

use millstream_engine::{Outcome, Sink, Target};
use millstream_sinks::mysql::MysqlTable;

use crate::events::{PIPELINE, assignment, connect, held, last, put, range_of, schema};
use crate::place::Place;
use crate::proxy::{Fault, Proxy};

on_both!(
    a_lost_reply_is_found_to_be_a_commit,
    a_commit_that_never_came_is_tried_again,
    a_commit_that_is_still_on_its_way_is_waited_for,
    a_commit_goes_on_when_nobody_waits_for_it,
    a_silent_server_is_not_waited_for_for_ever,
);

async fn through<'a>(place: &Place<'a>, proxy: &Proxy) -> Box<dyn Sink> {
    let server = place.through(proxy.address());
    let table = MysqlTable::count(server, &place.database, "words", &["id"], "n");
    table.connect(PIPELINE, &schema()).await.unwrap()
}

async fn a_lost_reply_is_found_to_be_a_commit(place: Place<'_>) {
    let proxy = Proxy::to(&place.server.address()).await;
    let mut sink = through(&place, &proxy).await;
    put(&mut sink, 0, &[("a", 1, 1)]).await;
    for _ in 0..5 {
        proxy.next(Fault::LoseReply);
        put(&mut sink, 0, &[("a", 1, 1)]).await;
    }
    assert_eq!(proxy.done(), 5);
    assert_eq!(held(&place.count("words")).await, [("a".to_owned(), 6)].into());
    assert_eq!(last(&mut sink, 0).await.seq, 6);
}

async fn a_commit_that_never_came_is_tried_again(place: Place<'_>) {
    let proxy = Proxy::to(&place.server.address()).await;
    let mut sink = through(&place, &proxy).await;
    let after = last(&mut sink, 0).await;
    let range = range_of(&after, 1, &[("a", 3, 1)]);
    proxy.next(Fault::LoseRequest);
    let error = sink.commit(&assignment(0), &range).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert_eq!(held(&place.count("words")).await, [].into());
    let outcome = sink.commit(&assignment(0), &range).await.unwrap();
    assert_eq!(outcome, Outcome::Committed, "the same range, on a new connection");
    assert_eq!(held(&place.count("words")).await, [("a".to_owned(), 3)].into());
}

async fn a_commit_that_is_still_on_its_way_is_waited_for(place: Place<'_>) {
    let proxy = Proxy::to(&place.server.address()).await;
    let mut sink = through(&place, &proxy).await;
    let after = last(&mut sink, 0).await;
    let range = range_of(&after, 1, &[("a", 3, 1)]);
    let late = Duration::from_millis(1_500);
    proxy.next(Fault::Late(late));
    let asked = Instant::now();
    let outcome = sink.commit(&assignment(0), &range).await.unwrap();
    assert_eq!(outcome, Outcome::Committed);
    assert!(asked.elapsed() >= late, "decided after {:?}, before the server did", asked.elapsed());
    assert_eq!(held(&place.count("words")).await, [("a".to_owned(), 3)].into());
}

/// The worker goes away in the middle; the transaction comes to its end all the same.
async fn a_commit_goes_on_when_nobody_waits_for_it(place: Place<'_>) {
    let table = place.count("words");
    let mut sink = connect(&table).await;
    let after = last(&mut sink, 0).await;
    let range = range_of(&after, 1, &[("a", 2, 1)]);
    {
        let ours = assignment(0);
        let commit = sink.commit(&ours, &range);
        tokio::select! { biased; _ = commit => panic!("that was quick"), () = std::future::ready(()) => {} }
    }
    // One piece of work after the other.
    assert_eq!(last(&mut sink, 0).await, range.entry);
    let again = sink.commit(&assignment(0), &range).await.unwrap();
    assert_eq!(again, Outcome::Superseded);
    assert_eq!(held(&table).await, [("a".to_owned(), 2)].into());
}

/// A transaction of somebody who lost his network holds the position: no commit waits for it for long.
async fn a_silent_server_is_not_waited_for_for_ever(place: Place<'_>) {
    let table = place.count("words");
    let mut sink = connect(&table).await;
    put(&mut sink, 0, &[("a", 2, 1)]).await;
    let after = last(&mut sink, 0).await;
    let range = range_of(&after, 1, &[("a", 2, 1)]);
    let blocker = tokio::spawn({
        let hold = format!(
            "USE `{}`; BEGIN; SELECT seq FROM _millstream_position FOR UPDATE; DO SLEEP(90); ROLLBACK;",
            place.database
        );
        let place = if place.is_maria() {
            Place::mariadb("blocker").await
        } else {
            Place::mysql("blocker").await
        };
        async move { place.try_ask(&hold).await }
    });
    let locked = Instant::now();
    let held_by = "SELECT id FROM information_schema.processlist WHERE info LIKE 'DO SLEEP(90)%'";
    let holder = loop {
        let told = place.ask(held_by).await;
        if let Ok(id) = told.trim().parse::<u64>() {
            break id;
        }
        assert!(locked.elapsed() < Duration::from_secs(60), "nobody holds the lock: {told}");
    };
    let asked = Instant::now();
    let outcome = sink.commit(&assignment(0), &range).await;
    let waited = asked.elapsed();
    assert!(
        waited < Duration::from_secs(10),
        "a worker has to drain within 10 s, and this took {waited:?}"
    );
    if let Err(error) = &outcome {
        assert!(error.is_retryable(), "{error}");
    }
    place.ask(&format!("KILL {holder}")).await;
    blocker.await.unwrap().expect_err("its connection is gone");
    if outcome.is_err() {
        let outcome = sink.commit(&assignment(0), &range).await.unwrap();
        assert_eq!(outcome, Outcome::Committed);
    }
    assert_eq!(held(&table).await, [("a".to_owned(), 4)].into());
}
