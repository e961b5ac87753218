//! The stream engine: takes records from topics, makes rows of them, and sees to it that every event
//! counts once in the sink. It names no sink and no Kafka type.
//!
//! # Layout
//! - [`Pipeline`]: topics → decode → transform → one target, as a value.
//! - [`decode`]: records to Arrow; a batch at once, and when that fails, the bad ones singled out.
//! - [`transform`], [`sql`]: row-wise SQL (planned once) or a Rust function over the batch.
//! - [`lookup`]: tables from elsewhere that the SQL may join.
//! - [`batch`]: the two together: records in, rows and buckets out. A pure function.
//! - `crew`: threads that do it, while the loop goes on.
//! - [`ledger`]: ranges, buckets, positions: the accounting of the promise.
//! - [`Sink`], [`Target`]: what a store must do; [`conformance`] is the suite every sink passes.
//! - [`run`]: the loop: assignment, reading, rolling, committing, back-pressure, retry, watchdog, drain.
//! - [`view`]: a compacted topic as a table in memory, kept current and asked with any SQL that reads.
//! - [`verify`]: compares a sink with its topics, bucket by bucket and row by row.

pub mod batch;
#[allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test suite for whoever writes a sink: failing loudly is its work"
)]
pub mod conformance;
mod crew;
pub mod decode;
pub mod ledger;
pub mod lookup;
pub mod memory_sink;
mod open_range;
mod opening;
mod pipeline;
mod run;
mod sink;
pub mod sql;
mod status;
pub mod transform;
pub mod verify;
pub mod view;
mod world;

pub use decode::{Decoded, Decoder, Json};
pub use lookup::{Freshness, Limits, Lookup, LookupError, LookupSource, LookupStatus, WhenStale};
pub use open_range::{CHUNK_RECORDS, units};
pub use pipeline::{Draft, Pipeline, Roll};
pub use run::{EngineError, Options, chain, run};
pub use sink::{About, Delete, Keeping, Outcome, Range, Rows, Sink, SinkError, Standing, Target};
pub use status::{Batches, Counts, Happening, PartitionStatus, State, Status, Totals, What};
pub use transform::{Function, PlanError, Transform};
pub use world::{Clock, SystemClock, World};
