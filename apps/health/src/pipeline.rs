//! Readings of patients and arrivals of emergency vehicles, each into its own table of the lake, by date.

use anyhow::{Context, Result};
use millstream_app::{lookup, sql};
use millstream_config::Settings;
use millstream_engine::Pipeline;
use millstream_sinks::{Stores, lake::Format};
use millstream_topic::Topic;

use crate::event::{demographics_schema, patient_schema, vehicle_schema};
use crate::settings::Thresholds;

pub const PATIENT_DATA: Topic =
    Topic::new("patient_data").keyed_by("patient_id").partitions(2).schema(patient_schema);

pub const EMERGENCY_VEHICLE_DATA: Topic = Topic::new("emergency_vehicle_data")
    .keyed_by("patient_id")
    .partitions(2)
    .schema(vehicle_schema);

/// The lookup table of patients, which SQL and settings call so, and its key.
pub const DEMOGRAPHICS: (&str, &str) = ("demographics", "patient_id");

pub const TOPICS: &[Topic] = &[PATIENT_DATA, EMERGENCY_VEHICLE_DATA];

/// `age` is that of the year. `early_warning`: the bands of NEWS2 for pulse and oxygen saturation (scale 1), Royal College of Physicians,
/// 2017. NEWS2 goes by whole percents, so 91.5 counts as 92. Unknown (null) when a sign is missing.
fn patients_sql(Thresholds { heart_rate_low, heart_rate_high, oxygen_low }: &Thresholds) -> String {
    format!(
        r#"
        SELECT id, p.patient_id, "timestamp" AS ts, heart_rate, oxygen_saturation, vo2_max,
               location['latitude'] AS latitude, location['longitude'] AS longitude, emergency_alert,
               heart_rate < {heart_rate_low} OR heart_rate > {heart_rate_high}
                   OR oxygen_saturation < {oxygen_low} AS out_of_range,
               CASE WHEN heart_rate <= 40 THEN 3 WHEN heart_rate <= 50 THEN 1 WHEN heart_rate <= 90 THEN 0
                    WHEN heart_rate <= 110 THEN 1 WHEN heart_rate <= 130 THEN 2 WHEN heart_rate > 130 THEN 3 END
             + CASE WHEN oxygen_saturation < 91.5 THEN 3 WHEN oxygen_saturation < 93.5 THEN 2
                    WHEN oxygen_saturation < 95.5 THEN 1 WHEN oxygen_saturation >= 95.5 THEN 0 END AS early_warning,
               EXTRACT(YEAR FROM "timestamp") - d.birth_year AS age, d.sex, d.conditions,
               CAST(CAST("timestamp" AS DATE) AS VARCHAR) AS "date"
        FROM patient_data p LEFT JOIN demographics d ON p.patient_id = d.patient_id"#
    )
}

const VEHICLES_SQL: &str = r#"
        SELECT id, vehicle_id, vehicle_type, vehicle_capacity,
               location['latitude'] AS latitude, location['longitude'] AS longitude,
               patient_id, dispatch_time, "timestamp" AS ts,
               CAST(CAST("timestamp" AS DATE) AS VARCHAR) AS "date"
        FROM emergency_vehicle_data"#;

pub fn pipelines(settings: &Settings, stores: &Stores) -> Result<Vec<Pipeline>> {
    let thresholds: Thresholds = settings.section("thresholds")?;

    let (name, key) = DEMOGRAPHICS;
    let patients = Pipeline::from("health", "patients", &PATIENT_DATA)
        .lookup(lookup(settings, stores, name, key, demographics_schema())?)
        .sql(&sql(settings, "patients", &patients_sql(&thresholds))?)
        .context("plan [sql] patients")?
        .into(stores.files("patient_data", Format::Parquet, &["date"]));

    let vehicles = Pipeline::from("health", "vehicles", &EMERGENCY_VEHICLE_DATA)
        .sql(&sql(settings, "vehicles", VEHICLES_SQL)?)
        .context("plan [sql] vehicles")?
        .into(stores.files("emergency_vehicle_data", Format::Parquet, &["date"]));

    Ok(vec![patients, vehicles])
}
