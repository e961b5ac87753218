//! The server goes away in the middle, and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use integration_tests::stack;

use crate::place::Place;
use crate::workers::{Worker, exact, exact_for_others};

/// So long nobody answers: once after it was killed, once after it was stopped. For a minute: see `outages`.
const GONE: [Duration; 2] = [Duration::from_secs(12), Duration::from_secs(5)];

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_and_started_loses_and_doubles_nothing() {
    let server = stack::wanted_s3("s3-outage").start().await;
    let place = Place::on(&server, "outage");
    let worker = Worker::new(&place.store(), "a", 2);
    let over = Arc::new(AtomicBool::new(false));
    let working = tokio::spawn({
        let over = over.clone();
        async move {
            let mut until = 0;
            while !over.load(Ordering::Relaxed) || until < 60 {
                until += 2;
                worker.work(until).await;
            }
            until
        }
    });
    for (gone, kill) in GONE.into_iter().zip([true, false]) {
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert!(!working.is_finished(), "it was refused");
        if kill {
            server.kill().await;
        } else {
            server.stop().await;
        }
        tokio::time::sleep(gone).await;
        server.start().await;
    }
    over.store(true, Ordering::Relaxed);
    let until = working.await.expect("it goes on");
    exact(&place.store(), until, "after two outages").await;
    exact_for_others(&server, &place, until);
}
