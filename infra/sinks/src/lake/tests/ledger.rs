//! The ledger, read: checkpoints, stale listings, several partitions.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use millstream_engine::{SinkError, Target};

use super::branches::{LEDGER, leave_half_done, paths, sink};
use super::world::{TABLE, Way, Worker, assignment, exact, lake, range, scanned, stores};
use crate::lake::{Format, Listed, MemoryStore, Put, Store, Stored, committed_files};

/// Writes down which I/Os go this way from now on.
fn log(way: &Way) -> Arc<Mutex<Vec<String>>> {
    let log = Arc::new(Mutex::new(vec![]));
    let written = log.clone();
    way.faults.set_hook(Some(Arc::new(move |operation, _| {
        written.lock().unwrap().push(operation.to_owned());
        async {}.boxed()
    })));
    log
}

#[tokio::test]
async fn reading_costs_little_however_long_the_ledger() {
    for (store, _held) in stores() {
        Worker::new(store.clone(), "a", 1).work(20).await;
        let checkpoints = paths(&store, &format!("{LEDGER}checkpoints/")).await;
        assert_eq!(
            checkpoints.len(),
            7,
            "after 2, 5, …, 20: every three ranges, the genesis being one"
        );
        exact(&store, Format::Csv, 20, "through checkpoints").await;

        let (way, ours) = (Way::to(&store), assignment("a"));
        let mut sink = Worker::through(way.clone(), "a", 1).connect().await;
        let ios = log(&way);
        sink.open(&ours).await.unwrap();
        assert_eq!(*ios.lock().unwrap(), ["list", "list", "get", "get"], "to open");
        let ios = log(&way);
        sink.ledger(&ours.at, 0, usize::MAX).await.unwrap();
        let ios = ios.lock().unwrap().clone();
        assert_eq!(
            ios,
            [vec!["list"], vec!["get"; 7], vec!["list"]].concat(),
            "one per checkpoint"
        );
        for (from, max) in [(0, 1), (2, 2), (5, 100), (19, 5), (20, 5), (21, 5), (0, 0)] {
            let entries = sink.ledger(&ours.at, from, max).await.unwrap();
            let seqs: Vec<_> = entries.iter().map(|entry| entry.seq).collect();
            assert_eq!(seqs, (from..21).take(max).collect::<Vec<_>>(), "{max} from {from}");
        }
    }
}

#[tokio::test]
async fn checkpoints_hold_the_tries_that_were_committed() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    for (until, code) in [(4, "a"), (9, "b"), (14, "a")] {
        leave_any_half_done(&store, if code == "a" { "b" } else { "a" }).await;
        Worker::new(store.clone(), code, 2).work(until).await;
    }
    exact(&store, Format::Csv, 14, "abandoned tries in between").await;
}

/// Plans a range of two files after whatever there is, and writes one of them.
async fn leave_any_half_done(store: &Arc<dyn Store>, code: &'static str) {
    let way = Way::to(store);
    let mut sink = Worker::through(way.clone(), code, 2).connect().await;
    let after = sink.open(&assignment(code)).await.unwrap().entry().clone();
    way.before_io(3, |faults| {
        faults.fail_next(99);
        async {}.boxed()
    });
    let range = range(code, &after, after.end + 2, 1);
    sink.commit(&assignment(code), &range).await.unwrap_err();
}

#[tokio::test]
async fn a_lost_checkpoint_is_made_up_for() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let way = Way::to(&store);
    way.faults.set_hook(Some(Arc::new({
        let faults = way.faults.clone();
        move |operation, path| {
            if operation == "put" && path.contains("checkpoints/") {
                faults.fail_next(1);
            }
            async {}.boxed()
        }
    })));
    Worker::through(way, "a", 1).work(5).await;
    assert!(paths(&store, &format!("{LEDGER}checkpoints/")).await.is_empty());
    Worker::new(store.clone(), "a", 1).work(6).await;
    assert_eq!(paths(&store, &format!("{LEDGER}checkpoints/")).await.len(), 1);
    exact(&store, Format::Csv, 6, "with one late checkpoint").await;
}

#[tokio::test]
async fn partitions_and_topics_of_one_pipeline_are_all_read() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut sink = sink(&store).await;
    for (topic, partition) in
        [("numbers", 0), ("numbers", 1), ("numbers", 10), ("numbers-x", 0), ("n", 2)]
    {
        let mut ours = assignment("a");
        ours.at = millstream_topic::TopicPartition::new(topic, partition);
        let genesis = sink.open(&ours).await.unwrap().entry().clone();
        sink.commit(&ours, &range("a", &genesis, 1, 1)).await.unwrap();
    }
    assert_eq!(scanned(&store, Format::Csv).await, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
    assert_eq!(committed_files(&*store, TABLE).await.unwrap().len(), 10);
    let unknown: Result<(), SinkError> = {
        let mut visit = |_| panic!("no rows of others");
        lake(store.clone(), Format::Csv).scan("app.others", &mut visit).await
    };
    unknown.unwrap();
}

/// A listing that missed what was written while it was made; checkpoints never help.
#[derive(Debug)]
struct Missing(Arc<dyn Store>, &'static str);

#[async_trait]
impl Store for Missing {
    async fn put(&self, path: &str, bytes: Bytes, how: Put) -> Result<Stored, SinkError> {
        self.0.put(path, bytes, how).await
    }

    async fn get(&self, path: &str) -> Result<Option<Bytes>, SinkError> {
        self.0.get(path).await
    }

    async fn list(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        max: usize,
    ) -> Result<Vec<Listed>, SinkError> {
        let listed = self.0.list(prefix, start_after, max).await?;
        let seen = |path: &str| !path.contains(self.1) && !path.contains("checkpoints/");
        Ok(listed.into_iter().filter(|listed| seen(&listed.path)).collect())
    }
}

#[tokio::test]
async fn a_listing_that_missed_keys_misleads_nobody() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    leave_half_done(&store, 1).await;
    let mut first = sink(&store).await;
    let standing = first.open(&assignment("b")).await.unwrap();
    let committed = range("b", standing.entry(), 1, 1);
    first.commit(&assignment("b"), &committed).await.unwrap();
    let next = range("b", &committed.entry, 2, 1);
    first.commit(&assignment("b"), &next).await.unwrap();
    leave_any_half_done(&store, "a").await;
    for missed in
        ["01.1.", "01.1.end", "01.1.plan", "01.0.", "01.", ".0.plan", "02.", "02.0.plan", "03.0."]
    {
        let stale: Arc<dyn Store> = Arc::new(Missing(store.clone(), missed));
        assert_eq!(scanned(&stale, Format::Csv).await, [0, 1, 2], "without {missed}");
        let mut reader = sink(&stale).await;
        let entries = reader.ledger(&assignment("a").at, 1, 1).await.unwrap();
        assert_eq!(entries, std::slice::from_ref(&committed.entry), "without {missed}");
    }
    let stale: Arc<dyn Store> = Arc::new(Missing(store.clone(), "01.1."));
    let mut misled = sink(&stale).await;
    misled.open(&assignment("b")).await.unwrap();
    Worker::new(store.clone(), "b", 3).work(6).await;
    exact(&store, Format::Csv, 6, "after somebody was misled").await;
}
