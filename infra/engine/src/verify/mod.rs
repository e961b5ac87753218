//! Compares a sink with its topics: bucket by bucket (the ledger), and row by row (records are worked off
//! once more, and what they make is held against what the sink has).

mod compare;
mod ledgers;
mod replay;

use millstream_topic::{TopicError, TopicPartition};
use serde::Serialize;

use crate::pipeline::Pipeline;
use crate::sink::{Sink, SinkError};
use crate::world::World;
use compare::Expected;
use ledgers::Ledger;

/// What was found, in offsets. `produced` = the sum of the buckets + `pending` when all is well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub app: String,
    pub pipeline: String,
    /// Offsets given out by the topics since the pipeline's first one.
    pub produced: u64,
    pub delivered: u64,
    pub filtered: u64,
    pub dead_lettered: u64,
    pub tombstone: u64,
    pub absent: u64,
    /// Not worked off yet.
    pub pending: u64,
    /// Rows (append), keys (upsert) or units (count) the topics say should be in the sink and aren't, and dead
    /// letters that can't be found.
    pub lost: u64,
    /// Rows, keys or units in the sink that no record accounts for.
    pub duplicated: u64,
    /// Offsets whose rows can't be computed again: dropped by retention, or made by other code.
    pub unchecked: u64,
    /// What is wrong, in words.
    pub problems: Vec<String>,
}

impl Report {
    /// Whether nothing is lost, doubled or at odds.
    pub fn is_exact(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.problems.is_empty()
    }

    fn problem(&mut self, problem: String) {
        // A broken ledger can be wrong thousands of times in one way.
        const SHOWN: usize = 20;
        if self.problems.len() < SHOWN {
            self.problems.push(problem);
        }
    }
}

/// Why nothing could be found out.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("read the topics of {pipeline}")]
    Topic {
        pipeline: String,
        #[source]
        source: TopicError,
    },
    #[error("read the sink of {pipeline}")]
    Sink {
        pipeline: String,
        #[source]
        source: SinkError,
    },
}

/// How often a comparison is made anew because a worker committed in the middle of it.
const TRIES: usize = 8;

/// Verifies one pipeline. Workers may go on meanwhile: what they commit later counts as pending. When they commit
/// faster than rows can be compared, nothing is counted and that is told as a problem.
pub async fn verify(pipeline: &Pipeline, world: &World) -> Result<Report, VerifyError> {
    let id = pipeline.id();
    let sink_error = |source| VerifyError::Sink { pipeline: id.clone(), source };
    let mut sink = pipeline.target.connect(&id, &pipeline.schema()).await.map_err(sink_error)?;
    for _ in 0..TRIES {
        let (report, ends) = once(pipeline, world, sink.as_mut()).await?;
        // What was committed between the look at the ledger and the look at the rows is in the rows only.
        if report.is_exact() || !went_on(sink.as_mut(), &ends).await.map_err(sink_error)? {
            return Ok(report);
        }
    }
    let mut report = empty(pipeline);
    report.problem(
        "workers commit faster than rows can be compared; stop them, and verify again".to_owned(),
    );
    Ok(report)
}

fn empty(pipeline: &Pipeline) -> Report {
    Report { app: pipeline.app.clone(), pipeline: pipeline.name.clone(), ..Report::default() }
}

/// A partition, and the `seq` that its ledger did not have yet.
type End = (TopicPartition, u64);

async fn went_on(sink: &mut dyn Sink, ends: &[End]) -> Result<bool, SinkError> {
    for (at, next) in ends {
        if !sink.ledger(at, *next, 1).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn once(
    pipeline: &Pipeline,
    world: &World,
    sink: &mut dyn Sink,
) -> Result<(Report, Vec<End>), VerifyError> {
    let id = pipeline.id();
    let sink_error = |source| VerifyError::Sink { pipeline: id.clone(), source };
    let topic_error = |source| VerifyError::Topic { pipeline: id.clone(), source };
    let (mut report, mut ends) = (empty(pipeline), Vec::new());
    let mut expected = Expected::new(pipeline);
    for topic in pipeline.topics() {
        let info = world.topics.info(&topic.name).await.map_err(topic_error)?;
        let Some(info) = info else { continue };
        for partition in 0..info.partitions.len() as u32 {
            let at = TopicPartition::new(topic.name.clone(), partition);
            let bounds = info.partitions[partition as usize];
            let ledger = Ledger::read(sink, &at).await.map_err(sink_error)?;
            ledger.count(bounds, &mut report);
            replay::partition(pipeline, world, &ledger, bounds, &mut expected, &mut report)
                .await
                .map_err(topic_error)?;
            replay::letters(world, &id, &ledger, &mut report).await.map_err(topic_error)?;
            ends.push((at, ledger.entries.last().map_or(0, |entry| entry.seq + 1)));
        }
    }
    if report.unchecked == 0 {
        expected.hold_against(pipeline, &mut report).await.map_err(sink_error)?;
    }
    Ok((report, ends))
}
