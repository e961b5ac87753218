//! `kill -9` of workers that share an app's partitions, again and again.

use std::time::Duration;

use super::Deployed;
use crate::chance::Chance;
use crate::{Running, wait};

/// Workers at the same time.
const WORKERS: usize = 3;
const KILLS: usize = 21;

/// Keeps three workers at work and kills one of them again and again, at random moments, while `load` goes on: it is
/// called before each kill. Every other time the sinks of `pipelines` get on in between.
pub fn kill_workers(app: &Deployed, pipelines: &[&str], mut load: impl FnMut()) {
    let mut chance = Chance::new();
    let start = || app.start(&app.app, &["process"]);
    let mut workers: Vec<Running> = (0..WORKERS).map(|_| start()).collect();
    for kill in 0..KILLS {
        load();
        // Every other one soon after the last, while partitions are still moving.
        if kill % 2 == 0 {
            app.goes_on(pipelines[kill / 2 % pipelines.len()]);
        }
        wait::pause(chance.milliseconds(0, 400));
        let victim = chance.number(0, WORKERS as u64) as usize;
        let mut killed = std::mem::replace(&mut workers[victim], start());
        let ended = killed.has_ended();
        assert!(ended.is_none(), "the worker ended before kill {kill}: {ended:?}");
        killed.kill_9();
    }
    for worker in workers {
        end(worker);
    }
    println!("{}: {KILLS} kills", app.app);
}

/// A load that goes on by itself: panics if it has ended.
pub fn goes_on(producer: &mut Running) {
    let ended = producer.has_ended();
    assert!(ended.is_none(), "the producer ended: {ended:?}");
}

/// Has a command that would go on end.
pub fn end(running: Running) -> crate::Ran {
    // One that has only just been started would be ended by the system.
    wait::until("it is ready to be told", wait::LONG, || match takes_sigterm(running.id()) {
        true => Ok(()),
        false => Err(format!("{running:?}")),
    });
    running.signal(nix::sys::signal::Signal::SIGTERM);
    running.ends_within(Duration::from_secs(60)).succeeds()
}

/// Stops a producer that would go on; how many records it says it sent.
pub fn stop(producer: Running) -> u64 {
    let ran = end(producer);
    let said = ran.stderr.lines().find_map(|line| line.strip_suffix(" records sent"));
    let said = said.and_then(|line| line.rsplit(' ').next());
    said.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{ran:?}"))
}

/// Whether a process has asked the system to be told of SIGTERM.
fn takes_sigterm(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    caught & (1 << (nix::sys::signal::Signal::SIGTERM as u32 - 1)) != 0
}
