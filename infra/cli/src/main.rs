//! `millstream`: what concerns all apps at once.
//!
//! # Layout
//! - [`apps`]: the apps there are. This is the only crate that knows any.
//! - [`demo`]: all apps' producers and workers in one bounded run, and a summary.
//! - [`query`]: SQL over the lake and the tables, by this process or by Athena.
//! - [`crawl`]: Glue's crawlers. [`cost`]: what AWS takes a month. [`catalog`]: where Glue and Athena are.
//! - [`declared`]: the lake's tables, for Terraform, and registering what is there already.
//! - [`verify`]: are all sinks exact?
//! - [`doctor`]: can everything that the settings name be used?
//! - [`dlq`]: dead letters: list, show, replay. [`position`]: where sinks stand, and the operator's choices.

mod apps;
mod catalog;
mod command;
mod cost;
mod crawl;
mod declared;
mod demo;
mod dlq;
mod doctor;
mod position;
mod query;
mod show;
mod verify;

use std::process::ExitCode;

fn main() -> ExitCode {
    match command::start() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("millstream: {error:#}");
            ExitCode::FAILURE
        }
    }
}
