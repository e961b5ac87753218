//! Search indexes: rows that are found by what stands in them, in tantivy.
//!
//! A range's rows, its ledger entry and the position are one commit of tantivy. A new build of an index is filled
//! beside the one that is served, and takes its place when it has everything.
//!
//! # Layout
//! - [`Index`]: what is searched, as a value. [`Seed`]: what a new index is filled with.
//! - [`SearchTarget`]: the writing side. `builds` (which one is served), `opening`, `seeding`, `commit`; `session`
//!   (one writer's transactions), `changes` (a range as one change per key), `positions`, `owner`, `scan`.
//! - [`Searcher`], [`Query`], [`Found`]: asking. [`SearchReader`] follows an index and answers from a `snapshot` of it:
//!   `asked` (what was typed, as words), `matching` (what that means to tantivy), `counting` (facets), `ranking` (sorts, pages),
//!   `suggestions`.
//! - [`conformance`]: the questions that every kind of index answers alike.
//! - `fields`, `rows`: how declared fields and whole rows are kept. `faults`: what errors call for.

pub(crate) mod asked;
mod builds;
pub(crate) mod changes;
mod commit;
#[allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test suite for whoever writes a search index: failing loudly is its work"
)]
pub mod conformance;
mod counting;
mod faults;
pub(crate) mod fields;
pub(crate) mod index;
mod matching;
mod opening;
pub(crate) mod owner;
mod positions;
mod ranking;
mod reader;
pub(crate) mod rows;
mod scan;
mod searcher;
mod seeding;
mod session;
mod snapshot;
pub(crate) mod suggestions;
mod target;
#[cfg(test)]
mod tests;

pub use index::{Field, Index, Kind, Seed};
pub use reader::SearchReader;
pub use searcher::{
    Found, Hit, IndexState, Query, SearchError, Searcher, Snapshot, Sort, Suggestion,
};
pub use target::SearchTarget;
