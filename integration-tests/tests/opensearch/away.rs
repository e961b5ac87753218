//! The server goes away in the middle, and comes back.

use std::time::Duration;

use integration_tests::stack::{self, Server};
use millstream_sinks::opensearch::OpenSearchReader;
use millstream_sinks::search::{Query, Searcher};

use crate::place::{Place, curl};
use crate::workers::{INDEX, Worker, exact, exact_on};

/// So long nobody answers.
const GONE: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_and_started_loses_and_doubles_nothing() {
    let server = stack::wanted_opensearch("opensearch-outage").start().await;
    let (place, until) = (Place::on(&server, "outage"), 1_500);
    let worker = Worker::new(place.open(), 3);
    let working = tokio::spawn(async move { worker.work(until).await });
    let reader = OpenSearchReader::new(place.open(), &INDEX);
    for kill in [true, false] {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert!(!working.is_finished(), "it is in the middle of its work");
        if kill {
            server.kill().await;
        } else {
            server.stop().await;
        }
        tokio::time::sleep(GONE).await;
        server.start().await;
        // It forgot the moments that readers held; they find another one.
        let within = tokio::time::timeout(Duration::from_secs(60), async {
            while reader.search(&Query::default()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        within.await.expect("it answers again");
    }
    working.await.expect("it goes on");
    exact(&place, 1, until, "after two outages").await;
    exact_on(&server, &place, 1, until).await;
    full(&server, &place).await;
}

/// Nearly full disks block writing, and are waited for.
async fn full(server: &Server, place: &Place) {
    let path = format!("{}*/_settings", place.prefix);
    let block = |on: &str| format!(r#"{{"index.blocks.read_only_allow_delete": {on}}}"#);
    curl(server, "PUT", &path, &block("true")).await;
    let worker = Worker::new(place.open(), 3);
    let working = tokio::spawn(async move { worker.work(1_530).await });
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(!working.is_finished(), "it waits for room");
    let findings = place.open().examine().await;
    let told = format!("{findings:?}");
    assert!(told.contains("takes no documents"), "{told}");
    curl(server, "PUT", &path, &block("null")).await;
    working.await.expect("it goes on");
    exact(place, 1, 1_530, "after the disk was full").await;
}
