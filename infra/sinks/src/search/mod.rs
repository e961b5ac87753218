//! Search indexes: rows that are found by what stands in them.
//!
//! # Layout
//! - [`Index`]: what is searched, as a value. [`Seed`]: what a new index is filled with.
//! - [`Searcher`], [`Query`], [`Found`]: asking.

mod index;
mod searcher;

pub use index::{Field, Index, Kind, Seed};
pub use searcher::{Found, Hit, IndexState, Query, SearchError, Searcher, Sort, Suggestion};
