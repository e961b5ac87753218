use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use tokio::sync::{mpsc as channel, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info, warn};

use super::access::Rights;
use super::errors::{Doing, told};
use super::member::Member;
use super::orders::{Command, Told, Waker};
use super::settings::Settings;
use super::slot::Delivery;
use super::thread::{Outlet, run};
use crate::{Consumer, Event, Order, TopicError, TopicPartition};

/// How many events wait for the consumer at most, of about 2 MB each at most.
const EVENTS: usize = 8;
/// How many changes of what is ours may wait for the consumer.
const TOLD: usize = 64;
/// How long a commit may take: librdkafka gives up after 45 s, but for a client that has lost all its brokers: then its
/// call lasts some ten minutes, without a look at the statistics by which that is known otherwise.
const COMMIT: Duration = Duration::from_secs(70);
/// How long a drop waits for the group to be left.
const LEAVE: Duration = Duration::from_secs(4);

/// How long a worker that was killed goes on being a member: then its name is free again. Brokers wait 45 s
/// unless told otherwise.
const UNRELEASED: Duration = Duration::from_secs(75);
/// How soon it is tried again to join by that name.
const AGAIN: Duration = Duration::from_secs(2);

/// The async side of a member: takes what its thread sends, and passes orders on.
pub(super) struct KafkaConsumer {
    settings: Arc<Settings>,
    group: String,
    topics: Vec<String>,
    pub(super) commands: mpsc::Sender<Command>,
    waker: Arc<Waker>,
    told: channel::Receiver<Told>,
    events: channel::Receiver<Delivery>,
    full: Arc<AtomicBool>,
    partitions: HashMap<TopicPartition, Standing>,
    /// What came of a partition before its pause reached the thread.
    held: VecDeque<Delivery>,
    seeks: u64,
    /// The revocation that the last poll told of.
    revoked: Option<u64>,
    ended: mpsc::Receiver<()>,
    away: Option<Away>,
    /// The thread doesn't answer any more.
    stuck: bool,
}

/// Our name in the group was taken when we came.
#[derive(Clone, Copy, Debug)]
struct Away {
    /// When it was first.
    since: Instant,
    /// When we came last.
    tried: Instant,
    /// When to join again; `None`: we did, and don't know yet what comes of it.
    due: Option<Instant>,
}

/// How one of our partitions stands.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    /// The number of the last seek; events that carry another one are stale.
    generation: u64,
    paused: bool,
}

impl KafkaConsumer {
    /// Becomes a member, on a thread of its own.
    pub(super) fn join(
        settings: &Arc<Settings>,
        group: &str,
        topics: &[String],
    ) -> Result<Self, TopicError> {
        let doing = |error| told(format!("join group {group}"), error);
        let (commands, orders) = mpsc::channel();
        let (out, told) = channel::channel(TOLD);
        let (member, waker) = Member::new(settings, group, topics, (commands.clone(), orders), out);
        let mut consumer = BaseConsumer::from_config_and_context(&settings.member(group), member)
            .map_err(doing)?;
        let waker = Arc::new(waker);
        let wake = waker.clone();
        consumer.set_nonempty_callback(move || wake.wake());
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer.subscribe(&names).map_err(doing)?;

        let (sender, events) = channel::channel(EVENTS);
        let full = Arc::new(AtomicBool::new(false));
        let outlet = Outlet { events: sender, full: full.clone() };
        let ended = start(group, consumer, outlet)?;
        Ok(Self {
            settings: settings.clone(),
            group: group.to_owned(),
            topics: topics.to_vec(),
            commands,
            waker,
            told,
            events,
            full,
            partitions: HashMap::new(),
            held: VecDeque::new(),
            seeks: 0,
            revoked: None,
            ended,
            away: None,
            stuck: false,
        })
    }

    fn send(&self, command: Command) -> Result<(), TopicError> {
        self.commands.send(command).map_err(|_| self.over())
    }

    fn over(&self) -> TopicError {
        let doing = format!("read as a member of group {}", self.group);
        TopicError::refused(doing, "its thread has ended", "join the group again")
    }

    /// Keeps account of what is ours.
    fn heed(&mut self, told: Told) -> Result<Event, TopicError> {
        match told {
            Told::Assigned(partitions) => {
                let ours = partitions.iter().map(|at| (at.clone(), Standing::default()));
                self.partitions.extend(ours);
                Ok(Event::Assigned(partitions))
            }
            Told::Revoked(number, partitions) => {
                self.revoked = Some(number);
                self.forget(&partitions);
                Ok(Event::Revoked(partitions))
            }
            Told::Lost(partitions) => {
                self.forget(&partitions);
                Ok(Event::Lost(partitions))
            }
            Told::Failed(error) => Err(error),
            Told::Stuck => self.replace(),
            Told::Ended(code, why) => self.ended(code, why),
        }
    }

    /// The thread has left; there are reasons to come again.
    fn ended(&mut self, code: Code, why: String) -> Result<Event, TopicError> {
        let instance = self.settings.instance().unwrap_or_default();
        let doing = format!("read as a member of group {}", self.group);
        let taken = |who: &str| {
            let remedy = "give each worker of the group an instance of its own (worker.instance)";
            Err(TopicError::refused(&doing, format!("{who} is called {instance}, too"), remedy))
        };
        match code {
            Code::UnsupportedFeature | Code::UnsupportedVersion
                if self.settings.is_new_protocol() && self.settings.fall_back() =>
            {
                info!(
                    group = self.group,
                    "the brokers don't know the new protocol of groups; taking the classic one"
                );
                self.rejoin()?;
                Ok(Event::Idle)
            }
            // The new protocol lets nobody in by a name that is in use, the classic one throws the other out.
            Code::UnreleasedInstanceId => {
                let now = Instant::now();
                let before = self.away.filter(|away| away.tried.elapsed() < UNRELEASED / 2);
                let since = before.map_or(now, |away| away.since);
                if since.elapsed() >= UNRELEASED {
                    return taken("another worker, which is at work,");
                }
                warn!(
                    group = self.group,
                    instance, "a worker of this name is still a member; waiting for it to go"
                );
                self.away = Some(Away { since, tried: now, due: Some(now + AGAIN) });
                Ok(Event::Idle)
            }
            Code::FencedInstanceId => taken("another worker, which has come since,"),
            _ => {
                let rights = Rights::member(&self.group, &self.topics);
                let doing = Doing::new(doing, self.settings.asker(), rights);
                debug!(group = self.group, why, "a fatal error");
                Err(doing.failed(KafkaError::MessageConsumptionFatal(code)))
            }
        }
    }

    /// Becomes a member anew, after the thread has left.
    fn rejoin(&mut self) -> Result<(), TopicError> {
        let away = self.away;
        *self = Self::join(&self.settings, &self.group, &self.topics)?;
        self.away = away;
        Ok(())
    }

    /// Leaves the thread to itself, and joins anew with another.
    fn replace(&mut self) -> Result<Event, TopicError> {
        warn!(group = self.group, "Kafka's client has got stuck; joining the group anew");
        let ours: Vec<_> = self.partitions.keys().cloned().collect();
        self.stuck = true;
        self.rejoin()?;
        Ok(Event::Lost(ours))
    }

    /// While not a member: waits, and joins again when it is `due`.
    async fn stay_away(&mut self, due: Instant, deadline: Instant) -> Result<(), TopicError> {
        sleep_until(due.min(deadline)).await;
        if Instant::now() >= due {
            let now = Instant::now();
            self.away = self.away.map(|away| Away { tried: now, due: None, ..away });
            self.rejoin()?;
        }
        Ok(())
    }

    fn forget(&mut self, partitions: &[TopicPartition]) {
        self.partitions.retain(|at, _| !partitions.contains(at));
        self.held.retain(|delivery| !partitions.contains(&delivery.at));
    }

    fn is_paused(&self, at: &TopicPartition) -> bool {
        self.partitions.get(at).is_some_and(|standing| standing.paused)
    }

    /// The event, unless it is stale or has to wait for a resume.
    fn admit(&mut self, delivery: Delivery) -> Option<Event> {
        let standing = self.partitions.get(&delivery.at)?;
        if standing.generation != delivery.generation {
            return None;
        }
        if standing.paused {
            self.held.push_back(delivery);
            return None;
        }
        Some(delivery.event)
    }

    /// The first event held for a pause that is over.
    fn unheld(&mut self) -> Option<Event> {
        let place = self.held.iter().position(|delivery| !self.is_paused(&delivery.at))?;
        self.held.remove(place).map(|delivery| delivery.event)
    }

    fn seek(&mut self, at: TopicPartition, offset: i64) -> Result<(), TopicError> {
        let Some(standing) = self.partitions.get_mut(&at) else { return Ok(()) };
        self.seeks += 1;
        standing.generation = self.seeks;
        self.held.retain(|delivery| delivery.at != at);
        self.send(Command::Seek { at, offset, generation: self.seeks })
    }

    fn pause(&mut self, at: &TopicPartition, paused: bool) -> bool {
        let standing = self.partitions.get_mut(at);
        standing.map(|standing| standing.paused = paused).is_some()
    }
}

/// Starts the thread. What it gives says so when the group is left.
fn start(
    group: &str,
    consumer: BaseConsumer<Member>,
    outlet: Outlet,
) -> Result<mpsc::Receiver<()>, TopicError> {
    let (ending, ended) = mpsc::channel();
    let work = move || {
        run(consumer, &outlet);
        drop(ending);
    };
    std::thread::Builder::new()
        .name(format!("kafka {group}"))
        .spawn(work)
        .map_err(|error| TopicError::unavailable(format!("start a thread for {group}"), error))?;
    Ok(ended)
}

#[async_trait]
impl Consumer for KafkaConsumer {
    async fn poll(&mut self, max_wait: Duration) -> Result<Event, TopicError> {
        if let Some(number) = self.revoked.take() {
            self.send(Command::GiveUp(number))?;
        }
        if self.stuck {
            return self.replace();
        }
        let deadline = Instant::now() + max_wait;
        if let Some(due) = self.away.and_then(|away| away.due) {
            self.stay_away(due, deadline).await?;
            return Ok(Event::Idle);
        }
        loop {
            // What was told comes first, so that nothing of a revoked partition is delivered after it.
            if let Ok(told) = self.told.try_recv() {
                return self.heed(told);
            }
            if let Some(event) = self.unheld() {
                return Ok(event);
            }
            let delivery = tokio::select! {
                biased;
                told = self.told.recv() => match told {
                    Some(told) => return self.heed(told),
                    None => return Err(self.over()),
                },
                delivery = self.events.recv() => match delivery {
                    Some(delivery) => delivery,
                    // What it told before it ended comes first.
                    None => match self.told.recv().await {
                        Some(told) => return self.heed(told),
                        None => return Err(self.over()),
                    },
                },
                () = sleep_until(deadline) => return Ok(Event::Idle),
            };
            if self.full.load(Ordering::Acquire) {
                self.waker.wake();
            }
            if let Some(event) = self.admit(delivery) {
                return Ok(event);
            }
        }
    }

    fn steer(&mut self, order: Order) -> Result<(), TopicError> {
        match order {
            Order::Seek(at, offset) => self.seek(at, offset),
            Order::Pause(at) if self.pause(&at, true) => self.send(Command::Pause(at)),
            Order::Resume(at) if self.pause(&at, false) => self.send(Command::Resume(at)),
            Order::Pause(_) | Order::Resume(_) => Ok(()),
        }
    }

    async fn commit(&mut self, next: &[(TopicPartition, i64)]) -> Result<(), TopicError> {
        let (done, answer) = oneshot::channel();
        self.send(Command::Commit { next: next.to_vec(), done })?;
        match timeout(COMMIT, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(self.over()),
            Err(elapsed) => {
                self.stuck = true;
                let doing = format!("commit offsets of group {}", self.group);
                Err(TopicError::unavailable(doing, elapsed))
            }
        }
    }
}

impl Drop for KafkaConsumer {
    /// Waits a little for the group to be left: a process that ends before that leaves its partitions
    /// to nobody until the session time-out.
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Leave);
        if self.stuck {
            return;
        }
        if let Err(mpsc::RecvTimeoutError::Timeout) = self.ended.recv_timeout(LEAVE) {
            warn!(group = self.group, "leaving the group takes long; not waiting for it");
        }
    }
}
