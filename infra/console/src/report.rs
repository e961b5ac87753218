use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::Status;
use millstream_topic::{Backend, Outgoing, TopicError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::rate::Rates;
use crate::told::{HISTORY, PipelineTold, SAMPLE_MS, STATUS, Sample, Told, taken_back};
use crate::worker::{PipelinePlan, Worker, memory, now_ms};

/// How often it is looked whether something changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often is told that we live, though nothing changed.
const BEAT_EVERY: Duration = Duration::from_secs(5);
/// Topics that take longer count as unreachable.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long pipelines may still tell about their drain after the stop.
const DRAIN: Duration = Duration::from_secs(10);
/// How long taking back what was told may hold up the end of the process.
const FAREWELL: Duration = Duration::from_secs(2);

/// Publishes how these pipelines stand, for whoever serves the console: each second while something changes,
/// at least every 5 s. After `stop` it waits for the pipelines' ends, and takes back what it told. Topics
/// that can't be reached are warned of once and tried again; the pipelines don't notice.
pub fn report(
    topics: Arc<dyn Backend>,
    worker: Worker,
    told: Vec<(PipelinePlan, watch::Receiver<Status>)>,
    stop: CancellationToken,
) -> JoinHandle<()> {
    let pipelines = told.into_iter().map(|(plan, status)| Subject::new(plan, status)).collect();
    let reporter = Reporter { topics, worker, pipelines, made: false, troubled: false, last: None };
    tokio::spawn(reporter.run(stop))
}

/// A pipeline that is told about.
struct Subject {
    plan: PipelinePlan,
    status: watch::Receiver<Status>,
    rates: Rates,
    /// Dead letters at the last sample.
    dead: u64,
}

impl Subject {
    fn new(plan: PipelinePlan, status: watch::Receiver<Status>) -> Self {
        Self { plan, status, rates: Rates::default(), dead: 0 }
    }
}

struct Reporter {
    topics: Arc<dyn Backend>,
    worker: Worker,
    pipelines: Vec<Subject>,
    /// Whether the topics are known to be there.
    made: bool,
    troubled: bool,
    last: Option<(Instant, Vec<PipelineTold>)>,
}

impl Reporter {
    async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sampled = now_ms() / SAMPLE_MS;
        let ended = async {
            stop.cancelled().await;
            Instant::now()
        };
        tokio::pin!(ended);
        let mut over: Option<Instant> = None;
        while !over.is_some_and(|since| self.is_over(since)) {
            let statuses: Vec<_> = self.pipelines.iter().map(|one| one.status.clone()).collect();
            // A look that takes long is dropped when the end comes: nobody waits for it any more.
            tokio::select! {
                at = &mut ended, if over.is_none() => over = Some(at),
                () = async { ticks.tick().await; self.look(&mut sampled).await } => {}
                () = closed(statuses), if over.is_some() => {}
            }
        }
        self.take_back().await;
    }

    /// All pipelines have ended, or were waited for long enough.
    fn is_over(&self, since: Instant) -> bool {
        since.elapsed() >= DRAIN
            || self.pipelines.iter().all(|one| one.status.has_changed().is_err())
    }

    async fn look(&mut self, sampled: &mut i64) {
        let (now, wall) = (Instant::now(), now_ms());
        let pipelines: Vec<_> = self.pipelines.iter_mut().map(|one| one.tell(now)).collect();
        let slot = wall / SAMPLE_MS;
        if slot != *sampled {
            *sampled = slot;
            let samples = self.samples(&pipelines, wall);
            self.send(&HISTORY.name, samples).await;
        }
        let due = self
            .last
            .as_ref()
            .is_none_or(|(at, last)| now.duration_since(*at) >= BEAT_EVERY || *last != pipelines);
        if !due {
            return;
        }
        let worker = self.worker.clone();
        let told = Told { worker, told_at_ms: wall, memory: memory(), pipelines };
        let records: Vec<_> = told.to_record().into_iter().collect();
        if self.send(&STATUS.name, records).await {
            self.last = Some((now, told.pipelines));
        }
    }

    fn samples(&mut self, told: &[PipelineTold], at_ms: i64) -> Vec<Outgoing> {
        let mut samples = Vec::new();
        for (one, told) in self.pipelines.iter_mut().zip(told) {
            let dead = told.status.totals.dead_lettered;
            let since = dead.saturating_sub(std::mem::replace(&mut one.dead, dead));
            // Who stands by has nothing to tell.
            let Some(first) = told.status.partitions.first() else { continue };
            let sample = Sample {
                pipeline: told.plan.id(),
                first: format!("{}-{}", first.topic, first.partition),
                at_ms,
                rate: told.rate(),
                lag: told.status.lag(),
                dead_letters: since,
            };
            samples.extend(sample.to_record());
        }
        samples
    }

    /// Whether it could be sent. Trouble is told once.
    async fn send(&mut self, topic: &str, records: Vec<Outgoing>) -> bool {
        if records.is_empty() {
            return true;
        }
        let sent = timeout(PATIENCE, self.try_send(topic, records)).await;
        let failed = match sent {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(chain(&error)),
            Err(_) => {
                Some(format!("append to topic {topic}: no answer within {} s", PATIENCE.as_secs()))
            }
        };
        match &failed {
            None if self.troubled => {
                tracing::info!("the console is told again how this worker stands")
            }
            Some(why) if !self.troubled => tracing::warn!(
                "tell the console how this worker stands: {why}; trying until it works, the pipelines go on"
            ),
            _ => {}
        }
        self.troubled = failed.is_some();
        // It may have been deleted.
        self.made &= failed.is_none();
        failed.is_none()
    }

    async fn try_send(&mut self, topic: &str, records: Vec<Outgoing>) -> Result<(), TopicError> {
        if !self.made {
            self.topics.ensure(&STATUS).await?;
            self.topics.ensure(&HISTORY).await?;
            self.made = true;
        }
        self.topics.append(topic, records).await.map(|_| ())
    }

    async fn take_back(mut self) {
        if self.last.is_none() {
            return;
        }
        let gone = vec![taken_back(&self.worker.id)];
        // Who can't be told sees that this worker is silent.
        let _ = timeout(FAREWELL, self.send(&STATUS.name, gone)).await;
    }
}

impl Subject {
    fn tell(&mut self, now: Instant) -> PipelineTold {
        let status = self.status.borrow().clone();
        let rates = self.rates.of(&status.partitions, now);
        PipelineTold { plan: self.plan.clone(), status, rates }
    }
}

/// Waits until every pipeline has ended.
async fn closed(statuses: Vec<watch::Receiver<Status>>) {
    for mut status in statuses {
        while status.changed().await.is_ok() {}
    }
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
