//! Upserted rows and exact counters in MySQL and MariaDB: the tables of [`crate::sql`], on a server.
//!
//! One transaction moves position, rows and ledger. A table shows a person the pipeline's columns (an upserted one also
//! `_version`); two more are invisible, which `SELECT *` leaves out and a statement can name:
//!
//! - `_beyond`: what a column's type can't hold, as JSON by column: `NaN`, `Infinity`, `-0`, moments outside of the years 1 to
//!   9999, and the whole of a key that is too long for an index. The column itself has null, or the key's beginning.
//!   No value is refused for what it is, and each comes back as it went in.
//! - `_long`: part of the primary key. Empty, but for a key that isn't in its columns as a whole: then its SHA-256.
//!
//! # Layout
//! - [`Mysql`]: a server; [`MysqlTable`]: the target. `session`: a connection. `dialect`: where the two servers differ.
//! - `columns`, `statements`: what a table's columns are, and the SQL text for them.
//! - `cells`: values as they are bound and read. `chunks`: many rows by few statements.
//! - `positions`, `owning`, `commit`, `writing`: the transactions. `sink`: who runs them. `scan`: reading.
//! - `faults`: what the servers' errors call for. `examine`: what `millstream doctor` asks.

mod cells;
mod chunks;
mod columns;
mod commit;
mod dialect;
mod examine;
mod faults;
mod owning;
mod positions;
mod scan;
mod server;
mod session;
mod sink;
mod statements;
mod table;
#[cfg(test)]
mod tests;
mod writing;

pub use server::Mysql;
pub use table::MysqlTable;
