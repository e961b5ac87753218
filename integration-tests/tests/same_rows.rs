//! The same records, on the embedded stores and on servers: the same rows, table by table, as the servers' own clients
//! show them.

#![cfg(test)]

use std::collections::BTreeMap;

use integration_tests::deployed::{Deployed, On, Row, as_row};
use integration_tests::feed::Feed;
use integration_tests::{Data, binaries, disk, stack};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};

/// Runs `app` on the embedded stores, then on servers with the very same records.
fn both(
    app: &str,
    on: &[On],
    embedded: Data,
    produce: &[&str],
    topics: &[&str],
) -> (Data, Deployed) {
    embedded.run(app, produce).succeeds();
    embedded.catch_up(app);
    let tables = format!("sqlite://{}", embedded.dir().join("tables").display());
    let servers = Deployed::start(app, on).with("HEALTH_DEMOGRAPHICS__URL", &tables);
    // Makes the topics, with as many partitions.
    servers.catch_up(app);
    for topic in topics {
        copy(&embedded, &servers, topic);
    }
    servers.catch_up(app);
    (embedded, servers)
}

/// Every record of an embedded topic, to the same partition in the same order, with its time.
fn copy(from: &Data, to: &Deployed, topic: &str) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", to.kafka.address()).set("enable.idempotence", "true");
    let producer: FutureProducer = config.create().expect("make a producer");
    let log = disk::open(&disk::topic_path(from, topic));
    let select =
        "SELECT partition, timestamp_ms, key, value FROM records ORDER BY partition, offset";
    let mut select = log.prepare(select).unwrap();
    let mut records = select.query(()).unwrap();
    let mut sent = Vec::new();
    while let Some(record) = records.next().unwrap() {
        let (key, value): (Option<Vec<u8>>, Option<Vec<u8>>) =
            (record.get(2).unwrap(), record.get(3).unwrap());
        let mut copied = FutureRecord::to(topic).partition(record.get(0).unwrap());
        copied = copied.timestamp(record.get(1).unwrap());
        copied.key = key.as_ref();
        copied.payload = value.as_ref();
        sent.push(producer.send_result(copied).expect("room in the queue"));
    }
    assert!(!sent.is_empty(), "{topic} is empty");
    for record in sent {
        stack::block_on(record).expect("an answer").expect("it is sent");
    }
}

/// Numbers and times as they are, however a client writes them.
fn normal(text: &str) -> String {
    if let Ok(number) = text.parse::<f64>() {
        return format!("{number:?}");
    }
    let is_time = text.len() >= 19
        && text.as_bytes()[10].is_ascii_punctuation() | text.contains(' ')
        && text[..10].bytes().all(|c| c.is_ascii_digit() || c == b'-');
    let is_time =
        is_time || (text.len() >= 19 && text.as_bytes()[10] == b'T' && text.as_bytes()[4] == b'-');
    if is_time { text[..19].replace('T', " ") } else { text.to_owned() }
}

fn rows_of(rows: &[Row], columns: &[&str]) -> BTreeMap<Vec<String>, usize> {
    let mut counted = BTreeMap::new();
    for row in rows {
        let cell = |column: &&str| {
            normal(row.get(*column).unwrap_or_else(|| panic!("column {column} in {row:?}")))
        };
        *counted.entry(columns.iter().map(cell).collect()).or_default() += 1;
    }
    counted
}

fn assert_same(table: &str, columns: &str, embedded: &[Row], servers: &[Row]) {
    let columns: Vec<_> = columns.split(", ").collect();
    let (embedded, servers) = (rows_of(embedded, &columns), rows_of(servers, &columns));
    assert!(!embedded.is_empty(), "{table} is empty");
    let missing = embedded.iter().find(|(row, count)| servers.get(*row) != Some(count));
    let more = servers.iter().find(|(row, count)| embedded.get(*row) != Some(count));
    assert!(
        missing.is_none() && more.is_none(),
        "{table}: embedded only: {missing:?}, on servers only: {more:?}"
    );
    println!("{table}: {} rows are the same", embedded.values().sum::<usize>());
}

fn queried(data: &Data, table: &str, columns: &str) -> Vec<Row> {
    data.query(&format!("SELECT {columns} FROM {table}")).iter().map(as_row).collect()
}

#[test]
fn of_wordcount() {
    let embedded = Data::new();
    let produce = ["produce", "--once", "--rate", "max"];
    let (embedded, servers) = both("wordcount", &[On::Mysql], embedded, &produce, &["kpmg_topic"]);
    let found = servers.sql("wordcount", "SELECT word, count FROM `wordCount`");
    assert_same(
        "wordCount",
        "word, count",
        &queried(&embedded, "\"wordCount\"", "word, count"),
        &found,
    );
}

#[test]
fn of_users() {
    let embedded = Data::new().with("USERS_GENERATE__SEED", "7");
    let produce = ["produce", "--once", "--rate", "max", "--limit", "2000"];
    let (embedded, servers) =
        both("users", &[On::Cassandra], embedded, &produce, &["registered_user_2"]);
    let columns = "name, address, date";
    let found = servers.cql(&format!("SELECT JSON {columns} FROM my_keyspace.user_details_5"));
    assert_same("user_details_5", columns, &queried(&embedded, "user_details_5", columns), &found);
}

#[test]
fn of_weather() {
    let produce = ["produce", "--once", "--rate", "max", "--limit", "60"];
    let on = [On::Cassandra, On::S3];
    let (embedded, servers) = both("weather", &on, Data::new(), &produce, &["weather"]);
    let columns = "city, country, windspeed, temp_k, feels_like_k, pressure_hpa, humidity_pct, visibility_m, wind_deg, \
                   clouds_pct, description, observed_at, city_id";
    let found = servers.cql(&format!("SELECT JSON {columns} FROM weather.weather"));
    assert_same("weather", columns, &queried(&embedded, "weather", columns), &found);
    let mut lines = servers.csv_lines("weather_backup");
    let mut expected: Vec<String> = Vec::new();
    for file in disk::files(&embedded.dir().join("lake/weather_backup"), "csv") {
        expected.extend(std::fs::read_to_string(file).unwrap().lines().map(ToOwned::to_owned));
    }
    for lines in [&mut lines, &mut expected] {
        lines.retain(|line| !line.starts_with("observed_at,"));
        lines.sort();
    }
    assert!(expected.len() >= 60, "{expected:?}");
    assert_eq!(lines, expected);
}

#[test]
fn of_health() {
    let produce = ["produce", "--once", "--rate", "max", "--limit", "2000"];
    let topics = ["patient_data", "emergency_vehicle_data"];
    let (embedded, servers) = both("health", &[On::S3], Data::new(), &produce, &topics);
    for (table, columns) in [
        (
            "patient_data",
            "id, patient_id, ts, heart_rate, oxygen_saturation, vo2_max, latitude, longitude, emergency_alert, out_of_range, \
             early_warning, age, sex, conditions, date",
        ),
        (
            "emergency_vehicle_data",
            "id, vehicle_id, vehicle_type, vehicle_capacity, latitude, longitude, patient_id, dispatch_time, ts, date",
        ),
    ] {
        assert_same(table, columns, &queried(&embedded, table, columns), &servers.parquet(table));
    }
}

#[test]
fn of_recalls() {
    let embedded = Data::new();
    let zip = embedded.root().join("feed.zip");
    Feed::of(400).and_hostile().write(&zip);
    let produce = ["produce", "--once", "--rate", "max", "--file", zip.to_str().unwrap()];
    let on = [On::Cassandra, On::OpenSearch, On::S3];
    let (embedded, servers) = both("recalls", &on, embedded, &produce, &["devices"]);
    let columns = "recall_number, event_id, classification, status, recalling_firm, product_description, reason_for_recall, \
                   code_info, state, country, report_date, recall_initiation_date";
    let expected = queried(&embedded, "enforcement", columns);
    assert_eq!(expected.len(), 401, "{}", binaries::root().display());
    let found = servers.cql(&format!("SELECT JSON {columns} FROM recalls.enforcement"));
    assert_same("enforcement", columns, &expected, &found);
    let found = servers.documents("recalls");
    assert_same("the index", "recall_number", &expected, &found);
}
