use super::group::Group;
use super::log::{Partition, TopicLog};
use super::{Memory, State};
use crate::{TopicError, TopicPartition};

/// What only a test does. Calls that name a topic or partition that isn't there are refused.
impl Memory {
    /// Retention: drops every offset of the partition below `low`.
    pub fn truncate(&self, at: &TopicPartition, low: i64) -> Result<(), TopicError> {
        self.change(at, |partition| partition.truncate(low))
    }

    /// Power loss: the partition ends at `end` again, and hands the offsets from there on out anew.
    pub fn drop_tail(&self, at: &TopicPartition, end: i64) -> Result<(), TopicError> {
        self.change(at, |partition| partition.drop_tail(end))
    }

    /// Makes one offset absent, as compaction or an aborted transaction does; at the end or beyond, the
    /// partition grows by absent offsets up to and with this one.
    pub fn hole(&self, at: &TopicPartition, offset: i64) -> Result<(), TopicError> {
        self.change(at, |partition| {
            partition.records.retain(|record| record.offset != offset);
            partition.end = partition.end.max(offset + 1);
        })
    }

    /// Appends `count` offsets that hold no record: control or aborted records.
    pub fn append_absent(&self, at: &TopicPartition, count: u32) -> Result<(), TopicError> {
        self.change(at, |partition| partition.end += i64::from(count))
    }

    /// Deletes the topic and makes it anew: a new identity, the same partitions, nothing in them.
    pub fn recreate(&self, topic: &str) -> Result<(), TopicError> {
        self.alter(|state| {
            let id = state.fresh_id();
            let log = state.topic(topic, "recreate")?;
            *log = TopicLog::new(id, log.cleanup, log.partitions.len() as u32);
            Ok(())
        })
    }

    /// Deletes the topic.
    pub fn delete(&self, topic: &str) -> Result<(), TopicError> {
        self.alter(|state| {
            state.topic(topic, "delete")?;
            state.topics.remove(topic);
            Ok(())
        })
    }

    /// Adds `more` partitions to the topic.
    pub fn add_partitions(&self, topic: &str, more: u32) -> Result<(), TopicError> {
        self.alter(|state| {
            let partitions = &mut state.topic(topic, "add partitions to")?.partitions;
            partitions.resize(partitions.len() + more as usize, Partition::default());
            Ok(())
        })
    }

    /// Keeps the last record of each key, tombstones included; the other offsets become absent.
    pub fn compact(&self, topic: &str) -> Result<(), TopicError> {
        self.alter(|state| {
            let log = state.topic(topic, "compact")?;
            log.partitions.iter_mut().for_each(Partition::compact);
            Ok(())
        })
    }

    /// Compacts, and drops the tombstones too, as Kafka does when they are past their own retention.
    pub fn compact_tombstones(&self, topic: &str) -> Result<(), TopicError> {
        self.compact(topic)?;
        self.alter(|state| {
            for partition in &mut state.topic(topic, "compact")?.partitions {
                partition.records.retain(|record| record.value.is_some());
            }
            Ok(())
        })
    }

    /// While on, the partition delivers nothing to anyone. A seek of its owner turns it off: that is
    /// how a watchdog gets a silent consumer going again.
    pub fn stall(&self, at: &TopicPartition, on: bool) {
        let mut state = self.shared.state();
        if on {
            state.stalled.insert(at.clone());
        } else {
            state.stalled.remove(at);
        }
        self.shared.changed.notify_waiters();
    }

    /// The next `count` operations fail as unavailable and do nothing: creating, looking, appending,
    /// joining, reading, polling, committing. A member that is waiting already is not disturbed.
    pub fn fail_next(&self, count: u32) {
        self.shared.state().fail_next = count;
    }

    /// Goes away, as a cluster does that can't be reached: calls fail, and members get no events and no reason.
    pub fn go_away(&self, away: bool) {
        self.shared.state().away = away;
        self.shared.changed.notify_waiters();
    }

    /// The next `count` appends are carried out, and yet fail as unavailable.
    pub fn lose_replies(&self, count: u32) {
        self.shared.state().lose_replies = count;
    }

    /// How many records one event holds at most from now on (500 at first; at least 1).
    pub fn deliver_at_most(&self, records: usize) {
        self.shared.state().most = records.max(1);
    }

    /// The members of a group, in the order they joined.
    pub fn members(&self, group: &str) -> Vec<u64> {
        self.shared.state().groups.get(group).map(Group::live).unwrap_or_default()
    }

    /// Throws a member out of its group, as a broker does after the session time-out: the others get
    /// its partitions at once. If it ever polls again, it learns what it lost and is back.
    pub fn expire(&self, group: &str, member: u64) {
        if let Some(group) = self.shared.state().groups.get_mut(group) {
            group.expire(member);
        }
        self.shared.changed.notify_waiters();
    }

    /// Takes a partition from its owner at once ([`Event::Lost`](crate::Event::Lost)). The member that
    /// joined after the owner gets it, or the owner itself when it is alone.
    pub fn steal(&self, group: &str, at: &TopicPartition) {
        if let Some(group) = self.shared.state().groups.get_mut(group) {
            group.steal(at);
        }
        self.shared.changed.notify_waiters();
    }

    /// The offset the group committed for a partition.
    pub fn committed(&self, group: &str, at: &TopicPartition) -> Option<i64> {
        self.shared.state().groups.get(group)?.committed.get(at).copied()
    }

    /// Sets or forgets what a group committed, as an operator's reset does.
    pub fn reset_committed(&self, group: &str, at: &TopicPartition, offset: Option<i64>) {
        let mut state = self.shared.state();
        let committed = &mut state.groups.entry(group.to_owned()).or_default().committed;
        match offset {
            Some(offset) => committed.insert(at.clone(), offset),
            None => committed.remove(at),
        };
    }

    fn change(
        &self,
        at: &TopicPartition,
        change: impl FnOnce(&mut Partition),
    ) -> Result<(), TopicError> {
        self.alter(|state| {
            change(state.topic(&at.topic, "change")?.partition(at, "change")?);
            Ok(())
        })
    }

    fn alter(
        &self,
        alter: impl FnOnce(&mut State) -> Result<(), TopicError>,
    ) -> Result<(), TopicError> {
        let altered = alter(&mut self.shared.state());
        self.shared.changed.notify_waiters();
        altered
    }
}
