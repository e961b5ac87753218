//! Topics, a sink, and workers that can be stopped or killed.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use millstream_engine::memory_sink::MemoryTarget;
use millstream_engine::verify::{self, Report};
use millstream_engine::{
    EngineError, Options, Pipeline, Roll, State, Status, SystemClock, Totals, World,
};
use millstream_topic::memory::Memory;
use millstream_topic::{Outgoing, Topic, TopicPartition, Topics};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub const EVENTS: Topic = Topic::new("events").keyed_by("id").partitions(2).schema(schema);

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Utf8, false),
        Field::new("n", DataType::Int64, false),
    ]))
}

pub struct Stage {
    pub topics: Memory,
    pub target: MemoryTarget,
    pub pipeline: Pipeline,
    pub world: World,
}

pub struct Worker {
    pub status: watch::Receiver<Status>,
    pub stop: CancellationToken,
    task: JoinHandle<Result<Totals, EngineError>>,
}

impl Stage {
    pub async fn new() -> Self {
        Self::with(MemoryTarget::append("events")).await
    }

    pub async fn with(target: MemoryTarget) -> Self {
        Self::over(&EVENTS, target).await
    }

    /// Over a topic that is compacted by key.
    pub async fn compacted(target: MemoryTarget) -> Self {
        Self::over(&EVENTS.compacted(), target).await
    }

    async fn over(topic: &Topic, target: MemoryTarget) -> Self {
        let topics = Memory::new();
        let pipeline = Pipeline::from("test", "events", topic)
            .sql("SELECT id, n FROM events WHERE n >= 0")
            .expect("the SQL is row-wise")
            .into(Arc::new(target.clone()))
            .roll(Roll { every: Duration::from_secs(5), records: 100, bytes: 1 << 20 });
        let world =
            World { topics: Arc::new(topics.clone()), clock: Arc::new(SystemClock), seed: 7 };
        topics.ensure(topic).await.expect("make the topic");
        Self { topics, target, pipeline, world }
    }

    /// Sends events numbered `from..to`, keyed by number.
    pub async fn send(&self, from: i64, to: i64) {
        let records = (from..to).map(event).collect();
        self.topics.append("events", records).await.expect("append");
    }

    pub async fn send_raw(&self, value: &[u8]) {
        let record = Outgoing::keyed("raw", value.to_vec());
        self.topics.append("events", vec![record]).await.expect("append");
    }

    pub fn worker(&self) -> Worker {
        self.worker_with(Options::default())
    }

    pub fn worker_with(&self, options: Options) -> Worker {
        let (sender, status) = watch::channel(Status::default());
        let stop = CancellationToken::new();
        let work = millstream_engine::run(
            self.pipeline.clone(),
            self.world.clone(),
            options,
            stop.clone(),
            sender,
        );
        Worker { status, stop, task: tokio::spawn(work) }
    }

    /// Works off everything there is, in one go.
    pub async fn catch_up(&self) -> Result<Totals, EngineError> {
        let options = Options { until_caught_up: true, ..Options::default() };
        within(self.worker_with(options).task).await.expect("the worker doesn't panic")
    }

    pub async fn verify(&self) -> Report {
        verify::verify(&self.pipeline, &self.world).await.expect("verify")
    }

    /// Everything is in the sink, once, and `rows` numbers in all.
    pub async fn assert_exact(&self, rows: usize) {
        let report = self.verify().await;
        assert!(report.is_exact() && report.pending == 0, "{report:#?}");
        let mut found = self.numbers();
        assert_eq!(found.len(), rows, "rows in the sink");
        found.dedup();
        assert_eq!(found.len(), rows, "rows in the sink, each once");
    }

    /// The numbers in the sink, sorted.
    pub fn numbers(&self) -> Vec<i64> {
        let Some(rows) = self.target.snapshot().rows else { return Vec::new() };
        let column = rows.column_by_name("n").expect("column n").as_primitive::<Int64Type>();
        let mut numbers: Vec<_> = column.values().to_vec();
        numbers.sort_unstable();
        numbers
    }
}

impl Worker {
    /// Waits until the status is as wanted; fails with the last one seen.
    pub async fn until(&mut self, what: &str, wanted: impl Fn(&Status) -> bool) {
        let waiting = tokio::time::timeout(Duration::from_secs(600), self.status.wait_for(&wanted));
        if waiting.await.is_err() {
            panic!("waited in vain for {what}; last: {:#?}", *self.status.borrow());
        }
    }

    pub async fn until_delivered(&mut self, events: u64) {
        self.until(&format!("{events} events"), |status| status.totals.events() >= events).await;
    }

    pub async fn until_stopped(&mut self, words: &str) {
        self.until(
            words,
            |status| matches!(&status.state, State::Stopped(why) if why.contains(words)),
        )
        .await;
    }

    /// As SIGTERM: drains and leaves.
    pub async fn end(self) -> Result<Totals, EngineError> {
        self.stop.cancel();
        within(self.task).await.expect("the worker doesn't panic")
    }

    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Waits until it ends by itself.
    pub async fn ends(self) -> Result<Totals, EngineError> {
        within(self.task).await.expect("the worker doesn't panic")
    }

    /// As SIGKILL: gone between two steps.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

pub fn event(n: i64) -> Outgoing {
    let value = format!(r#"{{"id":"k{n}","n":{n}}}"#);
    Outgoing::keyed(format!("k{n}"), value)
}

pub fn partition(partition: u32) -> TopicPartition {
    TopicPartition::new("events", partition)
}

async fn within<T>(work: JoinHandle<T>) -> Result<T, tokio::task::JoinError> {
    let deadline = Duration::from_secs(600);
    tokio::time::timeout(deadline, work).await.expect("the worker ends within its deadline")
}
