//! What is written, how builds take each other's place, and what a new one begins with.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use millstream_engine::{Outcome, Sink};

use super::rows::{
    Fixed, PIPELINE, Row, assignment, delete, opened, put, range, rows, scan, schema,
};
use super::{Fixture, Make};
use crate::search::{Field, Index, IndexState, Kind, Seed};

const A: Row<'_> = ["Z-0001", "Acme", "Pump", "Class I", "20200101", ""];
const B: Row<'_> = ["Z-0002", "Beta", "Stent", "Class II", "20200102", ""];
const C: Row<'_> = ["Z-0003", "Gamma", "Lead", "Class II", "20200103", ""];
const TOPIC: &str = "suite_topic";

fn ready(rows: usize, rebuilding: bool) -> IndexState {
    IndexState::Ready { rows, rebuilding }
}

fn loading(rows: usize, from: &str) -> IndexState {
    IndexState::Loading { rows, from: from.to_owned() }
}

/// An index of A and B that is ready, and its worker.
async fn filled(fixture: &Fixture) -> Box<dyn Sink> {
    let mut sink = fixture.sink().await;
    put(&mut sink, 0, vec![rows(&[A], 1)], vec![]).await;
    sink.reaches(TOPIC, &[2]).await.expect("tell how far the topic reaches");
    fixture.until_state(loading(1, "the topic")).await;
    put(&mut sink, 0, vec![rows(&[B], 2)], vec![]).await;
    fixture.until_state(ready(2, false)).await;
    sink
}

pub(super) async fn an_empty_topic_makes_a_ready_index(make: Make<'_>, index: Index) {
    let fixture = make(&index, None);
    let mut sink = fixture.sink().await;
    fixture.until_state(loading(0, "the topic")).await;
    opened(&mut sink, 0).await;
    sink.reaches(TOPIC, &[0, 0]).await.expect("tell how far the topic reaches");
    fixture.until_state(ready(0, false)).await;
}

pub(super) async fn another_declaration_is_built_beside_what_is_served(
    make: Make<'_>,
    index: Index,
) {
    const FIELDS: &[Field] = &[
        Field { column: "number", kind: Kind::Id, suggest: true },
        Field { column: "firm", kind: Kind::Text { boost: 3.0 }, suggest: false },
        Field { column: "codes", kind: Kind::Facet, suggest: false },
    ];
    let before = make(&index, None);
    let mut older = filled(&before).await;
    before.until_total("acme", 1).await;

    let after = make(&Index { fields: FIELDS, ..index }, None);
    // Connecting alone, as `verify` does, changes nothing.
    let mut newer = after.sink().await;
    after.until_state(ready(2, false)).await;
    put(&mut newer, 0, vec![rows(&[A], 1)], vec![]).await;
    newer.reaches(TOPIC, &[2]).await.expect("tell how far the topic reaches");
    after.until_state(ready(2, true)).await;
    after.until_total("beta", 1).await;

    let late = range(&opened(&mut newer, 0).await, vec![rows(&[C], 9)], vec![]);
    let superseded = older.commit(&assignment(0), &late).await.expect("commit for the old build");
    assert_eq!(superseded, Outcome::Superseded);
    let refused = older.open(&assignment(0)).await.expect_err("it is refused");
    assert!(!refused.is_retryable() && refused.to_string().contains("older"), "{refused}");

    put(&mut newer, 0, vec![rows(&[B], 2)], vec![]).await;
    after.until_state(ready(2, false)).await;
    let rows = scan(after.target.as_ref()).await.expect("scan");
    assert_eq!(rows, ["Z-0001=Acme", "Z-0002=Beta"]);
    before.until_total("beta", 1).await;
}

pub(super) async fn an_operator_may_ask_for_a_new_build(make: Make<'_>, index: Index) {
    let fixture = make(&index, None);
    let mut sink = filled(&fixture).await;
    fixture.target.rebuild().expect("ask for a new build");
    let last = sink.ledger(&assignment(0).at, 0, usize::MAX).await.expect("read the ledger").pop();
    let next = range(&last.expect("an entry"), vec![rows(&[C], 3)], vec![]);
    let superseded = sink.commit(&assignment(0), &next).await.expect("commit for the old build");
    assert_eq!(superseded, Outcome::Superseded);
    assert_eq!(opened(&mut sink, 0).await.seq, 0, "counted from the beginning");
    sink.reaches(TOPIC, &[3]).await.expect("tell how far the topic reaches");
    fixture.until_state(ready(2, true)).await;
    put(&mut sink, 0, vec![rows(&[A, B], 1)], vec![]).await;
    fixture.until_total("", 2).await;
    put(&mut sink, 0, vec![rows(&[C], 3)], vec![]).await;
    fixture.until_state(ready(3, false)).await;

    // A worker that starts takes the wish up as well, and one that died in the middle goes on.
    fixture.target.rebuild().expect("ask for a new build");
    let mut started = fixture.sink().await;
    put(&mut started, 0, vec![rows(&[A], 1)], vec![]).await;
    let mut again = fixture.sink().await;
    assert_eq!(opened(&mut again, 0).await.seq, 1);
    fixture.until_state(ready(3, true)).await;
}

/// Two workers share an index: both learn of a new build though neither has anything to commit.
pub(super) async fn what_was_opened_stands_until_the_index_begins_anew(
    make: Make<'_>,
    index: Index,
) {
    let fixture = make(&index, None);
    let (mut one, mut other) = (fixture.sink().await, fixture.sink().await);
    put(&mut one, 0, vec![rows(&[A], 1)], vec![]).await;
    put(&mut other, 1, vec![rows(&[B], 2)], vec![]).await;
    for sink in [&mut one, &mut other] {
        sink.reaches(TOPIC, &[1, 1]).await.expect("tell how far the topic reaches");
    }
    fixture.until_state(ready(2, false)).await;
    for sink in [&mut one, &mut other] {
        assert!(sink.still_stands().await.expect("ask"), "nothing has changed");
    }
    fixture.target.rebuild().expect("ask for a new build");
    for sink in [&mut one, &mut other] {
        assert!(!sink.still_stands().await.expect("ask"), "a new build is wished for");
    }
    assert_eq!(opened(&mut one, 0).await.seq, 0);
    assert!(one.still_stands().await.expect("ask"), "it is in the new build");
    assert!(!other.still_stands().await.expect("ask"), "it is in the old build");
    assert_eq!(opened(&mut other, 1).await.seq, 0);
    for sink in [&mut one, &mut other] {
        sink.reaches(TOPIC, &[1, 1]).await.expect("tell how far the topic reaches");
    }
    put(&mut one, 0, vec![rows(&[A], 1)], vec![]).await;
    fixture.until_state(ready(2, true)).await;
    put(&mut other, 1, vec![rows(&[B], 2)], vec![]).await;
    fixture.until_state(ready(2, false)).await;
    assert!(one.still_stands().await.expect("ask") && other.still_stands().await.expect("ask"));
}

fn firm<'a>(number: &'a str, firm: &'a str) -> Row<'a> {
    [number, firm, "", "", "", ""]
}

fn seed() -> Arc<Fixed> {
    let batches = vec![
        rows(&[firm("Z-1", "snapshot"), firm("Z-2", "snapshot")], 100),
        rows(&[firm("Z-3", "snapshot"), firm("Z-1", "older")], 50),
    ];
    Arc::new(Fixed { batches, from: Some("the snapshot of 2026-04-01"), ..Fixed::default() })
}

pub(super) async fn nothing_stale_returns_after_seeding(make: Make<'_>, index: Index) {
    let seed = seed();
    let fixture = make(&index, Some(seed.clone()));
    let mut sink = fixture.sink().await;
    for partition in 0..2 {
        assert_eq!(
            opened(&mut sink, partition).await.seq,
            0,
            "the topic is read from its beginning"
        );
    }
    sink.reaches(TOPIC, &[3, 0]).await.expect("tell how far the topic reaches");
    assert_eq!(seed.reads.load(Ordering::SeqCst), 1);
    fixture.until_state(loading(3, "the snapshot of 2026-04-01")).await;
    let refused = scan(fixture.target.as_ref()).await.expect_err("it is refused").to_string();
    assert!(refused.contains("the snapshot of 2026-04-01"), "{refused}");

    // Z-1 is older here, Z-3 newer; Z-2 is deleted later.
    let topic = vec![rows(&[firm("Z-1", "topic")], 90), rows(&[firm("Z-3", "topic")], 91)];
    put(&mut sink, 0, topic, vec![delete("Z-2", 102)]).await;
    fixture.until_state(ready(2, false)).await;
    let shown = ["Z-1=snapshot", "Z-3=topic"];
    assert_eq!(scan(fixture.target.as_ref()).await.expect("scan"), shown);
    put(&mut sink, 0, vec![rows(&[firm("Z-2", "late")], 99)], vec![]).await;
    assert_eq!(scan(fixture.target.as_ref()).await.expect("scan"), shown);

    opened(&mut fixture.sink().await, 0).await;
    assert_eq!(seed.reads.load(Ordering::SeqCst), 1, "it is read once for each build");
}

pub(super) async fn a_seed_that_fails_is_read_again_and_doubles_nothing(
    make: Make<'_>,
    index: Index,
) {
    let seed = seed();
    seed.fails.store(true, Ordering::SeqCst);
    let fixture = make(&index, Some(seed.clone()));
    let mut sink = fixture.sink().await;
    let error = sink.open(&assignment(0)).await.expect_err("the seed fails");
    assert!(error.is_retryable() && error.to_string().contains("snapshot"), "{error}");
    opened(&mut sink, 0).await;
    assert_eq!(seed.reads.load(Ordering::SeqCst), 2);
    sink.reaches(TOPIC, &[0]).await.expect("tell how far the topic reaches");
    let rows = scan(fixture.target.as_ref()).await.expect("scan");
    assert_eq!(rows, ["Z-1=snapshot", "Z-2=snapshot", "Z-3=snapshot"]);
}

pub(super) async fn a_rebuild_is_seeded_too(make: Make<'_>, index: Index) {
    let nothing: Arc<dyn Seed> = Arc::new(Fixed::default());
    let fixture = make(&index, Some(nothing));
    let mut sink = fixture.sink().await;
    opened(&mut sink, 0).await;
    sink.reaches(TOPIC, &[0]).await.expect("tell how far the topic reaches");
    fixture.until_state(ready(0, false)).await;
    fixture.target.rebuild().expect("ask for a new build");
    let seeded = make(&index, Some(seed()));
    let connected = seeded.target.connect(PIPELINE, &schema()).await;
    let mut sink = connected.expect("connect to the index");
    opened(&mut sink, 0).await;
    sink.reaches(TOPIC, &[0]).await.expect("tell how far the topic reaches");
    seeded.until_state(ready(3, false)).await;
}
