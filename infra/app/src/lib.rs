//! The verbs every app has, so that an app holds nothing but what differs.
//!
//! # Layout
//! - [`App`]: an app as a value. [`main`] is all its `main.rs` calls.
//! - [`Setup`]: its settings, topics, stores and pipelines, opened from a configuration.
//! - `catalog`: whom the lake tells of its tables and partitions.
//! - [`lookup`]: a table that a pipeline's SQL joins, by the settings.
//! - [`produce`], [`process`], [`serve`], [`check`], [`plan`], [`health`]: the verbs.
//! - [`console`]: lets the workers know of each other, and shows them on a page.
//! - [`progress`]: what a person sees while work goes on.
//! - `supervised`: what systemd is told of a verb that runs on.
//! - [`golden`]: runs an app's golden cases.

#![allow(clippy::print_stdout, reason = "standard output is what a command is for")]

mod app;
mod catalog;
pub mod check;
mod command;
pub mod console;
pub mod golden;
pub mod health;
mod lookup;
mod outlet;
pub mod plan;
pub mod process;
pub mod produce;
pub mod progress;
pub mod serve;
mod setup;
mod supervised;

/// Of every program that has an app in it, librdkafka included: `docs/decisions/0017-jemalloc.md`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

pub use app::{App, Feed, Produce, ProduceOptions, Rate, Sent, Serve, ServePages};
pub use command::main;
pub use lookup::lookup;
pub use outlet::sql;
pub use setup::{Places, Setup, hint};
