//! The workers' console: every worker of the group and every pipeline, with how far and how fast they are. It
//! needs no service of its own: workers tell how they stand on a compacted topic, and whoever serves the
//! console reads it.
//!
//! # Layout
//! - [`report`]: publishes how a worker stands, and takes that back when it ends; `subject`: one pipeline of it.
//! - [`Worker`], [`PipelinePlan`]: who tells, and what a pipeline is made of. [`Own`]: the worker in this process.
//! - `told`: the two topics and their records.
//! - `rate`: events per second out of positions.
//! - `follow`, `book`, `history`: what was told, as the reader of the topics knows it.
//! - `view`: the numbers that pages, JSON and metrics have in common.
//! - [`serve`]: pages, live updates, JSON, `/metrics`, `/healthz`, `/readyz`.
//! - `pages`, `metrics`: what these look like.

mod book;
mod error;
mod follow;
mod history;
mod metrics;
mod own;
mod pages;
mod rate;
mod report;
mod serve;
mod subject;
mod told;
mod view;
mod worker;

pub use error::ConsoleError;
pub use own::Own;
pub use report::report;
pub use serve::serve;
pub use worker::{PipelinePlan, Worker};

/// Where the console is served, unless settings say otherwise.
pub const PORT: u16 = 9090;
