//! The loop of one pipeline in one worker.
//!
//! ```text
//! connect the sink → join the group → turn after turn:
//!   look whether lookup tables have to be waited for → open what was assigned → close and commit what is due → relieve memory → watch for silence
//!   → wait for the next event → take it
//! until stopped (drain: close and commit what is open) or, if asked, caught up.
//! ```

mod commit;
mod events;
mod lookups;
mod others;
mod outage;
mod slot;
mod tell;
mod turn;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use millstream_topic::{Consumer, TopicError, TopicPartition};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::crew::Crew;
use crate::pipeline::Pipeline;
use crate::sink::{Keeping, Sink, SinkError};
use crate::status::{Batches, Happening, State, Status, Totals};
use crate::transform::PlanError;
use crate::world::{Backoff, World};
use lookups::Lookups;
use others::Others;
use outage::Outage;
use slot::Slot;

/// How a worker runs a pipeline.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Stop, with success, once everything in the topics is in the sink.
    pub until_caught_up: bool,
    /// Records and rows held in memory by this pipeline, in bytes; above it, ranges are closed early and
    /// reading pauses.
    pub memory: usize,
    /// A partition that has records for us and delivers none for so long is started again.
    pub watchdog: Duration,
    /// How long the drain after a stop may take.
    pub drain: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            until_caught_up: false,
            memory: 256 << 20,
            watchdog: Duration::from_secs(30),
            drain: Duration::from_secs(8),
        }
    }
}

/// Why a pipeline ended.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("connect pipeline {pipeline} to its sink")]
    Connect {
        pipeline: String,
        #[source]
        source: SinkError,
    },
    #[error("read the topics of pipeline {pipeline}")]
    Topic {
        pipeline: String,
        #[source]
        source: TopicError,
    },
    #[error("pipeline {pipeline} can't go on: {why}")]
    Stopped { pipeline: String, why: String },
}

/// Runs a pipeline until `stop`, or until it has caught up. `status` is kept current.
pub async fn run(
    pipeline: Pipeline,
    world: World,
    options: Options,
    stop: CancellationToken,
    status: watch::Sender<Status>,
) -> Result<Totals, EngineError> {
    let pipeline = Arc::new(pipeline);
    let lookups = Lookups::start(&pipeline, &world);
    let starting = Starting { pipeline: &pipeline, world: &world, stop: &stop, status: &status };
    let Some((sink, consumer)) = starting.start().await? else { return Ok(Totals::default()) };
    let mut worker = Worker {
        id: pipeline.id(),
        fingerprint: pipeline.fingerprint(),
        backoff: Backoff::new(world.seed),
        crew: Crew::new(pipeline.clone()),
        pipeline,
        world,
        options,
        stop,
        status,
        sink,
        consumer,
        lookups,
        slots: BTreeMap::new(),
        totals: Totals::default(),
        batches: Batches::default(),
        happenings: VecDeque::new(),
        standby: None,
        others: Others::default(),
        outage: None,
        looked_at: Instant::now(),
        asked_at: Instant::now(),
        published: None,
    };
    let ended = worker.turns().await;
    worker.finish(ended.is_ok());
    ended.map(|()| worker.totals)
}

pub(crate) struct Worker {
    id: String,
    fingerprint: String,
    pipeline: Arc<Pipeline>,
    crew: Crew,
    world: World,
    options: Options,
    stop: CancellationToken,
    status: watch::Sender<Status>,
    sink: Box<dyn Sink>,
    consumer: Box<dyn Consumer>,
    lookups: Lookups,
    slots: BTreeMap<TopicPartition, Slot>,
    totals: Totals,
    batches: Batches,
    happenings: VecDeque<Happening>,
    /// Who does the work, while we stand by.
    standby: Option<String>,
    /// How far they have come, as far as we looked.
    others: Others,
    /// Why the topics can't be read at the moment.
    outage: Option<Outage>,
    backoff: Backoff,
    /// When the topics' ends were last looked at.
    looked_at: Instant,
    /// When the sink was last asked whether it still stands.
    asked_at: Instant,
    published: Option<Instant>,
}

struct Starting<'a> {
    pipeline: &'a Pipeline,
    world: &'a World,
    stop: &'a CancellationToken,
    status: &'a watch::Sender<Status>,
}

impl Starting<'_> {
    /// Connects the sink, makes the topics and joins the group, as often as it takes. `None`: stopped before.
    async fn start(&self) -> Result<Option<(Box<dyn Sink>, Box<dyn Consumer>)>, EngineError> {
        let mut backoff = Backoff::new(self.world.seed);
        loop {
            let failed = match self.connect().await {
                Ok(both) => return Ok(Some(both)),
                Err(EngineError::Connect { source, .. }) if source.is_retryable() => chain(&source),
                Err(EngineError::Topic { source, .. }) if source.is_retryable() => chain(&source),
                Err(other) => return Err(other),
            };
            if backoff.tries() == 0 {
                tracing::warn!(pipeline = self.pipeline.id(), "{failed}; trying until it works");
            }
            self.status.send_modify(|status| status.state = State::Retrying(failed));
            // Stopped is stopped, also where both came while the process was paused.
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(None),
                () = tokio::time::sleep(backoff.next()) => {}
            }
        }
    }

    async fn connect(&self) -> Result<(Box<dyn Sink>, Box<dyn Consumer>), EngineError> {
        let (pipeline, id) = (self.pipeline, self.pipeline.id());
        fits(pipeline)?;
        let sink = pipeline
            .target
            .connect(&id, &pipeline.schema())
            .await
            .map_err(|source| EngineError::Connect { pipeline: id.clone(), source })?;
        let topics = pipeline.topics();
        let joined = async {
            for topic in &topics {
                self.world.topics.ensure(topic).await?;
            }
            let names: Vec<_> = topics.iter().map(|topic| topic.name.to_string()).collect();
            self.world.topics.join(&pipeline.group, &names).await
        };
        let consumer =
            joined.await.map_err(|source| EngineError::Topic { pipeline: id, source })?;
        Ok((sink, consumer))
    }
}

/// Whether the pipeline can keep its promise. A replay of a compacted topic sees fewer records than were worked off: what adds up would be wrong.
fn fits(pipeline: &Pipeline) -> Result<(), EngineError> {
    let refused = |error: PlanError| {
        let source = SinkError::refused("plan its SQL", error.why, error.remedy);
        EngineError::Connect { pipeline: pipeline.id(), source }
    };
    pipeline.check().map_err(refused)?;
    let keeps_last = matches!(pipeline.target.about().keeping, Keeping::Upsert { .. });
    if keeps_last || !pipeline.is_compacted() {
        return Ok(());
    }
    let source = SinkError::refused(
        format!("read topic {}", pipeline.topic.name),
        "it is compacted, and only a sink that keeps one row per key can follow such a topic",
        "choose an upserted table, or a topic that isn't compacted",
    );
    Err(EngineError::Connect { pipeline: pipeline.id(), source })
}

/// An error with its causes, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
