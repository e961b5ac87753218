use std::sync::Arc;
use std::time::Duration;

use millstream_engine::{Status, chain};
use millstream_topic::{Backend, Outgoing, TopicError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::own::Own;
use crate::subject::Subject;
use crate::told::{HISTORY, PipelineTold, SAMPLE_MS, STATUS, Told, taken_back};
use crate::worker::{PipelinePlan, memory, now_ms};

/// How often it is looked whether something changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often is told that we live, though nothing changed.
const BEAT_EVERY: Duration = Duration::from_secs(5);
/// Topics that take longer count as unreachable; and while they do, so that looks go on.
const PATIENCE: Duration = Duration::from_secs(10);
const PATIENCE_IN_TROUBLE: Duration = Duration::from_secs(4);
/// How long pipelines may still tell about their drain after the stop.
const DRAIN: Duration = Duration::from_secs(10);
/// How long taking back what was told may hold up the end of the process.
const FAREWELL: Duration = Duration::from_secs(2);

/// Publishes how these pipelines stand, for whoever serves the console: each second while something changes,
/// at least every 5 s. After `stop` it waits for the pipelines' ends, and takes back what it told but for
/// samples and happenings, which stay for those who look later. Topics that can't be reached are warned of once and tried again; the pipelines don't notice.
pub fn report(
    topics: Arc<dyn Backend>,
    own: Own,
    told: Vec<(PipelinePlan, watch::Receiver<Status>)>,
    stop: CancellationToken,
) -> JoinHandle<()> {
    let pipelines = told.into_iter().map(|(plan, status)| Subject::new(plan, status)).collect();
    let reporter = Reporter { topics, own, pipelines, made: false, troubled: false, last: None };
    tokio::spawn(reporter.run(stop))
}

struct Reporter {
    topics: Arc<dyn Backend>,
    own: Own,
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
                () = async {
                    ticks.tick().await;
                    self.look(&mut sampled).await;
                    self.keep(Instant::now(), false).await;
                } => {}
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
        let worker = self.own.worker().clone();
        let told = Told { worker, told_at_ms: wall, memory: memory(), pipelines };
        self.own.tell(&told);
        let slot = wall / SAMPLE_MS;
        if slot != *sampled {
            *sampled = slot;
            let shares = self.pipelines.iter_mut().zip(&told.pipelines);
            let samples = shares.filter_map(|(one, told)| one.sample(told, wall)).collect();
            self.send(&HISTORY.name, samples).await;
        }
        let due = self.last.as_ref().is_none_or(|(at, last)| {
            now.duration_since(*at) >= BEAT_EVERY || *last != told.pipelines
        });
        if !due {
            return;
        }
        let records: Vec<_> = told.to_record().into_iter().collect();
        if self.send(&STATUS.name, records).await {
            self.last = Some((now, told.pipelines));
        }
    }

    /// Writes down what happened, so that it is known when this worker has gone. `all`: though nothing changed.
    async fn keep(&mut self, now: Instant, all: bool) {
        let wall = now_ms();
        let due: Vec<_> = (0..self.pipelines.len())
            .filter(|index| all || self.pipelines[*index].is_past_due(now))
            .collect();
        let pasts: Vec<_> =
            due.iter().map(|index| self.pipelines[*index].past(self.own.worker(), wall)).collect();
        let records = pasts.iter().filter_map(|past| past.to_record().ok()).collect();
        if self.send(&HISTORY.name, records).await {
            for (index, past) in due.into_iter().zip(pasts) {
                self.pipelines[index].kept = Some((now, past.happenings));
            }
        }
    }

    /// Whether it could be sent. Trouble is told once.
    async fn send(&mut self, topic: &str, records: Vec<Outgoing>) -> bool {
        if records.is_empty() {
            return true;
        }
        let patience = if self.troubled { PATIENCE_IN_TROUBLE } else { PATIENCE };
        let sent = timeout(patience, self.try_send(topic, records)).await;
        let failed = match sent {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(chain(&error)),
            Err(_) => {
                Some(format!("append to topic {topic}: no answer within {} s", patience.as_secs()))
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
        let farewell = async {
            // What happened in the drain too, and until when there was a worker.
            self.keep(Instant::now(), true).await;
            let gone = vec![taken_back(&self.own.worker().id)];
            self.send(&STATUS.name, gone).await;
        };
        // Who can't be told sees that this worker is silent.
        let _ = timeout(FAREWELL, farewell).await;
    }
}

/// Waits until every pipeline has ended.
async fn closed(statuses: Vec<watch::Receiver<Status>>) {
    for mut status in statuses {
        while status.changed().await.is_ok() {}
    }
}
