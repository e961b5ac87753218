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
//! - `fields`, `rows`: how declared fields and whole rows are kept. `faults`: what errors call for.

mod asked;
mod builds;
mod changes;
mod commit;
mod counting;
mod faults;
mod fields;
mod index;
mod matching;
mod opening;
mod owner;
mod positions;
mod ranking;
mod reader;
mod rows;
mod scan;
mod searcher;
mod seeding;
mod session;
mod snapshot;
mod suggestions;
mod target;
#[cfg(test)]
mod tests;

pub use index::{Field, Index, Kind, Seed};
pub use reader::SearchReader;
pub use searcher::{
    Found, Hit, IndexState, Query, SearchError, Searcher, Snapshot, Sort, Suggestion,
};
pub use target::SearchTarget;
