//! Workers that start together where there is nothing yet: each node lists a table a while before it takes statements
//! for it, and workers hear of it in between.

use std::time::{Duration, Instant};

use integration_tests::stack;

use crate::world::{Place, commit, connect, held, last, range};

const WORKERS: u32 = 8;
const ROUNDS: usize = 3;

/// Connects and commits one row; tells how long that took.
async fn work(place: Place, worker: u32) -> Duration {
    let since = Instant::now();
    let mut sink = connect(&place.table("rows")).await;
    let (key, n) = (format!("of worker {worker}"), i64::from(worker));
    let range = range(&last(&mut sink, worker).await, &[(&key, Some(n), n + 1)]);
    commit(&mut sink, worker, &range).await;
    since.elapsed()
}

/// Lets eight workers start at once in a keyspace that isn't there; tells how long the slowest one took.
pub async fn all_are_let_in(address: &str) -> Duration {
    let place = Place::at(address);
    let workers: Vec<_> =
        (0..WORKERS).map(|worker| tokio::spawn(work(place.through(address), worker))).collect();
    let mut slowest = Duration::ZERO;
    for worker in workers {
        slowest = slowest.max(worker.await.unwrap());
    }
    let there = held(&place.table("rows")).await;
    assert_eq!(there.len(), WORKERS as usize, "{there:?}");
    slowest
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_start_together_on_an_empty_cluster_are_all_let_in() {
    let address = stack::cassandra().await.address();
    for _ in 0..ROUNDS {
        println!("the slowest was done after {:?}", all_are_let_in(&address).await);
    }
}
