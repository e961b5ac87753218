//! Topics in memory, for tests and for the deterministic simulation: nothing reads a clock or a random
//! number, and every trouble a broker can make can be ordered through the handle.
//!
//! # Layout
//! - `log`: topics, partitions and their records.
//! - `group`: members of a group, who gets which partition, and what is delivered next.
//! - `consumer`: a member as the engine sees it.
//! - `control`: what only a test does: retention, compaction, faults, fencing.

mod consumer;
mod control;
mod group;
mod log;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::{
    Consumer, Outgoing, Placed, Slice, Subscriptions, Topic, TopicError, TopicInfo, TopicPartition,
    Topics,
};
use consumer::MemoryConsumer;
use group::Group;
use log::TopicLog;

/// Tells the time in milliseconds since the Unix epoch.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The time the counting clock of [`Memory::new`] starts at: 2023-11-14T22:13:20Z.
pub const START_MS: i64 = 1_700_000_000_000;

/// Topics held in memory. Clones share them; they are gone with the last clone and consumer.
#[derive(Clone)]
pub struct Memory {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    state: Mutex<State>,
    /// Rung whenever a waiting member may have something new to be told.
    changed: Notify,
}

struct State {
    topics: BTreeMap<String, TopicLog>,
    groups: BTreeMap<String, Group>,
    stalled: BTreeSet<TopicPartition>,
    /// Topics made so far, for identities that differ and yet are the same in every run.
    made: u64,
    next_member: u64,
    fail_next: u32,
    away: bool,
    lose_replies: u32,
    /// How many records one event holds at most.
    most: usize,
}

impl Memory {
    /// No topics yet. Records without a timestamp are stamped [`START_MS`], `START_MS + 1`, and so on.
    pub fn new() -> Self {
        let ticks = AtomicI64::new(START_MS);
        Self::with_clock(Arc::new(move || ticks.fetch_add(1, Ordering::Relaxed)))
    }

    /// Records without a timestamp are stamped by `clock`.
    pub fn with_clock(clock: Clock) -> Self {
        let state = State {
            topics: BTreeMap::new(),
            groups: BTreeMap::new(),
            stalled: BTreeSet::new(),
            made: 0,
            next_member: 0,
            fail_next: 0,
            away: false,
            lose_replies: 0,
            most: 500,
        };
        Self {
            shared: Arc::new(Shared { clock, state: Mutex::new(state), changed: Notify::new() }),
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

impl Shared {
    /// A panicking test thread must not hide its own message behind a poisoned lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state for one operation, unless a test ordered that operation to fail.
    fn begin(&self, doing: impl FnOnce() -> String) -> Result<MutexGuard<'_, State>, TopicError> {
        let mut state = self.state();
        if state.away {
            return Err(TopicError::unavailable(doing(), "nobody answers"));
        }
        if state.fail_next > 0 {
            state.fail_next -= 1;
            return Err(TopicError::unavailable(doing(), "a test ordered this fault"));
        }
        Ok(state)
    }
}

impl State {
    fn topic(&mut self, name: &str, doing: &str) -> Result<&mut TopicLog, TopicError> {
        self.topics.get_mut(name).ok_or_else(|| no_topic(doing, name))
    }

    fn fresh_id(&mut self) -> String {
        self.made += 1;
        format!("memory-topic-{}", self.made)
    }
}

fn no_topic(doing: &str, name: &str) -> TopicError {
    TopicError::refused(
        format!("{doing} topic {name}"),
        "there is no such topic",
        "create it first, or correct the name",
    )
}

#[async_trait]
impl Topics for Memory {
    async fn ensure(&self, topic: &Topic) -> Result<TopicInfo, TopicError> {
        Topic::check_name(&topic.name)?;
        let mut state = self.shared.begin(|| format!("create topic {}", topic.name))?;
        if topic.partitions == 0 {
            return Err(TopicError::refused(
                format!("create topic {}", topic.name),
                "it is to have no partitions",
                "give it at least one",
            ));
        }
        if !state.topics.contains_key(topic.name.as_ref()) {
            let log = TopicLog::new(state.fresh_id(), topic.cleanup, topic.partitions);
            state.topics.insert(topic.name.to_string(), log);
            self.shared.changed.notify_waiters();
        }
        let log = state.topic(&topic.name, "create")?;
        Ok(log.info(&topic.name))
    }

    async fn info(&self, name: &str) -> Result<Option<TopicInfo>, TopicError> {
        let state = self.shared.begin(|| format!("look at topic {name}"))?;
        Ok(state.topics.get(name).map(|log| log.info(name)))
    }

    async fn append(&self, topic: &str, records: Vec<Outgoing>) -> Result<Vec<Placed>, TopicError> {
        let mut state = self.shared.begin(|| format!("append to topic {topic}"))?;
        let placed = state.topic(topic, "append to")?.append(topic, records, &self.shared.clock)?;
        self.shared.changed.notify_waiters();
        if state.lose_replies > 0 {
            state.lose_replies -= 1;
            let doing = format!("append to topic {topic}");
            return Err(TopicError::unavailable(doing, "a test ordered the reply to be lost"));
        }
        Ok(placed)
    }
}

#[async_trait]
impl Subscriptions for Memory {
    async fn join(&self, group: &str, topics: &[String]) -> Result<Box<dyn Consumer>, TopicError> {
        let mut state = self.shared.begin(|| format!("join group {group}"))?;
        for topic in topics {
            state.topic(topic, "subscribe to")?;
        }
        state.next_member += 1;
        let member = state.next_member;
        state.groups.entry(group.to_owned()).or_default().add(member, topics);
        self.shared.changed.notify_waiters();
        Ok(Box::new(MemoryConsumer::new(self.shared.clone(), group, member)))
    }

    async fn read(&self, at: &TopicPartition, from: i64, max: usize) -> Result<Slice, TopicError> {
        let mut state = self.shared.begin(|| format!("read {at}"))?;
        Ok(state.topic(&at.topic, "read")?.partition(at, "read")?.slice(from, max))
    }
}
