//! What the rounds came to: medians and ratios, as JSON and as Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;

use crate::cost::Prices;
use crate::machine::Machine;
use crate::measure::Measured;
use crate::ways::Way;
use crate::work::Work;

/// One way once: what it took, and what the broker took meanwhile, where that is known.
#[derive(Clone, Debug)]
pub struct Taken {
    pub measured: Measured,
    pub broker_cpu_seconds: Option<f64>,
}

/// Medians of one way's rounds.
#[derive(Debug, Serialize)]
pub struct Run {
    pub engine: &'static str,
    pub work: Work,
    pub way: Way,
    pub events: u64,
    pub events_per_s: f64,
    pub cpu_s_per_million: f64,
    pub peak_mb: f64,
    pub first_output_s: Option<f64>,
    pub broker_cpu_s_per_million: Option<f64>,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// Of Parquet, and in how many files.
    pub parquet_mb: f64,
    pub files: f64,
}

/// Dollars for 10⁹ events.
#[derive(Debug, Serialize)]
pub struct Cost {
    pub way: Way,
    pub engine: &'static str,
    pub work: Work,
    /// Of what the way and the broker took of them.
    pub processors: f64,
    /// Of a month in S3, where it wrote Parquet.
    pub storage: Option<f64>,
}

/// The object that `--json` ends with.
#[derive(Debug, Serialize)]
pub struct Report {
    pub events: u64,
    pub rounds: u32,
    pub machine: Machine,
    /// By name; more than 1 is better than what it is compared with.
    pub ratios: BTreeMap<&'static str, f64>,
    pub runs: Vec<Run>,
    /// At the list prices of that month.
    pub costs: Vec<Cost>,
    pub prices_of: String,
}

impl Report {
    pub fn of(taken: &[Taken], events: u64, rounds: u32, machine: Machine) -> Result<Self> {
        let ways = Way::ALL.into_iter().filter(|way| of(taken, *way).next().is_some());
        let runs: Vec<_> = ways.map(|way| Run::of(taken, way)).collect();
        let prices = Prices::read()?;
        let costs = runs.iter().filter_map(|run| Cost::of(run, &prices)).collect();
        let prices_of = prices.known;
        Ok(Self { events, rounds, machine, ratios: ratios(taken), runs, costs, prices_of })
    }
}

impl Cost {
    /// `None`: of one that doesn't do the work, or too little of it to tell.
    fn of(run: &Run, prices: &Prices) -> Option<Self> {
        let compared = matches!(run.work, Work::Parquet | Work::Upsert | Work::Wordcount);
        (compared && run.way.writes()).then(|| Self {
            way: run.way,
            engine: run.engine,
            work: run.work,
            processors: prices.of_processors(
                run.cpu_s_per_million + run.broker_cpu_s_per_million.unwrap_or_default(),
            ),
            storage: (run.files > 0.0).then(|| prices.of_storage(run.parquet_mb, run.events)),
        })
    }
}

impl Run {
    fn of(taken: &[Taken], way: Way) -> Self {
        let median_of = |value: fn(&Taken) -> Option<f64>| median(of(taken, way).filter_map(value));
        let or_nothing = |value: Option<f64>| value.unwrap_or_default();
        Self {
            engine: way.title(),
            work: way.work(),
            way,
            events: of(taken, way).map(|taken| taken.measured.events).max().unwrap_or_default(),
            events_per_s: or_nothing(median_of(|taken| Some(speed(taken)))),
            cpu_s_per_million: or_nothing(median_of(|taken| Some(cpu(taken)))),
            peak_mb: or_nothing(median_of(|taken| Some(taken.measured.peak_bytes as f64 / 1e6))),
            first_output_s: median_of(|taken| taken.measured.first_output_s),
            broker_cpu_s_per_million: median_of(|taken| {
                Some(taken.broker_cpu_seconds? * 1e6 / taken.measured.events as f64)
            }),
            p50_ms: median_of(|taken| Some(taken.measured.latency?.p50_ms)),
            p99_ms: median_of(|taken| Some(taken.measured.latency?.p99_ms)),
            parquet_mb: or_nothing(median_of(|taken| {
                Some(taken.measured.written.bytes as f64 / 1e6)
            })),
            files: or_nothing(median_of(|taken| Some(taken.measured.written.files as f64))),
        }
    }
}

fn of(taken: &[Taken], way: Way) -> impl Iterator<Item = &Taken> {
    taken.iter().filter(move |taken| taken.measured.way == way)
}

fn speed(taken: &Taken) -> f64 {
    taken.measured.events as f64 / taken.measured.seconds
}

fn cpu(taken: &Taken) -> f64 {
    taken.measured.cpu_seconds * 1e6 / taken.measured.events as f64
}

/// Of two ways in the same round, so that what else the machine did is in both; medians of all rounds.
fn ratios(taken: &[Taken]) -> BTreeMap<&'static str, f64> {
    let faster = |ours: Way, theirs: Way| {
        median(of(taken, ours).zip(of(taken, theirs)).map(|(a, b)| speed(a) / speed(b)))
    };
    let cheaper = |ours: Way, theirs: Way| {
        median(of(taken, ours).zip(of(taken, theirs)).map(|(a, b)| cpu(b) / cpu(a)))
    };
    // SQLite's work is in our process, as all of Spark's is in its own; MySQL's would be missing.
    let words = [Way::WordcountSqlite, Way::WordcountMysql];
    let words = words.into_iter().find(|way| of(taken, *way).next().is_some());
    let words = words.unwrap_or(Way::WordcountSqlite);
    let all = [
        ("parquet_vs_limit", faster(Way::Engine, Way::Limit)),
        ("parquet_vs_limit_cpu", cheaper(Way::Engine, Way::Limit)),
        ("parquet_vs_spark", faster(Way::Engine, Way::Spark)),
        ("parquet_vs_spark_cpu", cheaper(Way::Engine, Way::Spark)),
        ("parquet_vs_flink_cpu", cheaper(Way::Engine, Way::Flink)),
        ("parquet_vs_bento_cpu", cheaper(Way::Engine, Way::Bento)),
        ("parquet_vs_connect_cpu", cheaper(Way::Engine, Way::Connect)),
        ("consumer_vs_librdkafka_cpu", cheaper(Way::Consume, Way::Raw)),
        ("wordcount_vs_spark", faster(words, Way::SparkWordcount)),
        ("wordcount_vs_spark_cpu", cheaper(words, Way::SparkWordcount)),
    ];
    all.into_iter().filter_map(|(name, ratio)| Some((name, ratio?))).collect()
}

/// The middle one; of an even number, the mean of the middle two; `None`: of nothing.
pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    Some(f64::midpoint(*values.get(low)?, *values.get(high)?))
}

/// On what and with what, a table for each work, then the ratios.
pub fn markdown(report: &Report) -> String {
    let mut text = about(report);
    for work in Work::ALL {
        let runs: Vec<_> = report.runs.iter().filter(|run| run.work == work).collect();
        let Some(first) = runs.first() else { continue };
        let _ = writeln!(text, "### {}: {} events\n", work.name(), first.events);
        let _ = writeln!(text, "{}\n", work.about());
        if work.is_latency() {
            latencies(&mut text, &runs);
            continue;
        }
        text.push_str(
            "| | events/s | CPU-s per 10⁶ | peak MB | first rows after | broker's CPU-s per 10⁶ | Parquet |\n\
             |---|---:|---:|---:|---:|---:|---:|\n",
        );
        runs.iter().for_each(|run| text.push_str(&line(run)));
        text.push('\n');
    }
    if !report.ratios.is_empty() {
        text.push_str("### Ratios\n\n| | |\n|---|---:|\n");
        for (name, ratio) in &report.ratios {
            let _ = writeln!(text, "| `{name}` | {ratio:.2} |");
        }
    }
    costs(&mut text, report);
    text
}

fn costs(text: &mut String, report: &Report) {
    if report.costs.is_empty() {
        return;
    }
    if !text.ends_with("\n\n") {
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "### Dollars for 10⁹ events\n\nAt the list prices of {} ({}): what the way and the broker took of processors, but not what MySQL and \
         Cassandra took; and a month in S3.\n\n| work | | processors | S3, a month |\n|---|---|---:|---:|",
        report.prices_of,
        Prices::about(),
    );
    for cost in &report.costs {
        let storage =
            cost.storage.map_or_else(|| "–".to_owned(), |dollars| format!("{dollars:.2}"));
        let (work, engine) = (cost.work.name(), cost.engine);
        let _ = writeln!(text, "| {work} | {engine} | {:.3} | {storage} |", cost.processors);
    }
}

fn about(report: &Report) -> String {
    let machine = &report.machine;
    let versions: Vec<_> =
        machine.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    format!(
        "{} rounds on {} cores ({}), {:.0} GB, {}; load before the run {:.1}; all servers on the same machine. {}.\n\n",
        report.rounds,
        machine.cores,
        machine.processor,
        machine.memory_gb,
        machine.system,
        machine.load_before,
        versions.join(", "),
    )
}

fn latencies(text: &mut String, runs: &[&Run]) {
    text.push_str("| | p50 | p99 |\n|---|---:|---:|\n");
    for run in runs {
        let (p50, p99) = (run.p50_ms.unwrap_or(f64::NAN), run.p99_ms.unwrap_or(f64::NAN));
        let _ = writeln!(text, "| {} | {p50:.0} ms | {p99:.0} ms |", run.engine);
    }
    text.push('\n');
}

fn line(run: &Run) -> String {
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
    format!(
        "| {} | {:.0} | {:.2} | {:.0} | {} | {} | {} |\n",
        run.engine,
        run.events_per_s,
        run.cpu_s_per_million,
        run.peak_mb,
        or_none(run.first_output_s.map(|seconds| format!("{seconds:.2} s"))),
        or_none(run.broker_cpu_s_per_million.map(|cpu| format!("{cpu:.2}"))),
        or_none(
            (run.files > 0.0)
                .then(|| format!("{:.1} MB in {:.0} files", run.parquet_mb, run.files))
        ),
    )
}
