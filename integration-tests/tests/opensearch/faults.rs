//! Answers that are late, lost, or say that there is no room.

use std::time::Duration;

use millstream_engine::{Outcome, Target};
use millstream_sinks::opensearch::OpenSearchTarget;
use millstream_sinks::search::conformance::PIPELINE;
use millstream_sinks::search::conformance::rows::{assignment, opened, put, range, rows, schema};

use crate::place::Place;
use crate::proxy::{Asked, Fault, no_room};
use crate::workers::{INDEX, Worker, exact, exact_for_others};

const UNTIL: i64 = 40;

async fn works_through(name: &str, plan: impl Fn(&Asked) -> Fault + Send + Sync + 'static) {
    let place = Place::new(name).await;
    let proxy = place.proxy().await;
    proxy.set(plan);
    Worker::new(place.through(proxy.address()), 7).work(UNTIL).await;
    exact(&place, 1, UNTIL, name).await;
    exact_for_others(&place, 1, UNTIL).await;
}

/// One of `kinds`, the same for the same request and in no order that work could fall in step with.
fn chance(n: usize, kinds: u64) -> u64 {
    let mixed = (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed ^ (mixed >> 27)) % kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_without_room_are_sent_again_each_by_itself() {
    works_through("noroom", |asked| {
        let is_bulk = asked.path.contains("_bulk");
        if is_bulk && chance(asked.n, 3) > 0 { no_room() } else { Fault::None }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_ask_for_patience_get_it() {
    works_through("busy", |asked| match (asked.path.contains("_bulk"), chance(asked.n, 24)) {
        (true, 0..=7) => Fault::Say(429, "es_rejected_execution_exception"),
        (_, 8) => Fault::Say(503, "service_unavailable_exception"),
        (_, 9) => Fault::Say(500, "internal_server_error"),
        _ => Fault::None,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_lost_count_once() {
    works_through("lost", |asked| match chance(asked.n, 24) {
        0..=3 => Fault::Lose,
        4 | 5 => Fault::Cut,
        6 => Fault::Reset,
        7 => Fault::Slow(Duration::from_millis(30)),
        _ => Fault::None,
    })
    .await;
}

/// The entry was created, and nobody learned of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_whose_answer_was_lost_is_known_again() {
    let place = Place::new("known").await;
    let proxy = place.proxy().await;
    let target = OpenSearchTarget::new(place.through(proxy.address()), &INDEX, None);
    let mut sink = target.connect(PIPELINE, &schema()).await.unwrap();
    let ours = assignment(0);
    let first = put(&mut sink, 0, vec![rows(&[["Z-1", "Acme", "", "", "", ""]], 1)], vec![]).await;
    let second = range(&first, vec![rows(&[["Z-2", "Beta", "", "", "", ""]], 2)], vec![]);
    // Look, rows, entry: lost once, it is sent again at once; lost twice, the engine is told.
    proxy.set(|asked| if matches!(asked.n, 3 | 4) { Fault::Lose } else { Fault::None });
    let lost = sink.commit(&ours, &second).await.unwrap_err();
    assert!(lost.is_retryable(), "{lost}");
    assert_eq!(sink.commit(&ours, &second).await.unwrap(), Outcome::Committed);
    assert_eq!(opened(&mut sink, 0).await, second.entry);
    let third = range(&second.entry, vec![rows(&[["Z-3", "Gamma", "", "", "", ""]], 3)], vec![]);
    proxy.at(3, Fault::Lose);
    assert_eq!(sink.commit(&ours, &third).await.unwrap(), Outcome::Committed);
    let other = target.connect(PIPELINE, &schema()).await;
    let superseded = other.unwrap().commit(&ours, &third).await.unwrap();
    assert_eq!(superseded, Outcome::Superseded, "somebody else's");
}
