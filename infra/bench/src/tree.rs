//! What another program and all it starts take, from the kernel. Linux only.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::sys::wait::waitpid;

/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Linux tells times in hundredths of a second, whatever its own clock.
const TICKS: f64 = 100.0;

/// What it took.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    pub cpu_seconds: f64,
    /// The largest sum of what its processes had resident at one moment.
    pub peak_bytes: u64,
    /// When something was in `done`.
    pub first_output: Option<Duration>,
}

/// Runs a program to its end, and waits for what it leaves behind.
pub fn measure(mut command: Command, done: &Path) -> Result<Used> {
    let start = Instant::now();
    adopt().context("become the parent of orphans")?;
    // Standard output is for our own result.
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    let mut child = child.with_context(|| format!("start {command:?}"))?;
    let (mut peak_bytes, mut first_output) = (0, None);
    let status = loop {
        if first_output.is_none() && done.metadata().is_ok_and(|file| file.len() > 0) {
            first_output = Some(start.elapsed());
        }
        peak_bytes = peak_bytes.max(resident(std::process::id()));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        #[allow(clippy::disallowed_methods, reason = "no task runs beside this, and nobody tells")]
        std::thread::sleep(LOOK_EVERY);
    };
    // Its orphans became ours, and end by themselves.
    while waitpid(None, None).is_ok() {}
    ensure!(status.success(), "{command:?} failed: {status}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("ask for CPU")?;
    let cpu = usage.user_time() + usage.system_time();
    Ok(Used { cpu_seconds: cpu.num_microseconds() as f64 / 1e6, peak_bytes, first_output })
}

#[cfg(target_os = "linux")]
fn adopt() -> nix::Result<()> {
    nix::sys::prctl::set_child_subreaper(true)
}

#[cfg(not(target_os = "linux"))]
fn adopt() -> nix::Result<()> {
    Err(nix::Error::ENOTSUP)
}

/// Bytes that all below a process have resident, without its own.
fn resident(root: u32) -> u64 {
    let sizes = below(root).into_keys().filter_map(|id| {
        let text = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let size = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        size.split_whitespace().next()?.parse::<u64>().ok()
    });
    sizes.map(|kilobytes| kilobytes * 1024).sum()
}

/// CPU seconds of a process and all below it that run now.
pub fn cpu_seconds(root: u32) -> f64 {
    let own = process(root).map_or(0, |process| process.ticks);
    (own + below(root).values().map(|process| process.ticks).sum::<u64>()) as f64 / TICKS
}

struct Process {
    parent: u32,
    ticks: u64,
}

fn below(root: u32) -> BTreeMap<u32, Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut all: BTreeMap<u32, Process> = ids.filter_map(|id| Some((id, process(id)?))).collect();
    let mut kept = BTreeMap::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        let children: Vec<u32> =
            all.iter().filter(|(_, one)| one.parent == parent).map(|(id, _)| *id).collect();
        for id in children {
            kept.extend(all.remove(&id).map(|one| (id, one)));
            parents.push(id);
        }
    }
    kept
}

/// From `/proc/<id>/stat`; `None`: it has ended.
fn process(id: u32) -> Option<Process> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name, in brackets, may hold anything.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some(Process { parent: u32::try_from(number(1)?).ok()?, ticks: number(11)? + number(12)? })
}
