//! Genesis, ledger, fences and owners: the same for every keeping.

use arrow::array::RecordBatch;

use super::rows::{assignment, last, range, records, schema};
use super::{Fixture, PIPELINE};
use crate::ledger::{Assignment, Buckets, Entry, EntryKind};
use crate::{Keeping, Outcome, Range, Sink, Standing};

pub(super) async fn a_scan_before_connecting_shows_nothing(fixture: Fixture) {
    assert_eq!(fixture.scan().await, Vec::<String>::new(), "rows before connecting");
    fixture.connect().await;
    assert_eq!(fixture.scan().await, Vec::<String>::new(), "rows before the first commit");
}

pub(super) async fn genesis_is_written_once(fixture: Fixture) {
    let mut ours = assignment(PIPELINE, 0);
    ours.genesis.first_offset = 40;
    let mut first = fixture.connect().await;
    let genesis = last(&mut first, &ours).await;
    assert_eq!(
        (genesis.seq, genesis.start, genesis.end, genesis.next()),
        (0, 40, 39, 40),
        "the genesis covers no offset and points to the first one"
    );
    assert_eq!(genesis.kind, EntryKind::Genesis);
    assert_eq!((genesis.cluster.as_str(), genesis.topic_id.as_str()), ("c1", "t1"));
    assert_eq!(genesis.fingerprint, ours.fingerprint);

    let mut later = ours.clone();
    later.genesis.first_offset = 90;
    later.genesis.topic_id = "t2".to_owned();
    let mut second = fixture.connect().await;
    assert_eq!(last(&mut second, &later).await, genesis, "a second worker finds the first genesis");
    assert_eq!(first.ledger(&ours.at, 0, 10).await.expect("read the ledger"), vec![genesis]);
}

pub(super) async fn a_commit_is_what_open_shows(fixture: Fixture) {
    let (keeping, ours) = (fixture.keeping(), assignment(PIPELINE, 0));
    let mut sink = fixture.connect().await;
    let genesis = last(&mut sink, &ours).await;
    let first = range(&keeping, &ours, &genesis, 3);
    commit(&mut sink, &ours, &first).await;
    assert_eq!(last(&mut sink, &ours).await, first.entry, "the worker itself opens again");
    fixture.shows(&[records(&keeping, &ours.at, 0..=2)], "of the first range").await;

    let mut other = fixture.connect().await;
    assert_eq!(last(&mut other, &ours).await, first.entry, "another worker opens");
    let second = range(&keeping, &ours, &first.entry, 2);
    commit(&mut other, &ours, &second).await;
    fixture.shows(&[records(&keeping, &ours.at, 0..=4)], "of both ranges").await;
}

pub(super) async fn the_ledger_comes_in_order_and_in_pages(fixture: Fixture) {
    let (keeping, ours) = (fixture.keeping(), assignment(PIPELINE, 0));
    let mut sink = fixture.connect().await;
    let mut entries = vec![last(&mut sink, &ours).await];
    for _ in 0..6 {
        let range = range(&keeping, &ours, &entries[entries.len() - 1], 2);
        commit(&mut sink, &ours, &range).await;
        entries.push(range.entry);
    }
    for (from, max) in [(0, 3), (3, 3), (6, 3), (0, 100), (7, 3), (0, 0)] {
        let seen = sink.ledger(&ours.at, from, max).await.expect("read the ledger");
        let expected: Vec<_> = entries.iter().skip(from as usize).take(max).cloned().collect();
        assert_eq!(seen, expected, "at most {max} entries from {from} (left: seen)");
    }
    let nobody = assignment(PIPELINE, 9).at;
    assert_eq!(sink.ledger(&nobody, 0, 3).await.expect("read the ledger"), vec![]);
}

pub(super) async fn a_stale_range_is_superseded(fixture: Fixture) {
    let (keeping, ours) = (fixture.keeping(), assignment(PIPELINE, 0));
    let mut sink = fixture.connect().await;
    let genesis = last(&mut sink, &ours).await;
    let first = range(&keeping, &ours, &genesis, 2);
    commit(&mut sink, &ours, &first).await;
    let second = range(&keeping, &ours, &first.entry, 2);
    commit(&mut sink, &ours, &second).await;

    let stale = range(&keeping, &ours, &genesis, 7);
    for connection in [&mut fixture.connect().await, &mut sink] {
        let outcome = connection.commit(&ours, &stale).await.expect("commit a stale range");
        assert_eq!(outcome, Outcome::Superseded, "seq 1 was there before");
    }
    assert_eq!(last(&mut sink, &ours).await, second.entry, "the position has not moved");
    assert_eq!(
        sink.ledger(&ours.at, 0, 10).await.expect("read the ledger"),
        vec![genesis, first.entry, second.entry],
        "nor has the ledger changed"
    );
    fixture.shows(&[records(&keeping, &ours.at, 0..=3)], "after the stale range").await;
}

pub(super) async fn a_range_beyond_the_next_is_not_committed(fixture: Fixture) {
    let (keeping, ours) = (fixture.keeping(), assignment(PIPELINE, 0));
    let mut sink = fixture.connect().await;
    let genesis = last(&mut sink, &ours).await;
    let first = range(&keeping, &ours, &genesis, 1);
    let second = range(&keeping, &ours, &first.entry, 1);
    let outcome = sink.commit(&ours, &second).await;
    assert!(!matches!(outcome, Ok(Outcome::Committed)), "seq 2 was committed without seq 1");
    assert_eq!(last(&mut sink, &ours).await, genesis);
    fixture.shows(&[], "after the range that came too early").await;
}

/// A reply that got lost, seen from both sides: the worker sends the range again, or another one, which had
/// opened before, sends the same.
pub(super) async fn a_repeated_range_counts_once(fixture: Fixture) {
    let (keeping, ours) = (fixture.keeping(), assignment(PIPELINE, 0));
    let (mut first, mut second) = (fixture.connect().await, fixture.connect().await);
    let genesis = last(&mut first, &ours).await;
    assert_eq!(last(&mut second, &ours).await, genesis);
    let range = range(&keeping, &ours, &genesis, 4);
    commit(&mut first, &ours, &range).await;
    for sink in [&mut first, &mut second] {
        // A sink may know its own range again and call it committed; what it must not do is to count it twice.
        sink.commit(&ours, &range).await.expect("commit the range again");
        assert_eq!(last(sink, &ours).await, range.entry);
        let ledger = sink.ledger(&ours.at, 0, 10).await.expect("read the ledger");
        assert_eq!(ledger, vec![genesis.clone(), range.entry.clone()]);
        fixture.shows(&[records(&keeping, &ours.at, 0..=3)], "of a range sent twice").await;
    }
}

pub(super) async fn the_slower_of_two_workers_is_superseded(fixture: Fixture) {
    let (keeping, ours) = (fixture.keeping(), assignment(PIPELINE, 0));
    let (mut slow, mut fast) = (fixture.connect().await, fixture.connect().await);
    let genesis = last(&mut slow, &ours).await;
    let theirs = range(&keeping, &ours, &last(&mut fast, &ours).await, 2);
    commit(&mut fast, &ours, &theirs).await;

    let mine = range(&keeping, &ours, &genesis, 5);
    let outcome = slow.commit(&ours, &mine).await.expect("commit the slower range");
    assert_eq!(outcome, Outcome::Superseded);
    fixture.shows(&[records(&keeping, &ours.at, 0..=1)], "of the faster worker").await;
    assert_eq!(last(&mut slow, &ours).await, theirs.entry, "opened again, it sees the other's");

    let next = range(&keeping, &ours, &theirs.entry, 3);
    commit(&mut slow, &ours, &next).await;
    fixture.shows(&[records(&keeping, &ours.at, 0..=4)], "of both workers").await;
}

pub(super) async fn racing_workers_commit_each_range_once(fixture: Fixture) {
    const RANGES: u64 = 20;
    let (keeping, ours) = (fixture.keeping(), assignment(PIPELINE, 0));
    let (mut left, mut right) = (fixture.connect().await, fixture.connect().await);
    let (by_left, by_right) = tokio::join!(
        work(&mut left, &keeping, &ours, RANGES),
        work(&mut right, &keeping, &ours, RANGES)
    );
    let entries = left.ledger(&ours.at, 0, 100).await.expect("read the ledger");
    let seqs: Vec<_> = entries.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, (0..=RANGES).collect::<Vec<_>>(), "one entry per seq");
    // A sink may tell both that a range is committed which both sent alike; the scan tells whether it counts once.
    assert!(by_left + by_right >= RANGES, "each range was committed by one of the two");
    let all = records(&keeping, &ours.at, 0..=RANGES as i64 - 1);
    fixture.shows(&[all], "of all ranges").await;
}

/// A worker that opens before each range, as after losing its partition; tells how many it committed.
async fn work(sink: &mut Box<dyn Sink>, keeping: &Keeping, ours: &Assignment, until: u64) -> u64 {
    let mut committed = 0;
    loop {
        let standing = sink.open(ours).await.expect("open the partition");
        let after = standing.entry();
        if after.seq >= until {
            return committed;
        }
        let count = match &standing {
            Standing::At(_) => 1,
            Standing::Planned { after, end } => end - after.end,
        };
        let range = range(keeping, ours, after, count);
        tokio::task::yield_now().await;
        if sink.commit(ours, &range).await.expect("commit a range") == Outcome::Committed {
            committed += 1;
        }
        tokio::task::yield_now().await;
    }
}

pub(super) async fn an_empty_range_moves_the_position(fixture: Fixture) {
    let (keeping, ours) = (fixture.keeping(), assignment(PIPELINE, 0));
    let mut sink = fixture.connect().await;
    let genesis = last(&mut sink, &ours).await;
    let mut filtered = range(&keeping, &ours, &genesis, 5);
    filtered.rows.clear();
    filtered.entry.rows = 0;
    filtered.entry.buckets =
        Buckets { filtered: 2, dead: vec![2], absent: vec![(3, 4)], ..Buckets::default() };
    commit(&mut sink, &ours, &filtered).await;

    let mut empty_batch = range(&keeping, &ours, &filtered.entry, 1);
    empty_batch.rows[0].batch = RecordBatch::new_empty(schema(&keeping));
    empty_batch.rows[0].versions = std::sync::Arc::new(Vec::<i64>::new().into());
    empty_batch.entry.rows = 0;
    empty_batch.entry.buckets = Buckets { filtered: 1, ..Buckets::default() };
    commit(&mut sink, &ours, &empty_batch).await;

    let mut other = fixture.connect().await;
    assert_eq!(last(&mut other, &ours).await, empty_batch.entry);
    let ledger = other.ledger(&ours.at, 1, 10).await.expect("read the ledger");
    assert_eq!(ledger, vec![filtered.entry, empty_batch.entry]);
    fixture.shows(&[], "of ranges without rows").await;
}

pub(super) async fn operators_choices_are_kept(fixture: Fixture) {
    let (keeping, ours) = (fixture.keeping(), assignment(PIPELINE, 0));
    let mut sink = fixture.connect().await;
    let genesis = last(&mut sink, &ours).await;
    let first = range(&keeping, &ours, &genesis, 2);
    commit(&mut sink, &ours, &first).await;

    let reason = "disk failed; see ticket 12 – \"naïve\"\n".to_owned();
    let skip = Entry {
        end: first.entry.end + 10,
        buckets: Buckets { absent: vec![(2, 11)], ..Buckets::default() },
        ..first.entry.choice(EntryKind::Skip { reason }, 5)
    };
    let accept =
        Entry { fingerprint: "code 2".to_owned(), ..skip.choice(EntryKind::AcceptChange, 6) };
    let adopt = Entry { topic_id: "t2".to_owned(), ..accept.choice(EntryKind::AdoptTopic, 7) };
    for entry in [&skip, &accept, &adopt] {
        let choice = Range { entry: entry.clone(), rows: Vec::new(), deletes: Vec::new() };
        commit(&mut sink, &ours, &choice).await;
    }
    let renewed = Assignment { fingerprint: "code 2".to_owned(), ..ours.clone() };
    let mut other = fixture.connect().await;
    assert_eq!(last(&mut other, &renewed).await, adopt);
    let ledger = other.ledger(&ours.at, 0, 10).await.expect("read the ledger");
    assert_eq!(ledger, vec![genesis, first.entry, skip, accept, adopt.clone()]);

    let next = range(&keeping, &renewed, &adopt, 1);
    commit(&mut other, &renewed, &next).await;
    let rows = [records(&keeping, &ours.at, 0..=1), records(&keeping, &ours.at, 12..=12)];
    fixture.shows(&rows, "before and after the skipped offsets").await;
}

pub(super) async fn partitions_are_independent(fixture: Fixture) {
    let keeping = fixture.keeping();
    let (zero, one) = (assignment(PIPELINE, 0), assignment(PIPELINE, 1));
    let mut elsewhere = zero.clone();
    elsewhere.at.topic = "suite_topic_2".to_owned();
    let mut sink = fixture.connect().await;
    let mut rows = Vec::new();
    for (ours, count) in [(&zero, 2), (&one, 3), (&elsewhere, 4)] {
        let genesis = last(&mut sink, ours).await;
        assert_eq!(genesis.seq, 0, "{} starts at its own genesis", ours.at);
        commit(&mut sink, ours, &range(&keeping, ours, &genesis, count)).await;
        rows.push(records(&keeping, &ours.at, 0..=count - 1));
    }
    for (ours, end) in [(&zero, 1), (&one, 2), (&elsewhere, 3)] {
        assert_eq!(last(&mut sink, ours).await.end, end, "end of {}", ours.at);
        assert_eq!(sink.ledger(&ours.at, 0, 10).await.expect("read the ledger").len(), 2);
    }
    fixture.shows(&rows, "of three partitions").await;
}

/// Each by itself: that one of them came too late says nothing of the others.
pub(super) async fn several_ranges_are_committed_at_once(fixture: Fixture) {
    let keeping = fixture.keeping();
    let partitions = [0, 1, 2].map(|partition| assignment(PIPELINE, partition));
    let (mut sink, mut other) = (fixture.connect().await, fixture.connect().await);
    let mut ranges = Vec::new();
    for (ours, count) in partitions.iter().zip(2..) {
        let genesis = last(&mut sink, ours).await;
        ranges.push(range(&keeping, ours, &genesis, count));
    }
    let theirs = range(&keeping, &partitions[1], &last(&mut other, &partitions[1]).await, 1);
    commit(&mut other, &partitions[1], &theirs).await;

    let all: Vec<_> = partitions.iter().zip(&ranges).collect();
    let outcomes = sink.commit_all(&all).await;
    let outcomes: Vec<_> =
        outcomes.into_iter().map(|outcome| outcome.expect("commit a range")).collect();
    assert_eq!(outcomes, [Outcome::Committed, Outcome::Superseded, Outcome::Committed]);
    let mut rows = Vec::new();
    for (ours, end) in partitions.iter().zip([1, 0, 3]) {
        assert_eq!(last(&mut sink, ours).await.end, end, "end of {}", ours.at);
        assert_eq!(sink.ledger(&ours.at, 0, 10).await.expect("read the ledger").len(), 2);
        rows.push(records(&keeping, &ours.at, 0..=end));
    }
    fixture.shows(&rows, "of three partitions, one of them another worker's").await;
    assert!(sink.commit_all(&[]).await.is_empty(), "nothing to commit");
}

pub(super) async fn another_pipeline_is_refused_by_name(fixture: Fixture) {
    let schema = schema(&fixture.keeping());
    fixture.connect().await;
    let Err(error) = fixture.target.connect("suite.others", &schema).await else {
        panic!("a second pipeline got hold of the table");
    };
    assert!(!error.is_retryable(), "trying again can't help: {error}");
    for name in [PIPELINE, "suite.others"] {
        assert!(error.to_string().contains(name), "the message names {name}: {error}");
    }
    fixture.connect().await;
}

/// Appended and upserted rows may be made by changing code; only the ledger tells.
pub(super) async fn other_code_goes_on(fixture: Fixture) {
    let (keeping, ours) = (fixture.keeping(), assignment(PIPELINE, 0));
    let mut sink = fixture.connect().await;
    let genesis = last(&mut sink, &ours).await;
    let first = range(&keeping, &ours, &genesis, 1);
    commit(&mut sink, &ours, &first).await;

    let renewed = Assignment { fingerprint: "code 2".to_owned(), ..ours.clone() };
    let mut sink = fixture.connect().await;
    assert_eq!(last(&mut sink, &renewed).await, first.entry, "the entry keeps its fingerprint");
    let mut second = range(&keeping, &renewed, &first.entry, 1);
    second.entry.fingerprint = "code 2".to_owned();
    commit(&mut sink, &renewed, &second).await;
    assert_eq!(last(&mut sink, &renewed).await, second.entry);
}

/// Commits a range that nobody competes for.
pub(super) async fn commit(sink: &mut Box<dyn Sink>, ours: &Assignment, range: &Range) {
    let outcome = sink.commit(ours, range).await.expect("commit a range");
    assert_eq!(outcome, Outcome::Committed, "range {} of {}", range.entry.seq, ours.at);
}
