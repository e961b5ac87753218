//! Upserted rows and exact counters in SQL tables; the position and the ledger live beside them, so one
//! transaction moves all three.
//!
//! The user's table is a plain table with the rows that are there, for whoever opens the file with `sqlite3`:
//! an upserted one has one more column, `_version`. Keys that were deleted are remembered with their version
//! in `_millstream_gone_<table>`, so that an older write that comes late can't revive them.
//!
//! # Layout
//! - [`SqlTable`]: the target; [`Database`]: the file it lives in.
//! - [`databases`], [`read_table`]: what is in the files, for `millstream query`.
//! - `layout`, `statements`: what may be a table, how it grows, and the SQL text for it.
//! - `merge`: a range's rows become one change per key, in key order. Knows no database.
//! - `values`, `moments`: Arrow values as SQL values and back.
//! - `owner`, `gathering`: the owner's record, and rows read as batches. Neither knows a database.
//! - `positions`, `commit`: the transactions. `scan`, `versions`: reading. `faults`: what SQLite's errors call for.

mod commit;
mod database;
mod faults;
pub(crate) mod gathering;
pub(crate) mod layout;
pub(crate) mod merge;
pub(crate) mod moments;
pub(crate) mod owner;
mod positions;
mod scan;
mod statements;
mod table;
#[cfg(test)]
mod tests;
pub(crate) mod values;
mod versions;

pub use database::Database;
pub use scan::{DatabaseTables, RecordBatches, TableInfo, databases, read_table};
pub use table::SqlTable;
