//! How long it takes from producing a record until a reader of the table sees it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use millstream_engine::{Options, Pipeline, Roll, Status, Target, World};
use millstream_topic::{Backend, Outgoing, Topic};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::engine;
use crate::measure::Gone;
use crate::ways::{Route, Way};
use crate::work::Work;

/// How long records are produced, in seconds.
const LASTS: u64 = 30;
/// Those of the first ten seconds tell of the start: a server that was just started compiles its own code meanwhile.
const WARM: u64 = 10;
/// Records are sent together that are due in this time.
const TICK: Duration = Duration::from_millis(10);
/// The setting `roll.every_s` that is measured.
const ROLL: Duration = Duration::from_millis(100);
/// Between two looks at the table, each of which takes the server's time from the writes.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long nothing may happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Half of the records, and 99 of 100, were seen after so many milliseconds.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub struct Latency {
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// Records a second; rows in the table, each of which a record replaces.
#[derive(Clone, Copy, Debug)]
struct Load {
    rate: u64,
    keys: u64,
}

impl Load {
    fn of(work: Work) -> Self {
        match work {
            Work::LatencyFast => Self { rate: 20_000, keys: 2000 },
            _ => Self { rate: 1000, keys: 200 },
        }
    }

    fn events(self) -> u64 {
        self.rate * LASTS
    }

    /// When a record is due.
    fn due(self, seq: u64) -> Duration {
        Duration::from_secs_f64(seq as f64 / self.rate as f64)
    }
}

/// Records that are produced.
pub fn events(work: Work) -> u64 {
    Load::of(work).events()
}

fn schema() -> SchemaRef {
    let id = Field::new("id", DataType::Utf8, false);
    Arc::new(Schema::new(vec![id, Field::new("seq", DataType::Int64, false)]))
}

/// Produces at a steady rate, beside a worker, and watches the table.
pub async fn run(way: Way, route: &Route) -> Result<Gone> {
    let (topics, load) = (route.open()?, Load::of(way.work()));
    let name = format!("bench-latency-{}", std::process::id());
    let topic = Topic { key: "id", schema, ..Topic::named(name).partitions(4) };
    let target = engine::table(way, route, &["id"])?;
    let pipeline = Pipeline::from("bench", "rows", &topic).into(target.clone());
    let pipeline = pipeline.roll(Roll::every(ROLL));
    let id = pipeline.id();
    let (told, mut status) = watch::channel(Status::default());
    let stop = CancellationToken::new();
    let world = World::real(topics.clone());
    let work = millstream_engine::run(pipeline, world, Options::default(), stop.clone(), told);
    let working = tokio::spawn(work);
    // Beside those of the topic it has one of dead letters that are sent again.
    let ready = status.wait_for(|status| {
        let ours = status.partitions.iter().filter(|partition| partition.topic == topic.name);
        ours.count() == 4
    });
    tokio::time::timeout(PATIENCE, ready).await.context("wait for the worker")??;
    let start = Instant::now();
    let producing = tokio::spawn(produce(topics, topic.name.to_string(), load, start));
    let latencies = watch_table(&*target, &id, load, start).await;
    producing.await.context("wait for the producer")??;
    stop.cancel();
    let totals = working.await.context("wait for the worker")?.context("run the pipeline")?;
    let latency = Some(percentiles(latencies?));
    Ok(Gone { events: totals.delivered, latency, table: Some((target, id)), ..Gone::default() })
}

/// Sends every record when it is due, or as soon after that as the broker allows.
async fn produce(
    topics: Arc<dyn Backend>,
    topic: String,
    load: Load,
    start: Instant,
) -> Result<()> {
    let mut seq = 0;
    while seq < load.events() {
        tokio::time::sleep(TICK).await;
        let elapsed = start.elapsed();
        let first = seq;
        while seq < load.events() && load.due(seq) <= elapsed {
            seq += 1;
        }
        let record = |seq: u64| {
            let key = format!("key-{}", seq % load.keys);
            let value = format!(r#"{{"id":"{key}","seq":{seq}}}"#);
            Outgoing::keyed(key, value)
        };
        let records: Vec<_> = (first..seq).map(record).collect();
        if !records.is_empty() {
            topics.append(&topic, records).await.context("produce")?;
        }
    }
    Ok(())
}

/// Milliseconds from when each record was due until it, or one that replaced it, was seen.
async fn watch_table(
    table: &dyn Target,
    pipeline: &str,
    load: Load,
    start: Instant,
) -> Result<Vec<f64>> {
    let warm = WARM * load.rate;
    let mut seen: HashMap<String, u64> = HashMap::new();
    let mut latencies = Vec::new();
    let mut progress = Instant::now();
    while (latencies.len() as u64) < load.events() - warm {
        ensure!(progress.elapsed() < PATIENCE, "no row came for {PATIENCE:?}");
        let mut newest = Vec::new();
        let mut visit = |batch: RecordBatch| {
            newest.extend(rows(&batch));
            Ok(())
        };
        table.scan(pipeline, &mut visit).await.context("look at the table")?;
        let now = start.elapsed();
        for (key, seq) in newest {
            let next = seen.entry(key).or_insert(seq % load.keys);
            while *next <= seq {
                progress = Instant::now();
                let late = now.saturating_sub(load.due(*next));
                latencies.extend((*next >= warm).then_some(late.as_secs_f64() * 1e3));
                *next += load.keys;
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(latencies)
}

fn rows(batch: &RecordBatch) -> Vec<(String, u64)> {
    let keys = batch.column_by_name("id").and_then(|column| column.as_string_opt::<i32>());
    let seqs = batch.column_by_name("seq");
    let seqs = seqs.and_then(|column| column.as_primitive_opt::<Int64Type>());
    let (Some(keys), Some(seqs)) = (keys, seqs) else { return Vec::new() };
    let seqs = seqs.values().iter().map(|seq| seq.unsigned_abs());
    keys.iter().map(|key| key.unwrap_or_default().to_owned()).zip(seqs).collect()
}

fn percentiles(mut latencies: Vec<f64>) -> Latency {
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| latencies.get((latencies.len() as f64 * share) as usize).copied();
    Latency { p50_ms: at(0.5).unwrap_or(f64::NAN), p99_ms: at(0.99).unwrap_or(f64::NAN) }
}
