use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};

use super::file::TopicFile;
use super::lock::GroupLock;
use super::look::{Found, Look, Reader, Wanted, look};
use super::{SqliteLog, blocking, relocked};
use crate::{Bounds, Consumer, Event, Order, TopicError, TopicPartition};

/// Between two looks for new records: SQLite can't wake other processes.
const LOOK: Duration = Duration::from_millis(15);
/// Between two attempts to take over.
const TAKE_OVER: Duration = Duration::from_millis(50);

/// A member of a group: the one that works, or one standing by.
pub(super) struct SqliteConsumer {
    log: SqliteLog,
    group: String,
    lock: GroupLock,
    flows: BTreeMap<TopicPartition, Flow>,
    /// The partition served last, so that the next one gets its turn.
    served: Option<TopicPartition>,
    /// Shared with the look under way, which outlives a poll that is given up half-way.
    readers: Arc<Mutex<Vec<Reader>>>,
}

/// One partition's delivery.
#[derive(Default)]
struct Flow {
    /// `None`: nothing was asked for yet, or what was asked for is out of range.
    next: Option<i64>,
    paused: bool,
    end_told: Option<i64>,
}

impl SqliteConsumer {
    pub(super) fn new(log: SqliteLog, group: &str, topics: &[String], lock: GroupLock) -> Self {
        let readers = topics.iter().map(|topic| Reader::new(topic)).collect();
        Self {
            log,
            group: group.to_owned(),
            lock,
            flows: BTreeMap::new(),
            served: None,
            readers: Arc::new(Mutex::new(readers)),
        }
    }

    /// Changes nothing before the look has come back: a poll may be given up while it waits.
    async fn look(&self) -> Result<Look, TopicError> {
        let (shared, readers) = (self.log.shared.clone(), self.readers.clone());
        let wanted = self.in_turn();
        blocking(move || look(&shared, &mut relocked(&readers), wanted)).await
    }

    /// The partitions to be delivered, beginning after the one served last.
    fn in_turn(&self) -> Vec<Wanted> {
        let first = self.served.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let after = self.flows.range((first, Bound::Unbounded));
        let before = self.served.iter().flat_map(|served| self.flows.range(..=served));
        let wanted = |(at, flow): (&TopicPartition, &Flow)| {
            let next = flow.next.filter(|_| !flow.paused)?;
            Some(Wanted { at: at.clone(), next, end_told: flow.end_told })
        };
        after.chain(before).filter_map(wanted).collect()
    }

    /// Takes note of a look. Returns what is to be told, if anything.
    fn learn(&mut self, look: Look) -> Option<Event> {
        let added = self.added(&look.topics);
        if !added.is_empty() {
            self.flows.extend(added.iter().map(|at| (at.clone(), Flow::default())));
            return Some(Event::Assigned(added));
        }
        let gone = self.gone(&look.topics);
        if !gone.is_empty() {
            self.flows.retain(|at, _| !gone.contains(at));
            return Some(Event::Lost(gone));
        }
        let found = look.found?;
        self.served = Some(found.at.clone());
        Some(self.flows.get_mut(&found.at)?.tell(found))
    }

    fn added(&self, topics: &[(String, Vec<Bounds>)]) -> Vec<TopicPartition> {
        let all = topics.iter().flat_map(|(topic, bounds)| {
            (0..bounds.len() as u32).map(move |partition| TopicPartition::new(topic, partition))
        });
        all.filter(|at| !self.flows.contains_key(at)).collect()
    }

    /// Partitions that a topic made anew doesn't have any more.
    fn gone(&self, topics: &[(String, Vec<Bounds>)]) -> Vec<TopicPartition> {
        let has = |at: &TopicPartition| {
            let topic = topics.iter().find(|(topic, _)| *topic == at.topic);
            topic.is_none_or(|(_, bounds)| (at.partition as usize) < bounds.len())
        };
        self.flows.keys().filter(|at| !has(at)).cloned().collect()
    }
}

#[async_trait]
impl Consumer for SqliteConsumer {
    async fn poll(&mut self, max_wait: Duration) -> Result<Event, TopicError> {
        let deadline = Instant::now() + max_wait;
        loop {
            let working = self.lock.acquire()?;
            if working {
                let look = self.look().await?;
                if let Some(event) = self.learn(look) {
                    return Ok(event);
                }
            }
            let now = Instant::now();
            if now >= deadline {
                let idle = if working { Event::Idle } else { Event::Standby(self.lock.holder()) };
                return Ok(idle);
            }
            let pause = if working { LOOK } else { TAKE_OVER };
            sleep_until(deadline.min(now + pause)).await;
        }
    }

    fn steer(&mut self, order: Order) -> Result<(), TopicError> {
        let (Order::Seek(at, _) | Order::Pause(at) | Order::Resume(at)) = &order;
        let Some(flow) = self.flows.get_mut(at) else { return Ok(()) };
        match order {
            Order::Seek(_, offset) => (flow.next, flow.end_told) = (Some(offset), None),
            Order::Pause(_) => flow.paused = true,
            Order::Resume(_) => flow.paused = false,
        }
        Ok(())
    }

    async fn commit(&mut self, next: &[(TopicPartition, i64)]) -> Result<(), TopicError> {
        let mut by_topic: BTreeMap<String, Vec<(u32, i64)>> = BTreeMap::new();
        // Only the working member has partitions, and only those are its to commit.
        for (at, offset) in next.iter().filter(|(at, _)| self.flows.contains_key(at)) {
            by_topic.entry(at.topic.clone()).or_default().push((at.partition, *offset));
        }
        for (topic, offsets) in by_topic {
            let group = self.group.clone();
            let commit = move |file: &Arc<TopicFile>| file.commit(&group, &offsets);
            self.log.with_file(&topic, "commit offsets of", commit).await?;
        }
        Ok(())
    }
}

impl Flow {
    fn tell(&mut self, Found { at, bounds, slice }: Found) -> Event {
        let asked = self.next.unwrap_or(bounds.low);
        // Also when retention struck between the look at the bounds and the reading.
        if !(bounds.low..=bounds.end).contains(&asked) {
            self.next = None;
            return Event::OutOfRange { at, asked, bounds };
        }
        if let Some(slice) = slice {
            self.next = Some(slice.next);
            if !slice.records.is_empty() {
                return Event::Records { at, records: slice.records, end: bounds.end };
            }
        }
        self.end_told = Some(bounds.end);
        Event::End { at, end: bounds.end }
    }
}
