use std::any::Any;
use std::error::Error;
use std::fmt::{self, Debug};
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

/// The reading side of an index. It follows the index by itself: commits and new builds show within a second.
#[async_trait]
pub trait Searcher: Send + Sync + Debug {
    /// What `query` finds; nothing where there is no index yet. Whatever the text is, it is no error.
    async fn search(&self, query: &Query) -> Result<Found, SearchError>;

    /// How what was typed may go on: at most `max`, the best first.
    async fn suggest(&self, text: &str, max: usize) -> Result<Vec<Suggestion>, SearchError>;

    /// How far the index is.
    async fn state(&self) -> Result<IndexState, SearchError>;
}

/// What is looked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// Words, all of which must occur; `"…"` is a phrase. Empty: every row. At most 16 words of the first 512
    /// characters count.
    pub text: String,
    /// Columns (of kinds Id, Facet, Date, or the key) with the values that are let through: one of a column's, and
    /// so for every column. A column without values lets everything through.
    pub filters: Vec<(String, Vec<String>)>,
    pub sort: Sort,
    /// How many hits are passed over.
    pub offset: usize,
    /// How many hits are wanted. 0: only `total` and `facets`.
    pub limit: usize,
    /// Facet columns to be counted.
    pub facets: Vec<String>,
    /// Answers from exactly this state of the index, whatever was committed since: pages of one search then fit
    /// together. `None`: the newest.
    pub within: Option<Snapshot>,
}

/// A state of an index, out of [`Found::snapshot`]. Cheap to clone; while it is held, so are the files behind it. Two
/// are equal when they are of the same commit.
#[derive(Clone)]
pub struct Snapshot {
    state: Arc<dyn Any + Send + Sync>,
    commit: Arc<str>,
}

impl Snapshot {
    /// `state`: what the searcher itself answers from. `commit`: what tells it from other states of the index.
    pub fn new<T: Any + Send + Sync>(state: Arc<T>, commit: impl Into<Arc<str>>) -> Self {
        Self { state, commit: commit.into() }
    }

    /// What the searcher put in; `None` if it was another kind of searcher.
    pub fn state<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.state.clone().downcast().ok()
    }

    /// Changes with every commit of the index. To be kept where the state itself shall not be held.
    pub fn commit(&self) -> Arc<str> {
        self.commit.clone()
    }
}

impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        self.commit == other.commit
    }
}

impl Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Snapshot").field(&self.commit).finish()
    }
}

/// The order of hits; those that are equal in it come by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    #[default]
    Relevance,
    /// By a column of kind Date, Facet or Id, the highest first; rows without a value come last.
    Newest(String),
    /// The lowest first; rows without a value come last.
    Oldest(String),
    /// By a column of kind Facet or Id, without regard to case; rows without a value come last.
    Az(String),
}

/// What a query found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Hits in all, of which `hits` is a page.
    pub total: usize,
    pub hits: Vec<Hit>,
    /// For each column that was asked for, its values with their numbers of rows, most rows first. They count what
    /// would be found without the filter on the column itself.
    pub facets: Vec<(String, Vec<(String, usize)>)>,
    /// What it was found in, for [`Query::within`]. `None`: there is no index yet.
    pub snapshot: Option<Snapshot>,
}

/// One row that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    pub key: String,
    /// All columns; null where there is no value.
    pub row: Map<String, Value>,
    /// 1.0 where the sort is not by relevance.
    pub score: f32,
}

/// A text that what was typed may become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    pub text: String,
    pub column: String,
    /// The row, if the text stands for just one.
    pub key: Option<String>,
    /// How many rows have this text.
    pub rows: usize,
}

/// How far an index is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexState {
    /// No pipeline has made it yet.
    Missing,
    /// It is being filled for the first time; `from` says with what ("the snapshot of 2026-04-01", "the topic").
    Loading { rows: usize, from: String },
    /// Everything is in it. `rebuilding`: another build is being filled, and will replace this one.
    Ready { rows: usize, rebuilding: bool },
}

/// Why a search wasn't answered.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The caller's mistake: the index has no such column, or one of another kind.
    #[error(
        "use column {column:?} of index {index} to {purpose}: it isn't declared for that; declare it, or use another"
    )]
    Column { index: String, column: String, purpose: &'static str },
    /// The caller's mistake: [`Query::within`] is of another index.
    #[error(
        "search index {index}: the snapshot is of another index; search within one that this index gave"
    )]
    Foreign { index: String },
    /// The index can't be read now; trying again may help.
    #[error("{doing}; try again, and if that doesn't help, rebuild the index")]
    Unavailable {
        doing: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}
