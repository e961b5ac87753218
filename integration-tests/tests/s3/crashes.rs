//! Workers that die or sleep between any two requests, while others go on.

use std::sync::Arc;

use bytes::Bytes;
use integration_tests::chance::Chance;
use integration_tests::stack;
use millstream_sinks::lake::Put;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::place::Place;
use crate::proxy::Fault;
use crate::workers::{Worker, exact, exact_for_others};

const UNTIL: i64 = 9;
/// Points at which a worker dies, at least.
const CRASHES: usize = 24;

/// A bucket whose fence was tried: the requests that are counted here are the lake's own.
async fn tried(name: &str) -> Place {
    let place = Place::new(name).await;
    place.store().put("other/x", Bytes::new(), Put::IfAbsent).await.expect("write");
    place
}

/// How many requests a worker needs for all of it.
async fn requests() -> usize {
    let place = tried("count").await;
    let proxy = place.proxy().await;
    Worker::new(&place.through(proxy.address(), ""), "a", 3).work(UNTIL).await;
    proxy.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_request_loses_and_doubles_nothing() {
    let (all, mut chance) = (requests().await, Chance::new());
    let mut crashed = 0;
    for round in 0..CRASHES {
        let n = chance.within_part(round, CRASHES, all);
        let (fault, code) = match round % 4 {
            0 => (Fault::Park, "a"),
            1 => (Fault::ParkDone, "a"),
            2 => (Fault::Park, "b"),
            _ => (Fault::ParkDone, "b"),
        };
        let place = tried("crash").await;
        let proxy = place.proxy().await;
        proxy.at(n, fault);
        let first = Worker::new(&place.through(proxy.address(), ""), "a", 3);
        let first = tokio::spawn(async move { first.work(UNTIL).await });
        crashed += usize::from(proxy.parks(&first).await);
        first.abort();
        let store = place.store();
        Worker::new(&store, code, 2).work(UNTIL).await;
        exact(&store, UNTIL, &format!("crash at request {n} of {all}, then code {code}")).await;
        if round % 8 == 7 {
            exact_for_others(stack::s3().await, &place, UNTIL);
        }
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
        let code = if round % 2 == 0 { "a" } else { "b" };
        let until = [2, 5, UNTIL][round % 3];
        let place = tried("zombie").await;
        let proxy = place.proxy().await;
        let wake = Arc::new(Notify::new());
        proxy.at(n, Fault::Hold(wake.clone()));
        // It gets its answer late, but gets it: no second request takes the first one's place.
        let first = Worker::new(&place.through(proxy.address(), "timeout=120"), "a", 3);
        let first = tokio::spawn(async move { first.work(UNTIL).await });
        slept += usize::from(proxy.parks(&first).await);
        let store = place.store();
        Worker::new(&store, code, 2).work(until).await;
        wake.notify_one();
        first.await.expect("the zombie comes to its end");
        Worker::new(&store, code, 2).work(UNTIL).await;
        let when = format!("asleep at request {n} of {all} while code {code} came to {until}");
        exact(&store, UNTIL, &when).await;
        if round % 8 == 7 {
            exact_for_others(stack::s3().await, &place, UNTIL);
        }
    }
    println!("{slept} zombies at {all} requests");
    assert!(slept >= 20, "only {slept} zombies");
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_racing_workers_put_in_each_record_once() {
    let until = 24;
    let place = Place::new("race").await;
    let mut workers = JoinSet::new();
    for n in 0..8 {
        // Each a process of its own, as far as S3 can tell.
        let worker = Worker::new(&place.store(), "a", 1 + n % 4);
        workers.spawn(async move { worker.work(until).await });
    }
    workers.join_all().await;
    exact(&place.store(), until, "after a race").await;
    exact_for_others(stack::s3().await, &place, until);
}
