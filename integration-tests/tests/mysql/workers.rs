//! Workers that put a partition's events into a table, whatever happens to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use millstream_engine::{Outcome, Sink, SinkError, Target};
use millstream_sinks::mysql::MysqlTable;

use crate::events::{PIPELINE, assignment, range, schema};

/// What all workers of a test share.
#[derive(Debug, Default)]
pub struct Shared {
    /// They end at the next good moment.
    pub stop: AtomicBool,
    /// Commits and opens that failed, and passed later.
    pub failed: AtomicUsize,
    pub committed: AtomicUsize,
    pub superseded: AtomicUsize,
}

impl Shared {
    pub fn failed(&self) -> usize {
        self.failed.load(Ordering::SeqCst)
    }

    pub fn committed(&self) -> usize {
        self.committed.load(Ordering::SeqCst)
    }
}

/// Works as the engine does: opens, commits range after range, opens again when somebody else was faster, and tries the
/// same range again after an error that passes. Panics at any other error.
pub async fn work(table: MysqlTable, partition: u32, shared: Arc<Shared>) {
    let keeping = table.about().keeping;
    let ours = assignment(partition);
    let mut sink: Option<Box<dyn Sink>> = None;
    while !shared.stop.load(Ordering::SeqCst) {
        let Some(open) = &mut sink else {
            sink = passed(table.connect(PIPELINE, &schema()).await, &shared).await;
            continue;
        };
        let Some(standing) = passed(open.open(&ours).await, &shared).await else { continue };
        let mut last = standing.entry().clone();
        while !shared.stop.load(Ordering::SeqCst) {
            let size = 1 + rand::random::<u32>() % 60;
            let next = range(&keeping, partition, &last, i64::from(size));
            match passed(open.commit(&ours, &next).await, &shared).await {
                Some(Outcome::Committed) => {
                    shared.committed.fetch_add(1, Ordering::SeqCst);
                    last = next.entry;
                }
                Some(Outcome::Superseded) => {
                    shared.superseded.fetch_add(1, Ordering::SeqCst);
                    break;
                }
                None => {}
            }
        }
    }
}

async fn passed<T>(done: Result<T, SinkError>, shared: &Shared) -> Option<T> {
    match done {
        Ok(done) => Some(done),
        Err(error) if error.is_retryable() => {
            shared.failed.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
            None
        }
        Err(error) => panic!("a worker was refused: {error}"),
    }
}
