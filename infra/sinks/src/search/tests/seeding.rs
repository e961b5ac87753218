//! New builds begin with what their seed shows, and the topic has the last word.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use millstream_engine::{Sink, Target};

use super::world::{Fixed, PIPELINE, World, assignment, delete, put, rows, schema};
use super::*;

async fn connect(world: &World, seed: &Arc<Fixed>) -> Box<dyn Sink> {
    world.target(Some(seed.clone())).connect(PIPELINE, &schema()).await.unwrap()
}

fn firm<'a>(number: &'a str, firm: &'a str) -> super::world::Row<'a> {
    [number, firm, "", "", "", ""]
}

fn seed() -> Arc<Fixed> {
    let batches = vec![
        rows(&[firm("Z-1", "snapshot"), firm("Z-2", "snapshot")], 100),
        rows(&[firm("Z-3", "snapshot"), firm("Z-1", "older")], 50),
    ];
    Arc::new(Fixed { batches, from: Some("the snapshot of 2026-04-01"), ..Fixed::default() })
}

#[tokio::test]
async fn nothing_stale_returns() {
    let (world, seed) = (World::new(), seed());
    let mut sink = connect(&world, &seed).await;
    for partition in 0..2 {
        let genesis = sink.open(&assignment(partition)).await.unwrap();
        assert_eq!(genesis.entry().seq, 0, "the topic is read from its beginning");
    }
    sink.reaches("suite_topic", &[3, 0]).await.unwrap();
    assert_eq!(seed.reads.load(Ordering::SeqCst), 1);
    let loading = IndexState::Loading { rows: 3, from: "the snapshot of 2026-04-01".to_owned() };
    assert_eq!(world.reader().state().await.unwrap(), loading);
    let refused = world.scan().await.unwrap_err().to_string();
    assert!(refused.contains("the snapshot of 2026-04-01"), "{refused}");

    // Z-1 is older here, Z-3 newer; Z-2 is deleted later.
    let topic = vec![rows(&[firm("Z-1", "topic")], 90), rows(&[firm("Z-3", "topic")], 91)];
    put(&mut sink, 0, topic, vec![delete("Z-2", 102)]).await;
    let ready = IndexState::Ready { rows: 2, rebuilding: false };
    assert_eq!(world.reader().state().await.unwrap(), ready);
    assert_eq!(world.scan().await.unwrap(), ["Z-1=snapshot", "Z-3=topic"]);
    put(&mut sink, 0, vec![rows(&[firm("Z-2", "late")], 99)], vec![]).await;
    assert_eq!(world.scan().await.unwrap(), ["Z-1=snapshot", "Z-3=topic"]);

    let mut again = connect(&world, &seed).await;
    again.open(&assignment(0)).await.unwrap();
    assert_eq!(seed.reads.load(Ordering::SeqCst), 1, "it is read once for each build");
}

#[tokio::test]
async fn a_seed_that_fails_is_read_again_and_doubles_nothing() {
    let (world, seed) = (World::new(), seed());
    seed.fails.store(true, Ordering::SeqCst);
    let mut sink = connect(&world, &seed).await;
    let error = sink.open(&assignment(0)).await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("snapshot"), "{error}");
    sink.open(&assignment(0)).await.unwrap();
    assert_eq!(seed.reads.load(Ordering::SeqCst), 2);
    sink.reaches("suite_topic", &[0]).await.unwrap();
    assert_eq!(world.scan().await.unwrap(), ["Z-1=snapshot", "Z-2=snapshot", "Z-3=snapshot"]);
}

#[tokio::test]
async fn rows_that_cannot_be_are_refused_for_what_they_are() {
    let world = World::new();
    let batches = vec![rows(&[firm("", "no number")], 1)];
    let seed = Arc::new(Fixed { batches, from: Some("x"), ..Fixed::default() });
    let mut sink = connect(&world, &seed).await;
    let error = sink.open(&assignment(0)).await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("number"), "{error}");
}

#[tokio::test]
async fn a_rebuild_is_seeded_too_and_nothing_to_seed_from_is_no_fault() {
    let (world, nothing) = (World::new(), Arc::new(Fixed::default()));
    let mut sink = connect(&world, &nothing).await;
    sink.open(&assignment(0)).await.unwrap();
    sink.reaches("suite_topic", &[0]).await.unwrap();
    world.target(None).rebuild().unwrap();
    let seed = seed();
    let mut sink = connect(&world, &seed).await;
    sink.open(&assignment(0)).await.unwrap();
    sink.reaches("suite_topic", &[0]).await.unwrap();
    let ready = IndexState::Ready { rows: 3, rebuilding: false };
    assert_eq!(world.reader().state().await.unwrap(), ready);
}
