//! Real servers in containers, for the tests.
//!
//! What [`kafka`], [`cassandra`], [`mysql`], [`mariadb`], [`s3`], [`opensearch`] and [`aws_api`] give is shared by all tests of a run
//! and outlives them: tests keep out of each other's way by names of their own ([`unique`]). A test that stops a server or
//! changes its settings starts one of its own, by [`Wanted`]; that one goes with the test.
//!
//! # Layout
//! - [`Wanted`]: a server to be: image, ports, environment, files. [`Server`]: one at work.
//! - `kafka`, `cassandra`, `mysql`, `s3`, `opensearch`, `aws_api`: one server a file, as the apps' documentation sets it up.
//! - [`Trino`]: the engine that Athena is made of, with the S3 and the Glue it reads from.
//! - [`Shared`]: servers of one test program's own.
//! - [`images`]: the table of their images, and how a missing one is made. [`Certificates`]: for TLS.
//! - `runtime`: where the engine is spoken to. `witness`: logs on failure, and the record of what ran.

mod aws_api;
mod cassandra;
mod certificates;
pub mod images;
mod kafka;
mod mysql;
mod opensearch;
pub mod parquet;
mod runtime;
mod s3;
mod server;
mod shared;
mod trino;
mod wanted;
mod witness;

pub use aws_api::{aws_api, aws_call, aws_environment, wanted as wanted_aws_api};
pub use cassandra::{cassandra, wanted as wanted_cassandra};
pub use certificates::{Certificate, Certificates};
pub use kafka::{Brokers, kafka, start as start_kafka, wanted as wanted_kafka};
pub use mysql::{APP_PASSWORD, APP_USER, mariadb, mysql, wanted as wanted_mysql};
pub use opensearch::{opensearch, wanted as wanted_opensearch};
pub use runtime::block_on;
pub use s3::{S3_KEY, S3_SECRET, bucket, s3, s3_environment, wanted as wanted_s3};
pub use server::{Exec, Server};
pub use shared::Shared;
pub use trino::{Answer, Trino};
pub use wanted::{Ready, Wanted, free_port};

/// A name that no other test and no other run uses: letters of lower case, digits and underscores.
pub fn unique(name: &str) -> String {
    let random: u64 = rand::random();
    format!("{name}_{:012x}", random & 0xffff_ffff_ffff)
}
