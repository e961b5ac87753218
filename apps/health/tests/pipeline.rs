//! What the pipelines make of single events: NEWS2 bands, thresholds, dates.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;

use anyhow::Result;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use health::simulation::is_emergency;
use millstream_config::Settings;
use millstream_engine::Pipeline;
use millstream_sinks::Stores;
use serde_json::{Value, json};

fn planned(environment: &[(&str, &str)]) -> Result<Vec<Pipeline>> {
    let environment =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let settings = Settings::load("health", health::APP.defaults, None, environment)?;
    (health::APP.pipelines)(
        &settings,
        &Stores::open(&millstream_sinks::Urls::embedded(), Path::new("."))?,
    )
}

fn rows(pipeline: &Pipeline, events: &[Value]) -> RecordBatch {
    let texts: Vec<String> = events.iter().map(Value::to_string).collect();
    let values: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
    let decoded = pipeline.decoder.decode(&values).expect("decoded");
    pipeline.transform.apply(&decoded.batch).expect("transformed").batch
}

fn reading(heart_rate: impl Into<Value>, oxygen_saturation: impl Into<Value>) -> Value {
    json!({
        "id": "a", "patient_id": "IOS-1", "timestamp": "2026-11-21T23:59:59.999Z", "emergency_alert": false,
        "heart_rate": heart_rate.into(), "oxygen_saturation": oxygen_saturation.into(),
        "vo2_max": 30.5, "location": {"latitude": 51.51, "longitude": -0.12}
    })
}

/// The score of each reading; `None`: unknown.
fn scores(readings: &[Value]) -> Vec<Option<i64>> {
    let rows = rows(&planned(&[]).expect("planned")[0], readings);
    rows["early_warning"].as_primitive::<Int64Type>().iter().collect()
}

#[test]
fn pulse_scores_by_news2_at_each_boundary() {
    // Royal College of Physicians, NEWS2 (2017), chart 1: pulse.
    let bands = [
        (0, 3),
        (40, 3),
        (41, 1),
        (50, 1),
        (51, 0),
        (90, 0),
        (91, 1),
        (110, 1),
        (111, 2),
        (130, 2),
        (131, 3),
        (250, 3),
    ];
    let readings: Vec<_> = bands.iter().map(|(pulse, _)| reading(*pulse, 100)).collect();
    let expected: Vec<_> = bands.iter().map(|(_, score)| Some(*score)).collect();
    assert_eq!(scores(&readings), expected);
}

#[test]
fn oxygen_scores_by_news2_at_each_boundary() {
    // The same, SpO2 scale 1; fractions are rounded to whole percents, halves up.
    let bands = [
        (0.0, 3),
        (91.0, 3),
        (91.4, 3),
        (91.5, 2),
        (92.0, 2),
        (93.0, 2),
        (93.4, 2),
        (93.5, 1),
        (94.0, 1),
        (95.0, 1),
        (95.4, 1),
        (95.5, 0),
        (96.0, 0),
        (100.0, 0),
    ];
    let readings: Vec<_> = bands.iter().map(|(oxygen, _)| reading(70, *oxygen)).collect();
    let expected: Vec<_> = bands.iter().map(|(_, score)| Some(*score)).collect();
    assert_eq!(scores(&readings), expected);
}

#[test]
fn the_signs_add_up_and_a_missing_one_makes_the_sum_unknown() {
    let readings = [
        reading(131, 91.0),
        reading(45, 94.0),
        reading(Value::Null, 91.0),
        reading(131, Value::Null),
    ];
    assert_eq!(scores(&readings), [Some(6), Some(2), None, None]);
}

#[test]
fn the_simulators_alert_is_a_score_of_three_in_one_sign() {
    for (pulse, oxygen) in
        [(40, 97.0), (41, 97.0), (130, 91.5), (131, 97.0), (70, 91.4), (70, 91.5)]
    {
        let alone = [reading(pulse, 100), reading(70, oxygen)];
        let urgent = scores(&alone).contains(&Some(3));
        assert_eq!(is_emergency(pulse, oxygen), urgent, "{pulse} {oxygen}");
    }
}

#[test]
fn out_of_range_goes_by_the_thresholds() {
    let readings = [
        reading(50, 92.0),
        reading(120, 100),
        reading(49, 97),
        reading(121, 97),
        reading(70, 91.9),
        reading(Value::Null, 91.9),
        reading(Value::Null, 97),
    ];
    let out_of_range = |environment| {
        let rows = rows(&planned(environment).expect("planned")[0], &readings);
        rows["out_of_range"].as_boolean().iter().collect::<Vec<_>>()
    };
    let (yes, no) = (Some(true), Some(false));
    assert_eq!(out_of_range(&[]), [no, no, yes, yes, yes, yes, None]);
    let wider = [
        ("HEALTH_THRESHOLDS__HEART_RATE_LOW", "40"),
        ("HEALTH_THRESHOLDS__HEART_RATE_HIGH", "130"),
        ("HEALTH_THRESHOLDS__OXYGEN_LOW", "91.85"),
    ];
    assert_eq!(out_of_range(&wider), [no, no, no, no, no, None, None]);
}

#[test]
fn location_is_flat_and_the_date_is_the_days_in_utc() {
    let mut later = reading(70, 97);
    later["timestamp"] = json!("2026-11-22T01:30:00+02:00");
    let mut nowhere = reading(70, 97);
    nowhere["location"] = Value::Null;
    let rows = rows(&planned(&[]).expect("planned")[0], &[reading(70, 97), later, nowhere]);
    let dates = arrow::compute::cast(&rows["date"], &DataType::Utf8).expect("text");
    assert_eq!(dates.as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["2026-11-21"; 3]);
    let latitude = rows["latitude"].as_primitive::<Float64Type>();
    assert!((latitude.value(0) - 51.51).abs() < f64::EPSILON && latitude.is_null(2));
}

#[test]
fn sql_of_ones_own_replaces_the_apps() {
    let own =
        [("HEALTH_SQL__VEHICLES", r#"SELECT id, '2026' AS "date" FROM emergency_vehicle_data"#)];
    let pipelines = planned(&own).expect("planned");
    assert_eq!(pipelines[1].schema().fields().len(), 2);
    assert_eq!(pipelines[0].schema().fields().len(), 16);
}

#[test]
fn sql_that_cannot_be_planned_names_its_key() {
    for sql in ["SELEC 1", "SELECT count(*) FROM patient_data", "SELECT pulse FROM patient_data"] {
        let error = format!("{:#}", planned(&[("HEALTH_SQL__PATIENTS", sql)]).expect_err(sql));
        assert!(error.contains("[sql] patients") && error.contains(sql), "{error}");
    }
}
