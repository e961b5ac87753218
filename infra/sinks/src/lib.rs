//! Sinks: where rows land. Each one is a [`millstream_engine::Target`] and passes its conformance suite.
//!
//! # Layout
//! - [`lake`]: Parquet or CSV files in Hive partitions, on a [`lake::Store`].
//! - [`search`]: indexes that answer free text, in tantivy.
//! - [`sql`]: upserted rows and exact counters in SQLite.
//! - [`Stores`]: the places of a configuration's URLs; hands out targets.

pub mod lake;
pub mod search;
pub mod sql;
mod stores;

pub use stores::Stores;
