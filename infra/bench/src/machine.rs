//! What the figures were taken on, and with.

use std::collections::BTreeMap;
use std::fs;
use std::thread::available_parallelism;

use serde::Serialize;

use crate::servers::table;

#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub memory_gb: f64,
    pub system: String,
    /// Processes that wanted to run in the minute before the run: beside 0, others were at work.
    pub load_before: f64,
    pub versions: BTreeMap<String, String>,
}

impl Machine {
    /// `peers`: what was installed, "Spark 4.2.0" a line.
    pub fn look(peers: &str) -> Self {
        let mut versions = BTreeMap::from([
            ("Millstream".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("librdkafka".to_owned(), rdkafka::util::get_rdkafka_version().1),
        ]);
        let table = table();
        for (name, key) in [("Kafka", "KAFKA"), ("Cassandra", "CASSANDRA"), ("MySQL", "MYSQL")] {
            let version = table.get(format!("{key}_VERSION").as_str()).copied();
            versions.extend(version.map(|version| (name.to_owned(), version.to_owned())));
        }
        let installed = peers.lines().filter_map(|line| line.rsplit_once(' '));
        versions.extend(installed.map(|(name, version)| (name.to_owned(), version.to_owned())));
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self {
            processor: after(&text("/proc/cpuinfo"), "model name").trim_start_matches(": ").into(),
            cores: available_parallelism().map_or(0, usize::from),
            memory_gb: number(after(&text("/proc/meminfo"), "MemTotal:")) * 1024.0 / 1e9,
            system: text("/proc/version").split(" (").next().unwrap_or_default().to_owned(),
            load_before: number(&text("/proc/loadavg")),
            versions,
        }
    }
}

/// The rest of the line that begins so.
fn after<'a>(text: &'a str, beginning: &str) -> &'a str {
    text.lines().find_map(|line| line.strip_prefix(beginning)).unwrap_or_default().trim()
}

fn number(text: &str) -> f64 {
    text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}
