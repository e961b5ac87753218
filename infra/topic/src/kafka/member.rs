use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, Statistics, TopicPartitionList};
use tokio::sync::mpsc as channel;
use tracing::warn;

use super::access::Rights;
use super::asker::Asker;
use super::errors::Doing;
use super::fetch::set_pauses;
use super::orders::{Command, Told, Waker};
use super::quiet::{Quiet, heard_error, heard_line, log_line};
use super::settings::Settings;
use super::share::Share;
use crate::{TopicError, TopicPartition};

/// A member of a group, as librdkafka's callbacks and the thread see it. All of them run on the thread;
/// the locks are there because rdkafka can't know that.
pub(super) struct Member {
    group: String,
    asker: Arc<Asker>,
    /// The rights that it takes to be one.
    rights: Rights,
    share: Mutex<Share>,
    commands: Mutex<mpsc::Receiver<Command>>,
    woken: Arc<AtomicBool>,
    out: channel::Sender<Told>,
    /// How long a revocation waits for the consumer.
    patience: Duration,
    leaving: AtomicBool,
    revocations: Mutex<u64>,
    pub(super) quiet: Quiet,
}

impl Member {
    /// The member, and what wakes its thread.
    pub(super) fn new(
        settings: &Settings,
        group: &str,
        topics: &[String],
        (sender, commands): (mpsc::Sender<Command>, mpsc::Receiver<Command>),
        out: channel::Sender<Told>,
    ) -> (Self, Waker) {
        let woken = Arc::new(AtomicBool::new(false));
        let asker = settings.asker();
        let member = Self {
            group: group.to_owned(),
            asker: asker.clone(),
            rights: Rights::member(group, topics),
            share: Mutex::default(),
            commands: Mutex::new(commands),
            woken: woken.clone(),
            out,
            patience: settings.patience(),
            leaving: AtomicBool::new(false),
            revocations: Mutex::new(0),
            quiet: Quiet::new(asker.clone()),
        };
        (member, Waker::new(sender, woken))
    }

    /// What it does all the time, for errors.
    pub(super) fn reading(&self) -> Doing {
        self.doing(format!("read as a member of group {}", self.group))
    }

    fn doing(&self, what: String) -> Doing {
        Doing::new(what, &self.asker, self.rights.clone())
    }

    pub(super) fn asker(&self) -> &Asker {
        &self.asker
    }

    pub(super) fn group(&self) -> &str {
        &self.group
    }

    /// Not to be held over a call of `poll`, whose callbacks take it too.
    pub(super) fn share(&self) -> MutexGuard<'_, Share> {
        lock(&self.share)
    }

    pub(super) fn tell(&self, what: Told) {
        // Fails when the consumer is gone; then `Leave` is on its way.
        let _ = match what {
            // It will be told again.
            Told::Failed(_) => self.out.try_send(what).is_ok(),
            _ => self.out.blocking_send(what).is_ok(),
        };
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Waits for a command.
    pub(super) fn command(&self, wait: Duration) -> Option<Command> {
        let command = match lock(&self.commands).recv_timeout(wait) {
            Ok(command) => command,
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => Command::Leave,
        };
        if matches!(command, Command::Wake) {
            self.woken.store(false, Ordering::Release);
        }
        Some(command)
    }

    /// Takes a command in. Seeks and pauses take effect when the thread settles next.
    pub(super) fn obey(&self, consumer: &BaseConsumer<Self>, command: Command) {
        match command {
            Command::Seek { at, offset, generation } => {
                let mut share = self.share();
                if let Some(slot) = share.find(&at) {
                    slot.restart(offset, generation);
                    share.outbox.retain(|delivery| delivery.at != at);
                }
            }
            Command::Pause(at) => self.pause(&at, true),
            Command::Resume(at) => self.pause(&at, false),
            Command::Commit { next, done } => {
                // The consumer may have stopped waiting.
                let _ = done.send(self.commit(consumer, &next));
            }
            Command::Leave => self.leave(),
            // A revocation that isn't waited for any more was given up without us.
            Command::GiveUp(_) | Command::Wake => {}
        }
    }

    fn pause(&self, at: &TopicPartition, paused: bool) {
        if let Some(slot) = self.share().find(at) {
            slot.paused = paused;
        }
    }

    /// Waits for the brokers' answer: an asynchronous commit in a revocation can come too late
    /// (librdkafka #2933).
    fn commit(
        &self,
        consumer: &BaseConsumer<Self>,
        next: &[(TopicPartition, i64)],
    ) -> Result<(), TopicError> {
        let doing = self.doing(format!("commit offsets of group {}", self.group));
        let doing = |error| doing.failed(error);
        let mut list = TopicPartitionList::new();
        for (at, offset) in next {
            // What went to somebody else is his to commit.
            if self.share().find(at).is_some() {
                let offset = Offset::Offset(*offset);
                list.add_partition_offset(&at.topic, at.partition as i32, offset).map_err(doing)?;
            }
        }
        if list.count() == 0 {
            return Ok(());
        }
        consumer.commit(&list, CommitMode::Sync).map_err(doing)
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        let partitions = names(list);
        let mut start = TopicPartitionList::with_capacity(partitions.len());
        for at in &partitions {
            // Any offset does, since it is paused before anything can be fetched. Without one, the
            // group's committed offset would be looked up, and it would be an error to have none.
            start.add_partition_offset(&at.topic, at.partition as i32, Offset::Offset(0))?;
        }
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(&start)?,
            _ => consumer.assign(&start)?,
        }
        let mut share = self.share();
        share.add(&partitions);
        set_pauses(consumer, &mut share);
        if !partitions.is_empty() {
            self.tell(Told::Assigned(partitions));
        }
        Ok(())
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        let partitions = names(list);
        if !partitions.is_empty() && !self.is_leaving() {
            if consumer.assignment_lost() {
                self.tell(Told::Lost(partitions.clone()));
            } else {
                self.wait_until_given_up(consumer, &partitions);
            }
        }
        self.share().remove(&partitions);
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
            _ => consumer.unassign(),
        }
    }

    /// Lets the consumer finish what it has open of these partitions and commit it.
    fn wait_until_given_up(&self, consumer: &BaseConsumer<Self>, partitions: &[TopicPartition]) {
        let number = {
            let mut revocations = lock(&self.revocations);
            *revocations += 1;
            *revocations
        };
        self.tell(Told::Revoked(number, partitions.to_vec()));
        let deadline = Instant::now() + self.patience;
        while !self.is_leaving() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                warn!(
                    group = self.group,
                    ?partitions,
                    "revoked partitions weren't given up in time"
                );
                return self.tell(Told::Lost(partitions.to_vec()));
            }
            match self.command(left) {
                Some(Command::GiveUp(given_up)) if given_up == number => return,
                Some(command) => self.obey(consumer, command),
                None => {}
            }
        }
    }
}

impl ConsumerContext for Member {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        err: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let done = match err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            _ => self.revoke(consumer, list),
        };
        if let Err(error) = done {
            warn!(group = self.group, %error, "take part in a rebalance");
        }
    }
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        heard_line(&self.asker, facility, message);
        log_line(level, facility, message);
    }

    /// The thread gets the same error from `poll`, without the reason.
    fn error(&self, error: KafkaError, reason: &str) {
        heard_error(&self.asker, &error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        if self.quiet.brokers.look(&statistics) {
            self.tell(Told::Stuck);
        }
        if statistics.brokers.values().any(|broker| broker.state == "UP") {
            self.asker.fine();
        }
        for slot in &mut self.share().slots {
            let topic = statistics.topics.get(&slot.at.topic);
            let partition =
                topic.and_then(|topic| topic.partitions.get(&(slot.at.partition as i32)));
            if let Some(told) = partition {
                // Brokers before 0.11 don't tell the last stable offset.
                let end = if told.ls_offset >= 0 { told.ls_offset } else { told.hi_offset };
                slot.end = slot.end.max(end);
            }
        }
    }
}

fn names(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let name = |one: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        TopicPartition::new(one.topic(), one.partition() as u32)
    };
    list.elements().iter().map(name).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Only one thread takes these locks, so one left poisoned by it can't be taken again.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
