//! What workers write, and where.

use millstream_engine::Status;
use millstream_topic::{Outgoing, Topic};
use serde::{Deserialize, Serialize};

use crate::worker::{PipelinePlan, Worker};

/// How each worker stands. Its record is taken back when it ends.
pub(crate) const STATUS: Topic =
    Topic::new("millstream.status").keyed_by("worker id").partitions(1).compacted();

/// How each pipeline stood, every 10 s. The keys go round ([`SLOTS`]), so that compaction bounds it.
pub(crate) const HISTORY: Topic = Topic::new("millstream.history")
    .keyed_by("pipeline, first partition, slot")
    .partitions(1)
    .compacted();

/// Between two samples, in milliseconds.
pub(crate) const SAMPLE_MS: i64 = 10_000;
/// So many samples are kept: 6 hours.
pub(crate) const SLOTS: i64 = 2_160;

/// A worker with its pipelines, as the value of its record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Told {
    pub(crate) worker: Worker,
    /// Milliseconds since the Unix epoch, by the worker's clock.
    pub(crate) told_at_ms: i64,
    /// Bytes the process holds.
    pub(crate) memory: Option<u64>,
    pub(crate) pipelines: Vec<PipelineTold>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PipelineTold {
    pub(crate) plan: PipelinePlan,
    pub(crate) status: Status,
    /// Events per second, in the order of the status' partitions.
    pub(crate) rates: Vec<f64>,
}

/// How the share of a pipeline that one worker had stood at a time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Sample {
    /// `app.pipeline`.
    pub(crate) pipeline: String,
    /// The first partition the worker had: no other worker had it, so shares don't overwrite one another.
    pub(crate) first: String,
    /// Milliseconds since the Unix epoch.
    pub(crate) at_ms: i64,
    /// Per second.
    pub(crate) rate: f64,
    pub(crate) lag: i64,
    /// Since the sample before.
    pub(crate) dead_letters: u64,
}

impl Told {
    pub(crate) fn to_record(&self) -> Result<Outgoing, serde_json::Error> {
        Ok(Outgoing::keyed(self.worker.id.clone(), serde_json::to_vec(self)?))
    }
}

impl PipelineTold {
    pub(crate) fn rate(&self) -> f64 {
        self.rates.iter().sum()
    }
}

impl Sample {
    pub(crate) fn to_record(&self) -> Result<Outgoing, serde_json::Error> {
        let slot = (self.at_ms / SAMPLE_MS).rem_euclid(SLOTS);
        let key = format!("{}/{}/{slot}", self.pipeline, self.first);
        Ok(Outgoing::keyed(key, serde_json::to_vec(self)?))
    }
}

/// Takes a worker's record back.
pub(crate) fn taken_back(worker: &str) -> Outgoing {
    Outgoing { key: Some(worker.to_owned().into()), ..Outgoing::default() }
}
