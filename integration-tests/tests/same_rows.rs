//! The same records, on the embedded stores and on servers: the same rows, table by table, as the servers' own clients
//! show them.

#![cfg(test)]

use integration_tests::deployed::{Deployed, Row, Servers, as_row, assert_same};
use integration_tests::feed::Feed;
use integration_tests::{Data, binaries, disk, stack};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};

/// Runs `app` on the embedded stores, then on servers with the very same records.
fn both(app: &str, embedded: Data, produce: &[&str], topics: &[&str]) -> (Data, Deployed) {
    embedded.run(app, produce).succeeds();
    embedded.catch_up(app);
    let servers = Deployed::new(app, &Servers::shared());
    let hospital = format!("sqlite://{}", embedded.dir().join("tables/hospital.db").display());
    let servers = match app {
        "health" => servers.set("DEMOGRAPHICS__URL", &hospital),
        _ => servers,
    };
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
    config.set("bootstrap.servers", to.servers.kafka.address()).set("enable.idempotence", "true");
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

fn queried(data: &Data, table: &str, columns: &str) -> Vec<Row> {
    data.query(&format!("SELECT {columns} FROM {table}")).iter().map(as_row).collect()
}

#[test]
fn of_wordcount() {
    let embedded = Data::new();
    let produce = ["produce", "--once", "--rate", "max"];
    let (embedded, servers) = both("wordcount", embedded, &produce, &["kpmg_topic"]);
    let found = servers.servers.sql("wordcount", "SELECT word, count FROM `wordCount`");
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
    let (embedded, servers) = both("users", embedded, &produce, &["registered_user_2"]);
    let columns = "name, address, date";
    let found =
        servers.servers.cql(&format!("SELECT JSON {columns} FROM my_keyspace.user_details_5"));
    assert_same("user_details_5", columns, &queried(&embedded, "user_details_5", columns), &found);
}

#[test]
fn of_weather() {
    let produce = ["produce", "--once", "--rate", "max", "--limit", "60"];
    let (embedded, servers) = both("weather", Data::new(), &produce, &["weather"]);
    let columns = "city, country, windspeed, temp_k, feels_like_k, pressure_hpa, humidity_pct, visibility_m, wind_deg, \
                   clouds_pct, description, observed_at, city_id";
    let found = servers.servers.cql(&format!("SELECT JSON {columns} FROM weather.weather"));
    assert_same("weather", columns, &queried(&embedded, "weather", columns), &found);
    let mut lines = servers.servers.csv_lines("weather_backup");
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
    let (embedded, servers) =
        both("health", Data::new().with("HEALTH_SIMULATE__STEP_MS", "120000"), &produce, &topics);
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
        assert_same(
            table,
            columns,
            &queried(&embedded, table, columns),
            &servers.servers.parquet(table),
        );
    }
}

#[test]
fn of_recalls() {
    let embedded = Data::new();
    let zip = embedded.root().join("feed.zip");
    Feed::of(400).and_hostile().write(&zip);
    let produce = ["produce", "--once", "--rate", "max", "--file", zip.to_str().unwrap()];
    let (embedded, servers) = both("recalls", embedded, &produce, &["devices"]);
    let columns = "recall_number, event_id, classification, status, recalling_firm, product_description, reason_for_recall, \
                   code_info, state, country, report_date, recall_initiation_date";
    let expected = queried(&embedded, "enforcement", columns);
    assert_eq!(expected.len(), 401, "{}", binaries::root().display());
    let found = servers.servers.cql(&format!("SELECT JSON {columns} FROM recalls.enforcement"));
    assert_same("enforcement", columns, &expected, &found);
    let found = servers.servers.documents("recalls");
    assert_same("the index", "recall_number", &expected, &found);
}
