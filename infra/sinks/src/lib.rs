//! Sinks: where rows land. Each one is a [`millstream_engine::Target`] and passes its conformance suite.
//!
//! # Layout
//! - [`lake`]: Parquet or CSV files in Hive partitions, on a [`lake::Store`].
//! - [`lookup`]: tables that a pipeline's SQL joins, read from SQLite and MySQL.
//! - [`search`]: indexes that answer free text, in tantivy. [`opensearch`]: the same on a server.
//! - [`sql`]: upserted rows and exact counters in SQLite. [`mysql`]: the same in MySQL and MariaDB.
//! - [`cassandra`]: upserted rows in Cassandra.
//! - [`Upserted`]: such a table as it is read by those who fill an index from it.
//! - [`Stores`]: the places of a configuration's [`Urls`]; hands out targets. `url`: URLs that can't be meant.

pub mod cassandra;
mod directory;
pub mod lake;
pub mod lookup;
pub mod mysql;
pub mod opensearch;
pub mod search;
pub mod sql;
mod stores;
mod upserted;
mod url;

pub use stores::{Stores, Urls};
pub use upserted::Upserted;
