use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use millstream_topic::Outgoing;
use rand::RngExt;
use rand::rngs::SmallRng;

pub const DAY_MS: u64 = 86_400_000;

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

/// One event of about 180 bytes, `after_ms` after 2026-11-21 began.
pub fn vital(chance: &mut SmallRng, after_ms: u64) -> Outgoing {
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
    // Sent now, whatever it says: brokers refuse records of the future, and delete those of the past.
    Outgoing::keyed(patient, value)
}
