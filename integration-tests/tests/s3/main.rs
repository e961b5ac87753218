//! The lake in a bucket, on a server that speaks S3: the suites of stores and of sinks, crashes and faults between any two
//! requests, and what somebody else's reader sees.
//!
//! # Layout
//! - `place`: buckets of the shared server. `proxy`: what goes wrong between a worker and S3.
//! - `workers`: workers that put numbered records into a table, and what must be there in the end.
//! - `apps`, `suites`, `crashes`, `faults`, `outage`, `refusals`, `long_objects`, `doctor`: the tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and tells what it saw"
)]

mod apps;
mod crashes;
mod doctor;
mod faults;
mod long_objects;
mod outage;
mod place;
mod proxy;
mod refusals;
mod suites;
mod workers;
