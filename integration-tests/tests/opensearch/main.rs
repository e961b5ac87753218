//! Search indexes on a real server: the suites of sinks and of indexes, crashes and faults between any two requests, and
//! what the server itself tells of them.
//!
//! # Layout
//! - `place`: prefixes of the shared server, and the server's own answers. `proxy`: what goes wrong on the way to it.
//! - `workers`: workers that put numbered rows into an index, and what must be there in the end.
//! - `away`: the server goes away; begun early, by its name, as it takes long.
//! - `suites`, `crashes`, `faults`, `rebuilding`, `doctor`: the other tests.

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
mod place;
mod proxy;
mod rebuilding;
mod suites;
mod workers;
