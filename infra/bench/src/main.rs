//! Measures the engine against the same work done by hand and by others, over the same topics of a real Kafka broker. It
//! tells numbers and judges nothing but that all wrote the same rows.
//!
//! # Layout
//! - [`rounds`]: the run: servers, topics, every way in turns. [`servers`]: those in containers.
//! - [`work`]: what is done with which events. [`vitals`]: one kind of them.
//! - [`ways`]: the ways there are. [`engine`]: ours. [`hand`], [`librdkafka`], [`by_hand`]: without the engine. [`peers`]: others'.
//! - [`latency`]: how soon a record is seen. [`workers`]: several of them.
//! - [`measure`]: one way in a process of its own: time, CPU, peak memory, rows. [`tree`]: the same of another program.
//! - [`report`]: medians, ratios; as JSON or Markdown. [`cost`]: in dollars. [`machine`]: on what. [`docs`]: the page in `docs/`.

mod by_hand;
mod cost;
mod docs;
mod engine;
mod hand;
mod latency;
mod librdkafka;
mod machine;
mod measure;
mod peers;
mod report;
mod rounds;
mod servers;
mod tree;
mod vitals;
mod ways;
// The app's own, without all else that the app is made of: the bench has to be built in optimised form.
#[path = "../../../apps/wordcount/src/words.rs"]
mod words;
mod work;
mod workers;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::ways::{Route, Way};
use crate::work::Work;

/// As all our programs have it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Events/s, CPU and peak memory of the engine, of a limit written by hand, and of others.
#[derive(Parser)]
struct Args {
    /// Vitals to Parquet; the other topics go by it.
    #[arg(long, default_value_t = 5_000_000)]
    events: u64,
    /// Each way is measured so often, in turns.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only these.
    #[arg(long, value_delimiter = ',')]
    ways: Vec<Way>,
    /// Without Spark, Flink, Bento and Kafka Connect.
    #[arg(long)]
    no_peers: bool,
    /// Without the latencies and `verify`, which take most of the time.
    #[arg(long)]
    no_latency: bool,
    /// A broker that wants neither TLS nor a password, HOST:PORT[,…]; topics called bench-… are made there and stay. Else
    /// one is started in a container.
    #[arg(long)]
    kafka: Option<String>,
    /// The embedded log in place of Kafka.
    #[arg(long, conflicts_with = "kafka")]
    embedded: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Write the result as a page, docs/benchmarks.md.
    #[arg(long)]
    docs: Option<PathBuf>,
    /// Where rows and the embedded log are put for the time of the run; a disk, not memory, for honest syncs.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What the bench starts itself for. By hand, to put a profiler on one way:
/// `bench generate parquet kafka://127.0.0.1:9092`, then `perf record bench measure engine kafka://127.0.0.1:9092 OUT`.
#[derive(Subcommand)]
enum Part {
    /// Makes a work's topic.
    Generate { work: Work, topics: String },
    /// Goes one way and prints what it took, as JSON.
    Measure {
        way: Way,
        topics: String,
        out: PathBuf,
        #[arg(long, default_value = "")]
        tables: String,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<()> {
    let events = args.events;
    let runtime = tokio::runtime::Runtime::new()?;
    let Some(part) = &args.part else {
        // Who hears of Ctrl-C isn't ended by it: the part at work is, which ends the run, and servers and directories go.
        let _within = runtime.enter();
        let _heard = signal(SignalKind::interrupt()).context("hear of Ctrl-C")?;
        return rounds::run(&args);
    };
    match part {
        Part::Generate { work, topics } => {
            let route = Route { topics: topics.clone(), ..Route::default() };
            runtime.block_on(async { work.generate(&*route.open()?, events).await })
        }
        Part::Measure { way, topics, out, tables } => {
            let (topics, tables, out) = (topics.clone(), tables.clone(), out.clone());
            let route = Route { topics, tables, out, events };
            runtime.block_on(measure::run(*way, &route))
        }
    }
}
