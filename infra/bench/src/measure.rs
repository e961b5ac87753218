//! One way in a process of its own: what it took, from the kernel, and what it left.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use millstream_engine::Target;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::{Deserialize, Serialize};

use crate::latency::Latency;
use crate::tree::Used;
use crate::ways::{Route, Way};

/// What one way took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    pub way: Way,
    pub events: u64,
    pub seconds: f64,
    /// Of all threads and processes, user and system, from their start.
    pub cpu_seconds: f64,
    pub peak_bytes: u64,
    /// Until the first rows were there for others to read.
    pub first_output_s: Option<f64>,
    pub latency: Option<Latency>,
    pub written: Written,
}

/// How a way ended.
#[derive(Debug, Default)]
pub struct Gone {
    /// 0: it doesn't tell, which is another program's.
    pub events: u64,
    pub first_output: Option<Duration>,
    pub latency: Option<Latency>,
    /// Less than it took until it ended; `None`: no less.
    pub took: Option<Duration>,
    /// What another program took; `None`: it was this process.
    pub used: Option<Used>,
    /// Where the rows are, if not in Parquet files, and the pipeline whose they are.
    pub table: Option<(Arc<dyn Target>, String)>,
}

impl Gone {
    pub fn of(events: u64) -> Self {
        Self { events, ..Self::default() }
    }
}

/// What a way left: those that do the same work leave equal rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    pub rows: u64,
    pub alerts: u64,
    /// Of heart rates, or of counts.
    pub sum: i64,
    /// Of Parquet files.
    pub bytes: u64,
    pub files: u64,
}

/// Goes one way and prints its [`Measured`] as JSON.
pub async fn run(way: Way, route: &Route) -> Result<()> {
    let start = Instant::now();
    let gone = way.go(route).await?;
    let seconds = gone.took.unwrap_or_else(|| start.elapsed()).as_secs_f64();
    let used = match gone.used {
        Some(used) => used,
        None => ours().context("ask for CPU and memory")?,
    };
    let mut written = Written::default();
    // After the numbers were taken, so that looking costs nothing.
    if let Some((table, pipeline)) = &gone.table {
        let mut visit = |batch| {
            written.add(&batch);
            Ok(())
        };
        table.scan(pipeline, &mut visit).await.context("read the table")?;
    } else if way.writes() && route.out.exists() {
        written.add_directory(&route.out)?;
    }
    let measured = Measured {
        way,
        events: if gone.used.is_some() { way.work().events(route.events) } else { gone.events },
        seconds,
        cpu_seconds: used.cpu_seconds,
        peak_bytes: used.peak_bytes,
        first_output_s: gone.first_output.map(|first| first.as_secs_f64()),
        latency: gone.latency,
        written,
    };
    let json = serde_json::to_vec(&measured)?;
    std::io::stdout().write_all(&json).context("print")
}

/// What this process took.
pub fn ours() -> nix::Result<Used> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let cpu = usage.user_time() + usage.system_time();
    // Kilobytes on Linux, bytes on macOS.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    Ok(Used {
        cpu_seconds: cpu.num_microseconds() as f64 / 1e6,
        peak_bytes: usage.max_rss().unsigned_abs() * unit,
        first_output: None,
    })
}

impl Written {
    /// Adds the Parquet files under a directory.
    fn add_directory(&mut self, directory: &Path) -> Result<()> {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                self.add_directory(&path)?;
            } else if path.extension().is_some_and(|ending| ending == "parquet") {
                self.add_file(&path).with_context(|| format!("read {}", path.display()))?;
            }
        }
        Ok(())
    }

    fn add_file(&mut self, path: &Path) -> Result<()> {
        let file = File::open(path)?;
        self.bytes += file.metadata()?.len();
        self.files += 1;
        for batch in ParquetRecordBatchReaderBuilder::try_new(file)?.build()? {
            self.add(&batch?);
        }
        Ok(())
    }

    fn add(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows() as u64;
        let alerts = batch.column_by_name("alert").and_then(|column| column.as_boolean_opt());
        self.alerts += alerts.map_or(0, |alerts| alerts.true_count() as u64);
        for name in ["heart_rate", "count"] {
            let numbers = batch.column_by_name(name);
            let numbers = numbers.and_then(|column| column.as_primitive_opt::<Int64Type>());
            self.sum += numbers.map_or(0, |numbers| numbers.values().iter().sum());
        }
    }

    /// Whether the same rows were written, in whatever files.
    pub fn same_rows(&self, other: &Self) -> bool {
        (self.rows, self.alerts, self.sum) == (other.rows, other.alerts, other.sum)
    }
}
