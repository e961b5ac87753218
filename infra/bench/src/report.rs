use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::Args;
use crate::measure::Measured;
use crate::ways::Way;

/// Medians of one way's rounds.
#[derive(Debug, Serialize)]
struct Line {
    way: Way,
    events_per_second: f64,
    cpu_seconds_per_million: f64,
    peak_mb: f64,
    /// Events/s, as a share of the hand-written loop's.
    speed_ratio: f64,
    /// CPU, as a multiple of the hand-written loop's.
    cpu_ratio: f64,
    parquet_mb: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    events: u64,
    rounds: u32,
    partitions: u32,
    ways: Vec<Line>,
}

/// Generates the topic, measures every way in turns, and prints the result.
pub fn run(args: &Args) -> Result<()> {
    let place = tempfile::tempdir_in(&args.dir).context("make a directory for the run")?;
    let log = place.path().join("log");
    eprintln!("generating {} events", args.events);
    start(["--events", &args.events.to_string(), "generate"], &[&log])?;
    let mut measured = Vec::new();
    for round in 1..=args.rounds {
        for way in Way::ALL {
            let taken = measure(way, &log, &place.path().join("out"))?;
            check(&taken, args.events, &measured)?;
            eprintln!("round {round}: {}: {:.2} s", way.title(), taken.seconds);
            measured.push(taken);
        }
    }
    let report = Report {
        events: args.events,
        rounds: args.rounds,
        partitions: crate::vitals::VITALS.partitions,
        ways: lines(&measured),
    };
    let text = if args.json { serde_json::to_string(&report)? + "\n" } else { table(&report) };
    std::io::stdout().write_all(text.as_bytes()).context("print")
}

fn measure(way: Way, log: &Path, out: &Path) -> Result<Measured> {
    let name = serde_json::to_value(way)?;
    let name = name.as_str().context("a way has a name")?;
    let json = start(["measure", name], &[log, out])?;
    if out.exists() {
        std::fs::remove_dir_all(out).context("remove what was written")?;
    }
    serde_json::from_slice(&json).context("read what a way took")
}

/// Runs this program in a process of its own and returns what it printed.
fn start<const N: usize>(args: [&str; N], paths: &[&Path]) -> Result<Vec<u8>> {
    let program = std::env::current_exe().context("find this program")?;
    let mut command = Command::new(program);
    let output = command.args(args).args(paths).stderr(Stdio::inherit()).output();
    let output = output.context("start this program again")?;
    ensure!(output.status.success(), "{} failed: {}", args.join(" "), output.status);
    Ok(output.stdout)
}

/// All events, and the same rows as everybody else who writes rows.
fn check(taken: &Measured, events: u64, others: &[Measured]) -> Result<()> {
    let title = taken.way.title();
    ensure!(taken.events == events, "{title} saw {} of {events} events", taken.events);
    let other = others.iter().find(|other| taken.written.rows > 0 && other.written.rows > 0);
    if let Some(other) = other {
        let (ours, theirs) = (taken.written, other.written);
        ensure!(ours.same_rows(&theirs), "{title} wrote other rows: {ours:?}, not {theirs:?}");
    }
    Ok(())
}

fn lines(measured: &[Measured]) -> Vec<Line> {
    let of = |way: Way, value: fn(&Measured) -> f64| {
        median(measured.iter().filter(|taken| taken.way == way).map(value).collect())
    };
    let speed = |taken: &Measured| taken.events as f64 / taken.seconds;
    let cpu = |taken: &Measured| taken.cpu_seconds * 1e6 / taken.events as f64;
    let line = |way| Line {
        way,
        events_per_second: of(way, speed),
        cpu_seconds_per_million: of(way, cpu),
        peak_mb: of(way, |taken| taken.peak_bytes as f64 / 1e6),
        speed_ratio: of(way, speed) / of(Way::ByHand, speed),
        cpu_ratio: of(way, cpu) / of(Way::ByHand, cpu),
        parquet_mb: of(way, |taken| taken.written.bytes as f64 / 1e6),
    };
    Way::ALL.map(line).into()
}

/// The middle one; of an even number, the mean of the middle two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match (values.get(low), values.get(high)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => f64::NAN,
    }
}

fn table(report: &Report) -> String {
    let Report { events, rounds, partitions, .. } = report;
    let mut text =
        format!("{events} events in {partitions} partitions; medians of {rounds} rounds\n\n");
    let _ = writeln!(
        text,
        "{:<38} {:>10} {:>12} {:>9} {:>9} {:>7} {:>10}",
        "", "events/s", "CPU-s/10⁶", "peak MB", "speed", "CPU", "Parquet MB"
    );
    for line in &report.ways {
        let _ = writeln!(
            text,
            "{:<38} {:>10.0} {:>12.2} {:>9.0} {:>8.0}% {:>6.2}x {:>10.1}",
            line.way.title(),
            line.events_per_second,
            line.cpu_seconds_per_million,
            line.peak_mb,
            line.speed_ratio * 100.0,
            line.cpu_ratio,
            line.parquet_mb,
        );
    }
    text + "\nSpeed and CPU: beside the hand-written loop's.\n"
}
