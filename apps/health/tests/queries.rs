//! Every file of `queries/` on what the pipelines make of a simulated day, against the same question asked in Rust.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use chrono::{DateTime, Datelike, DurationRound, TimeDelta, Utc};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use health::simulation::{Patient, Simulation, Vehicle};
use millstream_config::Settings;
use millstream_engine::Pipeline;
use millstream_sinks::Stores;
use millstream_sinks::lookup::rows_of_csv;
use serde::Serialize;

struct Day {
    /// As the feeds told them, repeats and all.
    patients: Vec<Patient>,
    vehicles: Vec<Vehicle>,
    tables: SessionContext,
}

impl Day {
    fn simulate() -> Self {
        let start = "2026-11-21T08:00:00Z".parse().expect("a time");
        let mut simulation = Simulation::new(11, start, TimeDelta::seconds(20));
        let (mut patients, mut vehicles) = (vec![], vec![]);
        for _ in 0..100 {
            patients.extend(simulation.patients(100));
            vehicles.extend(simulation.vehicles(100));
        }
        let settings = Settings::load("health", health::APP.defaults, None, []).expect("settings");
        let stores =
            Stores::open(&millstream_sinks::Urls::embedded(), Path::new(".")).expect("stores");
        let pipelines = (health::APP.pipelines)(&settings, &stores).expect("pipelines");
        let tables = SessionContext::new();
        let demographics = &pipelines[0].lookups()[0];
        let known = rows_of_csv(include_str!("../demographics.csv"), demographics.columns());
        demographics.take(&[known.expect("rows")], 1_795_219_200_000_000).expect("taken");
        register(&tables, "patient_data", rows(&pipelines[0], &patients));
        register(&tables, "emergency_vehicle_data", rows(&pipelines[1], &vehicles));
        Self { patients, vehicles, tables }
    }

    /// The answer of `queries/<name>.sql`, cell by cell, as text.
    async fn ask(&self, name: &str) -> Vec<Vec<String>> {
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("queries").join(name).with_extension("sql");
        let sql = std::fs::read_to_string(&file).expect(name);
        let answer =
            self.tables.sql(&sql).await.expect("planned").collect().await.expect("answered");
        let row = |batch: &RecordBatch, row| batch.columns().iter().map(|c| text(c, row)).collect();
        answer.iter().flat_map(|batch| (0..batch.num_rows()).map(move |n| row(batch, n))).collect()
    }

    fn alerts(&self) -> Vec<&Patient> {
        let mut seen = HashSet::new();
        self.patients.iter().filter(|p| p.emergency_alert && seen.insert(&p.id)).collect()
    }

    fn arrivals(&self) -> Vec<&Vehicle> {
        let mut seen = HashSet::new();
        self.vehicles.iter().filter(|v| seen.insert(&v.id)).collect()
    }
}

fn rows(pipeline: &Pipeline, events: &[impl Serialize]) -> RecordBatch {
    let texts: Vec<Vec<u8>> =
        events.iter().map(|event| serde_json::to_vec(event).expect("JSON")).collect();
    let values: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    let decoded = pipeline.decoder.decode(&values).expect("decoded");
    pipeline.transform.apply(&decoded.batch).expect("transformed").batch
}

fn register(tables: &SessionContext, name: &str, rows: RecordBatch) {
    let table = MemTable::try_new(rows.schema(), vec![vec![rows]]).expect("a table");
    tables.register_table(name, Arc::new(table)).expect("registered");
}

/// Times as RFC 3339, so that they compare with chrono's.
fn text(column: &ArrayRef, row: usize) -> String {
    let text = array_value_to_string(column, row).expect("text");
    match column.data_type() {
        DataType::Timestamp(..) => text.parse::<DateTime<Utc>>().expect("a time").to_rfc3339(),
        _ => text,
    }
}

fn hour(time: DateTime<Utc>) -> String {
    time.duration_trunc(TimeDelta::hours(1)).expect("an hour").to_rfc3339()
}

#[tokio::test]
async fn emergencies_per_hour() {
    let day = Day::simulate();
    let mut hours: BTreeMap<String, (HashSet<&str>, usize)> = BTreeMap::new();
    for alert in day.alerts() {
        let (patients, alerts) = hours.entry(hour(alert.timestamp)).or_default();
        patients.insert(&alert.patient_id);
        *alerts += 1;
    }
    let row = |(hour, (patients, alerts)): (&String, &(HashSet<_>, usize))| {
        vec![hour.clone(), patients.len().to_string(), alerts.to_string()]
    };
    let expected: Vec<_> = hours.iter().map(row).collect();
    assert!(expected.len() > 5, "{expected:?}");
    assert_eq!(day.ask("emergencies_per_hour").await, expected);
}

#[tokio::test]
async fn response_time_by_vehicle_type() {
    let day = Day::simulate();
    let mut kinds: HashMap<&str, Vec<f64>> = HashMap::new();
    for arrival in day.arrivals() {
        let seconds = (arrival.timestamp - arrival.dispatch_time).num_seconds() as f64;
        kinds.entry(arrival.vehicle_capacity).or_default().push(seconds / 60.0);
    }
    let answer = day.ask("response_time_by_vehicle_type").await;
    assert_eq!(answer.len(), kinds.len());
    for row in answer {
        let minutes = &kinds[row[1].as_str()];
        assert_eq!((row[0].as_str(), row[2].clone()), ("Ambulance", minutes.len().to_string()));
        let lowest = minutes.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = minutes.iter().copied().fold(0.0, f64::max);
        let mean = minutes.iter().sum::<f64>() / minutes.len() as f64;
        for (cell, expected) in row[3..].iter().zip([lowest, mean, highest]) {
            let found: f64 = cell.parse().expect("a number");
            assert!((found - expected).abs() < 0.0501, "{row:?}: {expected}");
        }
    }
}

#[tokio::test]
async fn emergencies_by_age_group() {
    let day = Day::simulate();
    let mut years: HashMap<&str, i32> = HashMap::new();
    for line in include_str!("../demographics.csv").lines().skip(1) {
        let mut fields = line.split(',');
        let (id, year) = (fields.next().expect("an id"), fields.next().expect("a year"));
        years.insert(id, year.parse().expect("a number"));
    }
    let group = |patient: &Patient| match years.get(patient.patient_id.as_str()) {
        None => "unknown",
        Some(year) => match patient.timestamp.year() - year {
            ..18 => "0-17",
            18..40 => "18-39",
            40..65 => "40-64",
            65..80 => "65-79",
            _ => "80+",
        },
    };
    let mut groups: BTreeMap<&str, (HashSet<&str>, HashSet<&str>)> = BTreeMap::new();
    for reading in &day.patients {
        let (patients, alerts) = groups.entry(group(reading)).or_default();
        patients.insert(&reading.patient_id);
        if reading.emergency_alert {
            alerts.insert(&reading.id);
        }
    }
    let expected: Vec<_> = groups
        .iter()
        .map(|(group, (patients, alerts))| {
            vec![(*group).to_owned(), patients.len().to_string(), alerts.len().to_string()]
        })
        .collect();
    assert!(expected.len() >= 5 && expected.iter().any(|row| row[0] == "unknown"), "{expected:?}");
    assert_eq!(day.ask("emergencies_by_age_group").await, expected);
}

#[tokio::test]
async fn patients_with_most_alerts() {
    let day = Day::simulate();
    let mut alerts: HashMap<&str, usize> = HashMap::new();
    for alert in day.alerts() {
        *alerts.entry(&alert.patient_id).or_default() += 1;
    }
    let mut expected: Vec<_> = alerts.into_iter().collect();
    expected.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    expected.truncate(10);
    let answer = day.ask("patients_with_most_alerts").await;
    let found: Vec<_> =
        answer.iter().map(|row| (row[0].as_str(), row[1].parse().expect("a count"))).collect();
    assert_eq!(found, expected);
    assert!(answer.iter().all(|row| (3..=6).contains(&row[2].parse::<i64>().expect("a score"))));
}

#[tokio::test]
async fn alerts_without_a_dispatch() {
    let day = Day::simulate();
    let latest = day.patients.iter().map(|p| p.timestamp).max().expect("readings");
    let answered = |alert: &Patient| {
        day.vehicles.iter().any(|v| {
            v.patient_id == alert.patient_id
                && v.dispatch_time <= alert.timestamp + TimeDelta::minutes(15)
                && v.timestamp >= alert.timestamp
        })
    };
    let judged = |alert: &&Patient| alert.timestamp < latest - TimeDelta::minutes(45);
    let waiting = day.alerts().into_iter().filter(judged).filter(|alert| !answered(alert));
    let mut expected: Vec<_> =
        waiting.map(|p| (p.timestamp.to_rfc3339(), p.patient_id.clone())).collect();
    expected.sort();
    assert!(!expected.is_empty());
    let answer = day.ask("alerts_without_a_dispatch").await;
    let found: Vec<_> = answer.into_iter().map(|row| (row[1].clone(), row[0].clone())).collect();
    assert_eq!(found, expected);
}
