//! A range that is planned with one snapshot of a lookup table and read again with another: its files differ, so the
//! first try is ended as abandoned, and each event is in the lake once all the same. Nothing goes by what was looked up,
//! so keys, paths and counts are those of the records.
#![cfg(test)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use async_trait::async_trait;
use futures::FutureExt;
use millstream_engine::verify::verify;
use millstream_engine::{
    Limits, Lookup, LookupError, LookupSource, Options, Pipeline, Roll, Status, SystemClock, World,
    run,
};
use millstream_sinks::lake::{DirStore, Format, Hook, Lake, MemoryStore, Store};
use millstream_topic::memory::Memory;
use millstream_topic::{Outgoing, Topic, Topics};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const EVENTS: Topic = Topic::new("events").keyed_by("n").partitions(2).schema(events);
const COUNT: i64 = 60;
const SQL: &str = "SELECT e.n, s.shade, CAST(e.n % 3 AS VARCHAR) AS part FROM events e \
                   LEFT JOIN shades s ON e.n = s.n";

fn events() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
}

fn shades() -> SchemaRef {
    let columns = ["n", "shade"].map(|name| Field::new(name, DataType::Int64, name == "shade"));
    Arc::new(Schema::new(columns.to_vec()))
}

/// A table in which every event has this shade.
#[derive(Debug)]
struct Shade(i64);

#[async_trait]
impl LookupSource for Shade {
    fn place(&self) -> String {
        format!("shade {}", self.0)
    }

    async fn read(&self, columns: &SchemaRef, _: Limits) -> Result<Vec<RecordBatch>, LookupError> {
        let keys: Int64Array = (0..COUNT).map(Some).collect();
        let shades = Int64Array::from(vec![self.0; keys.len()]);
        let rows = vec![Arc::new(keys) as _, Arc::new(shades) as _];
        Ok(vec![RecordBatch::try_new(columns.clone(), rows).expect("rows")])
    }
}

/// Of a worker that sees this shade. Each has a group of its own: the sink alone fences them.
fn pipeline(store: Arc<dyn Store>, format: Format, shade: i64) -> Pipeline {
    Pipeline::from("test", "events", &EVENTS)
        .lookup(Lookup::new("shades", "n", shades(), Arc::new(Shade(shade))))
        .sql(SQL)
        .expect("the SQL is row-wise")
        .into(Arc::new(Lake::new(store, "events", format, &["part"])))
        .roll(Roll { every: Duration::from_millis(700), records: 20, bytes: 1 << 20 })
        .group(&format!("shade-{shade}"))
}

async fn topics() -> Memory {
    let topics = Memory::new();
    topics.ensure(&EVENTS).await.expect("make the topic");
    let record = |n: i64| Outgoing::keyed(n.to_string(), format!(r#"{{"n":{n}}}"#));
    topics.append("events", (0..COUNT).map(record).collect()).await.expect("append");
    topics
}

fn world(topics: &Memory) -> World {
    World { topics: Arc::new(topics.clone()), clock: Arc::new(SystemClock), seed: 1 }
}

fn start(pipeline: Pipeline, topics: &Memory) -> JoinHandle<()> {
    let (status, _) = watch::channel(Status::default());
    let work = run(pipeline, world(topics), Options::default(), CancellationToken::new(), status);
    tokio::spawn(work.map(|_| ()))
}

async fn catch_up(pipeline: Pipeline, topics: &Memory) {
    let options = Options { until_caught_up: true, ..Options::default() };
    let (status, _) = watch::channel(Status::default());
    let work = run(pipeline, world(topics), options, CancellationToken::new(), status);
    let ended = tokio::time::timeout(Duration::from_secs(3_600), work).await;
    ended.expect("it catches up").expect("nothing is wrong");
}

/// Each event once, in the directory its number says, and looked up.
async fn assert_exact(pipeline: &Pipeline, topics: &Memory, shades: &[i64]) {
    let report = verify(pipeline, &world(topics)).await.expect("verify");
    assert!(report.is_exact() && report.pending == 0, "{report:#?}");
    assert_eq!((report.delivered, report.unchecked), (COUNT as u64, 0));
    let mut numbers: Vec<i64> = Vec::new();
    let mut visit = |batch: RecordBatch| {
        let n = batch["n"].as_primitive::<Int64Type>();
        let shade = batch["shade"].as_primitive::<Int64Type>();
        let part = arrow::compute::cast(&batch["part"], &DataType::Int64).expect("a number");
        let part = part.as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            assert_eq!(n.value(row) % 3, part.value(row));
            assert!(shades.contains(&shade.value(row)) && shade.is_valid(row));
        }
        assert_eq!(batch["shades_version"].null_count(), 0, "every row tells its snapshot");
        numbers.extend(n.values());
        Ok(())
    };
    pipeline.target.scan("test.events", &mut visit).await.expect("scan");
    numbers.sort_unstable();
    assert_eq!(numbers, (0..COUNT).collect::<Vec<_>>());
}

fn hang(after: usize) -> Hook {
    let calls = AtomicUsize::new(0);
    Arc::new(move |_, _| {
        let hangs = calls.fetch_add(1, Ordering::Relaxed) >= after;
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    })
}

/// The first worker hangs from its n-th I/O on; another one takes over and sees another snapshot.
#[tokio::test(start_paused = true)]
async fn a_crash_at_every_io_then_another_snapshot() {
    let mut abandoned = 0;
    for format in [Format::Parquet, Format::Csv] {
        for io in 0..70 {
            let (topics, store) = (topics().await, MemoryStore::new());
            let client = store.client();
            client.faults().set_hook(Some(hang(io)));
            let first = start(pipeline(Arc::new(client), format, 1), &topics);
            tokio::time::sleep(Duration::from_secs(4)).await;
            first.abort();
            let _ = first.await;
            let last = pipeline(Arc::new(store.client()), format, 2);
            catch_up(last.clone(), &topics).await;
            assert_exact(&last, &topics, &[1, 2]).await;
            abandoned += usize::from(tries(&store) > 1);
        }
    }
    assert!(abandoned > 10, "only {abandoned} crashes came between a plan and its files");
}

/// The first worker was only away, and wakes between any two I/Os of those that took over.
#[tokio::test(start_paused = true)]
async fn a_zombie_with_another_snapshot_doubles_nothing() {
    for io in 0..70 {
        let (topics, store) = (topics().await, MemoryStore::new());
        let zombie = store.client();
        zombie.faults().set_hook(Some(hang(io)));
        // Dead for good where it hung; a third one is at work at the same time as the second.
        let first = start(pipeline(Arc::new(zombie.clone()), Format::Csv, 1), &topics);
        tokio::time::sleep(Duration::from_secs(2)).await;
        zombie.faults().set_hook(None);
        let second = start(pipeline(Arc::new(store.client()), Format::Csv, 2), &topics);
        let third = start(pipeline(Arc::new(zombie), Format::Csv, 3), &topics);
        tokio::time::sleep(Duration::from_secs(6)).await;
        for worker in [first, second, third] {
            worker.abort();
            let _ = worker.await;
        }
        let last = pipeline(Arc::new(store.client()), Format::Csv, 4);
        catch_up(last.clone(), &topics).await;
        assert_exact(&last, &topics, &[1, 2, 3, 4]).await;
    }
}

/// The same on disk, where the first worker dies after some I/Os of its own.
#[tokio::test]
async fn on_disk_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let topics = topics().await;
    let store = || Arc::new(DirStore::new(directory.path().to_owned()));
    for (round, ms) in [40_u64, 0, 90, 10, 200].into_iter().enumerate() {
        let worker = start(pipeline(store(), Format::Parquet, round as i64), &topics);
        tokio::time::sleep(Duration::from_millis(ms)).await;
        worker.abort();
        let _ = worker.await;
    }
    let last = pipeline(store(), Format::Parquet, 9);
    catch_up(last.clone(), &topics).await;
    assert_exact(&last, &topics, &[0, 1, 2, 3, 4, 9]).await;
}

/// The most tries any range took.
fn tries(store: &MemoryStore) -> usize {
    let plans = store.snapshot().into_keys().filter(|path| path.ends_with(".plan"));
    let tries: BTreeSet<usize> = plans
        .filter_map(|path| path.trim_end_matches(".plan").rsplit('.').next()?.parse().ok())
        .collect();
    tries.last().map_or(0, |last| last + 1)
}
