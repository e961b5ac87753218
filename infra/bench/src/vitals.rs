use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use millstream_topic::sqlite::SqliteLog;
use millstream_topic::{Outgoing, Topic, Topics};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

pub const VITALS: Topic =
    Topic::new("vitals").keyed_by("patient_id").partitions(4).schema(vitals_schema);

/// 2026-11-21T00:00:00Z, in milliseconds since the Unix epoch.
const FIRST_MS: u64 = 1_795_219_200_000;
const DAY_MS: u64 = 86_400_000;
const DAYS: u64 = 3;
/// Events per append: each one waits for the disk.
const APPEND: u64 = 20_000;

pub fn vitals_schema() -> SchemaRef {
    let ts = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("patient_id", DataType::Utf8, false),
        Field::new("ts", ts, false),
        Field::new("heart_rate", DataType::Int64, true),
        Field::new("spo2", DataType::Float64, true),
        Field::new("lat", DataType::Float64, true),
        Field::new("lon", DataType::Float64, true),
        Field::new("device", DataType::Utf8, true),
    ]))
}

/// Writes `events` vitals into a new topic: the same ones every time, their times spread over three days.
pub async fn generate(log: &Path, events: u64) -> Result<()> {
    let log = SqliteLog::open(log).context("open the log")?;
    log.ensure(&VITALS).await.context("make the topic")?;
    let mut chance = SmallRng::seed_from_u64(1);
    for start in (0..events).step_by(APPEND as usize) {
        let batch = start..events.min(start + APPEND);
        let records =
            batch.map(|index| vital(&mut chance, index * DAYS * DAY_MS / events)).collect();
        log.append(&VITALS.name, records).await.context("append vitals")?;
    }
    Ok(())
}

/// One event of about 180 bytes, `after_ms` after the first one.
fn vital(chance: &mut SmallRng, after_ms: u64) -> Outgoing {
    let patient = format!("patient-{:06}", chance.random_range(0..50_000));
    let (day, ms) = (21 + after_ms / DAY_MS, after_ms % DAY_MS);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    let value = format!(
        r#"{{"patient_id":"{patient}","ts":"2026-11-{day}T{hour:02}:{minute:02}:{second:02}.{:03}Z","heart_rate":{},"spo2":{:.1},"lat":{:.6},"lon":{:.6},"device":"bedside-monitor-{:05}/ward-{:02}/firmware-3.2.1"}}"#,
        ms % 1000,
        chance.random_range(45..=135),
        chance.random_range(88.0..100.0),
        chance.random_range(51.3..51.7),
        chance.random_range(-0.5..0.2),
        chance.random_range(0..20_000),
        chance.random_range(0..40),
    );
    let timestamp_ms = i64::try_from(FIRST_MS + after_ms).ok();
    Outgoing { timestamp_ms, ..Outgoing::keyed(patient, value) }
}
