//! Readings and vehicles on Kafka, S3 and, for what is looked up, MySQL: what PyArrow reads in the bucket.

use integration_tests::deployed::{Deployed, Row, Servers, assert_same, kills, picked};
use integration_tests::{load, number, stack, text};

const PIPELINES: [&str; 2] = ["health.patients", "health.vehicles"];
/// Columns that are in the event as they are in the row, and where.
const READING: [(&str, &str); 9] = [
    ("id", "/id"),
    ("patient_id", "/patient_id"),
    ("ts", "/timestamp"),
    ("heart_rate", "/heart_rate"),
    ("oxygen_saturation", "/oxygen_saturation"),
    ("vo2_max", "/vo2_max"),
    ("latitude", "/location/latitude"),
    ("longitude", "/location/longitude"),
    ("emergency_alert", "/emergency_alert"),
];
const VEHICLE: [(&str, &str); 9] = [
    ("id", "/id"),
    ("vehicle_id", "/vehicle_id"),
    ("vehicle_type", "/vehicle_type"),
    ("vehicle_capacity", "/vehicle_capacity"),
    ("latitude", "/location/latitude"),
    ("longitude", "/location/longitude"),
    ("patient_id", "/patient_id"),
    ("dispatch_time", "/dispatch_time"),
    ("ts", "/timestamp"),
];

/// Every event of a topic is one row of the table of that name, with its values. How many there are.
fn assert_rows(health: &Deployed, topic: &str, columns: &[(&str, &str)]) -> u64 {
    let records = health.servers.consumed(topic);
    let events = records.iter().map(|record| {
        let event = serde_json::from_str(record.value.as_deref().unwrap()).expect("JSON");
        picked(&event, columns)
    });
    let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
    let events: Vec<Row> = events.collect();
    let found = health.servers.parquet(topic);
    assert_same(topic, &names.join(", "), &events, &found);
    // Neither do files of plans that were given up count for our own reader.
    let queried = health.query(&format!("SELECT id FROM {topic} ORDER BY id"));
    let mut sent: Vec<&str> = events.iter().map(|event| event["id"].as_str()).collect();
    sent.sort_unstable();
    assert!(
        queried.iter().map(|row| text(row, "id")).eq(sent),
        "{topic}: {} queried",
        queried.len()
    );
    // Hive directories tell the date.
    for row in &found {
        assert_eq!(row["date"], row["ts"][..10], "{row:?}");
    }
    events.len() as u64
}

fn assert_exact(health: &Deployed) {
    let produced: Vec<_> =
        PIPELINES.iter().map(|id| number(&health.verify_one(id), "produced")).collect();
    let readings = assert_rows(health, "patient_data", &READING);
    let vehicles = assert_rows(health, "emergency_vehicle_data", &VEHICLE);
    assert_eq!(produced, [readings, vehicles]);
}

/// Readings of patients whom MySQL knows have what it says.
fn assert_looked_up(health: &Deployed) {
    let select = "SELECT patient_id, sex, conditions FROM patients";
    let patients = health.servers.sql("wordcount", select);
    let readings = health.servers.parquet("patient_data");
    let known = patients.iter().filter_map(|patient| {
        let reading = readings.iter().find(|row| row["patient_id"] == patient["patient_id"])?;
        assert_eq!(
            (&reading["sex"], &reading["conditions"]),
            (&patient["sex"], &patient["conditions"])
        );
        Some(())
    });
    assert!(known.count() > 0, "no reading is of a patient in {patients:?}");
}

#[test]
fn readings_come_from_kafka_into_s3_also_when_workers_are_killed() {
    let servers = Servers::shared();
    let health = Deployed::new("health", &servers).set("ROLL__EVERY_S", "0.2");
    // A reading each two minutes of simulated time: files of several dates.
    let health = health.set("SIMULATE__STEP_MS", "120000");
    let health = health.set("DEMOGRAPHICS__URL", &format!("{}/wordcount", servers.mysql_url()));
    let health = health.set("DEMOGRAPHICS__URL_PASSWORD", stack::APP_PASSWORD);
    health.run("health", &["produce", "--once", "--rate", "max", "--limit", "2000"]).succeeds();
    health.catch_up("health");
    assert_exact(&health);
    assert_looked_up(&health);
    health.assert_healthy(&["Kafka", "S3", "topic patient_data"]);

    let mut producer = health.start("health", &["produce", "--rate", "40"]);
    kills::kill_workers(&health, &PIPELINES[..1], || load::goes_on(&mut producer));
    load::end(producer);
    health.settle(&PIPELINES);
    assert_exact(&health);
}
