//! AWS beside S3: Glue, the catalog that says what is in the lake, and Athena, which answers SQL on it.
//!
//! # Layout
//! - [`Catalog`]: a Glue database, its Athena workgroup and the account they are in, as one URL names them.
//! - [`glue`]: tables made and widened, partitions registered, crawlers run.
//! - [`athena`]: statements run and cancelled, results read page by page, failures explained.
//! - [`preflight`]: credentials, catalog, workgroup and bucket, looked at for `millstream doctor`.
//! - [`prices`]: the dated table of prices, and what a topology costs a month.
//! - [`AwsError`]: what didn't work, why, and what to do. `faults`: AWS's answers, told by it. `account`: the way there.
//!
//! The lake in S3 itself is `millstream-sinks`' `lake::S3Store` (docs/decisions/0011-the-s3-store-stays-with-the-lake.md).

mod account;
pub mod athena;
mod catalog;
mod error;
#[cfg(test)]
mod fake;
mod faults;
pub mod glue;
pub mod preflight;
pub mod prices;

pub use athena::Athena;
pub use catalog::Catalog;
pub use error::AwsError;
pub use glue::Glue;
