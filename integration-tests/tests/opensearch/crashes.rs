//! Workers that die or sleep between any two requests, while others go on.

use std::sync::Arc;

use integration_tests::chance::Chance;
use millstream_engine::ledger::Assignment;
use millstream_engine::{Outcome, Target};
use millstream_sinks::opensearch::OpenSearchTarget;
use millstream_sinks::search::conformance::{PIPELINE, rows};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::place::Place;
use crate::proxy::Fault;
use crate::workers::{INDEX, Worker, exact, exact_for_others};

const UNTIL: i64 = 22;
const ROLL: i64 = 7;
/// Points at which a worker dies, at least.
const CRASHES: usize = 24;

/// How many requests a worker needs for all of it.
async fn requests() -> usize {
    let place = Place::new("count").await;
    let proxy = place.proxy().await;
    Worker::new(place.through(proxy.address()), ROLL).work(UNTIL).await;
    proxy.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_request_loses_and_doubles_nothing() {
    let (all, mut chance) = (requests().await, Chance::new());
    let mut crashed = 0;
    for round in 0..CRASHES {
        let n = chance.within_part(round, CRASHES, all);
        let fault = if round % 2 == 0 { Fault::Park } else { Fault::ParkDone };
        let place = Place::new("crash").await;
        let proxy = place.proxy().await;
        proxy.at(n, fault);
        let first = Worker::new(place.through(proxy.address()), ROLL);
        let first = tokio::spawn(async move { first.work(UNTIL).await });
        crashed += usize::from(proxy.parks(&first).await);
        first.abort();
        // Another one, whose ranges are cut elsewhere.
        Worker::new(place.open(), 3).work(UNTIL).await;
        exact(&place, 1, UNTIL, &format!("crash at request {n} of {all}")).await;
        exact_for_others(&place, 1, UNTIL).await;
    }
    println!("{crashed} crashes at {all} requests");
    assert!(crashed >= 20, "only {crashed} crashes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_that_wakes_after_others_went_on_changes_nothing() {
    let (all, mut chance) = (requests().await, Chance::new());
    let mut slept = 0;
    for round in 0..CRASHES {
        let n = chance.within_part(round, CRASHES, all);
        let until = [8, 15, UNTIL][round % 3];
        let place = Place::new("zombie").await;
        let proxy = place.proxy().await;
        let wake = Arc::new(Notify::new());
        proxy.at(n, Fault::Hold(wake.clone()));
        let first = Worker::new(place.through(proxy.address()), ROLL);
        let first = tokio::spawn(async move { first.work(UNTIL).await });
        slept += usize::from(proxy.parks(&first).await);
        Worker::new(place.open(), 3).work(until).await;
        wake.notify_one();
        first.await.expect("the zombie comes to its end");
        Worker::new(place.open(), 3).work(UNTIL).await;
        let when = format!("asleep at request {n} of {all} while others came to {until}");
        exact(&place, 1, UNTIL, &when).await;
        exact_for_others(&place, 1, UNTIL).await;
    }
    println!("{slept} zombies at {all} requests");
    assert!(slept >= 20, "only {slept} zombies");
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_workers_put_in_each_record_once() {
    let until = 60;
    let place = Place::new("race").await;
    let mut workers = JoinSet::new();
    for n in 0..6 {
        // Two for each of three partitions, each a process of its own as far as the server can tell.
        let worker = Worker { partition: n % 3, ..Worker::new(place.open(), 1 + i64::from(n)) };
        workers.spawn(async move { worker.work(until).await });
    }
    workers.join_all().await;
    exact(&place, 3, until, "after a race").await;
    exact_for_others(&place, 3, until).await;
}

/// Rows that nobody's entry speaks of are there, made by other code.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_crash_left_are_made_by_the_code_that_counts() {
    let place = Place::new("codes").await;
    let proxy = place.proxy().await;
    let mut made = Vec::new();
    for (code, firm) in [("a", "Old"), ("b", "New")] {
        let at = if code == "a" { place.through(proxy.address()) } else { place.open() };
        let target = OpenSearchTarget::new(at, &INDEX, None);
        let ours = Assignment { fingerprint: code.to_owned(), ..rows::assignment(0) };
        let mut sink = target.connect(PIPELINE, &rows::schema()).await.unwrap();
        let after = sink.open(&ours).await.unwrap().entry().clone();
        let row = [["Z-1", firm, "", "", "", ""], ["Z-2", firm, "", "", "", ""]];
        let mut range = rows::range(&after, vec![rows::rows(&row, 5)], vec![]);
        range.entry.fingerprint = code.to_owned();
        // Look, rows, and nobody hears of the entry, which isn't made.
        proxy.at(3, Fault::Park);
        tokio::select! {
            () = proxy.parked() => {}
            outcome = sink.commit(&ours, &range) => made.push((code, outcome.unwrap())),
        }
    }
    assert_eq!(made, [("b", Outcome::Committed)]);
    let target = OpenSearchTarget::new(place.open(), &INDEX, None);
    assert_eq!(rows::scan(&target).await.unwrap(), ["Z-1=New", "Z-2=New"]);
}
