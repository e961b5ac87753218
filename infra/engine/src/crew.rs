//! Threads that work off stretches of records while a pipeline's loop reads on and commits.

use std::sync::Arc;

use millstream_topic::Record;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::batch::{self, Worked};
use crate::pipeline::Pipeline;

/// So many stretches are worked off at once at most, of all partitions of a pipeline: reading from one broker keeps no
/// more busy, and each is some megabytes.
const MOST: usize = 4;

/// The threads one pipeline may take of the runtime's.
#[derive(Debug)]
pub(crate) struct Crew {
    pipeline: Arc<Pipeline>,
    free: Arc<Semaphore>,
}

/// What became of a stretch, and the records that are dead.
pub(crate) type Done = (Worked, Vec<Record>);

/// A stretch that is being worked off.
#[derive(Debug)]
pub(crate) struct UnderWay(JoinHandle<Done>);

impl Crew {
    /// As many as the machine has cores.
    pub(crate) fn new(pipeline: Arc<Pipeline>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { pipeline, free: Arc::new(Semaphore::new(cores.min(MOST))) }
    }

    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Has records worked off that follow one another in a partition; waits until a thread is free to.
    pub(crate) async fn begin(&self, records: Vec<Record>, version_before: i64) -> UnderWay {
        let (pipeline, free) = (self.pipeline.clone(), self.free.clone());
        // Never closed; were it, nothing but the bound would be lost.
        let permit = free.acquire_owned().await.ok();
        UnderWay(tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work_off(&pipeline, &records, version_before)
        }))
    }
}

impl UnderWay {
    pub(crate) async fn done(self) -> Done {
        match self.0.await {
            Ok(done) => done,
            // As if it had been worked off here.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // Only a runtime that shuts down ends one, and with it whoever waits.
            Err(_) => std::future::pending().await,
        }
    }
}

/// The same, here and now.
pub(crate) fn work_off(pipeline: &Pipeline, records: &[Record], version_before: i64) -> Done {
    let worked = batch::work(pipeline, records, version_before);
    let dead = worked.dead.iter().map(|dead| records[dead.index].clone()).collect();
    (worked, dead)
}
