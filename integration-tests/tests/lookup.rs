//! Lookup tables on real MySQL and MariaDB: what is read, what is refused and with which remedy, and a worker whose
//! table changes, goes away and comes back. The servers' own clients change the tables.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use integration_tests::stack::{self, APP_PASSWORD, Server};
use millstream_config::Secret;
use millstream_engine::verify::verify;
use millstream_engine::{
    Clock, EngineError, Limits, Lookup, LookupError, LookupSource, Options, Pipeline, Roll, State,
    Status, SystemClock, Totals, WhenStale, World,
};
use millstream_sinks::lake::{DirStore, Format, Lake};
use millstream_sinks::lookup::{LookupTable, rows_of_csv};
use millstream_topic::memory::Memory;
use millstream_topic::{Outgoing, Topic, Topics};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A database of its own on a server.
struct Place<'a> {
    server: &'a Server,
    client: &'static str,
    database: String,
}

impl<'a> Place<'a> {
    async fn on(server: &'a Server, client: &'static str) -> Self {
        let place = Self { server, client, database: stack::unique("lookup") };
        place.ask(&format!("CREATE DATABASE {}", place.database)).await;
        place
    }

    async fn ask(&self, statements: &str) -> String {
        let password = format!("MYSQL_PWD={APP_PASSWORD}");
        let client =
            ["env", &password, self.client, "--user=root", "--batch", "--skip-column-names"];
        self.server.exec(&[&client[..], &["--execute", statements]].concat()).await
    }

    /// In its database.
    async fn sql(&self, statements: &str) -> String {
        self.ask(&format!("USE {}; {statements}", self.database)).await
    }

    fn table_for(&self, user: &str, password: &str, name: &str) -> LookupTable {
        let url = format!("mysql://{user}@{}/{}", self.server.address(), self.database);
        LookupTable::new("people.url", &url, Secret::new(password), name, Path::new("."))
            .expect("a good URL")
    }

    fn table(&self) -> LookupTable {
        self.table_for("root", APP_PASSWORD, "people")
    }
}

fn columns() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Utf8, false),
        Field::new("age", DataType::Int64, true),
        Field::new("weight", DataType::Float64, true),
        Field::new("smokes", DataType::Boolean, true),
        Field::new("since", DataType::Date32, true),
    ]))
}

const CSV: &str = "id,age,weight,smokes,since
k0,30,70.25,true,2020-02-29
K0,31,,,
é;'\"\\,,0.1,false,1969-12-31
";

async fn read(table: &LookupTable) -> Result<RecordBatch, LookupError> {
    table.read(&columns(), Limits::default()).await.map(|mut rows| rows.remove(0))
}

/// What a reading fails with; whether it is tried again.
async fn failure(table: &LookupTable) -> (bool, String) {
    let error = read(table).await.expect_err("it can't be read");
    (error.is_retryable(), millstream_engine::chain(&error))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_mysql_is_filled_and_read() {
    filled_and_read(Place::on(stack::mysql().await, "mysql").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_mariadb_is_filled_and_read() {
    filled_and_read(Place::on(stack::mariadb().await, "mariadb").await).await;
}

async fn filled_and_read(place: Place<'_>) {
    let table = place.table();
    let (again, why) = failure(&table).await;
    assert!(again && why.contains("people"), "a table that is missing may come: {why}");
    let rows = rows_of_csv(CSV, &columns()).unwrap();
    assert!(table.fill("id", &rows).await.unwrap());
    assert_eq!(
        place.sql("SELECT age, smokes, since FROM people WHERE id = 'k0'").await,
        "30\t1\t2020-02-29\n"
    );
    let there = read(&table).await.unwrap();
    assert_eq!(sorted(&there), sorted(&rows), "keys that differ in case only are two");
    assert!(!table.fill("id", &rows).await.unwrap(), "a table that is there is left alone");
    assert_eq!(place.sql("SHOW TABLES").await, "people\n", "no draft is left");
    let error = table.read(&columns(), Limits { rows: 2, bytes: 1 << 20 }).await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("more than 2 rows"), "{error}");
}

fn sorted(rows: &RecordBatch) -> Vec<String> {
    let text = |column: usize, row| {
        arrow::util::display::array_value_to_string(rows.column(column), row).unwrap()
    };
    let row =
        |row| (0..rows.num_columns()).map(|column| text(column, row)).collect::<Vec<_>>().join("|");
    let mut all: Vec<_> = (0..rows.num_rows()).map(row).collect();
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_or_wrong_says_what_to_do() {
    let place = Place::on(stack::mysql().await, "mysql").await;
    place.table().fill("id", &rows_of_csv(CSV, &columns()).unwrap()).await.unwrap();
    let user = stack::unique("r");
    let database = &place.database;
    place.ask(&format!("CREATE USER {user} IDENTIFIED BY 'for-reading'")).await;
    let reader = place.table_for(&user, "for-reading", "people");
    let (again, why) = failure(&reader).await;
    assert!(!again && why.contains("GRANT SELECT"), "{why}");
    place.ask(&format!("GRANT SELECT ON {database}.people TO {user}")).await;
    assert_eq!(read(&reader).await.unwrap().num_rows(), 3, "SELECT is all it takes");
    let (again, why) = failure(&place.table_for(&user, "hunter2", "people")).await;
    assert!(!again && why.contains("people.url_password") && !why.contains("hunter2"), "{why}");
    place.sql("UPDATE people SET since = NULL; ALTER TABLE people MODIFY age VARCHAR(20)").await;
    place.sql("UPDATE people SET age = 'private'").await;
    let (again, why) = failure(&reader).await;
    assert!(
        !again && why.contains("3 values of column \"age\"") && !why.contains("private"),
        "{why}"
    );
    place.sql("ALTER TABLE people RENAME COLUMN age TO years").await;
    let (again, why) = failure(&reader).await;
    assert!(!again && why.contains("'age'") && why.contains("add the column"), "{why}");
    place.ask(&format!("DROP USER {user}")).await;
}

const EVENTS: Topic = Topic::new("events").keyed_by("id").partitions(2).schema(events);

fn events() -> SchemaRef {
    let columns = [("id", DataType::Utf8), ("n", DataType::Int64)];
    Arc::new(Schema::new(columns.map(|(name, kind)| Field::new(name, kind, false)).to_vec()))
}

fn people() -> SchemaRef {
    let columns = [("id", DataType::Utf8), ("age", DataType::Int64)];
    Arc::new(Schema::new(
        columns.map(|(name, kind)| Field::new(name, kind, name == "age")).to_vec(),
    ))
}

struct Run {
    topics: Memory,
    pipeline: Pipeline,
    stop: CancellationToken,
    status: watch::Receiver<Status>,
    task: JoinHandle<Result<Totals, EngineError>>,
}

impl Run {
    async fn start(table: LookupTable, directory: &Path) -> Self {
        let topics = Memory::new();
        topics.ensure(&EVENTS).await.unwrap();
        let lookup = Lookup::new("people", "id", people(), Arc::new(table))
            .every(Duration::from_secs(2))
            .when_stale(WhenStale::Wait);
        let lake = Lake::new(
            Arc::new(DirStore::new(directory.to_owned())),
            "events",
            Format::Parquet,
            &[],
        );
        let pipeline = Pipeline::from("test", "events", &EVENTS)
            .lookup(lookup)
            .sql("SELECT e.id, e.n, p.age FROM events e LEFT JOIN people p ON e.id = p.id")
            .unwrap()
            .into(Arc::new(lake))
            .roll(Roll::every(Duration::from_millis(300)));
        let (sender, status) = watch::channel(Status::default());
        let stop = CancellationToken::new();
        let world = Self::world(&topics);
        let work = millstream_engine::run(
            pipeline.clone(),
            world,
            Options::default(),
            stop.clone(),
            sender,
        );
        Self { topics, pipeline, stop, status, task: tokio::spawn(work) }
    }

    fn world(topics: &Memory) -> World {
        World { topics: Arc::new(topics.clone()), clock: Arc::new(SystemClock), seed: 1 }
    }

    /// Of ten people.
    async fn send(&self, numbers: std::ops::Range<i64>) {
        let record =
            |n: i64| Outgoing::keyed(format!("k{n}"), format!(r#"{{"id":"k{}","n":{n}}}"#, n % 10));
        self.topics.append("events", numbers.map(record).collect()).await.unwrap();
    }

    async fn until(&mut self, what: &str, wanted: impl FnMut(&Status) -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(60), self.status.wait_for(wanted));
        if waited.await.is_err() {
            panic!("waited in vain for {what}; last: {:#?}", *self.status.borrow());
        }
    }

    /// Waits for a snapshot that began to be read after this moment.
    async fn until_read_anew(&mut self) {
        let now_ms = SystemClock.now_ms();
        self.until("a later snapshot", |status| {
            status.lookups.iter().all(|lookup| lookup.as_of_ms > Some(now_ms))
        })
        .await;
    }

    /// Number, age and version of each row.
    async fn rows(&self) -> Vec<(i64, Option<i64>, i64)> {
        let mut all = Vec::new();
        let mut visit = |batch: RecordBatch| {
            let (n, age) =
                (batch["n"].as_primitive::<Int64Type>(), batch["age"].as_primitive::<Int64Type>());
            let version = batch["people_version"].as_primitive::<TimestampMicrosecondType>();
            assert_eq!(version.null_count(), 0);
            all.extend((0..batch.num_rows()).map(|row| {
                (n.value(row), age.is_valid(row).then(|| age.value(row)), version.value(row))
            }));
            Ok(())
        };
        self.pipeline.target.scan("test.events", &mut visit).await.unwrap();
        all.sort_unstable();
        all
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_changes_goes_away_and_comes_back() {
    let server = stack::wanted_mysql("mysql-lookup", "unused").start().await;
    let place = Place::on(&server, "mysql").await;
    place.sql("CREATE TABLE people (id VARCHAR(20) PRIMARY KEY, age INT)").await;
    place.sql("INSERT INTO people VALUES ('k1', 1), ('k2', 2), ('k3', 3)").await;
    let directory = tempfile::tempdir().unwrap();
    let mut run = Run::start(place.table(), directory.path()).await;

    run.send(0..10).await;
    run.until("the first rows", |status| status.totals.delivered == 10).await;
    place.sql("UPDATE people SET age = age + 100; DELETE FROM people WHERE id = 'k3'").await;
    run.until_read_anew().await;
    run.send(10..20).await;
    run.until("rows after the change", |status| status.totals.delivered == 20).await;
    let rows = run.rows().await;
    let ages = |of: &[(i64, Option<i64>, i64)]| of.iter().map(|row| row.1).collect::<Vec<_>>();
    assert_eq!(ages(&rows[..4]), [None, Some(1), Some(2), Some(3)]);
    assert_eq!(ages(&rows[10..14]), [None, Some(101), Some(102), None]);
    let latest_before = rows[..10].iter().map(|row| row.2).max();
    assert!(
        rows[10..].iter().all(|row| Some(row.2) > latest_before),
        "later rows, later snapshots"
    );

    server.stop().await;
    run.until("stale", |status| {
        matches!(&status.state, State::Retrying(why) if why.contains("lookup people: stale since") && why.contains("partitions wait"))
    })
    .await;
    run.send(20..500).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(run.status.borrow().totals.delivered, 20, "no row is made without the table");
    server.start().await;
    run.until("all rows", |status| status.totals.delivered == 500).await;
    run.until("running", |status| status.state == State::Running).await;

    run.stop.cancel();
    run.task.await.unwrap().unwrap();
    let report = verify(&run.pipeline, &Run::world(&run.topics)).await.unwrap();
    assert!(report.is_exact() && report.pending == 0, "{report:#?}");
}
