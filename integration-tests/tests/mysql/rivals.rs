//! Workers, and strangers, who write to the same rows at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use millstream_engine::Outcome;
use millstream_sinks::mysql::MysqlTable;

use crate::crashes::verify;
use crate::events::{assignment, connect, held, last, put, range_of};
use crate::place::Place;
use crate::workers::{Shared, work};

on_both!(
    of_eight_racing_workers_exactly_one_commits_each_range,
    partitions_that_put_and_delete_the_same_keys_agree,
    deadlocks_are_survived,
    workers_that_make_a_table_at_once_make_one,
);

async fn of_eight_racing_workers_exactly_one_commits_each_range(place: Place<'_>) {
    const RANGES: u64 = 60;
    let race = async |table: MysqlTable| {
        let mut sink = connect(&table).await;
        let mut committed = 0;
        loop {
            let after = last(&mut sink, 0).await;
            if after.seq == RANGES {
                return committed;
            }
            let own = format!("{}", after.seq);
            let range = range_of(&after, 2, &[("one", 1, 1), (&own, 1, 2)]);
            match sink.commit(&assignment(0), &range).await {
                Ok(Outcome::Committed) => committed += 1,
                Ok(Outcome::Superseded) => {}
                // Waited for a lock in vain, with a machine that is busy.
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
        }
    };
    let workers: Vec<_> = (0..8).map(|_| tokio::spawn(race(place.count("words")))).collect();
    let mut committed = 0;
    for worker in workers {
        committed += worker.await.unwrap();
    }
    assert_eq!(committed, RANGES, "each range is one worker's");
    let mut expected: BTreeMap<_, _> = (0..RANGES).map(|seq| (seq.to_string(), 1)).collect();
    expected.insert("one".to_owned(), RANGES as i64);
    assert_eq!(held(&place.count("words")).await, expected);
    let mut sink = connect(&place.count("words")).await;
    let entries = sink.ledger(&assignment(0).at, 0, 1_000).await.unwrap();
    assert_eq!(entries.len() as u64, RANGES + 1);
    assert!(entries.windows(2).all(|two| two[0].next() == two[1].start));
}

/// A key that is put here and deleted there at the same moment.
async fn partitions_that_put_and_delete_the_same_keys_agree(place: Place<'_>) {
    let shared = Arc::new(Shared::default());
    let start = |partition| tokio::spawn(work(place.upsert("users"), partition, shared.clone()));
    let workers: Vec<_> = (0..4).map(|n| start(n % 2)).collect();
    let began = Instant::now();
    while shared.committed() < 150 {
        assert!(began.elapsed() < Duration::from_secs(120), "{shared:?}");
        assert!(workers.iter().all(|worker| !worker.is_finished()), "a worker was refused");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    shared.stop.store(true, Ordering::SeqCst);
    for worker in workers {
        worker.await.unwrap();
    }
    verify(&place, &place.upsert("users"), &shared).await;
}

/// A stranger locks rows in the other order until the server has found deadlocks; whoever is chosen, no row is lost.
async fn deadlocks_are_survived(place: Place<'_>) {
    let table = place.count("words");
    let mut sink = connect(&table).await;
    let keys: Vec<_> = (0..50).map(|n| format!("k{n:02}")).collect();
    let rows: Vec<_> = keys.iter().map(|key| (key.as_str(), 1, 1)).collect();
    put(&mut sink, 0, &rows).await;
    // What the stranger has written is what he has to lose: the server rolls back who wrote less.
    let noise: Vec<_> = (0..300).map(|n| format!("('noise{n}', 0)")).collect();
    let stranger = format!(
        "BEGIN; INSERT INTO words (id, n) VALUES {0} ON DUPLICATE KEY UPDATE n = n + 1; \
         UPDATE words SET n = n WHERE id = 'k49'; DO SLEEP(0.15); UPDATE words SET n = n WHERE id = 'k00'; ROLLBACK;",
        noise.join(", ")
    );
    let began = Instant::now();
    let mut commits = 1_i64;
    let mut deadlocks = 0;
    while deadlocks < 3 {
        assert!(
            began.elapsed() < Duration::from_secs(90),
            "{deadlocks} deadlocks in {commits} commits"
        );
        let before = deadlocks_seen(&place).await;
        let outside = place.try_sql(&stranger);
        tokio::pin!(outside);
        loop {
            tokio::select! {
                _ = &mut outside => break,
                () = put(&mut sink, 0, &rows) => {}
            }
        }
        // The one that was under way when the stranger ended.
        commits = last(&mut sink, 0).await.seq as i64;
        deadlocks += deadlocks_seen(&place).await - before;
    }
    let held = held(&table).await;
    assert!(
        held.iter().filter(|(id, _)| id.starts_with('k')).all(|(_, n)| *n == commits),
        "{commits} commits: {held:?}"
    );
    println!("{deadlocks} deadlocks in {commits} commits");
}

async fn deadlocks_seen(place: &Place<'_>) -> i64 {
    if place.is_maria() {
        let status = place.ask("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'").await;
        return status.split_whitespace().last().unwrap().parse().unwrap();
    }
    let metric =
        "SELECT count FROM information_schema.innodb_metrics WHERE name = 'lock_deadlocks'";
    place.ask(metric).await.trim().parse().unwrap()
}

async fn workers_that_make_a_table_at_once_make_one(place: Place<'_>) {
    let connecting = |_| {
        let table = place.upsert("users");
        tokio::spawn(async move { drop(connect(&table).await) })
    };
    let workers: Vec<_> = (0..8).map(connecting).collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let mut sink = connect(&place.upsert("users")).await;
    put(&mut sink, 0, &[("a", 1, 1)]).await;
    assert_eq!(held(&place.upsert("users")).await, [("a".to_owned(), 1)].into());
}
