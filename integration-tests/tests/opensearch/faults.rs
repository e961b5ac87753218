//! Answers that are late, lost, or say that there is no room.

use std::time::Duration;

use millstream_engine::Target;
use millstream_sinks::opensearch::OpenSearchTarget;
use millstream_sinks::search::conformance::PIPELINE;
use millstream_sinks::search::conformance::rows::{opened, put, range, rows, schema};

use crate::place::Place;
use crate::proxy::{Fault, Proxy};
use crate::workers::{INDEX, Worker, exact, exact_for_others};

const UNTIL: i64 = 40;

async fn works_through(
    name: &str,
    plan: impl Fn(&crate::proxy::Asked) -> Fault + Send + Sync + 'static,
) {
    let place = Place::new(name).await;
    let proxy = Proxy::to(&place.server).await;
    proxy.set(plan);
    Worker::new(place.through(proxy.address()), 7).work(UNTIL).await;
    exact(&place, 1, UNTIL, name).await;
    exact_for_others(&place, 1, UNTIL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_without_room_are_sent_again_each_by_itself() {
    works_through("noroom", |asked| {
        let is_bulk = asked.path.contains("_bulk");
        if is_bulk && asked.n % 3 > 0 { Fault::NoRoom } else { Fault::None }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_ask_for_patience_get_it() {
    works_through("busy", |asked| match (asked.path.contains("_bulk"), asked.n % 4) {
        (true, 1) => Fault::Say(429, "es_rejected_execution_exception"),
        (_, 2) => Fault::Say(503, "service_unavailable_exception"),
        _ => Fault::None,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_lost_count_once() {
    works_through("lost", |asked| match asked.n % 5 {
        1 => Fault::Lose,
        3 => Fault::Cut,
        4 => Fault::Slow(Duration::from_millis(30)),
        _ => Fault::None,
    })
    .await;
}

/// The entry was created, and nobody learned of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_whose_answer_was_lost_is_known_again() {
    let place = Place::new("known").await;
    let proxy = Proxy::to(&place.server).await;
    let target = OpenSearchTarget::new(place.through(proxy.address()), &INDEX, None);
    let mut sink = target.connect(PIPELINE, &schema()).await.unwrap();
    let ours = millstream_sinks::search::conformance::rows::assignment(0);
    let first = put(&mut sink, 0, vec![rows(&[["Z-1", "Acme", "", "", "", ""]], 1)], vec![]).await;
    let second = range(&first, vec![rows(&[["Z-2", "Beta", "", "", "", ""]], 2)], vec![]);
    // Look, rows, entry.
    proxy.at(3, Fault::Lose);
    let lost = sink.commit(&ours, &second).await.unwrap_err();
    assert!(lost.is_retryable(), "{lost}");
    proxy.set(|_| Fault::None);
    assert_eq!(sink.commit(&ours, &second).await.unwrap(), millstream_engine::Outcome::Committed);
    assert_eq!(opened(&mut sink, 0).await, second.entry);
}
