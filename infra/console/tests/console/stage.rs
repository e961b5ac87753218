//! Workers that tell made-up things, a console that reads them, and a reader of its pages.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use millstream_console::{Own, PipelinePlan, Worker, report, serve};
use millstream_engine::{
    Batches, Counts, Freshness, Happening, LookupStatus, PartitionStatus, State, Status, Totals,
    What,
};
use millstream_topic::memory::Memory;
use millstream_topic::{Backend, Outgoing, Topic};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub struct Telling {
    pub status: watch::Sender<Status>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Telling {
    pub fn start(
        topics: &Arc<dyn Backend>,
        worker: Worker,
        plan: PipelinePlan,
        status: Status,
    ) -> Self {
        Self::of(topics, Own::new(worker), plan, status)
    }

    pub fn of(topics: &Arc<dyn Backend>, own: Own, plan: PipelinePlan, status: Status) -> Self {
        let (status, receiver) = watch::channel(status);
        let stop = CancellationToken::new();
        let task = report(topics.clone(), own, vec![(plan, receiver)], stop.clone());
        Self { status, stop, task }
    }

    /// As a process that was stopped: its pipeline ends, and so does it.
    pub async fn end(self) {
        drop(self.status);
        self.stop.cancel();
        within("the end of a report", self.task).await.expect("a report doesn't panic");
    }

    /// As a process that was killed.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

pub struct Site {
    pub address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
    client: reqwest::Client,
}

impl Site {
    pub async fn start(topics: &Arc<dyn Backend>, own: Option<&Own>) -> Self {
        Self::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), topics, own).await
    }

    pub async fn at(address: SocketAddr, topics: &Arc<dyn Backend>, own: Option<&Own>) -> Self {
        let listener = TcpListener::bind(address).await.expect("listen");
        let (address, stop) = (listener.local_addr().expect("address"), CancellationToken::new());
        let served = serve(listener, topics.clone(), own.cloned(), stop.clone());
        let task = tokio::spawn(async move { served.await.expect("serve") });
        Self { address, stop, task, client: reqwest::Client::new() }
    }

    pub async fn get(&self, path: &str) -> (StatusCode, String) {
        let url = format!("http://{}{path}", self.address);
        let response = self.client.get(url).send().await.expect("ask");
        (response.status(), response.text().await.expect("read"))
    }

    pub async fn page(&self, path: &str) -> String {
        let (status, text) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        text
    }

    pub async fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.page(path).await).expect("JSON")
    }

    /// Asks again and again until the answer is as wanted; fails with the last one.
    pub async fn until(
        &self,
        path: &str,
        what: &str,
        wanted: impl Fn(StatusCode, &str) -> bool,
    ) -> String {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let (status, text) = self.get(path).await;
            if wanted(status, &text) {
                return text;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "waited in vain for {what}; last: {status} {text}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The overview as JSON, once it is as wanted.
    pub async fn overview(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let is = |_, text: &str| serde_json::from_str(text).is_ok_and(|value| wanted(&value));
        let text = self.until("/api/v1/overview", what, is).await;
        serde_json::from_str(&text).expect("JSON")
    }

    pub async fn stream(&self, path: &str) -> reqwest::Response {
        let url = format!("http://{}{path}", self.address);
        self.client.get(url).send().await.expect("ask")
    }

    pub async fn close(self) {
        self.stop.cancel();
        within("the end of the site", self.task).await.expect("the site doesn't panic");
    }
}

pub fn memory() -> Arc<dyn Backend> {
    <dyn Backend>::shared(Memory::new())
}

pub fn worker(id: &str, host: &str) -> Worker {
    Worker { id: id.to_owned(), host: host.to_owned(), ..Worker::here("weather") }
}

pub fn plan() -> PipelinePlan {
    PipelinePlan {
        app: "weather".into(),
        pipeline: "table".into(),
        topic: "weather".into(),
        decode: "JSON 7 columns".into(),
        transform: "SQL".into(),
        sql: Some(
            "SELECT name AS city, country, wind_speed AS windspeed\nFROM weather\nWHERE name <> ''"
                .into(),
        ),
        sink: "weather in sqlite://tables/weather.db".into(),
        keeping: "one row per city".into(),
    }
}

/// A pipeline at work on these partitions.
pub fn working(partitions: &[(u32, i64, i64)]) -> Status {
    Status {
        pipeline: "weather.table".into(),
        state: State::Running,
        partitions: partitions
            .iter()
            .map(|(number, position, end)| partition(*number, *position, *end))
            .collect(),
        totals: Totals {
            delivered: 900,
            filtered: 40,
            dead_lettered: 3,
            rows: 900,
            ranges: 12,
            ..Totals::default()
        },
        batches: Batches { count: 12, last_ms: 40, sum_ms: 600 },
        memory: 256 << 20,
        lookups: vec![LookupStatus {
            name: "places".into(),
            place: "places in a test".into(),
            state: Freshness::Stale,
            as_of_ms: Some(now_ms() - 600_000),
            rows: 1_204,
            bytes: 20_000,
            waits: false,
            failed: Some("read places in a test: it is down".into()),
        }],
        happenings: vec![Happening {
            at_ms: now_ms() - 60_000,
            what: What::Assigned,
            partitions: partitions.iter().map(|(number, ..)| format!("weather-{number}")).collect(),
            why: "the group gave them to this worker".into(),
        }],
    }
}

fn partition(partition: u32, position: i64, end: i64) -> PartitionStatus {
    PartitionStatus {
        topic: "weather".into(),
        partition,
        position,
        next: position + (end - position) / 2,
        end,
        held: 4096,
        state: State::Running,
        roll_at_ms: Some(now_ms() + 7_000),
        paused: false,
        counts: Counts {
            events: position.unsigned_abs(),
            dead_lettered: 1,
            retries: 2,
            batches: Batches { count: 4, last_ms: 40, sum_ms: 200 },
        },
    }
}

/// Puts a worker's record on the status topic as another process did, `ago_ms` before now.
pub async fn tell(
    topics: &Arc<dyn Backend>,
    worker: &Worker,
    plan: &PipelinePlan,
    status: &Status,
    ago_ms: i64,
) {
    let told = json!({
        "worker": worker, "told_at_ms": now_ms() - ago_ms, "memory": 50_000_000,
        "pipelines": [{ "plan": plan, "status": status, "rates": [10.0] }],
    });
    put(topics, "millstream.status", &worker.id, &told).await;
}

/// Puts a record on one of the console's topics.
pub async fn put(topics: &Arc<dyn Backend>, topic: &'static str, key: &str, value: &Value) {
    topics.ensure(&Topic::new(topic).partitions(1).compacted()).await.expect("make the topic");
    let record = Outgoing::keyed(key.to_owned(), value.to_string());
    topics.append(topic, vec![record]).await.expect("append");
}

pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("after 1970").as_millis() as i64
}

pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}
