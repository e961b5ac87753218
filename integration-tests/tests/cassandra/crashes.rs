//! Workers that die, wake up and race, and connections that break: what is in the table in the end is what a map would
//! hold, row by row, and each range was committed once.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use integration_tests::stack;
use millstream_engine::ledger::Entry;
use millstream_engine::{Outcome, Range};
use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::proxy::Proxy;
use crate::world::{
    Place, Record, assignment, check_ledger, commit, connect, held, last, model, outcome, range,
};

/// What a topic's two partitions hold. Keys are in both, and versions are unique, so that old writes come late.
struct Topic {
    records: [Vec<(String, Option<i64>, i64)>; 2],
}

impl Topic {
    fn new(random: &mut StdRng, length: usize) -> Self {
        let mut version = [0, 1];
        let mut record = |partition: usize| {
            version[partition] += 2 * random.random_range(1..5_i64);
            let key = format!("k{}", random.random_range(0..60));
            let n = random.random_bool(0.85).then(|| random.random_range(-9..1_000_000));
            (key, n, version[partition])
        };
        let mut records = [Vec::new(), Vec::new()];
        for _ in 0..length {
            for (partition, records) in records.iter_mut().enumerate() {
                records.push(record(partition));
            }
        }
        Self { records }
    }

    fn records(&self, partition: u32) -> impl Iterator<Item = Record<'_>> {
        self.records[partition as usize]
            .iter()
            .map(|(key, n, version)| (key.as_str(), *n, *version))
    }

    fn end(&self, partition: u32) -> i64 {
        self.records[partition as usize].len() as i64 - 1
    }

    /// The next range of at most `count` records; `None`: all are there.
    fn after(&self, partition: u32, after: &Entry, count: usize) -> Option<Range> {
        let from = usize::try_from(after.next()).unwrap();
        let records: Vec<_> = self.records(partition).skip(from).take(count).collect();
        (!records.is_empty()).then(|| range(after, &records))
    }

    fn model(&self) -> BTreeMap<String, Option<i64>> {
        model(self.records(0).chain(self.records(1)))
    }
}

/// A future that is dropped after it was asked so many times: an answer or two have come by then.
struct Cut<'a, T> {
    work: Pin<Box<dyn Future<Output = T> + Send + 'a>>,
    left: usize,
}

impl<T> Future for Cut<'_, T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        self.work.as_mut().poll(context).map(Some)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_die_and_wake_up_lose_and_double_nothing() {
    const CRASHES: usize = 25;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let topic = Topic::new(&mut random, 4_000);
    let table = Place::new().await.table("rows");
    let (mut crashes, mut zombies, mut committed) = (0, 0, 0);
    let mut sink = connect(&table).await;
    let mut open = vec![0_u32, 1];
    while let Some(&partition) = open.get(random.random_range(0..open.len().max(1))) {
        let after = last(&mut sink, partition).await;
        let ours = assignment(partition);
        let Some(next) = topic.after(partition, &after, random.random_range(1..50)) else {
            open.retain(|known| *known != partition);
            continue;
        };
        match random.random_range(0..3) {
            0 => {
                let left = random.random_range(0..16);
                let work = sink.commit(&ours, &next);
                if (Cut { work, left }).await.is_none() {
                    crashes += 1;
                    sink = connect(&table).await;
                }
            }
            1 => {
                // A worker that lost the partition a while ago still commits, another range than ours.
                let mut zombie = connect(&table).await;
                let theirs = topic.after(partition, &after, random.random_range(1..50)).unwrap();
                let (one, other) = tokio::join!(
                    outcome(&mut sink, partition, &next),
                    outcome(&mut zombie, partition, &theirs)
                );
                let outcomes = [one, other];
                let won = outcomes.iter().filter(|won| **won == Outcome::Committed).count();
                assert_eq!(won, 1, "range {}: {outcomes:?}", next.entry.seq);
                zombies += 1;
                committed += 1;
            }
            _ => {
                commit(&mut sink, partition, &next).await;
                committed += 1;
            }
        }
    }
    println!("{crashes} crashes, {zombies} zombies, {committed} commits seen");
    let mut ranges = 0;
    for partition in [0, 1] {
        ranges += check_ledger(&mut sink, partition, topic.end(partition)).await;
    }
    assert!(ranges >= committed, "{ranges} ranges, {committed} commits");
    assert_eq!(held(&table).await, topic.model());
    assert!(crashes >= CRASHES, "only {crashes} crashes");
}

/// Requests and answers get lost: what became of a range is looked up, and never guessed.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_break_lose_and_double_nothing() {
    const RANGES: usize = 60;
    let mut random = StdRng::seed_from_u64(rand::random());
    let topic = Topic::new(&mut random, RANGES * 20);
    let direct = Place::new().await;
    let proxy = Proxy::to(stack::cassandra().await.address()).await;
    let table = direct.through(&proxy.address()).table("rows");
    let mut sink = connect(&table).await;
    let cutting = proxy.cut(20..250);
    let mut failures = 0;
    for partition in [0, 1] {
        let ours = assignment(partition);
        let mut after = last(&mut sink, partition).await;
        while let Some(next) = topic.after(partition, &after, 40) {
            // As the engine does: the same range again until it is clear what became of it.
            let outcome = loop {
                match sink.commit(&ours, &next).await {
                    Ok(outcome) => break outcome,
                    Err(error) => {
                        assert!(error.is_retryable(), "{error}");
                        failures += 1;
                        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    }
                }
            };
            assert_eq!(outcome, Outcome::Committed, "nobody else is there: {:?}", next.entry);
            after = next.entry;
        }
    }
    let cuts = cutting.count();
    drop(cutting);
    println!("{cuts} cuts, {failures} commits tried again");
    assert!(cuts >= 20 && failures >= 5, "{cuts} cuts, {failures} failures");
    let table = direct.table("rows");
    let mut sink = connect(&table).await;
    for partition in [0, 1] {
        check_ledger(&mut sink, partition, topic.end(partition)).await;
    }
    assert_eq!(held(&table).await, topic.model());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_eight_racing_workers_exactly_one_commits_each_range() {
    const RANGES: u64 = 60;
    let place = Place::new().await;
    let contended = Arc::new(AtomicU64::new(0));
    let race = async |worker: i64, place: Place, contended: Arc<AtomicU64>| {
        let mut sink = connect(&place.table("rows")).await;
        let mut committed = Vec::new();
        loop {
            let after = last(&mut sink, 0).await;
            if after.seq >= RANGES {
                return committed;
            }
            let (seq, one) = (after.seq.cast_signed(), format!("{}", after.seq));
            // Of different lengths, so that no two are the same entry; the same offsets have the same rows.
            let records = [("all", Some(seq), seq + 1), (one.as_str(), Some(seq), seq + 1)];
            let mut range = range(&after, &records);
            range.entry.closed_ms = worker;
            match sink.commit(&assignment(0), &range).await {
                Ok(Outcome::Committed) => committed.push(range.entry.seq),
                Ok(Outcome::Superseded) => {}
                // Eight that contend may take turns in making each other wait too long.
                Err(error) => {
                    assert!(error.is_retryable(), "{error}");
                    contended.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    };
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            // Four sessions, two workers in each.
            let place = place.clone();
            let contended = contended.clone();
            async move {
                let address = stack::cassandra().await.address();
                let place = if worker % 2 == 0 { place.through(&address) } else { place };
                race(worker, place, contended).await
            }
        })
        .map(|work| Box::pin(work) as Pin<Box<dyn Future<Output = Vec<u64>> + Send>>)
        .map(tokio::spawn)
        .collect();
    let mut committed = Vec::new();
    for worker in workers {
        committed.extend(worker.await.unwrap());
    }
    committed.sort_unstable();
    let contended = contended.load(Ordering::Relaxed);
    println!("{} commits told, {contended} told to wait", committed.len());
    assert!(committed.windows(2).all(|pair| pair[0] < pair[1]), "twice: {committed:?}");
    if contended == 0 {
        assert_eq!(committed, (1..=RANGES).collect::<Vec<_>>());
    }
    let table = place.table("rows");
    let mut sink = connect(&table).await;
    assert_eq!(check_ledger(&mut sink, 0, 2 * RANGES.cast_signed() - 1).await as u64, RANGES);
    assert_eq!(held(&table).await.len() as u64, RANGES + 1);
}
