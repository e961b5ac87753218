//! Pipelines that look rows up in a table which changes, fails and comes back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use async_trait::async_trait;
use millstream_engine::memory_sink::MemoryTarget;
use millstream_engine::{
    EngineError, Freshness, Limits, Lookup, LookupError, LookupSource, Options, Pipeline, Roll,
    State, What, WhenStale,
};

use crate::stage::{EVENTS, Stage, partition};

/// A table of the colours of `k0`, `k1`, …, of which a test may take hold.
#[derive(Clone, Debug, Default)]
struct Colours(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    /// `None`: it can't be reached.
    keys: Option<Vec<String>>,
    shade: i64,
}

impl Colours {
    /// The table has the keys of events `0..count`, each with this shade.
    fn hold(&self, count: i64, shade: i64) {
        let keys = Some((0..count).map(|n| format!("k{n}")).collect());
        *self.0.lock().expect("lock") = Table { keys, shade };
    }

    fn repeat_a_key(&self) {
        let mut table = self.0.lock().expect("lock");
        table.keys.get_or_insert_default().push("k0".to_owned());
    }

    fn fail(&self) {
        self.0.lock().expect("lock").keys = None;
    }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("who", DataType::Utf8, false),
        Field::new("shade", DataType::Int64, true),
    ]))
}

#[async_trait]
impl LookupSource for Colours {
    fn place(&self) -> String {
        "colours in a test".to_owned()
    }

    async fn read(&self, _: &SchemaRef, _: Limits) -> Result<Vec<RecordBatch>, LookupError> {
        let table = self.0.lock().expect("lock");
        let Some(keys) = &table.keys else {
            return Err(LookupError::unavailable("read colours in a test", "it is down"));
        };
        let shades = Int64Array::from(vec![table.shade; keys.len()]);
        let columns = vec![Arc::new(StringArray::from(keys.clone())) as _, Arc::new(shades) as _];
        Ok(vec![RecordBatch::try_new(schema(), columns).expect("rows")])
    }
}

const SQL: &str = "SELECT e.id, e.n, c.shade FROM events e LEFT JOIN colours c ON e.id = c.who \
                   WHERE e.n >= 0";

/// Read every minute.
async fn stage(target: MemoryTarget, colours: &Colours, when_stale: WhenStale) -> Stage {
    let mut stage = Stage::with(target.clone()).await;
    let lookup = Lookup::new("colours", "who", schema(), Arc::new(colours.clone()))
        .every(Duration::from_secs(60))
        .when_stale(when_stale);
    stage.pipeline = Pipeline::from("test", "events", &EVENTS)
        .lookup(lookup)
        .sql(SQL)
        .expect("the SQL is row-wise")
        .into(Arc::new(target))
        .roll(Roll { every: Duration::from_secs(5), records: 100, bytes: 1 << 20 });
    stage
}

async fn waiting() -> (Stage, Colours) {
    let colours = Colours::default();
    (stage(MemoryTarget::append("events"), &colours, WhenStale::Wait).await, colours)
}

/// What was looked up for each row: its number, the shade, and the snapshot's version.
fn shades(stage: &Stage) -> Vec<(i64, Option<i64>, i64)> {
    let Some(rows) = stage.target.snapshot().rows else { return Vec::new() };
    let (n, shade) =
        (rows["n"].as_primitive::<Int64Type>(), rows["shade"].as_primitive::<Int64Type>());
    let version = rows["colours_version"].as_primitive::<TimestampMicrosecondType>();
    assert_eq!(version.null_count(), 0, "every row tells its snapshot");
    let mut all: Vec<_> = (0..rows.num_rows())
        .map(|row| {
            (n.value(row), shade.is_valid(row).then(|| shade.value(row)), version.value(row))
        })
        .collect();
    all.sort_unstable();
    all
}

#[tokio::test(start_paused = true)]
async fn rows_are_looked_up_in_the_latest_snapshot_and_say_so() {
    let (stage, colours) = waiting().await;
    colours.hold(50, 1);
    let mut worker = stage.worker();
    stage.send(0, 100).await;
    worker.until_delivered(100).await;
    colours.hold(200, 2);
    tokio::time::sleep(Duration::from_secs(61)).await;
    stage.send(100, 150).await;
    worker.until_delivered(150).await;
    let told = worker.status.borrow().lookups[0].told();
    assert!(told.contains("as of") && told.ends_with("200 rows"), "{told}");
    worker.end().await.expect("end");
    stage.assert_exact(150).await;
    let rows = shades(&stage);
    assert!(rows.iter().all(|(n, shade, _)| *shade
        == match n {
            0..50 => Some(1),
            50..100 => None,
            _ => Some(2),
        }));
    let versions: std::collections::BTreeSet<_> = rows.iter().map(|row| row.2).collect();
    assert_eq!(versions.len(), 2, "one per snapshot");
}

#[tokio::test(start_paused = true)]
async fn records_wait_for_a_table_that_is_missing() {
    let (stage, colours) = waiting().await;
    stage.send(0, 20_000).await;
    let mut worker = stage.worker_with(Options { memory: 200_000, ..Options::default() });
    worker
        .until("waiting", |status| {
            matches!(&status.state, State::Retrying(why) if why.contains("not read yet from colours in a test"))
        })
        .await;
    tokio::time::sleep(Duration::from_secs(180)).await;
    {
        let status = worker.status.borrow();
        assert!(status.partitions.iter().all(|at| at.paused), "{status:#?}");
        let held: usize = status.partitions.iter().map(|at| at.held).sum();
        assert!(held < 1 << 20, "{held} bytes held");
        assert_eq!((status.totals.rows, status.totals.restarts), (0, 0));
        assert!(status.lookups[0].waits && status.lookups[0].state == Freshness::Missing);
    }
    colours.hold(20_000, 1);
    worker.until_delivered(20_000).await;
    let happenings = worker.status.borrow().happenings.clone();
    let told =
        |what| happenings.iter().any(|one| one.what == what && one.why.contains("lookup colours"));
    assert!(told(What::Retrying) && told(What::Recovered), "{happenings:#?}");
    worker.end().await.expect("end");
    stage.assert_exact(20_000).await;
    assert!(shades(&stage).iter().all(|row| row.1 == Some(1)), "no row slipped through before");
}

#[tokio::test(start_paused = true)]
async fn records_wait_for_a_stale_table_and_go_on_when_it_is_back() {
    let (stage, colours) = waiting().await;
    colours.hold(1_000, 1);
    let mut worker = stage.worker();
    stage.send(0, 10).await;
    worker.until_delivered(10).await;
    colours.fail();
    tokio::time::sleep(Duration::from_secs(122)).await;
    stage.send(10, 20).await;
    worker
        .until(
            "stale",
            |status| matches!(&status.state, State::Retrying(why) if why.contains("stale since")),
        )
        .await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(worker.status.borrow().totals.delivered, 10);
    colours.hold(1_000, 2);
    worker.until_delivered(20).await;
    worker.until("running", |status| status.state == State::Running).await;
    worker.end().await.expect("end");
    stage.assert_exact(20).await;
    assert!(shades(&stage).iter().all(|(n, shade, _)| *shade == Some(if *n < 10 { 1 } else { 2 })));
}

#[tokio::test(start_paused = true)]
async fn a_stale_table_is_used_until_it_is_too_old() {
    let colours = Colours::default();
    let max_age = Duration::from_secs(600);
    let stage = stage(MemoryTarget::append("events"), &colours, WhenStale::Use { max_age }).await;
    colours.hold(1_000, 1);
    let mut worker = stage.worker();
    stage.send(0, 10).await;
    worker.until_delivered(10).await;
    colours.fail();
    tokio::time::sleep(Duration::from_secs(300)).await;
    stage.send(10, 20).await;
    worker.until_delivered(20).await;
    assert_eq!(worker.status.borrow().lookups[0].state, Freshness::Stale);
    tokio::time::sleep(Duration::from_secs(300)).await;
    stage.send(20, 30).await;
    worker
        .until("too old", |status| matches!(&status.state, State::Retrying(why) if why.contains("partitions wait")))
        .await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(worker.status.borrow().totals.delivered, 20);
    colours.hold(1_000, 1);
    worker.until_delivered(30).await;
    worker.end().await.expect("end");
    stage.assert_exact(30).await;
}

#[tokio::test(start_paused = true)]
async fn a_repeated_key_is_told_and_the_rows_before_stay() {
    let colours = Colours::default();
    let max_age = Duration::from_secs(86_400);
    let stage = stage(MemoryTarget::append("events"), &colours, WhenStale::Use { max_age }).await;
    colours.hold(1_000, 1);
    let mut worker = stage.worker();
    stage.send(0, 10).await;
    worker.until_delivered(10).await;
    colours.repeat_a_key();
    tokio::time::sleep(Duration::from_secs(130)).await;
    stage.send(10, 20).await;
    worker.until_delivered(20).await;
    let lookup = worker.status.borrow().lookups[0].clone();
    assert!(lookup.failed.is_some_and(|why| why.contains("repeat a key")) && !lookup.waits);
    worker.end().await.expect("end");
    stage.assert_exact(20).await;
    assert!(shades(&stage).iter().all(|row| row.1 == Some(1)));
}

#[tokio::test(start_paused = true)]
async fn catching_up_ends_where_only_somebody_can_help() {
    let (stage, colours) = waiting().await;
    colours.hold(5, 1);
    colours.repeat_a_key();
    stage.send(0, 10).await;
    let error = stage.catch_up().await.expect_err("the table can't be used");
    assert!(
        matches!(&error, EngineError::Stopped { why, .. } if why.contains("repeat a key")),
        "{error}"
    );
    colours.hold(5, 1);
    stage.catch_up().await.expect("catch up");
    stage.assert_exact(10).await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_waits_drains_at_once_and_loses_nothing() {
    let (stage, colours) = waiting().await;
    stage.send(0, 500).await;
    let mut worker = stage.worker();
    worker.until("waiting", |status| matches!(status.state, State::Retrying(_))).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let since = tokio::time::Instant::now();
    worker.end().await.expect("end");
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    colours.hold(500, 1);
    stage.catch_up().await.expect("catch up");
    stage.assert_exact(500).await;
}

/// A worker planned a range with one snapshot and died; the next one has another snapshot.
#[tokio::test(start_paused = true)]
async fn a_planned_range_is_finished_with_another_snapshot() {
    let (stage, colours) = waiting().await;
    colours.hold(1_000, 1);
    let mut worker = stage.worker();
    stage.send(0, 200).await;
    worker.until_delivered(200).await;
    worker.kill().await;
    stage.send(200, 300).await;
    for number in 0..2 {
        let last = stage.target.snapshot().ledger[&partition(number)]
            .last()
            .map(millstream_engine::ledger::Entry::next);
        stage.target.plan(&partition(number), last.expect("an entry") + 20);
    }
    colours.hold(250, 2);
    stage.catch_up().await.expect("catch up");
    stage.assert_exact(300).await;
    let shade = |n: i64| match n {
        0..200 => Some(1),
        200..250 => Some(2),
        _ => None,
    };
    assert!(shades(&stage).iter().all(|(n, found, _)| *found == shade(*n)));
}

/// Killed and failing at any moment, while the table changes all the time.
#[tokio::test(start_paused = true)]
async fn exact_while_workers_die_and_the_table_changes() {
    for target in [MemoryTarget::append("events"), MemoryTarget::upsert("events", &["id"])] {
        let colours = Colours::default();
        let stage = stage(target, &colours, WhenStale::Wait).await;
        for round in 0..40_i64 {
            match round % 5 {
                4 => colours.fail(),
                _ => colours.hold(round * 10, round),
            }
            stage.target.fail_next(round as usize % 3);
            stage.target.lose_reply_next(round as usize % 2);
            stage.send(round * 25, round * 25 + 25).await;
            let worker = stage.worker();
            tokio::time::sleep(Duration::from_millis(1_700 * (round as u64 % 7))).await;
            worker.kill().await;
        }
        stage.target.fail_next(0);
        stage.target.lose_reply_next(0);
        colours.hold(1_000, 99);
        stage.catch_up().await.expect("catch up");
        stage.assert_exact(1_000).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_looked_up_must_not_be_what_the_table_goes_by() {
    for (target, words) in [
        (MemoryTarget::upsert("events", &["shade"]), "\"shade\""),
        (MemoryTarget::upsert("events", &["id", "colours_version"]), "\"colours_version\""),
        (MemoryTarget::count("events", &["id"], "shade"), "\"shade\""),
    ] {
        let stage = stage(target, &Colours::default(), WhenStale::Wait).await;
        let planned = stage.pipeline.check().expect_err(words).to_string();
        assert!(planned.contains(words) && planned.contains("goes by it"), "{planned}");
        let run = stage.catch_up().await.expect_err(words);
        let told = millstream_engine::chain(&run);
        assert!(told.contains(words) && told.contains("let it come from the record"), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_fingerprint_is_that_of_the_declaration() {
    let (stage, colours) = waiting().await;
    let before = stage.pipeline.fingerprint();
    colours.hold(10, 1);
    stage.send(0, 10).await;
    stage.catch_up().await.expect("catch up");
    assert_eq!(stage.pipeline.fingerprint(), before);
    let when_stale = WhenStale::Use { max_age: Duration::from_secs(9) };
    let other = self::stage(MemoryTarget::append("events"), &Colours::default(), when_stale).await;
    assert_eq!(other.pipeline.fingerprint(), before, "when it is waited for makes no other rows");
}
