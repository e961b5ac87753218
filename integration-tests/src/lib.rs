//! What is tested from outside: the binaries as child processes, each test on a data directory of its own.
//!
//! # Layout
//! - [`binaries`]: builds them once per run, and finds them.
//! - [`Data`]: a data directory, and commands on it. [`Ran`]: how a command ended.
//! - [`Running`]: a command at work, to be signalled, killed or waited for.
//! - [`wait`]: for a condition, until a deadline.
//! - [`Browser`]: a real one, driven as a person would. [`http`]: the same pages without one.
//! - [`load`]: commands that go on until they are told to end.
//! - [`feed`]: recalls, as the world gives them.
//! - [`stack`]: Kafka, Cassandra, MySQL, OpenSearch and S3, each in a container.
//! - [`proxy`]: what goes wrong on the way to a server that speaks HTTP.
//! - [`deployed`]: apps on servers of their own, killed and left without one of them.
//! - [`disk`]: topics and tables read by SQLite and Parquet alone, without Millstream.
//! - [`words`]: a slow count of words. [`users`]: users out of their text. [`chance`]: randomness that can be had again.
//! - [`tree`]: the sources, for the tests that check rules on them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and tells its seed when it does"
)]

pub mod binaries;
mod browser;
pub mod chance;
mod data;
pub mod deployed;
pub mod disk;
pub mod feed;
pub mod http;
pub mod load;
pub mod proxy;
mod running;
pub mod stack;
pub mod tree;
pub mod users;
pub mod wait;
pub mod words;

pub use browser::{Browser, Key};
pub use data::{Data, assert_exact, number, text};
pub use running::{Ran, Running};
