//! Topics on a real broker: the suite that every backend passes, and what only a broker can show.
//!
//! # Layout
//! - `conformance`: the suite, by both protocols of groups. `following`: a member, driven and kept account of.
//! - `groups`: revocations, named workers, brokers that don't know the new protocol.
//! - `kept`: how topics are made, grow, shrink, go and come back. `transactions`: those of foreign producers.
//! - `locks`: TLS, users and rights, and what is said when they aren't right. `examined`: what `doctor` is told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod conformance;
mod examined;
mod following;
mod groups;
mod kept;
mod locks;
mod transactions;
