//! One fault at every I/O, one after the other.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::FutureExt;
use tokio::sync::Notify;

use super::world::{Again, Way, Worker, exact, stores};
use crate::lake::{Faults, Format, Store};

const UNTIL: i64 = 7;
/// More I/Os than any run has.
const BOUND: usize = 500;

/// Runs `case` for k = 1, 2, … in memory, and for every third k on a disk, which is slow to sync, until it says that
/// its run had fewer than k I/Os.
macro_rules! at_every_io {
    ($case:expr) => {
        for kind in 0..stores().len() {
            let mut reached = 0;
            for k in (1..BOUND).step_by(1 + 2 * kind) {
                let (store, _held) = stores().swap_remove(kind);
                if !$case(store, k).await {
                    reached = k;
                    break;
                }
            }
            assert!(reached > 30, "the run ended after {reached} I/Os: too few to mean anything");
        }
    };
}

async fn survives(store: Arc<dyn Store>, k: usize, again: Again, fault: fn(&Faults)) -> bool {
    let way = Way::to(&store);
    let count = way.before_io(k, move |faults| {
        fault(&faults);
        async {}.boxed()
    });
    let worker = Worker { again, ..Worker::through(way, "a", 3) };
    worker.work(UNTIL).await;
    exact(&store, Format::Csv, UNTIL, &format!("fault at I/O {k}, then {again:?}")).await;
    count.load(Ordering::SeqCst) >= k
}

#[tokio::test]
async fn a_lost_reply_at_every_io() {
    for again in [Again::Same, Again::Open, Again::Connect] {
        at_every_io!(|store, k| survives(store, k, again, |faults| faults.lose_reply_next(1)));
    }
}

#[tokio::test]
async fn many_lost_replies_from_every_io() {
    at_every_io!(|store, k| survives(store, k, Again::Open, |faults| faults.lose_reply_next(5)));
}

#[tokio::test]
async fn a_failure_at_every_io() {
    for again in [Again::Same, Again::Open] {
        at_every_io!(|store, k| survives(store, k, again, |faults| faults.fail_next(2)));
    }
}

/// The first worker dies before its `k`th I/O; one with `code` takes over. False: the first came to its end.
async fn taken_over(store: Arc<dyn Store>, k: usize, code: &'static str, format: Format) -> bool {
    let way = Way::to(&store);
    let died = Arc::new(Notify::new());
    let dying = died.clone();
    way.before_io(k, move |_| {
        dying.notify_one();
        futures::future::pending().boxed()
    });
    let first = Worker { format, ..Worker::through(way, "a", 3) };
    let alive = tokio::select! {
        () = first.work(UNTIL) => true,
        () = died.notified() => false,
    };
    let second = Worker { format, ..Worker::new(store.clone(), code, 2) };
    second.work(UNTIL).await;
    exact(&store, format, UNTIL, &format!("crash at I/O {k}, then code {code}")).await;
    !alive
}

#[tokio::test]
async fn a_crash_at_every_io() {
    at_every_io!(|store, k| taken_over(store, k, "a", Format::Csv));
}

#[tokio::test]
async fn a_crash_at_every_io_then_other_code_with_other_hive_paths() {
    at_every_io!(|store, k| taken_over(store, k, "b", Format::Csv));
}

#[tokio::test]
async fn a_crash_at_every_io_in_parquet() {
    at_every_io!(|store, k| taken_over(store, k, "b", Format::Parquet));
}

/// Before its `k`th I/O the first worker sleeps while another one commits ranges of its own, then wakes up.
async fn overtaken(store: Arc<dyn Store>, k: usize, code: &'static str, until: i64) -> bool {
    let way = Way::to(&store);
    let theirs = store.clone();
    let count = way.before_io(k, move |_| {
        let store = theirs.clone();
        async move {
            Worker::new(store.clone(), code, 2).work(until).await;
            exact(
                &store,
                Format::Csv,
                until.max(committed(&store).await),
                "while the first sleeps",
            )
            .await;
        }
        .boxed()
    });
    Worker::through(way, "a", 3).work(UNTIL).await;
    exact(&store, Format::Csv, UNTIL, &format!("overtaken at I/O {k} by code {code}")).await;
    count.load(Ordering::SeqCst) >= k
}

/// How far the table reaches.
async fn committed(store: &Arc<dyn Store>) -> i64 {
    super::world::scanned(store, Format::Csv).await.len() as i64
}

#[tokio::test]
async fn a_second_worker_between_any_two_ios() {
    for until in [2, 5, UNTIL] {
        at_every_io!(|store, k| overtaken(store, k, "a", until));
    }
}

#[tokio::test]
async fn a_second_worker_of_other_code_between_any_two_ios() {
    for until in [2, 5, UNTIL] {
        at_every_io!(|store, k| overtaken(store, k, "b", until));
    }
}
