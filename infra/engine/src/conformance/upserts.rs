//! One row per key: the highest version stays, whatever the order of arrival. A delete is a version too, so it
//! outlasts older writes that come later, from another partition say.

use bytes::Bytes;

use super::positions::commit;
use super::rows::{Row, assignment, batch, last, range_of, upserts};
use super::{Fixture, PIPELINE};
use crate::ledger::{Assignment, Buckets, Entry};
use crate::{Delete, Range, Sink};

pub(super) async fn the_highest_version_wins(fixture: Fixture) {
    let (zero, one) = (assignment(PIPELINE, 0), assignment(PIPELINE, 1));
    let mut sink = fixture.connect().await;
    let mut other = fixture.connect().await;
    put(&mut sink, &zero, &[("a", 1, 100), ("b", 1, 200), ("c", 1, 300)]).await;
    put(&mut other, &one, &[("a", 2, 99), ("b", 2, 201), ("d", 2, 1)]).await;
    holds(&fixture, &[("a", 1), ("b", 2), ("c", 1), ("d", 2)]).await;
    put(&mut sink, &zero, &[("d", 3, 400), ("c", 3, 401)]).await;
    put(&mut other, &one, &[("c", 4, 350)]).await;
    holds(&fixture, &[("a", 1), ("b", 2), ("c", 3), ("d", 3)]).await;
}

pub(super) async fn equal_keys_inside_one_range(fixture: Fixture) {
    let ours = assignment(PIPELINE, 0);
    let mut sink = fixture.connect().await;
    put(&mut sink, &ours, &[("a", 1, 1), ("b", 1, 2), ("a", 2, 3), ("a", 3, 4)]).await;
    holds(&fixture, &[("a", 3), ("b", 1)]).await;

    let row = |amount| batch(&[Row { id: "a".to_owned(), amount: Some(amount), ..Row::default() }]);
    let after = last(&mut sink, &ours).await;
    let parts = vec![(row(5), vec![10]), (row(7), vec![12]), (row(6), vec![11])];
    commit(&mut sink, &ours, &range_of(&after, parts)).await;
    holds(&fixture, &[("a", 7), ("b", 1)]).await;
}

pub(super) async fn null_overwrites(fixture: Fixture) {
    let ours = assignment(PIPELINE, 0);
    let mut sink = fixture.connect().await;
    put(&mut sink, &ours, &[("a", 1, 1)]).await;
    let empty = batch(&[Row { id: "a".to_owned(), ..Row::default() }]);
    let after = last(&mut sink, &ours).await;
    commit(&mut sink, &ours, &range_of(&after, vec![(empty.clone(), vec![2])])).await;
    fixture.shows(&[empty], "after a row with nulls").await;
}

pub(super) async fn deletes_go_by_version(fixture: Fixture) {
    let (zero, one) = (assignment(PIPELINE, 0), assignment(PIPELINE, 1));
    let mut sink = fixture.connect().await;
    put(&mut sink, &zero, &[("a", 1, 10), ("b", 1, 20), ("é\n", 1, 30)]).await;
    delete(&mut sink, &one, &[("a", 11), ("b", 19), ("é\n", 31), ("never there", 5)]).await;
    holds(&fixture, &[("b", 1)]).await;

    let mut mixed = next(&mut sink, &zero, &[("x", 1, 40), ("y", 1, 42)]).await;
    mixed.deletes = deletes(&[("x", 41), ("y", 41)]);
    commit(&mut sink, &zero, &mixed).await;
    holds(&fixture, &[("b", 1), ("y", 1)]).await;
}

pub(super) async fn what_was_deleted_is_not_revived_by_an_older_write(fixture: Fixture) {
    let (zero, one) = (assignment(PIPELINE, 0), assignment(PIPELINE, 1));
    let mut sink = fixture.connect().await;
    put(&mut sink, &zero, &[("a", 1, 10)]).await;
    delete(&mut sink, &zero, &[("a", 50), ("b", 50)]).await;
    let mut other = fixture.connect().await;
    put(&mut other, &one, &[("a", 2, 49), ("b", 2, 40), ("c", 2, 49)]).await;
    holds(&fixture, &[("c", 2)]).await;
    delete(&mut sink, &zero, &[("a", 45)]).await;
    put(&mut other, &one, &[("a", 3, 48)]).await;
    holds(&fixture, &[("c", 2)]).await;
}

pub(super) async fn what_was_deleted_can_be_written_anew(fixture: Fixture) {
    let ours = assignment(PIPELINE, 0);
    let mut sink = fixture.connect().await;
    put(&mut sink, &ours, &[("a", 1, 10)]).await;
    delete(&mut sink, &ours, &[("a", 20)]).await;
    put(&mut sink, &ours, &[("a", 2, 30)]).await;
    holds(&fixture, &[("a", 2)]).await;
    delete(&mut sink, &ours, &[("a", 40)]).await;
    holds(&fixture, &[]).await;
}

async fn next(sink: &mut Box<dyn Sink>, ours: &Assignment, rows: &[(&str, i64, i64)]) -> Range {
    upserts(&last(sink, ours).await, rows)
}

async fn put(sink: &mut Box<dyn Sink>, ours: &Assignment, rows: &[(&str, i64, i64)]) {
    let range = next(sink, ours, rows).await;
    commit(sink, ours, &range).await;
}

async fn delete(sink: &mut Box<dyn Sink>, ours: &Assignment, keys: &[(&str, i64)]) {
    let after = last(sink, ours).await;
    let entry = Entry {
        end: after.end + keys.len() as i64,
        buckets: Buckets { tombstones: keys.len() as u64, ..Buckets::default() },
        rows: 0,
        ..upserts(&after, &[]).entry
    };
    commit(sink, ours, &Range { entry, rows: Vec::new(), deletes: deletes(keys) }).await;
}

fn deletes(keys: &[(&str, i64)]) -> Vec<Delete> {
    let delete = |(key, version): &(&str, i64)| Delete {
        key: Bytes::copy_from_slice(key.as_bytes()),
        version: *version,
    };
    keys.iter().map(delete).collect()
}

/// Panics unless exactly these keys are there, each with this amount.
async fn holds(fixture: &Fixture, rows: &[(&str, i64)]) {
    let row = |(id, amount): &(&str, i64)| Row {
        id: (*id).to_owned(),
        amount: Some(*amount),
        ..Row::default()
    };
    fixture.shows(&[batch(&rows.iter().map(row).collect::<Vec<_>>())], "by key").await;
}
