//! A worker: a process that can be killed between any two steps, and paused as by SIGSTOP.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use millstream_engine::{EngineError, Options, Pipeline, Status, Totals, What, World, chain, run};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub struct Worker {
    pub name: String,
    pub seen: Seen,
    stop: CancellationToken,
    status: watch::Receiver<Status>,
    gate: Gate,
    task: JoinHandle<Result<Totals, EngineError>>,
}

/// What others see of it.
pub struct Seen {
    /// Its members in groups: group and number.
    pub members: Arc<Mutex<Vec<(String, u64)>>>,
    /// How many I/Os it sent to its sink.
    pub sent: watch::Receiver<u64>,
}

/// Whether it may take its next step.
#[derive(Clone, Default)]
struct Gate(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    paused: bool,
    waker: Option<Waker>,
}

/// Isn't polled while the gate is closed.
struct Pausable<F> {
    work: Pin<Box<F>>,
    gate: Gate,
}

impl<F: Future> Future for Pausable<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        {
            let mut held = self.gate.0.lock().unwrap();
            if held.paused {
                held.waker = Some(context.waker().clone());
                return Poll::Pending;
            }
        }
        self.work.as_mut().poll(context)
    }
}

impl Worker {
    pub fn start(
        name: String,
        pipeline: Pipeline,
        world: World,
        options: Options,
        seen: Seen,
    ) -> Self {
        let (sender, status) = watch::channel(Status::default());
        let (stop, gate) = (CancellationToken::new(), Gate::default());
        let work = Box::pin(run(pipeline, world, options, stop.clone(), sender));
        let task = tokio::spawn(Pausable { work, gate: gate.clone() });
        Self { name, seen, stop, status, gate, task }
    }

    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    pub fn stop(&self) {
        self.stop.cancel();
    }

    pub fn pause(&self) {
        self.gate.0.lock().unwrap().paused = true;
    }

    pub fn resume(&self) {
        let mut held = self.gate.0.lock().unwrap();
        held.paused = false;
        if let Some(waker) = held.waker.take() {
            waker.wake();
        }
    }

    /// Gone between two steps. Tells what was wrong with it, as [`Self::ends`] does.
    pub async fn kill(self) -> Vec<String> {
        self.task.abort();
        self.ends(Duration::from_secs(1)).await
    }

    /// Waits until it ends, and tells what should not have happened: nothing in a schedule needs an operator.
    pub async fn ends(mut self, within: Duration) -> Vec<String> {
        let ended = tokio::time::timeout(within, &mut self.task).await;
        let mut problems = Vec::new();
        let name = &self.name;
        match ended {
            Ok(Ok(Ok(_))) => {}
            Ok(Ok(Err(error))) => problems.push(format!("{name} ended: {}", chain(&error))),
            Ok(Err(gone)) if gone.is_cancelled() => {}
            Ok(Err(panicked)) => problems.push(format!("{name} panicked: {panicked}")),
            Err(_) => {
                let status = self.status.borrow().clone();
                let why = format!("{name} didn't end within {within:?}");
                problems.push(format!("{why}; {:?}, {:?}", status.state, status.partitions));
                self.task.abort();
            }
        }
        let status = self.status.borrow();
        let stopped = status.happenings.iter().filter(|one| one.what == What::Stopped);
        problems
            .extend(stopped.map(|one| format!("{name} stopped {:?}: {}", one.partitions, one.why)));
        problems
    }
}
