//! Servers that go in the middle of a load and come back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::stack::{self, Server};
use crate::{Running, http, wait};

/// How long a server stays away.
const AWAY: Duration = Duration::from_secs(60);
/// Megabytes that a worker may take; it holds 256 of records and rows at most.
const MEMORY_MB: u64 = 700;

/// A pipeline that can't go on without one of the servers, and the worker that works on it.
pub struct Watched<'a> {
    pub pipeline: &'a str,
    pub worker: &'a mut Running,
}

/// Stops `servers` for a minute. Panics unless the console at that address says within this time that all of `watched`
/// can't go on, or if a worker ends or takes too much memory.
pub fn stop_for_a_minute(servers: &[&Server], watched: &mut [Watched<'_>], console: &str) {
    each(servers, |server| stack::block_on(server.stop()));
    let started = Instant::now();
    let mut shown = BTreeMap::new();
    while started.elapsed() < AWAY {
        wait::pause(Duration::from_millis(500));
        for Watched { pipeline, worker } in &mut *watched {
            let ended = worker.has_ended();
            assert!(ended.is_none(), "the worker ended with its server away: {ended:?}");
            if !shown.contains_key(*pipeline) {
                shown.extend(trouble(console, pipeline).map(|why| (pipeline.to_owned(), why)));
            }
        }
    }
    let overview = http::try_get(&format!("http://{console}/api/v1/overview"));
    each(servers, |server| stack::block_on(server.start()));
    for Watched { pipeline, worker } in watched {
        let peak = memory_mb(worker.id());
        let why = shown.get(*pipeline).unwrap_or_else(|| {
            let overview = overview.as_ref().map(http::Answer::text);
            panic!("the console shows no trouble with {pipeline}: {overview:?}; {worker:?}")
        });
        println!("{pipeline} without its server: {peak} MB at most; the console: {why}");
        assert!(peak < MEMORY_MB, "{pipeline}: {peak} MB");
    }
}

fn each(servers: &[&Server], act: impl Fn(&Server) + Sync) {
    std::thread::scope(|scope| {
        for server in servers {
            scope.spawn(|| act(server));
        }
    });
}

/// Peak resident memory of a process, megabytes.
fn memory_mb(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|rest| rest.trim().split(' ').next()?.parse::<u64>().ok());
    peak.expect("the system tells it") / 1024
}

/// Why a pipeline can't go on just now, as the console has it.
fn trouble(console: &str, pipeline: &str) -> Option<String> {
    let answer = http::try_get(&format!("http://{console}/api/v1/overview")).ok()?;
    let overview: Value = serde_json::from_slice(&answer.bytes).ok()?;
    let mut pipelines = overview["pipelines"].as_array()?.iter();
    let state = &pipelines.find(|told| told["id"] == pipeline)?["state"];
    // Workers whose word doesn't come through any more are silent.
    let is_trouble = state["is"] == "retrying" || state["is"] == "silent";
    is_trouble.then(|| format!("{}: {}", state["is"], state["why"]))
}
