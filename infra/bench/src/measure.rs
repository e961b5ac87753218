use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::{Deserialize, Serialize};

use crate::ways::Way;

/// What one way took, in a process that did nothing else.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    pub way: Way,
    pub events: u64,
    pub seconds: f64,
    /// Of all threads, user and system, from the start of the process.
    pub cpu_seconds: f64,
    pub peak_bytes: u64,
    pub written: Written,
}

/// What a way left in its Parquet files: equal ways leave equal rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    pub rows: u64,
    pub alerts: u64,
    pub heart_beats: i64,
    pub bytes: u64,
}

/// Goes one way and prints its [`Measured`] as JSON.
pub async fn run(way: Way, log: &Path, out: &Path) -> Result<()> {
    let start = Instant::now();
    let events = way.go(log, out).await?;
    let seconds = start.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_SELF).context("ask for CPU and memory")?;
    let cpu = usage.user_time() + usage.system_time();
    // Kilobytes on Linux, bytes on macOS.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    let mut measured = Measured {
        way,
        events,
        seconds,
        cpu_seconds: cpu.num_microseconds() as f64 / 1e6,
        peak_bytes: usage.max_rss().unsigned_abs() * unit,
        written: Written::default(),
    };
    // After the numbers were taken, so that looking costs nothing.
    if out.exists() {
        measured.written.add(out)?;
    }
    let json = serde_json::to_vec(&measured)?;
    std::io::stdout().write_all(&json).context("print")
}

impl Written {
    /// Adds the Parquet files under a directory.
    fn add(&mut self, directory: &Path) -> Result<()> {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                self.add(&path)?;
            } else if path.extension().is_some_and(|ending| ending == "parquet") {
                self.add_file(&path).with_context(|| format!("read {}", path.display()))?;
            }
        }
        Ok(())
    }

    fn add_file(&mut self, path: &Path) -> Result<()> {
        let file = File::open(path)?;
        self.bytes += file.metadata()?.len();
        for batch in ParquetRecordBatchReaderBuilder::try_new(file)?.build()? {
            let batch = batch?;
            self.rows += batch.num_rows() as u64;
            let alerts = batch.column_by_name("alert").context("there is no alert")?;
            self.alerts += alerts.as_boolean().true_count() as u64;
            let beats = batch.column_by_name("heart_rate").context("there is no heart_rate")?;
            self.heart_beats += beats.as_primitive::<Int64Type>().values().iter().sum::<i64>();
        }
        Ok(())
    }

    /// Whether the same rows were written, in whatever files.
    pub fn same_rows(&self, other: &Self) -> bool {
        (self.rows, self.alerts, self.heart_beats) == (other.rows, other.alerts, other.heart_beats)
    }
}
