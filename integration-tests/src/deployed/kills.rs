//! `kill -9` of workers that share an app's partitions, again and again.

use super::Deployed;
use crate::chance::Chance;
use crate::{Running, load, wait};

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
        load::end(worker);
    }
    println!("{}: {KILLS} kills", app.app);
}
