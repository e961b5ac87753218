//! Fills a new build from its seed. The rows keep their versions, so what the topic says later stays the last word,
//! and a seeding that was cut short begins anew and doubles nothing.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use millstream_engine::{Rows, SinkError};

use super::changes::Changes;
use super::commit::{Ours, ended};
use super::faults::Fault;
use super::index::Seed;
use super::opening::Locked;
use super::session::{self, Session};

/// How many batches the seed may be ahead of the index.
const AHEAD: usize = 2;
/// So many rows are shown to searchers at once while the seed is read.
const SHOWN_EVERY: usize = 10_000;
/// Seeds are large.
const MANY: usize = usize::MAX;

enum Step {
    Rows(Rows),
    /// All was read; what it was, in words.
    End(Option<String>),
}

/// Reads the whole seed into the build, which stays locked meanwhile.
pub(super) async fn fill(
    ours: &Arc<Ours>,
    locked: Locked,
    seed: Arc<dyn Seed>,
) -> Result<Locked, SinkError> {
    let (sender, steps) = sync_channel(AHEAD);
    let doing = format!("fill index {} from its seed", ours.index.name);
    // Started, not only spawned: while the seed waits for room it holds its thread, and a task might wait for that.
    let writing = ours.clone().start(doing, move |ours| write(ours, locked, &steps));
    let read = read(seed.as_ref(), &sender).await;
    // Without an end the writer drops what isn't committed.
    drop(sender);
    let written = ended(writing.await);
    // The writer's error comes first: that the seed couldn't hand its rows over follows from it.
    match (read, written) {
        (Err(error), Ok(_)) | (_, Err(error)) => Err(error),
        (Ok(()), Ok(None)) => Err(SinkError::unavailable("fill an index", "it was cut short")),
        (Ok(()), Ok(Some(locked))) => Ok(locked),
    }
}

async fn read(seed: &dyn Seed, sender: &SyncSender<Step>) -> Result<(), SinkError> {
    let closed = || SinkError::unavailable("hand rows to an index", "it doesn't take any more");
    let mut visit = |rows| sender.send(Step::Rows(rows)).map_err(|_| closed());
    let from = seed.read(&mut visit).await?;
    sender.send(Step::End(from)).map_err(|_| closed())
}

fn write(ours: &Ours, locked: Locked, steps: &Receiver<Step>) -> Result<Option<Locked>, Fault> {
    let store = session::open(&ours.place.build_path(&locked.target.id))?;
    let mut session = Session::begin(store, &ours.index, &locked.target.build, MANY)?;
    let mut count = 0;
    for step in steps {
        match step {
            Step::Rows(rows) => {
                count += session.apply(&Changes::of(&ours.index, &[rows], &[])?)?;
                if session.pending() >= SHOWN_EVERY {
                    session.commit()?;
                }
            }
            Step::End(from) => {
                let what = from.as_deref().unwrap_or("nothing: there is no seed");
                tracing::info!(
                    pipeline = ours.pipeline,
                    "index {} begins with {count} rows from {what}",
                    ours.index.name
                );
                session.seeded(from);
                session.commit()?;
                session.end()?;
                return Ok(Some(locked));
            }
        }
    }
    Ok(None)
}
