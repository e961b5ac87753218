use anyhow::{Result, anyhow};
use millstream_engine::{EngineError, Pipeline, Status, Totals};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::progress::Bars;
use crate::{Setup, console, supervised};

/// A pipeline at work.
pub struct Running {
    pub pipeline: Pipeline,
    pub status: watch::Receiver<Status>,
}

/// Works the app's topics off into its sinks until `stop`, or until caught up.
pub async fn process(setup: &Setup, until_caught_up: bool, stop: CancellationToken) -> Result<()> {
    let bars = Bars::new();
    let mut work = JoinSet::new();
    let running = start(setup, until_caught_up, &stop, &mut work);
    let watching: Vec<_> =
        running.iter().map(|running| tokio::spawn(bars.follow(running.status.clone()))).collect();
    let ended_all = CancellationToken::new();
    // A task of its own: it beats as long as the runtime has a thread for tasks.
    let telling = tokio::spawn(supervised::pipelines(supervised::statuses(&running), stop.clone()));
    let console = console::start(setup, running, until_caught_up, &bars, &ended_all)?;
    let ended = join(work, &stop, until_caught_up).await;
    ended_all.cancel();
    console.await;
    telling.abort();
    for watcher in watching {
        // A watcher ends with its pipeline; it has nothing to tell but what was shown.
        let _ = watcher.await;
    }
    ended.map(|_| ())
}

/// Starts every pipeline of the app as a task of `work`.
pub fn start(
    setup: &Setup,
    until_caught_up: bool,
    stop: &CancellationToken,
    work: &mut JoinSet<Result<Totals, EngineError>>,
) -> Vec<Running> {
    let mut running = Vec::new();
    for pipeline in &setup.pipelines {
        let first = Status { pipeline: pipeline.id(), ..Status::default() };
        let (sender, status) = watch::channel(first);
        let options = setup.options(until_caught_up);
        work.spawn(millstream_engine::run(
            pipeline.clone(),
            setup.world(),
            options,
            stop.clone(),
            sender,
        ));
        running.push(Running { pipeline: pipeline.clone(), status });
    }
    running
}

/// Waits for all pipelines. A worker that runs on stops as a whole when one of its pipelines can't go on;
/// with `until_caught_up` the others are finished first.
pub async fn join(
    mut work: JoinSet<Result<Totals, EngineError>>,
    stop: &CancellationToken,
    until_caught_up: bool,
) -> Result<Vec<Totals>> {
    let mut totals = Vec::new();
    let mut failures = Vec::new();
    while let Some(ended) = work.join_next().await {
        match ended {
            Ok(Ok(total)) => totals.push(total),
            Ok(Err(error)) => failures.push(anyhow!(error)),
            Err(error) => failures.push(anyhow!(error).context("run a pipeline")),
        }
        if !failures.is_empty() && !until_caught_up {
            stop.cancel();
        }
    }
    let Some(first) = failures.pop() else { return Ok(totals) };
    Err(failures.into_iter().fold(first, |all, next| anyhow!("{all:#}\n{next:#}")))
}
