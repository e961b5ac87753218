//! What the service manager (systemd) is told of a verb that runs on: that it is up, that it is alive, how it stands.
//!
//! It is told so by the runtime that answers `/healthz`, which [`crate::health`] asks: a process that is hung tells nothing and is restarted.
//! One that waits for a server does tell, since a restart wouldn't bring the server back.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::future::join_all;
use millstream_engine::Status;
use millstream_telemetry::Supervisor;
use tokio::sync::watch;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::process::Running;
use crate::progress::standing;

/// A pipeline that tells nothing for so long counts as up all the same: it tries to reach a server that doesn't answer.
const LONG_START: Duration = Duration::from_secs(20);

/// Awaits `work`; meanwhile the service manager hears that the process is up as soon as `up` is over, that it ends
/// after `stop`, and how it stands, by `line`.
pub(crate) async fn supervised<T>(
    work: impl Future<Output = T>,
    up: impl Future<Output = ()>,
    stop: &CancellationToken,
    line: impl Fn() -> String,
) -> T {
    let Some(mut supervisor) = Supervisor::here() else { return work.await };
    let (mut work, mut up) = (pin!(work), pin!(up));
    let (mut is_up, mut is_stopping) = (false, false);
    let mut beats = interval(supervisor.every());
    loop {
        tokio::select! {
            done = &mut work => {
                // What was stopped may be done at once, before it was told.
                if stop.is_cancelled() && !is_stopping {
                    supervisor.stopping();
                }
                return done;
            }
            () = &mut up, if !is_up => {
                is_up = true;
                supervisor.ready();
                supervisor.beat(&line());
            }
            () = stop.cancelled(), if !is_stopping => {
                is_stopping = true;
                supervisor.stopping();
            }
            _ = beats.tick() => supervisor.beat(&line()),
        }
    }
}

/// Tells of pipelines until it is dropped.
pub(crate) async fn pipelines(running: Vec<watch::Receiver<Status>>, stop: CancellationToken) {
    let lines = running.clone();
    let line = move || lines.iter().map(|one| told(&one.borrow())).collect::<Vec<_>>().join(", ");
    let up = async {
        // In time or not, see LONG_START.
        let _ = timeout(LONG_START, join_all(running.into_iter().map(has_told))).await;
    };
    supervised(std::future::pending(), up, &stop, line).await
}

/// The statuses of pipelines, to be told.
pub(crate) fn statuses(running: &[Running]) -> Vec<watch::Receiver<Status>> {
    running.iter().map(|one| one.status.clone()).collect()
}

/// Until the pipeline works, stands by, or says what it waits for. One that ended first is not up.
async fn has_told(mut status: watch::Receiver<Status>) {
    if status.changed().await.is_err() {
        std::future::pending().await
    }
}

fn told(status: &Status) -> String {
    format!("{} {}", status.pipeline, standing(status))
}
