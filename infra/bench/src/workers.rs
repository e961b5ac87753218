//! Several workers of one group, as an installation has them: each a process of its own.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::engine;
use crate::measure::{Gone, Measured};
use crate::tree::Used;
use crate::ways::{Route, Way};

const WORKERS: usize = 3;

/// Starts them, and waits until each of them sees that all is done.
pub fn run(route: &Route) -> Result<Gone> {
    let start = Instant::now();
    let group = format!("bench-{}", std::process::id());
    let program = std::env::current_exe().context("find this program")?;
    let spawn = |_| {
        let mut command = Command::new(&program);
        command.args(["--events", &route.events.to_string()]);
        command.args(["measure", "engine-worker", &route.topics]).arg(&route.out);
        command.env(engine::GROUP, &group).stdout(Stdio::piped());
        command.spawn().context("start a worker")
    };
    // All of them, before one is waited for.
    let workers: Vec<_> = (0..WORKERS).map(spawn).collect::<Result<_>>()?;
    let mut used = Used { cpu_seconds: 0.0, peak_bytes: 0, first_output: None };
    let mut events = 0;
    for worker in workers {
        let output = worker.wait_with_output().context("wait for a worker")?;
        ensure!(output.status.success(), "a worker failed: {}", output.status);
        let one: Measured =
            serde_json::from_slice(&output.stdout).context("read what a worker took")?;
        events += one.events;
        used.cpu_seconds += one.cpu_seconds;
        used.peak_bytes += one.peak_bytes;
    }
    let wanted = Way::EngineThreeWorkers.work().events(route.events);
    ensure!(events == wanted, "{WORKERS} workers delivered {events} of {wanted} events");
    Ok(Gone { events, used: Some(used), took: Some(start.elapsed()), ..Gone::default() })
}
