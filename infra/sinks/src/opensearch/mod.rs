//! Search indexes on an OpenSearch or Elasticsearch server, over HTTP.
//!
//! The sibling of [`crate::search`]: the same [`crate::search::Index`], the same questions, the same answers. Rows,
//! ledger and positions of a build are documents of one index with one shard, so a build that is deleted, restored
//! or cloned takes its positions with it.
//!
//! | document | is |
//! |---|---|
//! | the row's key | a row, or what is left of a deleted one; its version is the server's (`external`) |
//! | `_entry\|<topic>\|<partition>\|<seq>` | a ledger entry: created, never overwritten; that is the fence |
//! | `_position\|<topic>\|<partition>` | a hint where the newest entry is |
//! | `_build`, `_wish`, `_replaced`, `_seeding` | see `builds` and `seeding` |
//!
//! A commit is: look whether entry `seq - 1` is there and `seq` isn't → write the rows, each unless a newer version
//! is there → create entry `seq`. Rows may be seen before their entry; the same rows come again if that one never
//! does.
//!
//! # Layout
//! - [`OpenSearch`]: the server. `server` (requests), `dialect` (which server it is), `fetch` (documents by name), `faults`, `examine`.
//! - [`OpenSearchTarget`]: the writing side. `sink` (one worker's connection), `builds` (which one is served), `switching`, `opening`, `seeding`, `commit`,
//!   `positions`, `scan`; `bulk` (documents with per-item results), `documents` (rows as such), `mapping`, `names`.
//! - [`OpenSearchReader`]: asking. It follows an index and answers from a `snapshot` of it: `matching` (what was typed
//!   as the server's queries), `asking` (a query's request and its answer), `suggestions`.

mod asking;
mod builds;
mod bulk;
mod commit;
mod dialect;
mod documents;
mod examine;
mod faults;
mod fetch;
mod mapping;
mod matching;
mod names;
mod opening;
mod positions;
mod reader;
mod scan;
mod seeding;
mod server;
mod sink;
mod snapshot;
mod suggestions;
mod switching;
mod target;
#[cfg(test)]
mod tests;

pub use reader::OpenSearchReader;
pub use server::OpenSearch;
pub use target::OpenSearchTarget;
