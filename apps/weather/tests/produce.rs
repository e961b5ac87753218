//! The producer against servers of a test, well-behaved and not, and against its own stand-in.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::HashMap as Map;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Query;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use millstream_app::{Produce, ProduceOptions, Rate, Sent};
use millstream_config::{Secret, Settings};
use millstream_topic::{Record, Subscriptions, TopicPartition, memory::Memory};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use weather::produce::{KEY, key, run};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const CHICAGO: &str = "4887398";

static NOTICES: Mutex<Vec<String>> = Mutex::new(vec![]);

fn task(topics: &Memory, options: ProduceOptions) -> Produce {
    let environment =
        [("WEATHER_POLL__EVERY_S", "1"), ("WEATHER_POLL__CALLS_PER_MINUTE", "100000")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Produce {
        settings: Settings::load("weather", weather::APP.defaults, None, environment)
            .expect("settings"),
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

fn from(url: &str) -> ProduceOptions {
    ProduceOptions { once: true, url: Some(url.to_owned()), ..ProduceOptions::default() }
}

async fn sent(topics: &Memory) -> Vec<Record> {
    let mut all = vec![];
    for partition in 0..3 {
        let slice = topics
            .read(&TopicPartition::new("weather", partition), 0, 100_000)
            .await
            .expect("read");
        all.extend(slice.records);
    }
    all
}

fn keys(records: &[Record]) -> Vec<&str> {
    let mut keys: Vec<_> = records
        .iter()
        .map(|record| std::str::from_utf8(record.key.as_ref().expect("a key")).expect("UTF-8"))
        .collect();
    keys.sort_unstable();
    keys
}

type Reply = (StatusCode, HeaderMap, String);

fn reply(status: StatusCode, body: impl Into<String>) -> Reply {
    (status, HeaderMap::new(), body.into())
}

/// A server that answers as told: `answer` gets the query and how often it was asked before.
async fn server(
    answer: impl Fn(&Map<String, String>, usize) -> Reply + Clone + Send + Sync + 'static,
) -> String {
    let asked = Arc::new(AtomicUsize::new(0));
    let weather = move |Query(query): Query<Map<String, String>>| {
        let (answer, before) = (answer.clone(), asked.fetch_add(1, Ordering::SeqCst));
        async move { answer(&query, before) }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let routes = Router::new().route("/data/2.5/weather", get(weather));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    url
}

fn observation(query: &Map<String, String>, dt: i64) -> Reply {
    reply(
        StatusCode::OK,
        format!(r#"{{"name":"City {0}","id":{0},"dt":{dt},"cod":200}}"#, query["id"]),
    )
}

/// Everything logged on this thread while it is held.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn capture() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("log")).into_owned()
    }
}

#[tokio::test]
async fn a_bad_key_stops_with_a_remedy_and_is_never_shown() {
    let (log, _guard) = Log::capture();
    // The server repeats the key, as servers do.
    let url = server(|query, _| {
        reply(
            StatusCode::UNAUTHORIZED,
            format!(r#"{{"cod":401,"message":"Invalid API key {}"}}"#, query["appid"]),
        )
    })
    .await;
    let topics = Memory::new();
    let error = run(task(&topics, from(&url)), Secret::new(SECRET)).await.expect_err("401");
    let error = format!("{error:#}\n{error:?}");
    assert!(
        error.contains("401") && error.contains("set OPENWEATHER_API_KEY to a valid key"),
        "{error}"
    );
    assert!(!error.contains(SECRET), "{error}");
    assert!(!log.text().contains(SECRET), "{}", log.text());
    assert!(sent(&topics).await.is_empty());
}

#[tokio::test]
async fn an_unknown_city_is_left_out_with_a_warning() {
    let (log, _guard) = Log::capture();
    let url = server(|query, _| match query["id"].as_str() {
        CHICAGO => reply(StatusCode::NOT_FOUND, r#"{"cod":"404","message":"city not found"}"#),
        _ => observation(query, 1),
    })
    .await;
    let topics = Memory::new();
    run(task(&topics, from(&url)), Secret::new(SECRET)).await.expect("the others are there");
    assert_eq!(keys(&sent(&topics).await), ["4164138", "5391959"]);
    let text = log.text();
    assert!(text.contains("WARN") && text.contains(CHICAGO) && text.contains("left out"), "{text}");
    assert!(!text.contains(SECRET), "{text}");
}

#[tokio::test]
async fn over_the_limit_it_waits_as_told() {
    let url = server(|query, before| {
        let mut answer = reply(StatusCode::TOO_MANY_REQUESTS, r#"{"cod":429}"#);
        answer.1.insert("retry-after", "1".parse().expect("a header"));
        if before == 0 { answer } else { observation(query, 1) }
    })
    .await;
    let topics = Memory::new();
    let start = Instant::now();
    run(task(&topics, from(&url)), Secret::new(SECRET)).await.expect("it works after a second");
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(sent(&topics).await.len(), 3);
}

#[tokio::test]
async fn a_server_in_trouble_is_asked_again() {
    let (log, _guard) = Log::capture();
    let url = server(|query, before| match before {
        0 | 2 => reply(StatusCode::INTERNAL_SERVER_ERROR, "oops"),
        _ => observation(query, 1),
    })
    .await;
    let topics = Memory::new();
    run(task(&topics, from(&url)), Secret::new(SECRET)).await.expect("it works in the end");
    assert_eq!(sent(&topics).await.len(), 3);
    assert!(log.text().contains("500") && !log.text().contains(SECRET), "{}", log.text());
}

#[tokio::test]
async fn sends_the_answer_as_it_is_and_the_key_in_the_query() {
    let url = server(|query, _| {
        assert_eq!(query["appid"], SECRET);
        observation(query, 1)
    })
    .await;
    let topics = Memory::new();
    let task = task(&topics, from(&url));
    let count = task.sent.clone();
    run(task, Secret::new(SECRET)).await.expect("produced");
    let records = sent(&topics).await;
    let chicago = records.iter().find(|record| record.key.as_deref() == Some(CHICAGO.as_bytes()));
    let expected = r#"{"name":"City 4887398","id":4887398,"dt":1,"cod":200}"#;
    assert_eq!(chicago.and_then(|record| record.value.as_deref()), Some(expected.as_bytes()));
    assert_eq!(count.get(), 3);
}

#[tokio::test]
async fn an_observation_that_is_not_newer_is_dropped() {
    // Rounds of three cities: the times of the rounds go 5, 5, 4, 6.
    let url = server(|query, before| observation(query, [5, 5, 4, 6][(before / 3).min(3)])).await;
    let topics = Memory::new();
    let options = ProduceOptions { limit: Some(6), ..from(&url) };
    run(task(&topics, options), Secret::new(SECRET)).await.expect("produced");
    let mut times: Map<String, Vec<i64>> = Map::new();
    for record in sent(&topics).await {
        let json: Value = serde_json::from_slice(&record.value.expect("a value")).expect("JSON");
        times.entry(json["name"].to_string()).or_default().push(json["dt"].as_i64().expect("dt"));
    }
    assert_eq!(times.len(), 3);
    assert!(times.values().all(|times| *times == [5, 6]), "{times:?}");
}

#[tokio::test]
async fn an_answer_without_a_time_goes_on_to_be_dead_lettered() {
    let url = server(|_, _| reply(StatusCode::OK, r#"{"name":"Oslo"}"#)).await;
    let topics = Memory::new();
    run(task(&topics, from(&url)), Secret::new(SECRET)).await.expect("produced");
    assert_eq!(sent(&topics).await.len(), 3);
}

#[tokio::test]
async fn without_a_key_the_stand_in_is_polled_and_says_so() {
    let topics = Memory::new();
    let options =
        ProduceOptions { rate: Some(Rate::Max), limit: Some(500), ..ProduceOptions::default() };
    run(task(&topics, options), Secret::default()).await.expect("produced");
    let records = sent(&topics).await;
    assert_eq!(records.len(), 500);
    let notices = NOTICES.lock().expect("notices");
    assert!(
        notices
            .iter()
            .any(|line| line.starts_with("OPENWEATHER_API_KEY is not set: polling the app's own"))
    );
}

#[test]
fn a_key_is_trimmed_and_never_shown() {
    assert!(key(String::new()).expect("none").is_empty());
    let good = key(" 0123abcDEF\n".to_owned()).expect("a key");
    assert_eq!(good.expose(), "0123abcDEF");
    assert!(!format!("{good:?} {good}").contains("0123"));
    let error = format!("{:#}", key("0123&units=metric".to_owned()).expect_err("refused"));
    assert!(error.contains(KEY) && !error.contains("0123"), "{error}");
}

#[tokio::test]
async fn problems_name_the_setting() {
    for (name, value, words) in [
        ("WEATHER_POLL__CITIES", "4887398,0", "poll.cities"),
        ("WEATHER_POLL__CITIES", "", "[poll] cities names none"),
        ("WEATHER_POLL__EVERY_S", "0", "poll.every_s = 0"),
        ("WEATHER_POLL__CALLS_PER_MINUTE", "0", "poll.calls_per_minute = 0"),
        ("WEATHER_POLL__BASE_URL", "api", "[poll] base_url"),
        ("WEATHER_STAND_IN__STEP_S", "0", "stand_in.step_s = 0"),
    ] {
        let mut task = task(&Memory::new(), ProduceOptions::default());
        let environment = [(name.to_owned(), value.to_owned())];
        task.settings =
            Settings::load("weather", weather::APP.defaults, None, environment).expect("typed");
        let key = if words.contains("stand_in") { "" } else { SECRET };
        let error = format!("{:#}", run(task, Secret::new(key)).await.expect_err(name));
        assert!(error.contains(words) && !error.contains(SECRET), "{error}");
    }
}
