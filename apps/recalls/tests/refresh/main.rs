//! Refreshes against servers of a test, well-behaved and not: what is sent, what is told, what stays.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod faults;
mod flows;
mod made_up;
mod seeds;
mod server;
mod turns;
mod world;
