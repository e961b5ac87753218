//! Counters: deltas add up, exactly, or the commit changes nothing.

use bytes::Bytes;

use super::positions::commit;
use super::rows::{assignment, counts, last, range, range_of};
use super::{Fixture, PIPELINE};
use crate::ledger::{Assignment, Entry, EntryKind};
use crate::{Delete, Range, Sink, SinkError};

pub(super) async fn deltas_add_up(fixture: Fixture) {
    let (zero, one) = (assignment(PIPELINE, 0), assignment(PIPELINE, 1));
    let (mut sink, mut other) = (fixture.connect().await, fixture.connect().await);
    add(&mut sink, &zero, &[("mill", 1), ("Mill", 1), ("mill", 2), ("étang", 5)]).await;
    add(&mut other, &one, &[("mill", 10), ("étang", -7), ("zero", 0), ("brook", -1)]).await;
    add(&mut sink, &zero, &[("mill", -1), ("brook", 1)]).await;
    let sums = [("mill", 12), ("Mill", 1), ("étang", -2), ("zero", 0), ("brook", 0)];
    fixture.shows(&[counts(&sums)], "after three ranges").await;
}

pub(super) async fn the_order_of_deltas_does_not_matter(fixture: Fixture) {
    let ours = assignment(PIPELINE, 0);
    let mut sink = fixture.connect().await;
    // A running sum would leave 64 bits half way; the range's sum does not.
    let there = [("up", i64::MAX - 5), ("up", 5), ("up", 3), ("up", -3)];
    let back = [("down", i64::MIN), ("down", -4), ("down", 4)];
    add(&mut sink, &ours, &[there.as_slice(), back.as_slice()].concat()).await;
    fixture.shows(&[counts(&[("up", i64::MAX), ("down", i64::MIN)])], "at the extremes").await;
    add(&mut sink, &ours, &[("up", i64::MIN), ("down", i64::MAX)]).await;
    fixture.shows(&[counts(&[("up", -1), ("down", -1)])], "and back").await;
}

pub(super) async fn a_sum_too_large_changes_nothing(fixture: Fixture) {
    let ours = assignment(PIPELINE, 0);
    let mut sink = fixture.connect().await;
    add(&mut sink, &ours, &[("full", i64::MAX), ("low", i64::MIN)]).await;
    let before = last(&mut sink, &ours).await;
    for too_much in [("full", 1), ("low", -1)] {
        let rows = counts(&[("another", 1), too_much, ("zzz", 1)]);
        let range = range_of(&before, vec![(rows, vec![7, 8, 9])]);
        refused(sink.commit(&ours, &range).await, "a sum beyond 64 bits");
        assert_eq!(last(&mut sink, &ours).await, before, "the position has not moved");
        let full = counts(&[("full", i64::MAX), ("low", i64::MIN)]);
        fixture.shows(&[full], "after a sum that is too large").await;
    }
    add(&mut sink, &ours, &[("full", -1)]).await;
}

pub(super) async fn other_code_needs_the_operators_word(fixture: Fixture) {
    let (keeping, ours) = (fixture.keeping(), assignment(PIPELINE, 0));
    let renewed = Assignment { fingerprint: "code 2".to_owned(), ..ours.clone() };
    let mut sink = fixture.connect().await;
    let first = range(&keeping, &ours, &last(&mut sink, &ours).await, 2);
    commit(&mut sink, &ours, &first).await;

    let error = refused(sink.open(&renewed).await, "counting on with other code");
    assert!(error.contains("accept-change"), "the message names the remedy: {error}");
    let accept = Entry {
        fingerprint: renewed.fingerprint.clone(),
        ..first.entry.choice(EntryKind::AcceptChange, 9)
    };
    let choice = Range { entry: accept.clone(), rows: Vec::new(), deletes: Vec::new() };
    commit(&mut sink, &renewed, &choice).await;
    assert_eq!(last(&mut sink, &renewed).await, accept);
    commit(&mut sink, &renewed, &range(&keeping, &renewed, &accept, 1)).await;
    last(&mut sink, &renewed).await;
    refused(sink.open(&ours).await, "counting on with the older code");
}

/// A log that forgets would be counted differently the next time, and an appended row can't be taken back.
pub(super) async fn deletes_are_refused(fixture: Fixture) {
    let (keeping, ours) = (fixture.keeping(), assignment(PIPELINE, 0));
    let mut sink = fixture.connect().await;
    let genesis = last(&mut sink, &ours).await;
    let mut range = range(&keeping, &ours, &genesis, 1);
    range.deletes = vec![Delete { key: Bytes::from_static(b"a"), version: 1 }];
    refused(sink.commit(&ours, &range).await, "a delete");
    assert_eq!(last(&mut sink, &ours).await, genesis);
    fixture.shows(&[], "after a delete").await;
}

async fn add(sink: &mut Box<dyn Sink>, ours: &Assignment, deltas: &[(&str, i64)]) {
    let after = last(sink, ours).await;
    let versions = (0..deltas.len() as i64).map(|row| after.version + row).collect();
    let mut range = range_of(&after, vec![(counts(deltas), versions)]);
    range.entry.units = deltas.iter().fold(0_i64, |sum, (_, delta)| sum.wrapping_add(*delta));
    commit(sink, ours, &range).await;
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, SinkError>, what: &str) -> String {
    match outcome {
        Err(error @ SinkError::Refused { .. }) => error.to_string(),
        other => panic!("{what} is to be refused, yet: {other:?}"),
    }
}
