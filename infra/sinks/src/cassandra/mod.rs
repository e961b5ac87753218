//! Upserted rows in Cassandra tables; the owner, the positions and the ledger are tables of the same keyspace.
//!
//! Cassandra has no transactions. What makes a range all or nothing here:
//!
//! 1. **Look.** The position is read with serial consistency. Unless it is at the range before, the range is
//!    superseded and nothing is written.
//! 2. **Rows.** Each is one write of a whole row (null writes null) or one delete, `USING TIMESTAMP` its version. Doing
//!    that twice, late or in another order changes nothing: of two writes the higher version stays, a tombstone is a
//!    version like any other. So rows need no fence; a worker that lost its partition can only write what the one that
//!    has it writes, too. Every write must be acknowledged by a quorum before the next step.
//! 3. **Position.** One lightweight transaction moves it from `seq - 1` to `seq`, with the range's entry and the
//!    writer's name in the same row. That is the fence. A lost reply is read back: whose entry is there tells.
//!
//! The ledger has every entry but the last, which is in the position's row. A range's second step moves it, so that
//! there is no moment in which an entry is in neither. A Cassandra partition of the ledger holds 1,000 entries.
//!
//! A table's whole key is its partition key: rows spread by key, none of Cassandra's partitions grows, and the driver
//! sends each write straight to a node that has the row. Who reads by a part of the key needs an index.
//!
//! What differs from the SQL tables: a reader may see rows of a range before its position. Of two writes of one key with
//! the *same* version Cassandra keeps the greater value of each column, not the first one; versions are unique within a
//! topic's partition, and a key has one partition, so that takes code that was changed between a crash and the replay of
//! its range. A deletion is remembered for `gc_grace_seconds` (ten days unless the table says otherwise): what is
//! written later must not be older than that. Records whose key is empty or longer than 64 KiB are dead-lettered.
//!
//! # Layout
//! - [`Cassandra`]: the cluster, from its URL; connects when first used. [`CassandraTable`]: the target.
//! - `layout`, `keys`, `statements`: what may be a table and a row's key, and the CQL for it. `values`, `bound`: Arrow values as CQL values and back.
//! - `opening`, `owner`: what `connect` makes, and for whom. `hearsay`: what is listed and can't be used yet. `sink`, `commit`, `positions`: the steps above.
//! - `scan`: reading. `examine`, `copies`: for `millstream doctor`. `faults`: what Cassandra's errors call for; `retry`: what is sent again at once.

#![allow(
    clippy::result_large_err,
    reason = "the driver's errors are large, and each has cost a request already"
)]

mod bound;
mod commit;
mod copies;
mod examine;
mod faults;
mod hearsay;
mod keys;
mod layout;
mod opening;
mod owner;
mod positions;
mod retry;
mod scan;
mod server;
mod sink;
mod statements;
mod table;
mod values;

pub use server::Cassandra;
pub use table::CassandraTable;
