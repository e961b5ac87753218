use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use clap::ValueEnum;
use millstream_engine::{Decoder, Json, Options, Pipeline, Status, World};
use millstream_sinks::lake::{DirStore, Format, Lake};
use millstream_topic::sqlite::SqliteLog;
use millstream_topic::{Event, Order, Record, Subscriptions, Topics};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::by_hand::Loop;
use crate::vitals::{VITALS, vitals_schema};

/// Records decoded at once, as the engine does.
const CHUNK: usize = 65_536;

const SQL: &str = r#"
    SELECT *, heart_rate > 120 OR spo2 < 90 AS alert, CAST(CAST(ts AS DATE) AS VARCHAR) AS "date"
    FROM vitals"#;

/// A way through the topic. Cheapest first; the last one is what the others are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Through the log's consumer; bytes are counted.
    Raw,
    /// The same, and the engine's JSON decoder.
    Decode,
    /// What a worker runs: read, decode, SQL, Parquet on a synced disk with plans and ledger.
    Engine,
    /// The same rows by the shortest way, without any promise.
    ByHand,
}

impl Way {
    pub const ALL: [Self; 4] = [Self::Raw, Self::Decode, Self::Engine, Self::ByHand];

    pub fn title(self) -> &'static str {
        match self {
            Self::Raw => "raw read",
            Self::Decode => "read + decode",
            Self::Engine => "engine: read + decode + SQL + Parquet",
            Self::ByHand => "hand-written loop",
        }
    }

    /// Goes it, over the whole topic. Returns the events that were seen.
    pub async fn go(self, log: &Path, out: &Path) -> Result<u64> {
        let log = SqliteLog::open(log).context("open the log")?;
        match self {
            Self::Raw => raw(&log).await,
            Self::Decode => decode(&log).await,
            Self::Engine => engine(log, out).await,
            Self::ByHand => by_hand(&log, out).await,
        }
    }
}

async fn raw(log: &SqliteLog) -> Result<u64> {
    let (mut events, mut bytes) = (0, 0);
    each_slice(log, |records| {
        events += records.len() as u64;
        bytes += records.iter().map(Record::size).sum::<usize>();
        Ok(())
    })
    .await?;
    ensure!(bytes > 0, "the topic is empty");
    Ok(events)
}

async fn decode(log: &SqliteLog) -> Result<u64> {
    let decoder = Json::new(vitals_schema());
    let mut rows = 0;
    let mut work = |records: &mut Vec<Record>| {
        let values: Vec<&[u8]> = records.iter().filter_map(|r| r.value.as_deref()).collect();
        let decoded = decoder.decode(&values).map_err(|why| anyhow!("decode vitals: {why}"))?;
        rows += decoded.batch.num_rows() as u64;
        records.clear();
        anyhow::Ok(())
    };
    let mut pending = Vec::with_capacity(CHUNK);
    each_slice(log, |records| {
        pending.extend(records);
        if pending.len() >= CHUNK { work(&mut pending) } else { Ok(()) }
    })
    .await?;
    work(&mut pending)?;
    Ok(rows)
}

async fn engine(log: SqliteLog, out: &Path) -> Result<u64> {
    let lake = Arc::new(DirStore::new(out.to_owned()));
    let pipeline = Pipeline::from("bench", "vitals", &VITALS)
        .sql(SQL)
        .context("plan the SQL")?
        .into(Arc::new(Lake::new(lake, "vitals", Format::Parquet, &["date"])));
    let options = Options { until_caught_up: true, ..Options::default() };
    let (status, _) = watch::channel(Status::default());
    let stop = CancellationToken::new();
    let totals =
        millstream_engine::run(pipeline, World::real(Arc::new(log)), options, stop, status).await;
    Ok(totals.context("run the pipeline")?.delivered)
}

async fn by_hand(log: &SqliteLog, out: &Path) -> Result<u64> {
    let mut by_hand = Loop::new(out);
    each_slice(log, |records| records.iter().try_for_each(|record| by_hand.take(record))).await?;
    by_hand.finish()
}

/// Reads the topic to its end as the only member of a group, from its beginning.
async fn each_slice(
    log: &SqliteLog,
    mut work: impl FnMut(Vec<Record>) -> Result<()>,
) -> Result<()> {
    let info = log.info(&VITALS.name).await?.context("there is no topic: generate it first")?;
    let mut left = info.partitions.iter().filter(|bounds| bounds.low < bounds.end).count();
    let mut consumer = log.join("bench.loop", &[VITALS.name.to_string()]).await?;
    while left > 0 {
        match consumer.poll(Duration::from_secs(1)).await.context("read vitals")? {
            Event::Assigned(partitions) => {
                for at in partitions {
                    consumer.steer(Order::Seek(at, 0))?;
                }
            }
            Event::Records { at, records, .. } => {
                let end = info.partitions.get(at.partition as usize).map_or(0, |bounds| bounds.end);
                left -= usize::from(records.last().is_some_and(|last| last.offset + 1 == end));
                work(records)?;
            }
            _ => {}
        }
    }
    Ok(())
}
