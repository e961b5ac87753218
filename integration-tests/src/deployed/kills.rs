//! `kill -9` of workers that share an app's partitions, again and again.

use std::time::Duration;

use crate::chance::Chance;
use crate::{Data, Running, wait};

/// Workers at the same time.
pub const WORKERS: usize = 3;

/// Keeps three workers of `app` at work and kills one of them `kills` times, at random moments, while `producer` goes
/// on. `position` tells how far the sink is; between two kills it gets on.
pub fn kill_workers(
    data: &Data,
    app: &str,
    kills: usize,
    producer: &mut Running,
    position: impl Fn() -> u64,
) {
    let mut chance = Chance::new();
    let start = || data.start(app, &["process"]);
    let mut workers: Vec<Running> = (0..WORKERS).map(|_| start()).collect();
    for kill in 0..kills {
        let before = position();
        // Every other one soon after the last, while partitions are still moving.
        if kill % 2 == 0 {
            wait::until("somebody commits", wait::LONG, || match position() {
                now if now > before => Ok(()),
                now => Err(format!("at {now}; {workers:?}")),
            });
        }
        wait::pause(chance.milliseconds(0, 400));
        let victim = chance.number(0, WORKERS as u64) as usize;
        let mut killed = std::mem::replace(&mut workers[victim], start());
        let ended = killed.has_ended();
        assert!(ended.is_none(), "the worker ended before kill {kill}: {ended:?}");
        killed.kill_9();
        let ended = producer.has_ended();
        assert!(ended.is_none(), "the producer ended before kill {kill}: {ended:?}");
    }
    for worker in workers {
        worker.signal(nix::sys::signal::Signal::SIGTERM);
        worker.ends_within(Duration::from_secs(30)).succeeds();
    }
}

/// Stops a producer that would go on; how many records it says it sent.
pub fn stop(producer: Running) -> u64 {
    producer.signal(nix::sys::signal::Signal::SIGTERM);
    let ran = producer.ends_within(wait::LONG).succeeds();
    let said = ran.stderr.lines().find_map(|line| line.strip_suffix(" records sent"));
    let said = said.and_then(|line| line.rsplit(' ').next());
    said.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{ran:?}"))
}
