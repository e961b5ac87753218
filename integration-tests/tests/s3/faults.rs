//! What passes: the worker goes on by itself, and each record counts once.

use std::time::{Duration, Instant};

use bytes::Bytes;
use integration_tests::chance::Chance;
use integration_tests::stack;
use millstream_sinks::lake::Put;
use tokio::task::JoinSet;

use crate::place::Place;
use crate::proxy::Fault;
use crate::workers::{Worker, exact, exact_for_others};

const UNTIL: i64 = 6;
/// Longer than the workers here wait for an answer.
const LATE: Duration = Duration::from_millis(1500);
const IMPATIENT: &str = "timeout=1";

fn kinds() -> Vec<(&'static str, Fault)> {
    vec![
        ("503 SlowDown", Fault::Say(503, "SlowDown")),
        ("409", Fault::Say(409, "ConditionalRequestConflict")),
        ("500", Fault::Say(500, "InternalError")),
        ("reset in the middle of the request", Fault::Reset),
        ("lost reply", Fault::Lose),
        ("answer cut off", Fault::Cut),
        ("late", Fault::Slow(LATE)),
        ("expired credentials", Fault::Say(400, "ExpiredToken")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_at_each_request_in_turn() {
    let place = Place::new("each").await;
    let proxy = place.proxy().await;
    Worker::new(&place.through(proxy.address(), ""), "a", 3).work(UNTIL).await;
    let all = proxy.count();
    let kinds = kinds();
    let mut rounds = JoinSet::new();
    let turns = std::sync::Arc::new(tokio::sync::Semaphore::new(4));
    // Each request meets two kinds of faults, and each kind requests of all sorts.
    for n in 1..=all {
        for kind in [n % kinds.len(), (n / 2 + 3) % kinds.len()] {
            let ((what, fault), turns) = (kinds[kind].clone(), turns.clone());
            rounds.spawn(async move {
                let _turn = turns.acquire().await.expect("open");
                let place = Place::new("fault").await;
                let proxy = place.proxy().await;
                proxy.at(n, fault);
                let store = place.through(proxy.address(), IMPATIENT);
                Worker::new(&store, "a", 3).work(UNTIL).await;
                exact(&place.store(), UNTIL, &format!("{what} at request {n}")).await;
            });
        }
    }
    let rounds = rounds.join_all().await.len();
    println!("{rounds} faults at {all} requests");
    assert!(rounds >= 60, "only {rounds} faults");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_workers_in_a_storm_of_faults() {
    let mut chance = Chance::new();
    for round in 0..4 {
        let until = 15;
        let place = Place::new("storm").await;
        let seed = chance.number(0, u64::MAX);
        let mut workers = JoinSet::new();
        for n in 0..3_u64 {
            let proxy = place.proxy().await;
            proxy.set(move |asked| {
                let kinds = kinds();
                // One in eight, by a number that can be had again.
                let mixed =
                    (seed ^ n).wrapping_add(asked.n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
                        >> 32;
                match mixed % 8 {
                    0 => kinds[(mixed / 8) as usize % kinds.len()].1.clone(),
                    _ => Fault::None,
                }
            });
            let store = place.through(proxy.address(), IMPATIENT);
            let worker = Worker::new(&store, "a", 2 + n as i64);
            workers.spawn(async move { worker.work(until).await });
        }
        workers.join_all().await;
        exact(&place.store(), until, &format!("after storm {round}")).await;
        exact_for_others(stack::s3().await, &place, until);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_for_long_it_says_so_and_goes_on_by_itself() {
    let place = Place::new("throttled").await;
    let proxy = place.proxy().await;
    let store = place.through(proxy.address(), "");
    Worker::new(&store, "a", 3).work(3).await;
    proxy.set(|_| Fault::Say(503, "SlowDown"));
    let error = store.get("numbers/x").await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    let told = format!("{error}: {}", std::error::Error::source(&error).expect("a cause"));
    assert!(told.contains("503 SlowDown") && told.contains(&place.bucket), "{told}");
    assert!(proxy.count() > 1, "it was tried again before");
    let worker = Worker::new(&store, "a", 3);
    let working = tokio::spawn(async move { worker.work(UNTIL).await });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!working.is_finished());
    proxy.set(|_| Fault::None);
    working.await.expect("it goes on");
    exact(&place.store(), UNTIL, "after SlowDown").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_credentials_are_named_and_read_again() {
    let place = Place::new("expired").await;
    let proxy = place.proxy().await;
    let store = place.through(proxy.address(), "");
    Worker::new(&store, "a", 3).work(3).await;
    proxy.set(|_| Fault::Say(400, "ExpiredToken"));
    let error = store.get("numbers/x").await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    let told = format!("{error}: {}", std::error::Error::source(&error).expect("a cause"));
    assert!(told.contains("ExpiredToken") && told.contains("renew the credentials"), "{told}");
    proxy.set(|_| Fault::None);
    Worker::new(&store, "a", 3).work(UNTIL).await;
    exact(&place.store(), UNTIL, "after expired credentials").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_does_not_stop_the_worker_for_ever() {
    let place = Place::new("silent").await;
    let proxy = place.proxy().await;
    let store = place.through(proxy.address(), IMPATIENT);
    Worker::new(&store, "a", 3).work(3).await;
    proxy.set(|_| Fault::Park);
    let started = Instant::now();
    let error = store.list("numbers/", None, 1).await.unwrap_err();
    let told = format!("{error}: {}", std::error::Error::source(&error).expect("a cause"));
    assert!(error.is_retryable() && told.contains("no answer in time"), "{told}");
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

/// The SDK gives an answer without progress twenty seconds.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_stops_in_its_middle_is_asked_for_again() {
    let place = Place::new("stalled").await;
    let proxy = place.proxy().await;
    let store = place.through(proxy.address(), "");
    let bytes = Bytes::from(vec![7; 1 << 20]);
    store.put("t/x", bytes.clone(), Put::IfAbsent).await.unwrap();
    proxy.at(1, Fault::Stall);
    let started = Instant::now();
    assert!(store.get("t/x").await.unwrap() == Some(bytes));
    assert_eq!(proxy.count(), 2);
    assert!(started.elapsed() < Duration::from_secs(90), "{:?}", started.elapsed());
}
