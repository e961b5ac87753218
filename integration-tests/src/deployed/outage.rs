//! A server that goes in the middle of a load and comes back.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::stack::{self, Server};
use crate::{Running, http, wait};

/// What was seen of a worker while a server was away.
#[derive(Debug)]
pub struct Seen {
    /// Megabytes of memory at most.
    pub peak_mb: u64,
    /// What the console showed of the pipeline in trouble, in words.
    pub shown: String,
}

/// Stops `server` for `away`, watching `worker`; `console` is its address. Panics unless the console says within that
/// time that something is wrong, or if the worker ends.
pub fn stop_for(server: &Server, away: Duration, worker: &mut Running, console: &str) -> Seen {
    stack::block_on(server.stop());
    let started = Instant::now();
    let mut seen = Seen { peak_mb: 0, shown: String::new() };
    while started.elapsed() < away {
        wait::pause(Duration::from_millis(250));
        seen.peak_mb = seen.peak_mb.max(memory_mb(worker.id()));
        if seen.shown.is_empty() {
            seen.shown = trouble(console).unwrap_or_default();
        }
        let ended = worker.has_ended();
        assert!(ended.is_none(), "the worker ended with its server away: {ended:?}");
    }
    assert!(
        !seen.shown.is_empty(),
        "the console at {console} shows no trouble after {away:?}: {worker:?}"
    );
    stack::block_on(server.start());
    eprintln!("{} was away for {away:?}: {seen:?}", server.name);
    seen
}

/// Peak resident memory of a process, megabytes.
pub fn memory_mb(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|rest| rest.trim().split(' ').next()?.parse::<u64>().ok());
    peak.unwrap_or(0) / 1024
}

/// What the console says of a pipeline that can't go on just now.
fn trouble(console: &str) -> Option<String> {
    let answer = http::try_get(&format!("http://{console}/api/v1/overview")).ok()?;
    find_trouble(&answer.json())
}

fn find_trouble(value: &Value) -> Option<String> {
    match value {
        Value::Object(fields) => {
            let retries = fields.get("is").is_some_and(|is| is == "retrying");
            let why = fields.get("why").filter(|_| retries).map(ToString::to_string);
            why.or_else(|| fields.values().find_map(find_trouble))
        }
        Value::Array(values) => values.iter().find_map(find_trouble),
        _ => None,
    }
}
