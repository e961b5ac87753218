//! The topic role: keyed, partitioned, durable streams of records.
//!
//! # Layout
//! - [`Topic`]: a topic declared as a value: name, key, partitions, schema.
//! - [`Record`], [`Outgoing`]: what is read from and what is sent to a topic.
//! - [`Topics`], [`Subscriptions`], [`Consumer`]: the role. [`Backend`] is a place that plays it whole.
//! - [`open`]: picks the backend by URL: `kafka://host:port`, `sqlite://directory`. [`Wanted`]: what
//!   [`Topics::examine`] looks for.
//! - [`memory`], [`sqlite`], [`kafka`]: the backends. All pass [`conformance`].
//! - [`dead_letter`]: what a record that can't be worked off becomes, and where it goes.

pub mod conformance;
pub mod dead_letter;
mod error;
pub mod kafka;
pub mod memory;
mod partitioner;
mod record;
mod role;
pub mod sqlite;
mod topic;
mod url;

pub use error::TopicError;
pub use partitioner::{murmur2, partition_for_key};
pub use record::{Outgoing, Placed, Record, Slice};
pub use role::{Backend, Consumer, Event, Order, Subscriptions, Topics, Wanted};
pub use topic::{Bounds, Cleanup, Topic, TopicInfo, TopicPartition, UNKNOWN_ID};
pub use url::open;
