//! The producer against its own simulator and against feeds of a test.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use health::APP;
use millstream_app::{Produce, ProduceOptions, Rate, Sent};
use millstream_config::Settings;
use millstream_topic::{Record, Subscriptions, TopicPartition, memory::Memory};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

static NOTICES: Mutex<Vec<String>> = Mutex::new(vec![]);

fn task(topics: &Memory, options: ProduceOptions, environment: &[(&str, &str)]) -> Produce {
    // Nor would it know where to make the table of patients.
    let environment = [environment, &[("HEALTH_DEMOGRAPHICS__SEED", "")]].concat();
    let environment =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Produce {
        settings: Settings::load("health", APP.defaults, None, environment).expect("settings"),
        topics: Arc::new(topics.clone()),
        // Of no use to this producer.
        stores: millstream_sinks::Stores::open(&millstream_sinks::Urls::embedded(), "".as_ref())
            .expect("stores"),
        options,
        stop: CancellationToken::new(),
        sent: Sent::default(),
        notice: |line| NOTICES.lock().expect("notices").push(line.to_owned()),
    }
}

fn fast() -> ProduceOptions {
    ProduceOptions { rate: Some(Rate::Max), ..ProduceOptions::default() }
}

async fn sent(topics: &Memory, topic: &str) -> Vec<Record> {
    let mut all = vec![];
    for partition in 0..2 {
        let slice =
            topics.read(&TopicPartition::new(topic, partition), 0, 100_000).await.expect("read");
        all.extend(slice.records);
    }
    all
}

fn event(record: &Record) -> Value {
    serde_json::from_slice(record.value.as_ref().expect("a value")).expect("JSON")
}

#[tokio::test]
async fn once_sends_the_configured_count_and_the_vehicles_that_follow() {
    let topics = Memory::new();
    let task = task(
        &topics,
        ProduceOptions { once: true, ..fast() },
        &[("HEALTH_SIMULATE__COUNT", "5500")],
    );
    let count = task.sent.clone();
    (APP.produce)(task).await.expect("produced");
    let (patients, vehicles) =
        (sent(&topics, "patient_data").await, sent(&topics, "emergency_vehicle_data").await);
    assert_eq!(patients.len(), 5_500);
    assert!(vehicles.len() > 5, "{} vehicles", vehicles.len());
    assert_eq!(count.get(), (patients.len() + vehicles.len()) as u64);
    for record in patients.iter().chain(&vehicles) {
        let key = record.key.as_deref().expect("a key");
        assert_eq!(event(record)["patient_id"].as_str().map(str::as_bytes), Some(key));
    }
    let alerts: HashSet<String> = patients
        .iter()
        .map(event)
        .filter(|event| event["emergency_alert"] == true)
        .map(|event| event["patient_id"].to_string())
        .collect();
    assert!(
        vehicles.iter().all(|record| alerts.contains(&event(record)["patient_id"].to_string()))
    );
    assert!(
        NOTICES
            .lock()
            .expect("notices")
            .iter()
            .any(|line| line.contains("own simulator at http://127.0.0.1:"))
    );
}

#[tokio::test]
async fn the_limit_counts_both_topics() {
    let topics = Memory::new();
    (APP.produce)(task(&topics, ProduceOptions { limit: Some(4_321), ..fast() }, &[]))
        .await
        .expect("produced");
    let (patients, vehicles) =
        (sent(&topics, "patient_data").await, sent(&topics, "emergency_vehicle_data").await);
    assert_eq!(patients.len() + vehicles.len(), 4_321);
    assert!(!vehicles.is_empty());
}

#[tokio::test]
async fn one_url_for_two_feeds_is_refused() {
    let options = ProduceOptions { url: Some("http://127.0.0.1:1/".to_owned()), ..fast() };
    let error =
        (APP.produce)(task(&Memory::new(), options, &[])).await.expect_err("refused").to_string();
    assert!(error.contains("--url") && error.contains("[feeds] patients_url"), "{error}");
}

#[tokio::test]
async fn foreign_feeds_are_polled_as_they_are_and_apart() {
    static DOWN: AtomicUsize = AtomicUsize::new(0);
    let patients = || async {
        // Down at first, until the other feed was heard.
        match DOWN.fetch_add(1, Ordering::SeqCst) {
            0 => (StatusCode::SERVICE_UNAVAILABLE, String::new()),
            _ => (StatusCode::OK, r#"{"patient_id": "IOS-1", "more": 1.0}"#.to_owned()),
        }
    };
    let vehicles = r#"[{"patient_id":"IOS-2"},{"vehicle_id":"ICU-1"}]"#;
    let routes =
        Router::new().route("/p", get(patients)).route("/v", get(move || async move { vehicles }));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("its address");
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let (p, v) = (format!("http://{at}/p"), format!("http://{at}/v"));
    let urls =
        [("HEALTH_FEEDS__PATIENTS_URL", p.as_str()), ("HEALTH_FEEDS__VEHICLES_URL", v.as_str())];
    let topics = Memory::new();
    (APP.produce)(task(&topics, ProduceOptions { once: true, ..fast() }, &urls))
        .await
        .expect("produced");
    let patients = sent(&topics, "patient_data").await;
    assert_eq!(patients.len(), 1);
    assert_eq!(
        patients[0].value.as_deref(),
        Some(br#"{"patient_id": "IOS-1", "more": 1.0}"#.as_slice())
    );
    let vehicles = sent(&topics, "emergency_vehicle_data").await;
    let mut keys: Vec<_> = vehicles.iter().map(|record| record.key.as_deref()).collect();
    keys.sort_unstable();
    assert_eq!(keys, [None, Some(b"IOS-2".as_slice())]);
}

#[tokio::test]
async fn a_port_in_use_names_the_key() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = taken.local_addr().expect("its address").port().to_string();
    let error = (APP.produce)(task(&Memory::new(), fast(), &[("HEALTH_SIMULATE__PORT", &port)]))
        .await
        .expect_err("in use");
    let error = format!("{error:#}");
    assert!(error.contains("[simulate] port") && error.contains(&port), "{error}");
}

#[tokio::test]
async fn a_stop_ends_it_and_what_was_taken_is_sent() {
    let topics = Memory::new();
    let task = task(
        &topics,
        ProduceOptions { rate: Some(Rate::PerSecond(200.0)), ..ProduceOptions::default() },
        &[],
    );
    let (stop, count) = (task.stop.clone(), task.sent.clone());
    let running = tokio::spawn((APP.produce)(task));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while count.get() < 20 {
        assert!(tokio::time::Instant::now() < deadline, "{} sent", count.get());
        tokio::task::yield_now().await;
    }
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), running)
        .await
        .expect("in time")
        .expect("no panic")
        .expect("stopped");
    let all = sent(&topics, "patient_data").await.len()
        + sent(&topics, "emergency_vehicle_data").await.len();
    assert_eq!(all as u64, count.get());
}
