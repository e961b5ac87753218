//! What workers write, and where.

use std::hash::{DefaultHasher, Hash, Hasher};

use millstream_engine::{Happening, Status};
use millstream_topic::{Outgoing, Topic};
use serde::{Deserialize, Serialize};

use crate::worker::{PipelinePlan, Worker};

/// How each worker stands. Its record is taken back when it ends.
pub(crate) const STATUS: Topic =
    Topic::new("millstream.status").keyed_by("worker id").partitions(1).compacted();

/// How each pipeline stood, every 10 s ([`Sample`]), and what happened to it ([`Past`]). The keys of both go
/// round ([`SLOTS`], [`PASTS`]), so that compaction bounds it.
pub(crate) const HISTORY: Topic = Topic::new("millstream.history")
    .keyed_by("pipeline, first partition, slot; told, pipeline, slot")
    .partitions(1)
    .compacted();

/// Between two samples, in milliseconds.
pub(crate) const SAMPLE_MS: i64 = 10_000;
/// So many samples are kept: 6 hours.
pub(crate) const SLOTS: i64 = 2_160;
/// So many workers' pasts are kept of a pipeline.
pub(crate) const PASTS: u64 = 512;
/// What the keys of pasts begin with; those of samples begin with a pipeline, which has a dot in it.
pub(crate) const PAST: &str = "told/";

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

/// What one worker told of a pipeline besides numbers, kept when it has gone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Past {
    pub(crate) worker: Worker,
    pub(crate) plan: PipelinePlan,
    /// Milliseconds since the Unix epoch, by the worker's clock.
    pub(crate) told_at_ms: i64,
    /// Oldest first.
    pub(crate) happenings: Vec<Happening>,
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

impl Past {
    /// Each worker has its slot by chance, as none knows of the others: a past is lost early when two of a
    /// few meet in one of [`PASTS`], and the topic stays bounded without anybody who clears it.
    pub(crate) fn key(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.worker.id.hash(&mut hasher);
        format!("{PAST}{}/{}", self.plan.id(), hasher.finish() % PASTS)
    }

    /// Whether a record with this key is about its pipeline.
    pub(crate) fn belongs_under(&self, key: &str) -> bool {
        let rest = key.strip_prefix(PAST).and_then(|rest| rest.strip_prefix(&self.plan.id()));
        rest.is_some_and(|slot| slot.starts_with('/'))
    }

    pub(crate) fn to_record(&self) -> Result<Outgoing, serde_json::Error> {
        Ok(Outgoing::keyed(self.key(), serde_json::to_vec(self)?))
    }
}

/// Takes a worker's record back.
pub(crate) fn taken_back(worker: &str) -> Outgoing {
    Outgoing { key: Some(worker.to_owned().into()), ..Outgoing::default() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn pasts_of_many_workers_have_a_bounded_number_of_keys() {
        let plan = PipelinePlan { app: "a".into(), pipeline: "b".into(), ..Default::default() };
        let key = |id: u32| {
            let worker = Worker { id: format!("ant-{id}"), ..Worker::default() };
            Past { worker, plan: plan.clone(), ..Past::default() }.key()
        };
        let keys: BTreeSet<_> = (0..20_000).map(key).collect();
        assert_eq!(keys.len() as u64, PASTS);
        assert!(keys.iter().all(|key| key.starts_with("told/a.b/")));
        assert_eq!(key(7), key(7));
    }
}
