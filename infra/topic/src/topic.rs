use std::borrow::Cow;
use std::fmt;

use arrow_schema::{Schema, SchemaRef};

use crate::TopicError;

/// A topic declared as a value. Apps declare theirs as constants at the top of `pipeline.rs`.
#[derive(Clone, Debug)]
pub struct Topic {
    pub name: Cow<'static, str>,
    /// What the records are keyed by, in words ("city id"); empty: no key.
    pub key: &'static str,
    /// How many partitions it is created with.
    pub partitions: u32,
    pub cleanup: Cleanup,
    /// The columns of a decoded record.
    pub schema: fn() -> SchemaRef,
}

/// What becomes of old records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleanup {
    /// Dropped by age or size.
    Delete,
    /// Only the last record of each key is kept; a null value deletes the key.
    Compact,
}

impl Topic {
    /// A topic of two partitions, no key and no schema, until said otherwise.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            key: "",
            partitions: 2,
            cleanup: Cleanup::Delete,
            schema: no_columns,
        }
    }

    /// A topic named at run time (dead letters, replays, tests).
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Cow::Owned(name.into()), ..Self::new("") }
    }

    pub const fn keyed_by(mut self, key: &'static str) -> Self {
        self.key = key;
        self
    }

    pub const fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = partitions;
        self
    }

    pub const fn compacted(mut self) -> Self {
        self.cleanup = Cleanup::Compact;
        self
    }

    pub const fn schema(mut self, schema: fn() -> SchemaRef) -> Self {
        self.schema = schema;
        self
    }

    /// Kafka's rule for names: 1 to 249 of `[a-zA-Z0-9._-]`, not `.` or `..`. Names become file
    /// names in the embedded log, so nothing else may pass.
    pub fn check_name(name: &str) -> Result<(), TopicError> {
        let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if (1..=249).contains(&name.len()) && name.chars().all(legal) && name != "." && name != ".."
        {
            return Ok(());
        }
        Err(TopicError::refused(
            format!("use topic {name:?}"),
            "a topic's name has 1 to 249 of the characters a-z A-Z 0-9 . _ -",
            "choose another name",
        ))
    }
}

fn no_columns() -> SchemaRef {
    Schema::empty().into()
}

/// Stands for an identity that brokers don't tell, or didn't tell in time.
pub const UNKNOWN_ID: &str = "unknown";

/// A topic as it is: its identity and how far each partition reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    pub name: String,
    /// Changes when a topic is deleted and created anew. [`UNKNOWN_ID`] where the brokers don't tell.
    pub id: String,
    /// Identity of the cluster or log the topic lives in.
    pub cluster: String,
    pub cleanup: Cleanup,
    /// One per partition, in order.
    pub partitions: Vec<Bounds>,
}

/// How far a partition reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The first offset still there.
    pub low: i64,
    /// The offset the next record will get.
    pub end: i64,
}

/// One partition of one topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    pub topic: String,
    pub partition: u32,
}

impl TopicPartition {
    pub fn new(topic: impl Into<String>, partition: u32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}
