//! Any interleaving of three workers, I/O by I/O, with crashes, lost replies and changing code.

use std::sync::Arc;

use futures::FutureExt;
use proptest::prelude::*;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::world::{Again, Way, Worker, exact, nothing_twice_in_the_directory, scanned};
use crate::lake::{Format, MemoryStore, Store};

const WORKERS: usize = 3;
const UNTIL: i64 = 9;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Does its next I/O.
    Go,
    /// Does it, and the reply is lost.
    Lose,
    /// Fails to do it.
    Fail,
    /// Dies; another one takes its place.
    Crash { other_code: bool, roll: i64 },
}

/// A worker that waits before each I/O.
struct Gated {
    way: Arc<Way>,
    gate: Arc<Semaphore>,
    arrived: mpsc::Receiver<()>,
    task: JoinHandle<()>,
}

impl Gated {
    fn start(store: &Arc<dyn Store>, code: &'static str, roll: i64) -> Self {
        let (way, gate) = (Way::to(store), Arc::new(Semaphore::new(0)));
        let (arrive, arrived) = mpsc::channel(1);
        let passes = gate.clone();
        way.faults.set_hook(Some(Arc::new(move |_, _| {
            let (passes, arrive) = (passes.clone(), arrive.clone());
            async move {
                let _ = arrive.send(()).await;
                passes.acquire().await.unwrap().forget();
            }
            .boxed()
        })));
        let worker = Worker { again: Again::Open, ..Worker::through(way.clone(), code, roll) };
        let task = tokio::spawn(async move { worker.work(UNTIL).await });
        Self { way, gate, arrived, task }
    }

    /// Waits until it stands before its next I/O; false: it is done.
    async fn arrives(&mut self) -> bool {
        tokio::select! {
            biased;
            arrived = self.arrived.recv() => arrived.is_some(),
            ended = &mut self.task => {
                ended.unwrap();
                false
            }
        }
    }
}

async fn run(steps: Vec<(usize, Step)>) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut workers: Vec<_> =
        (0..WORKERS).map(|n| Gated::start(&store, "a", 1 + n as i64)).collect();
    for worker in &mut workers {
        worker.arrives().await;
    }
    let mut done = [false; WORKERS];
    for (n, step) in steps {
        let worker = &mut workers[n];
        match step {
            Step::Crash { other_code, roll } => {
                worker.task.abort();
                *worker = Gated::start(&store, if other_code { "b" } else { "a" }, roll);
                done[n] = !worker.arrives().await;
                continue;
            }
            _ if done[n] => continue,
            Step::Lose => worker.way.faults.lose_reply_next(1),
            Step::Fail => worker.way.faults.fail_next(1),
            Step::Go => {}
        }
        worker.gate.add_permits(1);
        done[n] = !worker.arrives().await;
        let seen = scanned(&store, Format::Csv).await;
        assert_eq!(
            seen,
            (0..seen.len() as i64).collect::<Vec<_>>(),
            "committed after {step:?} of {n}"
        );
        nothing_twice_in_the_directory(&store).await;
    }
    // One after the other: two codes that keep ending each other's tries need not come to an end.
    for (worker, _) in workers.into_iter().zip(done).filter(|(_, done)| !done) {
        // Nobody asks any more where it stands.
        drop(worker.arrived);
        worker.gate.add_permits(10_000);
        worker.task.await.unwrap();
    }
    exact(&store, Format::Csv, UNTIL, "at the end").await;
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => Just(Step::Go),
        1 => Just(Step::Lose),
        1 => Just(Step::Fail),
        1 => (any::<bool>(), 1..5_i64).prop_map(|(other_code, roll)| Step::Crash { other_code, roll }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_number_counts_once(
        // Stretches of one worker, so that it gets somewhere before the next one interferes.
        stretches in prop::collection::vec((0..WORKERS, prop::collection::vec(step(), 1..20)), 1..25)
    ) {
        let steps = stretches.into_iter().flat_map(|(n, steps)| steps.into_iter().map(move |step| (n, step)));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(steps.collect()));
    }
}
