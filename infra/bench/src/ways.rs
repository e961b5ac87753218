use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use millstream_topic::{Backend, Topic};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::measure::Gone;
use crate::work::Work;
use crate::{engine, hand, latency, peers, workers};

/// Of each work what reading alone takes first, then the limit, then ours and the peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// librdkafka, and bytes are counted.
    Raw,
    /// Our consumer, and bytes are counted.
    Consume,
    /// … and the engine's JSON decoder.
    Decode,
    /// The shortest way to the rows, without any promise.
    Limit,
    /// What a worker runs: consume, decode, SQL, Parquet on a synced disk, exactly once.
    Engine,
    Spark,
    Flink,
    Bento,
    Connect,
    EngineCassandra,
    EngineMysql,
    EngineSqlite,
    EngineSearch,
    SparkWordcount,
    WordcountMysql,
    WordcountSqlite,
    EngineWide,
    EngineStart,
    EngineOne,
    EngineTwo,
    EngineFour,
    /// Three workers of one group, each a process.
    EngineThreeWorkers,
    /// One of them.
    #[value(hide = true)]
    EngineWorker,
    VerifyLake,
    VerifyCassandra,
    VerifyMysql,
    VerifySearch,
    LatencySqlite,
    LatencyMysql,
    LatencyCassandra,
    FastSqlite,
    FastMysql,
    FastCassandra,
}

/// Where a way begins and ends.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// `kafka://…` or `sqlite://directory`.
    pub topics: String,
    /// `cassandra://…`, `mysql://…`, for the ways that go there.
    pub tables: String,
    /// A directory that isn't there yet.
    pub out: PathBuf,
    /// Of the vitals to Parquet.
    pub events: u64,
}

impl Way {
    pub const ALL: [Self; 32] = [
        Self::Raw,
        Self::Consume,
        Self::Decode,
        Self::Limit,
        Self::Engine,
        Self::Spark,
        Self::Flink,
        Self::Bento,
        Self::Connect,
        Self::EngineCassandra,
        Self::EngineMysql,
        Self::EngineSqlite,
        Self::EngineSearch,
        Self::SparkWordcount,
        Self::WordcountMysql,
        Self::WordcountSqlite,
        Self::EngineWide,
        Self::EngineStart,
        Self::EngineOne,
        Self::EngineTwo,
        Self::EngineFour,
        Self::EngineThreeWorkers,
        Self::VerifyLake,
        Self::VerifyCassandra,
        Self::VerifyMysql,
        Self::VerifySearch,
        Self::LatencySqlite,
        Self::LatencyMysql,
        Self::LatencyCassandra,
        Self::FastSqlite,
        Self::FastMysql,
        Self::FastCassandra,
    ];

    pub fn work(self) -> Work {
        match self {
            Self::Raw
            | Self::Consume
            | Self::Decode
            | Self::Limit
            | Self::Engine
            | Self::Spark
            | Self::Flink
            | Self::Bento
            | Self::Connect => Work::Parquet,
            Self::EngineCassandra | Self::EngineMysql | Self::EngineSqlite | Self::EngineSearch => {
                Work::Upsert
            }
            Self::SparkWordcount | Self::WordcountMysql | Self::WordcountSqlite => Work::Wordcount,
            Self::EngineWide => Work::Wide,
            Self::EngineStart => Work::Start,
            Self::EngineOne => Work::One,
            Self::EngineTwo => Work::Two,
            Self::EngineFour | Self::EngineThreeWorkers | Self::EngineWorker => Work::Four,
            Self::VerifyLake | Self::VerifyCassandra | Self::VerifyMysql | Self::VerifySearch => {
                Work::Verify
            }
            Self::LatencySqlite | Self::LatencyMysql | Self::LatencyCassandra => Work::Latency,
            Self::FastSqlite | Self::FastMysql | Self::FastCassandra => Work::LatencyFast,
        }
    }

    /// As it is called in results.
    pub fn title(self) -> &'static str {
        match self {
            Self::Raw => "librdkafka alone",
            Self::Consume => "our consumer alone",
            Self::Decode => "our consumer + decoder",
            Self::Limit => "hand-written limit",
            Self::Engine | Self::EngineWide | Self::EngineStart => "Millstream → Parquet",
            Self::EngineOne | Self::EngineTwo | Self::EngineFour => "Millstream → Parquet",
            Self::EngineThreeWorkers => "Millstream → Parquet, 3 workers",
            Self::EngineWorker => "one of 3 workers",
            Self::Spark | Self::SparkWordcount => "Spark Structured Streaming",
            Self::EngineCassandra | Self::LatencyCassandra | Self::FastCassandra => {
                "Millstream → Cassandra"
            }
            Self::EngineMysql | Self::WordcountMysql | Self::LatencyMysql | Self::FastMysql => {
                "Millstream → MySQL"
            }
            Self::EngineSqlite | Self::WordcountSqlite | Self::LatencySqlite | Self::FastSqlite => {
                "Millstream → SQLite"
            }
            Self::VerifyLake => "Parquet",
            Self::VerifyCassandra => "Cassandra",
            Self::VerifyMysql => "MySQL",
            Self::VerifySearch => "search",
            Self::Flink => "Flink SQL",
            Self::Bento => "Bento",
            Self::Connect => "Kafka Connect, lines of text",
            Self::EngineSearch => "Millstream → search",
        }
    }

    pub fn is_peer(self) -> bool {
        matches!(
            self,
            Self::Spark | Self::SparkWordcount | Self::Flink | Self::Bento | Self::Connect
        )
    }

    /// Whether it leaves rows that can be compared.
    pub fn writes(self) -> bool {
        !matches!(
            self,
            Self::Raw | Self::Consume | Self::Decode | Self::Connect | Self::EngineWorker
        ) && self.work() != Work::Verify
    }

    /// Whether it can't be gone on the embedded log.
    pub fn needs_kafka(self) -> bool {
        self.is_peer() || matches!(self, Self::Raw | Self::EngineThreeWorkers)
    }

    /// The server, by its scheme, that it ends in.
    pub fn server(self) -> Option<&'static str> {
        match self {
            Self::EngineCassandra
            | Self::VerifyCassandra
            | Self::LatencyCassandra
            | Self::FastCassandra => Some("cassandra"),
            Self::EngineMysql
            | Self::VerifyMysql
            | Self::WordcountMysql
            | Self::LatencyMysql
            | Self::FastMysql => Some("mysql"),
            _ => None,
        }
    }

    /// Goes it, over the whole topic.
    pub async fn go(self, route: &Route) -> Result<Gone> {
        let topic = self.work().topic(route.events);
        match self {
            Self::Raw => hand::raw(route, &topic).await,
            Self::Consume => hand::consume(&*route.open()?, &topic).await,
            Self::Decode => hand::decode(&*route.open()?, &topic).await,
            Self::Limit => hand::limit(route, &topic).await,
            Self::Spark => peers::spark("parquet", route, &topic.name),
            Self::Flink => peers::to_parquet("flink", route, &topic.name),
            Self::Bento => peers::to_parquet("bento", route, &topic.name),
            Self::Connect => peers::connect(self.work().events(route.events), route, &topic.name),
            Self::SparkWordcount => peers::spark("wordcount", route, &topic.name),
            Self::EngineThreeWorkers => workers::run(route),
            _ if self.work() == Work::Verify => engine::verify(self, route, topic).await,
            _ if self.work().is_latency() => latency::run(self, route).await,
            _ => engine::run(self, route, topic).await,
        }
    }
}

impl Route {
    pub fn open(&self) -> Result<Arc<dyn Backend>> {
        let base = Path::new("");
        millstream_topic::open(&self.topics, Default::default(), &[], base).context("open topics")
    }

    /// `host:port[,…]`, where the topics are Kafka's.
    pub fn brokers(&self) -> Option<&str> {
        self.topics.strip_prefix("kafka://")
    }
}

/// What the topic holds.
pub async fn look(topics: &dyn Backend, topic: &Topic) -> Result<millstream_topic::TopicInfo> {
    topics.info(&topic.name).await?.context("there is no topic: generate it first")
}
