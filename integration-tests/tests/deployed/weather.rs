//! Weather on Kafka, Cassandra and S3: each city's last observation by cqlsh, and every observation in the CSV files.

use std::collections::BTreeMap;

use integration_tests::deployed::{Deployed, Row, Servers, assert_same, kills, picked};
use integration_tests::{load, number};

const PIPELINES: [&str; 2] = ["weather.table", "weather.backup"];
/// Where OpenWeather's answer has the columns.
const COLUMNS: [(&str, &str); 12] = [
    ("city_id", "/id"),
    ("city", "/name"),
    ("country", "/sys/country"),
    ("windspeed", "/wind/speed"),
    ("temp_k", "/main/temp"),
    ("feels_like_k", "/main/feels_like"),
    ("pressure_hpa", "/main/pressure"),
    ("humidity_pct", "/main/humidity"),
    ("visibility_m", "/visibility"),
    ("wind_deg", "/wind/deg"),
    ("clouds_pct", "/clouds/all"),
    ("description", "/weather/0/description"),
];

/// Rows of CSV files without quotes, each of which begins with its columns.
fn in_files(weather: &Deployed) -> Vec<Row> {
    let mut columns = Vec::new();
    let mut rows = Vec::new();
    for line in weather.servers.csv_lines("weather_backup") {
        assert!(!line.contains('"'), "{line}");
        let cells: Vec<_> = line.split(',').map(ToOwned::to_owned).collect();
        if line.starts_with("observed_at,") {
            columns = cells;
        } else {
            assert_eq!(cells.len(), columns.len(), "{line}");
            rows.push(columns.iter().cloned().zip(cells).collect());
        }
    }
    rows
}

fn assert_exact(weather: &Deployed, least: usize) {
    let mut records = weather.servers.consumed("weather");
    assert!(records.len() >= least, "{records:?}");
    for id in PIPELINES {
        let report = weather.verify_one(id);
        let numbers = (number(&report, "produced"), number(&report, "delivered"));
        assert_eq!(numbers, (records.len() as u64, records.len() as u64), "{report}");
    }
    records.sort_by_key(|record| (record.partition, record.offset));
    let event = |value: &Option<String>| {
        let event = serde_json::from_str(value.as_deref().unwrap()).expect("JSON");
        picked(&event, &COLUMNS)
    };
    let observed: Vec<Row> = records.iter().map(|record| event(&record.value)).collect();
    let columns = COLUMNS.map(|(name, _)| name).join(", ");
    assert_same("weather_backup", &columns, &observed, &in_files(weather));
    // A city's observations are in one partition, in order.
    let last: BTreeMap<_, _> = observed.iter().map(|row| (&row["city"], row)).collect();
    let last: Vec<Row> = last.into_values().cloned().collect();
    let found = weather.servers.cql("SELECT JSON * FROM weather.weather");
    assert_same("weather", &columns, &last, &found);
}

#[test]
fn observations_come_from_kafka_into_cassandra_and_s3_also_when_workers_are_killed() {
    let weather = Deployed::new("weather", &Servers::shared()).set("ROLL__EVERY_S", "0.2");
    weather.run("weather", &["produce", "--once", "--rate", "max", "--limit", "300"]).succeeds();
    weather.catch_up("weather");
    assert_exact(&weather, 300);
    weather.assert_healthy(&["Kafka", "Cassandra", "S3", "topic weather"]);

    let mut producer = weather.start("weather", &["produce", "--rate", "30"]);
    kills::kill_workers(&weather, &PIPELINES, || load::goes_on(&mut producer));
    load::end(producer);
    weather.settle(&PIPELINES);
    assert_exact(&weather, 400);
}
