use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use millstream_config::Finding;

use crate::{
    Bounds, Outgoing, Placed, Record, Slice, Topic, TopicError, TopicInfo, TopicPartition,
};

/// Topics by name: made, looked at, appended to.
#[async_trait]
pub trait Topics: Send + Sync + Debug {
    /// Creates the topic if it is absent; an existing one is left as it is. Tells how it is.
    async fn ensure(&self, topic: &Topic) -> Result<TopicInfo, TopicError>;

    /// `None`: there is no such topic.
    async fn info(&self, name: &str) -> Result<Option<TopicInfo>, TopicError>;

    /// Appends all records, in order within a partition. When it returns `Ok` they are durable and the
    /// answer tells where each landed; on an error any of them may be there, or none.
    async fn append(&self, topic: &str, records: Vec<Outgoing>) -> Result<Vec<Placed>, TopicError>;

    /// Looks whether what is wanted of this place can be had: servers, versions, rights, settings of topics.
    /// Changes nothing. Nothing to be said by places without servers.
    async fn examine(&self, _wanted: &Wanted<'_>) -> Vec<Finding> {
        Vec::new()
    }
}

/// What an app is going to do with topics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Those it reads or writes.
    pub topics: &'a [Topic],
    /// The consumer groups it joins.
    pub groups: &'a [String],
    /// How long a range stays open at most: what was read is in a sink only after that.
    pub roll: Duration,
}

/// Ways of reading: as a member of a group, or just a stretch of a partition.
#[async_trait]
pub trait Subscriptions: Send + Sync + Debug {
    /// Becomes a member of `group`. Partitions come by [`Event::Assigned`]. Dropping the consumer leaves.
    async fn join(&self, group: &str, topics: &[String]) -> Result<Box<dyn Consumer>, TopicError>;

    /// Reads at most `max` records from offset `from` on (from the first one there, if that is later),
    /// without waiting for new ones and without a group.
    async fn read(&self, at: &TopicPartition, from: i64, max: usize) -> Result<Slice, TopicError>;
}

/// A place where topics live.
pub trait Backend: Topics + Subscriptions {}
impl<T: Topics + Subscriptions> Backend for T {}

impl dyn Backend {
    /// Shorthand for the shared form everything takes.
    pub fn shared(backend: impl Backend + 'static) -> Arc<dyn Backend> {
        Arc::new(backend)
    }
}

/// A member of a consumer group. The driving loop:
///
/// ```text
/// loop {
///     match consumer.poll(wait).await? {
///         Assigned(partitions)   => for each: consumer.steer(Order::Seek(partition, position))?,
///         Records { at, records, .. } => work them off,
///         Revoked(partitions)    => finish and commit what is open: they are given up at the next poll,
///         Lost(partitions)       => drop what is open,
///         End { .. } | Idle | Standby | OutOfRange { .. } => …
///     }
/// }
/// ```
#[async_trait]
pub trait Consumer: Send {
    /// Waits at most `max_wait` for the next event. An assigned partition delivers nothing before its
    /// first [`Order::Seek`]. Revoked partitions are given up by the call after the one that said so.
    async fn poll(&mut self, max_wait: Duration) -> Result<Event, TopicError>;

    /// Takes effect before the next record is delivered. Orders for partitions that are not ours are ignored.
    fn steer(&mut self, order: Order) -> Result<(), TopicError>;

    /// Stores, per partition, the offset of the next record the group has to work off.
    async fn commit(&mut self, next: &[(TopicPartition, i64)]) -> Result<(), TopicError>;
}

/// What a member is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// Nothing within the wait.
    Idle,
    /// We are a member, but another one does the work; we take over when it goes. Says who, in words.
    Standby(String),
    /// These partitions are ours now, in addition to those we had.
    Assigned(Vec<TopicPartition>),
    /// These partitions go to somebody else at the next poll.
    Revoked(Vec<TopicPartition>),
    /// These partitions went to somebody else already.
    Lost(Vec<TopicPartition>),
    /// Records of one partition, in offset order, never empty. `end` is the partition's end as far as known.
    Records { at: TopicPartition, records: Vec<Record>, end: i64 },
    /// Every record before `end` was delivered, and `end` is where the partition ends now. Told once
    /// each time the end is reached, also when the last offsets hold no record for us.
    End { at: TopicPartition, end: i64 },
    /// The offset asked for is not in the partition (any more).
    OutOfRange { at: TopicPartition, asked: i64, bounds: Bounds },
}

/// What a member can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Deliver from this offset on; also starts a freshly assigned partition.
    Seek(TopicPartition, i64),
    /// Deliver nothing of it until resumed.
    Pause(TopicPartition),
    Resume(TopicPartition),
}
