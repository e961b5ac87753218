//! Workers that start together where there is nothing yet: each node lists a table a while before it takes statements
//! for it, and workers hear of it in between.

use std::time::{Duration, Instant};

use integration_tests::stack;
use millstream_engine::{Outcome, Sink, SinkError, Target};

use crate::world::{PIPELINE, Place, assignment, held, range, schema};

const WORKERS: u32 = 8;
const ROUNDS: usize = 3;
/// Long enough for a slow disk to make five tables, which Cassandra does one after the other.
const PATIENCE: Duration = Duration::from_secs(90);

/// Nothing is refused; what passes is tried again, as the engine does.
async fn settled(since: Instant, error: SinkError) {
    assert!(error.is_retryable(), "refused for good: {error}");
    assert!(since.elapsed() < PATIENCE, "after {:?} still: {error}", since.elapsed());
    tokio::time::sleep(Duration::from_millis(50)).await;
}

async fn connected(place: &Place) -> Box<dyn Sink> {
    let since = Instant::now();
    loop {
        match place.table("rows").connect(PIPELINE, &schema(&["id", "n"])).await {
            Ok(sink) => return sink,
            Err(error) => settled(since, error).await,
        }
    }
}

/// Connects and commits one row; tells how long that took.
async fn work(place: Place, worker: u32) -> Duration {
    let since = Instant::now();
    let mut sink = connected(&place).await;
    let ours = assignment(worker);
    let key = format!("of worker {worker}");
    loop {
        let tried = match sink.open(&ours).await {
            Ok(standing) => {
                let n = i64::from(worker);
                sink.commit(&ours, &range(standing.entry(), &[(&key, Some(n), n + 1)])).await
            }
            Err(error) => Err(error),
        };
        match tried {
            Ok(outcome) => {
                assert_eq!(outcome, Outcome::Committed, "nobody else has the partition");
                return since.elapsed();
            }
            Err(error) => settled(since, error).await,
        }
    }
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
