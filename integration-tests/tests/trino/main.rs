//! The lake as Athena would have it: the apps' workers register tables and partitions in Glue, and Trino, the engine that
//! Athena is made of, answers every query as DataFusion does.
//!
//! # Layout
//! - `lake`: an app on S3 with a catalog. `same`: answers of both engines, compared.
//! - `queries`: every file of `apps/*/queries`. `freshness`: how soon a partition can be asked.
//! - `refusals`: tables that are missing or differ. `outages`: a catalog that is away, or says no.

#![cfg(test)]

mod freshness;
mod lake;
mod outages;
mod queries;
mod refusals;
mod same;
