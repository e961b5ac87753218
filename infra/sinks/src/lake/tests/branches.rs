//! Single decisions of open and commit.

use std::sync::Arc;

use futures::FutureExt;
use millstream_engine::ledger::{Buckets, Entry, EntryKind};
use millstream_engine::{Outcome, Range, Sink, Standing};

use super::world::{TABLE, Way, Worker, assignment, exact, range, rows, scanned, stores};
use crate::lake::{Format, MemoryStore, Put, Store};

pub(super) const LEDGER: &str = "_millstream/app.rows/numbers/0/";

pub(super) async fn sink(store: &Arc<dyn Store>) -> Box<dyn Sink> {
    Worker::new(store.clone(), "a", 1).connect().await
}

/// Plans `0..=3` in code "a" and fails before its first file (`files` = 0) or after so many of its two.
pub(super) async fn leave_half_done(store: &Arc<dyn Store>, files: usize) -> Range {
    let way = Way::to(store);
    let mut sink = Worker::through(way.clone(), "a", 4).connect().await;
    let ours = assignment("a");
    let genesis = sink.open(&ours).await.unwrap().entry().clone();
    way.before_io(2 + files, |faults| {
        faults.fail_next(99);
        async {}.boxed()
    });
    let range = range("a", &genesis, 3, 1);
    assert!(sink.commit(&ours, &range).await.unwrap_err().is_retryable());
    range
}

pub(super) async fn paths(store: &Arc<dyn Store>, prefix: &str) -> Vec<String> {
    let listed = store.list(prefix, None, usize::MAX).await.unwrap();
    listed.into_iter().map(|listed| listed.path.replace("00000000000000000", "")).collect()
}

#[tokio::test]
async fn a_plan_of_our_code_is_read_again_exactly() {
    for files in [0, 1] {
        for (store, _held) in stores() {
            let left = leave_half_done(&store, files).await;
            let mut sink = sink(&store).await;
            let standing = sink.open(&assignment("a")).await.unwrap();
            let Standing::Planned { after, end } = standing else { panic!("{standing:?}") };
            assert_eq!((after.seq, after.next(), end), (0, 0, 3));
            let other_roll = range("a", &after, 1, 2);
            let outcome = sink.commit(&assignment("a"), &other_roll).await.unwrap();
            assert_eq!(outcome, Outcome::Superseded, "the first writer fixed the range");
            assert!(scanned(&store, Format::Csv).await.is_empty());
            Worker::new(store.clone(), "a", 1).work(4).await;
            exact(&store, Format::Csv, 4, "read again").await;
            let mut committed = sink.ledger(&assignment("a").at, 1, 9).await.unwrap();
            assert_eq!(committed.pop(), Some(left.entry), "also the time it was first closed at");
            let ledger = paths(&store, LEDGER).await;
            assert!(ledger.iter().all(|path| !path.contains("001.1.")), "one try: {ledger:?}");
        }
    }
}

#[tokio::test]
async fn a_plan_whose_files_are_all_there_is_committed_without_reading_by_any_code() {
    for code in ["a", "b"] {
        for (store, _held) in stores() {
            let left = leave_half_done(&store, 2).await;
            let standing = sink(&store).await.open(&assignment(code)).await.unwrap();
            assert_eq!(standing, Standing::At(left.entry));
            exact(&store, Format::Csv, 4, "committed at open").await;
        }
    }
}

#[tokio::test]
async fn a_plan_of_other_code_is_ended_emptied_and_planned_anew() {
    for (store, _held) in stores() {
        leave_half_done(&store, 1).await;
        let mut sink = sink(&store).await;
        let ours = assignment("b");
        let standing = sink.open(&ours).await.unwrap();
        assert!(matches!(&standing, Standing::At(entry) if entry.seq == 0), "{standing:?}");
        let files = paths(&store, &format!("{TABLE}/")).await;
        let old = ["0", "1"].map(|day| format!("{TABLE}/day=a%3A{day}/numbers-0-0-3.1.0.csv"));
        assert_eq!(files, old, "also the one that was never written");
        for path in files {
            let empty = store.get(&path).await.unwrap().unwrap();
            assert_eq!(empty, "n,text\n", "only the header");
        }
        let range = range("b", standing.entry(), 5, 1);
        assert_eq!(sink.commit(&ours, &range).await.unwrap(), Outcome::Committed);
        exact(&store, Format::Csv, 6, "planned anew, with another end").await;
        let ledger = paths(&store, LEDGER).await;
        let tries =
            ["000.0.end", "000.0.plan", "001.0.end", "001.0.plan", "001.1.end", "001.1.plan"];
        assert_eq!(ledger, tries.map(|key| format!("{LEDGER}{key}")));
    }
}

#[tokio::test]
async fn the_emptied_files_of_a_crashed_worker_are_emptied_again() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    leave_half_done(&store, 1).await;
    let way = Way::to(&store);
    let mut dying = Worker::through(way.clone(), "b", 1).connect().await;
    way.faults.set_hook(Some(Arc::new({
        let faults = way.faults.clone();
        move |operation, path| {
            if operation == "put" && path.starts_with(TABLE) {
                faults.fail_next(99);
            }
            async {}.boxed()
        }
    })));
    dying.open(&assignment("b")).await.unwrap_err();
    let full = store.get(&format!("{TABLE}/day=a%3A0/numbers-0-0-3.1.0.csv")).await.unwrap();
    assert_ne!(full.unwrap(), "n,text\n", "abandoned, not emptied yet");
    sink(&store).await.open(&assignment("a")).await.unwrap();
    for day in [0, 1] {
        let path = format!("{TABLE}/day=a%3A{day}/numbers-0-0-3.1.0.csv");
        assert_eq!(store.get(&path).await.unwrap().unwrap(), "n,text\n");
    }
    Worker::new(store.clone(), "a", 3).work(5).await;
    exact(&store, Format::Csv, 5, "after two codes").await;
}

#[tokio::test]
async fn who_commits_without_opening_empties_what_was_abandoned() {
    for (store, _held) in stores() {
        let left = leave_half_done(&store, 1).await;
        let key = format!("{LEDGER}00000000000000000001.0.end");
        store.put(&key, r#"{"end":"abandoned"}"#.into(), Put::IfAbsent).await.unwrap();
        let outcome = sink(&store).await.commit(&assignment("a"), &left).await.unwrap();
        assert_eq!(outcome, Outcome::Committed);
        exact(&store, Format::Csv, 4, "by the next try").await;
    }
}

#[tokio::test]
async fn a_zombie_does_not_bring_abandoned_rows_back() {
    for (store, _held) in stores() {
        let (ours, theirs) = (assignment("a"), assignment("b"));
        let mut zombie = sink(&store).await;
        let genesis = zombie.open(&ours).await.unwrap().entry().clone();
        let way = Way::to(&store);
        let mut slow = Worker::through(way.clone(), "a", 4).connect().await;
        slow.open(&ours).await.unwrap();
        way.before_io(2, |faults| {
            faults.fail_next(1);
            async {}.boxed()
        });
        let range_a = range("a", &genesis, 3, 1);
        slow.commit(&ours, &range_a).await.unwrap_err();
        sink(&store).await.open(&theirs).await.unwrap();
        assert_eq!(slow.commit(&ours, &range_a).await.unwrap(), Outcome::Superseded);
        assert_eq!(zombie.commit(&ours, &range_a).await.unwrap(), Outcome::Superseded);
        assert_eq!(scanned(&store, Format::Csv).await, Vec::<i64>::new());
        Worker::new(store.clone(), "b", 2).work(5).await;
        exact(&store, Format::Csv, 5, "by the other code").await;
    }
}

#[tokio::test]
async fn a_try_that_is_ended_as_abandoned_after_its_last_file_is_superseded() {
    for (store, _held) in stores() {
        let way = Way::to(&store);
        let mut slow = Worker::through(way.clone(), "a", 4).connect().await;
        let genesis = slow.open(&assignment("a")).await.unwrap().entry().clone();
        let theirs = store.clone();
        way.before_io(4, move |_| {
            let store = theirs.clone();
            async move {
                let key = format!("{LEDGER}00000000000000000001.0.end");
                store.put(&key, r#"{"end":"abandoned"}"#.into(), Put::IfAbsent).await.unwrap();
            }
            .boxed()
        });
        let range = range("a", &genesis, 3, 1);
        let outcome = slow.commit(&assignment("a"), &range).await.unwrap();
        assert_eq!(outcome, Outcome::Superseded);
        assert_eq!(scanned(&store, Format::Csv).await, Vec::<i64>::new());
        Worker::new(store.clone(), "a", 3).work(4).await;
        exact(&store, Format::Csv, 4, "by the next try").await;
    }
}

#[tokio::test]
async fn the_first_genesis_stays() {
    for (store, _held) in stores() {
        let way = Way::to(&store);
        let mut slow = Worker::through(way.clone(), "a", 4).connect().await;
        let theirs = store.clone();
        way.before_io(3, move |_| {
            let store = theirs.clone();
            async move {
                let mut first = assignment("b");
                first.genesis.first_offset = 40;
                sink(&store).await.open(&first).await.unwrap();
            }
            .boxed()
        });
        let standing = slow.open(&assignment("a")).await.unwrap();
        assert_eq!((standing.entry().next(), standing.entry().fingerprint.as_str()), (40, "b"));
    }
}

#[tokio::test]
async fn a_file_of_another_size_is_not_taken_for_a_planned_one() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    leave_half_done(&store, 1).await;
    let path = format!("{TABLE}/day=a%3A1/numbers-0-0-3.1.0.csv");
    store.put(&path, "n,text\n".into(), Put::IfAbsent).await.unwrap();
    let standing = sink(&store).await.open(&assignment("a")).await.unwrap();
    assert!(matches!(standing, Standing::Planned { end: 3, .. }), "{standing:?}");
}

#[tokio::test]
async fn a_range_that_reads_differently_under_the_same_code_is_planned_anew() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    leave_half_done(&store, 1).await;
    let (mut sink, ours) = (sink(&store).await, assignment("a"));
    let after = sink.open(&ours).await.unwrap().entry().clone();
    let mut impure = range("a", &after, 3, 1);
    impure.rows[0].batch = rows("impure", 0, 3);
    assert_eq!(sink.commit(&ours, &impure).await.unwrap(), Outcome::Committed);
    exact(&store, Format::Csv, 4, "as it was read the second time").await;
}

#[tokio::test]
async fn a_worker_that_was_not_asked_to_finish_a_plan_leaves_it_alone() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (mut early, ours) = (sink(&store).await, assignment("a"));
    let genesis = early.open(&ours).await.unwrap().entry().clone();
    leave_half_done(&store, 1).await;
    let mut impure = range("a", &genesis, 3, 1);
    impure.rows[0].batch = rows("impure", 0, 3);
    assert_eq!(early.commit(&ours, &impure).await.unwrap(), Outcome::Superseded);
    assert!(
        store.list(LEDGER, None, 99).await.unwrap().iter().all(|l| !l.path.contains("1.0.end"))
    );
}

#[tokio::test]
async fn an_operator_can_skip_a_planned_range_whose_records_are_gone() {
    for (store, _held) in stores() {
        leave_half_done(&store, 1).await;
        let (mut sink, ours) = (sink(&store).await, assignment("a"));
        let after = sink.open(&ours).await.unwrap().entry().clone();
        let kind = EntryKind::Skip { reason: "retention".into() };
        let buckets = Buckets { absent: vec![(0, 1)], ..Buckets::default() };
        let skip = Entry { end: 1, buckets, ..after.choice(kind, 9) };
        let choice = Range { entry: skip.clone(), rows: vec![], deletes: vec![] };
        assert_eq!(sink.commit(&ours, &choice).await.unwrap(), Outcome::Committed);
        Worker::new(store.clone(), "a", 9).work(4).await;
        assert_eq!(scanned(&store, Format::Csv).await, [2, 3]);
        let ledger = sink.ledger(&ours.at, 1, 1).await.unwrap();
        assert_eq!(ledger, [skip]);
    }
}

#[tokio::test]
async fn a_gap_and_a_wrong_count_are_refused() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (mut sink, ours) = (sink(&store).await, assignment("a"));
    let genesis = sink.open(&ours).await.unwrap().entry().clone();
    let mut gap = range("a", &genesis, 3, 1);
    gap.entry.start = 1;
    let mut miscounted = range("a", &genesis, 3, 1);
    miscounted.entry.rows = 5;
    for (range, word) in [(gap, "goes on at offset 0"), (miscounted, "has 4 rows")] {
        let error = sink.commit(&ours, &range).await.unwrap_err();
        assert!(!error.is_retryable() && error.to_string().contains(word), "{error}");
    }
    assert_eq!(sink.open(&ours).await.unwrap(), Standing::At(genesis));
}

#[tokio::test]
async fn a_foreign_file_in_our_way_is_refused_by_name() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (mut sink, ours) = (sink(&store).await, assignment("a"));
    let genesis = sink.open(&ours).await.unwrap().entry().clone();
    let path = format!("{TABLE}/day=a%3A0/numbers-0-0-3.1.0.csv");
    store.put(&path, "n\n".into(), Put::IfAbsent).await.unwrap();
    let error = sink.commit(&ours, &range("a", &genesis, 3, 1)).await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("numbers-0-0-3"), "{error}");
}
