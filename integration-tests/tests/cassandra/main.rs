//! Cassandra tables on a real Cassandra.
//!
//! # Layout
//! - `world`: rows, ranges, and a keyspace of the test's own. `proxy`: connections that break when told to.
//! - `suite`: the conformance suite. `reading`: what cqlsh and others read. `growth`: tables that change.
//! - `starting`: workers that start together on an empty cluster.
//! - `crashes`: workers that die, wake up and race, and connections that break.
//! - `away`: a server that is slow, hangs or goes away; begun early, by its name, as it takes longest.
//! - `access`: passwords, rights, TLS, and what doctor says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod access;
mod away;
mod crashes;
mod growth;
mod proxy;
mod reading;
mod starting;
mod suite;
mod world;
