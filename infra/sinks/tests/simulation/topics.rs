//! Topics as a worker reaches them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use millstream_topic::memory::Memory;
use millstream_topic::{
    Consumer, Event, Order, Outgoing, Placed, Slice, Subscriptions, Topic, TopicError, TopicInfo,
    TopicPartition, Topics,
};

use crate::mutants::Mutant;
use crate::wire::Wire;

/// A worker's way to the topics, and the members of groups that it became.
#[derive(Debug)]
pub struct Reached {
    pub memory: Memory,
    pub wire: Arc<Wire>,
    pub members: Arc<Mutex<Vec<(String, u64)>>>,
    pub mutant: Mutant,
}

/// What memory does at once.
pub fn at_once<T>(work: impl Future<Output = T>) -> T {
    work.now_or_never().expect("what is in memory answers at once")
}

impl Reached {
    async fn ask<T: Send + 'static>(
        &self,
        what: String,
        effect: impl FnOnce(&Memory) -> Result<T, TopicError> + Send + 'static,
    ) -> Result<T, TopicError> {
        let memory = self.memory.clone();
        let sent = self.wire.send(what.clone(), move || effect(&memory)).await;
        sent.map_err(|why| TopicError::unavailable(what, why))?
    }
}

#[async_trait]
impl Topics for Reached {
    async fn ensure(&self, topic: &Topic) -> Result<TopicInfo, TopicError> {
        let topic = topic.clone();
        self.ask(format!("ensure {}", topic.name), move |m| at_once(m.ensure(&topic))).await
    }

    async fn info(&self, name: &str) -> Result<Option<TopicInfo>, TopicError> {
        let name = name.to_owned();
        self.ask(format!("info {name}"), move |m| at_once(m.info(&name))).await
    }

    async fn append(&self, topic: &str, records: Vec<Outgoing>) -> Result<Vec<Placed>, TopicError> {
        let topic = topic.to_owned();
        let what = format!("append {} to {topic}", records.len());
        self.ask(what, move |m| at_once(m.append(&topic, records))).await
    }
}

#[async_trait]
impl Subscriptions for Reached {
    async fn join(&self, group: &str, topics: &[String]) -> Result<Box<dyn Consumer>, TopicError> {
        // Not by the wire: a join that lands late would be a member that never polls, and that no broker keeps.
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.wire.trace.note(&format!("{} join {group}", self.wire.who));
        let inner = self.memory.join(group, topics).await?;
        let member = self.memory.members(group).last().copied().unwrap_or_default();
        self.members.lock().unwrap().push((group.to_owned(), member));
        let (wire, mutant) = (self.wire.clone(), self.mutant);
        Ok(Box::new(Member { inner, wire, mutant, delivered: BTreeMap::new() }))
    }

    async fn read(&self, at: &TopicPartition, from: i64, max: usize) -> Result<Slice, TopicError> {
        let at = at.clone();
        self.ask(format!("read {at} from {from}"), move |m| at_once(m.read(&at, from, max))).await
    }
}

struct Member {
    inner: Box<dyn Consumer>,
    wire: Arc<Wire>,
    mutant: Mutant,
    /// What each partition brought last since it was sought.
    delivered: BTreeMap<TopicPartition, Event>,
}

impl Member {
    /// Records that came already, once more.
    fn again(&mut self) -> Option<Event> {
        if self.delivered.is_empty() || !self.wire.happens(30) {
            return None;
        }
        self.wire.trace.fault("records are delivered twice");
        self.wire.trace.note(&format!("{} gets records again", self.wire.who));
        self.delivered.pop_first().map(|(_, event)| event)
    }

    fn keep(&mut self, mut event: Event) -> Event {
        match &mut event {
            Event::Records { at, records, end } => {
                let lines = records.iter().map(|record| record.offset);
                let (first, last) = (lines.clone().min(), lines.max());
                let line = format!("{} gets {at} {first:?}..={last:?}/{end}", self.wire.who);
                self.wire.trace.note(&line);
                let skips = self.mutant == Mutant::SkipsRecord;
                if skips && records.len() > 2 && self.wire.happens(100) {
                    records.remove(1);
                }
                self.delivered.insert(at.clone(), event.clone());
            }
            Event::Lost(lost) | Event::Revoked(lost) => {
                self.wire.trace.note(&format!("{} gives {lost:?}", self.wire.who));
                lost.iter().for_each(|at| drop(self.delivered.remove(at)));
            }
            Event::Assigned(all) => {
                self.wire.trace.note(&format!("{} has {all:?}", self.wire.who));
            }
            _ => {}
        }
        event
    }
}

#[async_trait]
impl Consumer for Member {
    async fn poll(&mut self, max_wait: Duration) -> Result<Event, TopicError> {
        if self.wire.happens(10) {
            self.wire.trace.fault("a poll fails");
            self.wire.trace.note(&format!("{} polls in vain", self.wire.who));
            return Err(TopicError::unavailable("poll", "it failed, as the schedule says"));
        }
        if let Some(event) = self.again() {
            return Ok(event);
        }
        let event = self.inner.poll(max_wait).await?;
        Ok(self.keep(event))
    }

    fn steer(&mut self, order: Order) -> Result<(), TopicError> {
        if let Order::Seek(at, _) = &order {
            self.delivered.remove(at);
        }
        self.wire.trace.note(&format!("{} {order:?}", self.wire.who));
        self.inner.steer(order)
    }

    async fn commit(&mut self, next: &[(TopicPartition, i64)]) -> Result<(), TopicError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if self.wire.happens(50) {
            self.wire.trace.fault("a group's offset isn't told");
            return Err(TopicError::unavailable("commit", "it failed, as the schedule says"));
        }
        self.inner.commit(next).await
    }
}
