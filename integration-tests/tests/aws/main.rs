//! Glue and Athena, on an API that runs real SQL on Glue's tables, over Parquet that the apps wrote.
//!
//! # Layout
//! - `place`: a bucket, a database and a workgroup that no other test has; what is there as AWS's own client sees it.
//! - `lake`: health's tables in that bucket, made by its own binary and known to the catalog by our client.
//! - `glue`: tables and partitions. `athena`: queries. `crawlers`: crawls. `denied`: policies that are in the way.
//! - `commands`: `millstream query --engine athena`, `crawl`, `cost`, `doctor`, as a person runs them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and tells what it saw"
)]

mod athena;
mod commands;
mod crawlers;
mod denied;
mod glue;
mod lake;
mod place;
