//! An app's places in a directory of their own, and what is in them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use arrow::array::AsArray;
use millstream_app::{Setup, process};
use millstream_config::{Settings, Value};
use millstream_sinks::sql;
use millstream_topic::{Record, TopicPartition};
use recalls::feed_state::{self, FeedState};
use recalls::refresh::{Options, Refresher};
use recalls::round::Ended;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

pub struct World {
    pub setup: Setup,
    pub directory: tempfile::TempDir,
}

/// Settings that make a test quick, over which `set` goes.
pub fn settings(set: &[(&str, Value)]) -> Settings {
    let mut settings = Settings::load("recalls", recalls::APP.defaults, None, []).unwrap();
    let quick = [
        ("feed.when_unreachable", "fail".into()),
        ("feed.tries", 1.into()),
        ("feed.idle_s", 20.into()),
        ("feed.download_s", 25.into()),
        ("stand_in.recalls", 60.into()),
        ("roll.every_s", 0.05.into()),
        ("serve.refresh", false.into()),
    ];
    for (key, value) in quick.into_iter().chain(set.iter().cloned()) {
        settings.set(key, value).unwrap();
    }
    settings
}

impl World {
    pub fn new(set: &[(&str, Value)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let setup = open(directory.path(), set);
        Self { setup, directory }
    }

    /// Of a server's URL.
    pub fn at(url: &str, set: &[(&str, Value)]) -> Self {
        Self::new(&[&[("feed.url", url.into())], set].concat())
    }

    /// Deletes topic `devices` behind everybody's back, and opens all anew, with the feed at `url`.
    pub fn delete_devices(&mut self, url: &str) {
        let log = self.directory.path().join("log");
        for file in std::fs::read_dir(log).unwrap().map(|file| file.unwrap().path()) {
            if file.file_name().unwrap().to_str().unwrap().starts_with("devices.db") {
                std::fs::remove_file(file).unwrap();
            }
        }
        self.setup = open(self.directory.path(), &[("feed.url", url.into())]);
    }

    pub fn refresher(&self, options: Options) -> Refresher {
        let Setup { settings, topics, stores, .. } = &self.setup;
        Refresher::with(settings, topics.clone(), stores, options).unwrap()
    }

    pub async fn refresh(&self) -> Result<Ended> {
        let stop = CancellationToken::new();
        let refresher = self.refresher(Options::default());
        let ended = tokio::time::timeout(Duration::from_secs(120), refresher.once(&stop));
        ended.await.expect("an end in time")
    }

    pub async fn state(&self) -> FeedState {
        feed_state::last(self.setup.topics.as_ref()).await.unwrap()
    }

    /// Everything that was ever sent.
    pub async fn records(&self, topic: &str) -> Vec<Record> {
        let mut all = Vec::new();
        let info = self.setup.topics.info(topic).await.unwrap();
        for partition in 0..info.map_or(0, |info| info.partitions.len() as u32) {
            let at = TopicPartition::new(topic, partition);
            all.extend(self.setup.topics.read(&at, 0, 1_000_000).await.unwrap().records);
        }
        all
    }

    /// Works off what is in the topic; then the table: numbers with their states.
    pub async fn table(&self) -> BTreeMap<String, String> {
        process::process(&self.setup, true, CancellationToken::new()).await.unwrap();
        let path = self.setup.stores.databases().unwrap().join("recalls.db");
        let table = sql::read_table(&path, "enforcement").unwrap();
        let mut rows = BTreeMap::new();
        for batch in &table.batches {
            let column = |name| batch.column_by_name(name).unwrap().as_string::<i32>().iter();
            let pairs = column("recall_number").zip(column("status"));
            rows.extend(pairs.map(|(n, s)| (n.unwrap().to_owned(), s.unwrap_or("").to_owned())));
        }
        rows
    }

    /// Puts up the pages, which go with the guard; their address.
    pub async fn serve(&self) -> (String, DropGuard) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (setup, stop) = (self.setup.clone(), CancellationToken::new());
        let until = stop.clone();
        tokio::spawn(
            async move { millstream_app::serve::on(&setup, listener, until, |_| {}).await },
        );
        (url, stop.drop_guard())
    }

    /// Names of the snapshots in the lake, the oldest first.
    pub fn snapshots(&self) -> Vec<String> {
        let directory = self.directory.path().join("lake/recalls/snapshots");
        let Ok(files) = std::fs::read_dir(directory) else { return Vec::new() };
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.ends_with(".csv")).collect();
        names.sort();
        names
    }
}

pub fn open(directory: &Path, set: &[(&str, Value)]) -> Setup {
    Setup::with_settings(&recalls::APP, settings(set), directory).unwrap()
}

pub fn sent(new: u64, changed: u64, gone: u64) -> Ended {
    Ended::Sent { new, changed, gone }
}
