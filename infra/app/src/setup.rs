use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use millstream_config::{Problem, Problems, Secret, Settings};
use millstream_engine::{Options, Pipeline, Roll, World};
use millstream_sinks::{Stores, Urls};
use millstream_topic::Backend;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::{App, Produce, ProduceOptions, Sent, catalog, console};

/// Where an app finds its settings and keeps its data.
#[derive(Clone, Debug, clap::Args)]
pub struct Places {
    /// Directory of the embedded log, stores and lake; several commands may use it at once
    #[arg(
        long,
        global = true,
        env = "MILLSTREAM_DATA",
        value_name = "DIR",
        default_value = ".millstream"
    )]
    pub data: PathBuf,
    /// Settings that differ from the app's own (see `check` for all of them)
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// An app made ready: settings read and checked, topics and stores opened, pipelines planned.
#[derive(Clone, Debug)]
pub struct Setup {
    pub app: App,
    pub settings: Settings,
    pub data: PathBuf,
    pub topics: Arc<dyn Backend>,
    pub stores: Stores,
    pub pipelines: Vec<Pipeline>,
    /// Memory for each pipeline, in bytes.
    pub memory: usize,
}

#[derive(Deserialize)]
struct TopicsSection {
    url: String,
    #[serde(default)]
    password: Secret,
    #[serde(default)]
    settings: Vec<String>,
}

#[derive(Deserialize)]
struct WorkerSection {
    group: String,
    memory_mb: usize,
}

#[derive(Deserialize)]
struct RollSection {
    every_s: f64,
    records: i64,
    bytes_mb: i64,
}

impl Setup {
    /// Reads the settings of `app` (defaults < file < environment) and opens what they name.
    pub fn open(app: &App, places: &Places) -> Result<Self> {
        let settings = Self::settings(app, places.config.as_deref())?;
        Self::with_settings(app, settings, &places.data)
    }

    /// The settings alone, without touching any store.
    pub fn settings(app: &App, file: Option<&Path>) -> Result<Settings> {
        Settings::load(app.name, app.defaults, file, std::env::vars())
            .with_context(|| format!("read the settings of {}", app.name))
    }

    /// Opens what these settings name. Directories are meant from `data`, which is made if missing.
    pub fn with_settings(app: &App, settings: Settings, data: &Path) -> Result<Self> {
        let topics: TopicsSection = settings.section("topics")?;
        let urls: Urls = settings.section("stores")?;
        let worker: WorkerSection = settings.section("worker")?;
        let roll = roll(&settings)?;
        console::address(&settings)?;
        let stores = Stores::open(&urls, data)?.with_catalog(catalog::open(&urls)?);
        std::fs::create_dir_all(data).with_context(|| {
            format!("make the data directory {}; name a writable one by --data", data.display())
        })?;
        let topics = millstream_topic::open(&topics.url, topics.password, &topics.settings, data)?;
        let stores = stores.with_topics(topics.clone());
        let pipelines = (app.pipelines)(&settings, &stores)?;
        for pipeline in &pipelines {
            pipeline.check().with_context(|| format!("plan pipeline {}", pipeline.id()))?;
        }
        let alone = pipelines.len() == 1;
        let pipelines = pipelines
            .into_iter()
            .map(|pipeline| match worker.group.as_str() {
                "" => pipeline.roll(roll),
                group if alone => pipeline.roll(roll).group(group),
                group => {
                    let group = format!("{group}.{}", pipeline.name);
                    pipeline.roll(roll).group(&group)
                }
            })
            .collect();
        let memory = worker.memory_mb << 20;
        Ok(Self { app: *app, settings, data: data.to_owned(), topics, stores, pipelines, memory })
    }

    /// Runs the app's producer until it ends or `stop`. `sent` counts meanwhile; `notice` gets lines for people.
    pub async fn produce(
        &self,
        options: ProduceOptions,
        sent: Sent,
        stop: CancellationToken,
        notice: fn(&str),
    ) -> Result<()> {
        let task = Produce {
            settings: self.settings.clone(),
            topics: self.topics.clone(),
            stores: self.stores.clone(),
            options,
            stop,
            sent,
            notice,
        };
        (self.app.produce)(task).await.with_context(|| format!("produce {}", self.app.name))
    }

    pub fn world(&self) -> World {
        World::real(self.topics.clone())
    }

    pub fn options(&self, until_caught_up: bool) -> Options {
        Options { until_caught_up, memory: self.memory, ..Options::default() }
    }
}

fn roll(settings: &Settings) -> Result<Roll, Problems> {
    let read: RollSection = settings.section("roll")?;
    let problems = [
        (!(0.01..=86_400.0).contains(&read.every_s))
            .then(|| settings.problem("roll.every_s", read.every_s, "seconds, from 0.01 to 86400")),
        (!(1..=10_000_000).contains(&read.records))
            .then(|| settings.problem("roll.records", read.records, "1 to 10000000 records")),
        (!(1..=1024).contains(&read.bytes_mb))
            .then(|| settings.problem("roll.bytes_mb", read.bytes_mb, "1 to 1024 megabytes")),
    ];
    let problems: Vec<Problem> = problems.into_iter().flatten().collect();
    Problems::check(problems)?;
    Ok(Roll {
        every: Duration::from_secs_f64(read.every_s),
        records: read.records as usize,
        bytes: (read.bytes_mb as usize) << 20,
    })
}

/// What to try when nothing is there yet.
pub fn hint(app: &str) -> String {
    format!("nothing was produced yet: try `{app} produce --once`")
}
