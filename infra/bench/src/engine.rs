//! The engine's ways: pipelines as apps have them, with the defaults of their settings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use millstream_engine::{Options, Pipeline, Status, Target, World};
use millstream_sinks::lake::Format;
use millstream_sinks::search::{Field, Index, Kind};
use millstream_sinks::{Stores, Urls};
use millstream_topic::Topic;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::measure::{Gone, ours};
use crate::tree::Used;
use crate::ways::{Route, Way};
use crate::words;

/// The environment variable with the password of the tables' user.
pub const PASSWORD: &str = "MILLSTREAM_BENCH_PASSWORD";

/// The environment variable with the group that a worker joins, where it isn't the only one.
pub const GROUP: &str = "MILLSTREAM_BENCH_GROUP";

const ALERT: &str = "heart_rate > 120 OR spo2 < 90 AS alert";
const DATE: &str = r#"CAST(CAST(ts AS DATE) AS VARCHAR) AS "date""#;

const INDEX: Index = Index {
    name: "vitals",
    key: "patient_id",
    fields: &[
        Field { column: "patient_id", kind: Kind::Id, suggest: false },
        Field { column: "device", kind: Kind::Text { boost: 1.0 }, suggest: false },
    ],
};

/// Works the topic off. `first_output` is when its status first told of a committed row, to 0.1 s.
pub async fn run(way: Way, route: &Route, topic: Topic) -> Result<Gone> {
    let start = Instant::now();
    let group = std::env::var(GROUP);
    let group = group.unwrap_or_else(|_| format!("bench-{}", std::process::id()));
    let pipeline = pipeline(way, route, &topic)?.group(&group);
    let (target, id) = (pipeline.target.clone(), pipeline.id());
    let (told, status) = watch::channel(Status::default());
    let first = tokio::spawn(first_output(status, start));
    let events = work_off(pipeline, World::real(route.open()?), told).await?;
    let first_output = first.await.context("watch the pipeline")?;
    // Files are read where they lie.
    let table = (!lake(way)).then_some((target, id));
    Ok(Gone { events, first_output, table, ..Gone::default() })
}

/// To the topic's end; gives the events.
async fn work_off(pipeline: Pipeline, world: World, told: watch::Sender<Status>) -> Result<u64> {
    let options = Options { until_caught_up: true, ..Options::default() };
    let stop = CancellationToken::new();
    let totals = millstream_engine::run(pipeline, world, options, stop, told).await;
    Ok(totals.context("run the pipeline")?.delivered)
}

async fn first_output(mut status: watch::Receiver<Status>, start: Instant) -> Option<Duration> {
    status.wait_for(|status| status.totals.rows > 0).await.ok().map(|_| start.elapsed())
}

fn lake(way: Way) -> bool {
    matches!(
        way,
        Way::Engine
            | Way::EngineWide
            | Way::EngineStart
            | Way::EngineOne
            | Way::EngineTwo
            | Way::EngineFour
            | Way::EngineWorker
            | Way::VerifyLake
    )
}

/// Works the topic off, then compares what is in the sink with it: only that is timed.
pub async fn verify(way: Way, route: &Route, topic: Topic) -> Result<Gone> {
    let group = format!("bench-{}", std::process::id());
    let pipeline = pipeline(way, route, &topic)?.group(&group);
    let world = World::real(route.open()?);
    let (told, _status) = watch::channel(Status::default());
    work_off(pipeline.clone(), world.clone(), told).await?;
    let (start, before) = (Instant::now(), ours().context("ask for CPU")?);
    let report = millstream_engine::verify::verify(&pipeline, &world).await?;
    let (took, after) = (start.elapsed(), ours().context("ask for CPU")?);
    let wanted = way.work().events(route.events);
    ensure!(
        report.is_exact() && report.delivered == wanted && report.unchecked == 0,
        "of {wanted} events verify says {report:?}"
    );
    let cpu_seconds = after.cpu_seconds - before.cpu_seconds;
    let used = Used { cpu_seconds, ..after };
    Ok(Gone { events: wanted, used: Some(used), took: Some(took), ..Gone::default() })
}

fn pipeline(way: Way, route: &Route, topic: &Topic) -> Result<Pipeline> {
    let draft = Pipeline::from("bench", "rows", topic);
    let from = format!(r#"FROM "{}""#, topic.name);
    let stores = stores(way, route)?;
    let draft = match way {
        // Five dates, and a hundred rooms.
        Way::EngineWide => draft
            .sql(&format!("SELECT *, {ALERT}, {DATE}, substr(patient_id, 13, 2) AS room {from}")),
        Way::WordcountMysql | Way::WordcountSqlite => Ok(draft.transform(words::function()?)),
        _ if lake(way) => draft.sql(&format!("SELECT *, {ALERT}, {DATE} {from}")),
        _ => draft.sql(&format!("SELECT *, {ALERT} {from}")),
    };
    Ok(draft.context("plan the SQL")?.into(target(way, &stores)?))
}

fn target(way: Way, stores: &Stores) -> Result<Arc<dyn Target>> {
    Ok(match way {
        Way::EngineWide => stores.files("vitals", Format::Parquet, &["date", "room"]),
        Way::WordcountMysql | Way::WordcountSqlite => {
            stores.count("bench", "words", &["word"], "count")?
        }
        Way::EngineSearch | Way::VerifySearch => stores.search(&INDEX, None)?,
        _ if lake(way) => stores.files("vitals", Format::Parquet, &["date"]),
        _ => stores.upsert(&keyspace(), "vitals", &["patient_id"]),
    })
}

/// A table of its own that keeps the last row of each key.
pub fn table(way: Way, route: &Route, key: &[&str]) -> Result<Arc<dyn Target>> {
    Ok(stores(way, route)?.upsert(&keyspace(), "rows", key))
}

/// Of each process its own, as a server keeps what the one before wrote.
fn keyspace() -> String {
    format!("bench_{}_{:08x}", std::process::id(), rand::random::<u32>())
}

fn stores(way: Way, route: &Route) -> Result<Stores> {
    let tables = match way.server() {
        Some("mysql") => format!("{}/{}?tls=off", route.tables, keyspace()),
        Some(_) => route.tables.clone(),
        None => "sqlite://tables".to_owned(),
    };
    // The other servers have no users.
    let password = (way.server() == Some("mysql")).then(|| std::env::var(PASSWORD).ok()).flatten();
    let urls = json!({
        "tables": tables,
        "tables_password": password.unwrap_or_default(),
        "lake": "file://lake",
        "search": "tantivy://search",
    });
    let urls: Urls = serde_json::from_value(urls).context("make the stores' settings")?;
    Stores::open(&urls, &route.out).context("open the stores")
}
