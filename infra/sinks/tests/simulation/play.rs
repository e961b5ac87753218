//! A schedule from its beginning to the verdict.

use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::{Instant, sleep, sleep_until};

use crate::mutants::Mutant;
use crate::oracle;
use crate::schedule::{Schedule, WORKERS};
use crate::stage::Stage;
use crate::trace::Told;
use crate::wire::CALM;
use crate::worker::Worker;

/// How long what is left may take when nothing goes wrong any more: waits between tries are ten seconds at most.
const LIMIT: Duration = Duration::from_secs(120);

pub struct Outcome {
    /// None: all is well.
    pub problems: Vec<String>,
    pub told: Told,
}

/// Plays it in a runtime of its own, whose clock goes on when nothing is left to be done at a moment.
pub fn play(schedule: &Schedule, mutant: Mutant) -> Outcome {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(act(schedule.clone(), mutant))
}

async fn act(schedule: Schedule, mutant: Mutant) -> Outcome {
    let began = Instant::now();
    let mut stage = Stage::new(schedule, mutant).await;
    for (ms, step) in stage.schedule.steps.clone() {
        sleep_until(began + Duration::from_millis(ms)).await;
        // What is due at this moment comes first.
        tokio::task::yield_now().await;
        stage.step(step).await;
    }
    heal(&mut stage).await;
    leave(&mut stage).await;
    finish(&mut stage).await;
    if stage.problems.is_empty() {
        oracle::judge(&mut stage).await;
    }
    Outcome { problems: std::mem::take(&mut stage.problems), told: stage.trace.told() }
}

/// Nothing goes wrong any more, and those that were paused wake up.
async fn heal(stage: &mut Stage) {
    stage.over_topics.set(CALM);
    stage.over_sink.set(CALM);
    stage.go_away(false);
    for partition in 0..stage.schedule.partitions {
        stage.topics.stall(&stage.at(partition), false);
    }
    stage.workers.iter().flatten().for_each(Worker::resume);
    sleep(Duration::from_millis(stage.chance.one_of(&[10, 300, 2_000]))).await;
}

/// The workers end, one way or the other.
async fn leave(stage: &mut Stage) {
    for index in 0..WORKERS {
        let Some(worker) = stage.workers[index].take() else { continue };
        let problems = match stage.chance.permille(500) {
            true => worker.kill().await,
            false => {
                worker.stop();
                worker.ends(LIMIT).await
            }
        };
        stage.problems.extend(problems);
    }
}

/// One that works off what is left; then what is still under way lands.
async fn finish(stage: &mut Stage) {
    let other_code =
        stage.schedule.kind != crate::schedule::Kind::Count && stage.chance.permille(200);
    let last = stage.start(other_code, false, true);
    stage.problems.extend(last.ends(LIMIT).await);
    let since = Instant::now();
    while stage.over_sink.in_flight() + stage.over_topics.in_flight() > 0 {
        if since.elapsed() > LIMIT {
            stage.problems.push("I/Os are under way for ever".to_owned());
            return;
        }
        sleep(Duration::from_millis(500)).await;
    }
}
