//! The lake in a bucket, on a server that speaks S3: the suites of stores and of sinks, crashes and faults between any two
//! requests, and what somebody else's reader sees.
//!
//! # Layout
//! - `place`: buckets of the shared server. `proxy`: what goes wrong between a worker and S3.
//! - `workers`: workers that put numbered records into a table, and what must be there in the end.
//! - `away`: the server goes away; begun early, by its name, as it takes long.
//! - `suites`, `crashes`, `faults`, `refusals`, `long_objects`, `doctor`: the other tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and tells what it saw"
)]

mod away;
mod crashes;
mod doctor;
mod faults;
mod long_objects;
mod place;
mod proxy;
mod refusals;
mod suites;
mod workers;
