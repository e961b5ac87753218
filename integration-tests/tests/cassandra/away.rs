//! A server that goes away in the middle of a load, and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use integration_tests::stack::{self, Server};
use millstream_engine::{Outcome, Target};

use crate::starting;
use crate::world::{
    PIPELINE, Place, assignment, check_ledger, connect, held, last, model, range, schema,
};

const RANGES: u64 = 60;
const ROWS: usize = 500;
/// Longer than a statement may take.
const LONG: Duration = Duration::from_secs(12);
const SHORT: Duration = Duration::from_secs(4);
/// More than a range, its answers and the driver's buffers need by far; less than what would pile up if nothing held it.
const MOST_GROWTH_MB: u64 = 150;

fn record(seq: u64, row: usize) -> (String, Option<i64>, i64) {
    let n = (seq * ROWS as u64 + row as u64).cast_signed();
    (format!("k{}", n % 7_000), (n % 11 != 0).then_some(n), n + 1)
}

fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_in_the_middle_of_a_load_loses_nothing() {
    let server = Arc::new(stack::wanted_cassandra("cassandra-outage").start().await);
    let table = Place::at(&server.address()).table("rows");
    let mut sink = connect(&table).await;
    let (reached, back) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let outage = tokio::spawn({
        let (server, reached, back) = (server.clone(), reached.clone(), back.clone());
        async move {
            for (at, hard, away) in [(10, true, LONG), (30, false, SHORT)] {
                while reached.load(Ordering::Relaxed) < at {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                if hard {
                    server.kill().await
                } else {
                    server.stop().await
                }
                let down = Instant::now();
                tokio::time::sleep(away).await;
                server.start().await;
                println!("down for {:?}", down.elapsed());
            }
            back.store(true, Ordering::Relaxed);
        }
    });
    let (mut failures, mut after) = (0, last(&mut sink, 0).await);
    let (before, mut most) = (resident_mb(), 0);
    while after.seq < RANGES || !back.load(Ordering::Relaxed) {
        let records: Vec<_> = (0..ROWS).map(|row| record(after.seq, row)).collect();
        let records: Vec<_> =
            records.iter().map(|(key, n, version)| (key.as_str(), *n, *version)).collect();
        let range = range(&after, &records);
        most = most.max(resident_mb());
        match sink.commit(&assignment(0), &range).await {
            Ok(Outcome::Committed) => after = range.entry,
            // A node alone that is killed forgets what it acknowledged within the last ten seconds (its log's
            // `commitlog_sync_period`): the end of it, so that no row is missing that the position counts.
            Ok(Outcome::Superseded) => {
                after = last(&mut sink, 0).await;
                assert!(after.seq + 1 < range.entry.seq, "nobody else is there: {after:?}");
                println!("the node forgot ranges {} to {}", after.seq + 1, range.entry.seq - 1);
            }
            Err(error) => {
                assert!(error.is_retryable(), "{error}");
                failures += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        reached.store(after.seq, Ordering::Relaxed);
    }
    outage.await.unwrap();
    assert!(failures > 0, "nothing was tried again");
    let ranges = after.seq;
    let all: Vec<_> =
        (0..ranges).flat_map(|seq| (0..ROWS).map(move |row| record(seq, row))).collect();
    let expected = model(all.iter().map(|(key, n, version)| (key.as_str(), *n, *version)));
    assert_eq!(held(&table).await, expected);
    let end = (ranges as usize * ROWS) as i64 - 1;
    assert_eq!(check_ledger(&mut sink, 0, end).await as u64, ranges);
    println!("{failures} commits tried again; resident {before} MB before, {most} MB at most");
    assert!(most < before + MOST_GROWTH_MB, "resident {before} MB before, {most} MB at most");
}

/// A server that gets a fifth of its time only.
struct Halting {
    over: Arc<AtomicBool>,
    work: tokio::task::JoinHandle<()>,
}

impl Halting {
    fn of(server: Arc<Server>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ended = over.clone();
        let work = tokio::spawn(async move {
            while !ended.load(Ordering::Relaxed) {
                server.pause().await;
                tokio::time::sleep(Duration::from_millis(400)).await;
                server.unpause().await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        Self { over, work }
    }

    async fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        self.work.await.unwrap();
    }
}

/// A server that is slow lists tables long before it has made them; one that hangs answers nothing and closes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_slow_or_hangs_is_waited_for() {
    let server = Arc::new(stack::wanted_cassandra("cassandra-hangs").start().await);
    let halting = Halting::of(server.clone());
    let slowest = starting::all_are_let_in(&server.address()).await;
    halting.end().await;
    println!("halted four fifths of the time, the slowest was done after {slowest:?}");
    let table = Place::at(&server.address()).table("rows");
    let mut sink = connect(&table).await;
    let next = range(&last(&mut sink, 0).await, &[("a", Some(1), 1)]);
    server.pause().await;
    let asked = Instant::now();
    let error = sink.commit(&assignment(0), &next).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert!(asked.elapsed() < Duration::from_secs(40), "{:?}", asked.elapsed());
    server.unpause().await;
    let outcome = loop {
        match sink.commit(&assignment(0), &next).await {
            Ok(outcome) => break outcome,
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
        assert!(asked.elapsed() < Duration::from_secs(120), "it works again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(outcome, Outcome::Committed);
    assert_eq!(held(&table).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_waited_for() {
    let nobody = stack::free_port();
    let place = Place::at(&format!("127.0.0.1:{nobody}"));
    let (table, schema) = (place.table("rows"), schema(&["id", "n"]));
    let error = table.connect(PIPELINE, &schema).await.err().unwrap();
    assert!(error.is_retryable(), "{error}");
    assert!(error.to_string().contains(&nobody.to_string()), "{error}");
}
