use serde::Serialize;

use super::{Is, Standing};
use crate::book::{Book, Heard};
use crate::told::PipelineTold;

/// A worker with its share of the work.
#[derive(Debug, Serialize)]
pub(crate) struct WorkerView {
    pub(crate) id: String,
    pub(crate) host: String,
    pub(crate) pid: u32,
    pub(crate) app: String,
    pub(crate) version: String,
    pub(crate) state: Standing,
    pub(crate) started_at_ms: i64,
    pub(crate) up_ms: i64,
    /// By our clock.
    pub(crate) heard_at_ms: i64,
    pub(crate) silent_ms: Option<i64>,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) lag: i64,
    pub(crate) events_per_s: f64,
    pub(crate) events: u64,
    pub(crate) dead_letters: u64,
    pub(crate) retries: u64,
    pub(crate) pipelines: Vec<WorkerPipeline>,
}

/// What a worker has of one pipeline.
#[derive(Debug, Serialize)]
pub(crate) struct WorkerPipeline {
    pub(crate) id: String,
    pub(crate) state: Standing,
    pub(crate) partitions: Vec<String>,
    pub(crate) lag: i64,
    pub(crate) events_per_s: f64,
    pub(crate) events: u64,
    pub(crate) dead_letters: u64,
    pub(crate) retries: u64,
    pub(crate) held_bytes: usize,
    pub(crate) memory_bytes: usize,
    pub(crate) batch_mean_ms: Option<u64>,
}

impl WorkerView {
    pub(crate) fn of(book: &Book, heard: &Heard) -> Self {
        let silent_ms = book.silence(heard);
        let (worker, told) = (&heard.told.worker, &heard.told);
        let pipelines: Vec<_> =
            told.pipelines.iter().map(|one| WorkerPipeline::of(one, silent_ms)).collect();
        let worst = Standing::worst(pipelines.iter().map(|one| one.state.clone()));
        let state = match silent_ms {
            Some(silence) => Standing::silent(silence),
            None => worst.unwrap_or_else(|| Standing::new(Is::Starting, "")),
        };
        Self {
            id: worker.id.clone(),
            host: worker.host.clone(),
            pid: worker.pid,
            app: worker.app.clone(),
            version: worker.version.clone(),
            state,
            started_at_ms: worker.started_at_ms,
            up_ms: told.told_at_ms.saturating_sub(worker.started_at_ms).max(0),
            heard_at_ms: heard.heard_at_ms,
            silent_ms,
            memory_bytes: told.memory,
            lag: pipelines.iter().map(|one| one.lag).fold(0, i64::saturating_add),
            events_per_s: pipelines.iter().map(|one| one.events_per_s).sum(),
            events: pipelines.iter().map(|one| one.events).fold(0, u64::saturating_add),
            dead_letters: pipelines.iter().map(|one| one.dead_letters).fold(0, u64::saturating_add),
            retries: pipelines.iter().map(|one| one.retries).fold(0, u64::saturating_add),
            pipelines,
        }
    }
}

impl WorkerPipeline {
    fn of(told: &PipelineTold, silent_ms: Option<i64>) -> Self {
        let status = &told.status;
        Self {
            id: told.plan.id(),
            state: silent_ms.map_or_else(|| Standing::from(&status.state), Standing::silent),
            partitions: status
                .partitions
                .iter()
                .map(|at| format!("{}-{}", at.topic, at.partition))
                .collect(),
            lag: status.lag(),
            events_per_s: if silent_ms.is_some() { 0.0 } else { told.rate() },
            events: status.totals.events(),
            dead_letters: status.totals.dead_lettered,
            retries: status.totals.retries,
            held_bytes: status.partitions.iter().map(|at| at.held).sum(),
            memory_bytes: status.memory,
            batch_mean_ms: status.batches.mean_ms(),
        }
    }
}
