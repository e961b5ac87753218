//! Measures the engine against a loop written by hand, over the same topic of the embedded log. It tells
//! numbers and judges nothing but that both wrote the same rows.
//!
//! # Layout
//! - [`vitals`]: the events: topic, schema, generator.
//! - [`ways`]: the four ways through the topic: raw read, read + decode, the engine, the loop by hand.
//! - [`by_hand`]: that loop.
//! - [`measure`]: one way in a process of its own: time, CPU, peak memory.
//! - [`report`]: rounds, medians, ratios; as a table or as JSON.

mod by_hand;
mod measure;
mod report;
mod vitals;
mod ways;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::ways::Way;

/// Events/s, CPU and peak memory of the engine on the embedded log, beside a loop written by hand.
#[derive(Parser)]
struct Args {
    /// Events in the topic.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Each way is measured so often, in turns.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Where topic and lake are put for the time of the run; a disk, not memory, for honest syncs.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What the bench starts itself for. By hand, to keep a topic and put a profiler on one way:
/// `bench --events 1000000 generate LOG`, then `perf record bench measure engine LOG OUT`.
#[derive(Subcommand)]
enum Part {
    /// Writes the topic into an embedded log.
    Generate { log: PathBuf },
    /// Goes one way through the log's topic and prints what it took, as JSON.
    Measure { way: Way, log: PathBuf, out: PathBuf },
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    match &args.part {
        None => report::run(args),
        Some(Part::Generate { log }) => runtime.block_on(vitals::generate(log, args.events)),
        Some(Part::Measure { way, log, out }) => runtime.block_on(measure::run(*way, log, out)),
    }
}
