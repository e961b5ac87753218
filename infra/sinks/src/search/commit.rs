//! The transaction of a range, and what follows from it: a build that has everything is served.
//!
//! The fence is the lock of the place together with the positions in the last commit's payload: who holds the lock
//! reads them, compares, and writes rows, entry and position in one commit of tantivy, which is one rename.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use millstream_engine::ledger::{Entry, EntryKind};
use millstream_engine::{Outcome, SinkError};
use millstream_topic::TopicPartition;
use tokio::task::{JoinError, JoinHandle};

use super::builds::{Build, Named, Place};
use super::changes::Changes;
use super::faults::Fault;
use super::index::Index;
use super::owner::{self, Fit};
use super::positions::Positions;
use super::session::{self, Session};

/// One pipeline's side of an index.
#[derive(Debug)]
pub(super) struct Ours {
    pub place: Place,
    pub index: Index,
    pub pipeline: String,
    pub schema: SchemaRef,
    pub declared: String,
}

/// How far each partition of a topic reached when it was opened, by topic.
pub(super) type Told = HashMap<String, Vec<i64>>;

impl Ours {
    pub async fn work<T: Send + 'static>(
        self: Arc<Self>,
        doing: String,
        work: impl FnOnce(&Self) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, SinkError> {
        ended(self.start(doing, work).await)
    }

    /// Work that is under way when this returns, whether somebody waits for it or not.
    pub fn start<T: Send + 'static>(
        self: Arc<Self>,
        doing: String,
        work: impl FnOnce(&Self) -> Result<T, Fault> + Send + 'static,
    ) -> JoinHandle<Result<T, SinkError>> {
        tokio::task::spawn_blocking(move || {
            work(&self).map_err(|fault| fault.told(&doing, self.place.path()))
        })
    }

    /// The build of this name with our new columns in it, if there are any.
    pub fn grown(&self, target: Named, schema: SchemaRef) -> Result<Named, Fault> {
        let build = Build { schema, ..target.build };
        self.place.describe(&target.id, &build)?;
        Ok(Named { id: target.id, build })
    }
}

/// A panic or a shutdown in the middle of the work: whether it took effect is for the next open to tell.
pub(super) fn ended<T>(work: Result<Result<T, SinkError>, JoinError>) -> Result<T, SinkError> {
    work.map_err(|error| SinkError::unavailable("work on an index", error))?
}

/// `opened`: the build in which the partition was opened. Superseded also where another build has taken its place:
/// the partition is opened again, and stands where that one does.
pub(super) fn commit(
    ours: &Ours,
    opened: Option<&str>,
    at: &TopicPartition,
    entry: &Entry,
    changes: &Changes,
    told: &Told,
) -> Result<Outcome, Fault> {
    let _lock = ours.place.lock()?;
    let Some(target) = ours.place.target()? else { return Ok(Outcome::Superseded) };
    owner::check(&ours.place, &target.build.pipeline, &ours.pipeline)?;
    let is_other = opened.is_some_and(|id| id != target.id);
    let is_range = entry.kind == EntryKind::Range;
    if is_other || (is_range && ours.place.is_rebuild_asked_for()) {
        return Ok(Outcome::Superseded);
    }
    if owner::fit(&target.build, &ours.declared, &ours.schema) == Fit::Differs && is_range {
        return Ok(Outcome::Superseded);
    }
    let store = session::open(&ours.place.build_path(&target.id))?;
    let positions = Positions::read(&store.0)?;
    let follows = positions
        .last(at)
        .is_some_and(|last| last.seq + 1 == entry.seq && (!is_range || last.next() == entry.start));
    if !follows {
        return Ok(Outcome::Superseded);
    }
    let mut session = Session::begin(store, &ours.index, &target.build, changes.keys.len())?;
    session.apply(changes)?;
    session.advance(at, entry)?;
    session.commit()?;
    let positions = session.positions.clone();
    session.end()?;
    if ours.place.unfinished()?.is_some() {
        serve_if_whole(ours, target, &positions, told)?;
    }
    Ok(Outcome::Committed)
}

/// Serves the build that is being filled, if everything is in it by now.
pub(super) fn settle(ours: &Ours, told: &Told) -> Result<(), Fault> {
    if ours.place.unfinished()?.is_none() {
        return Ok(());
    }
    let _lock = ours.place.lock()?;
    let Some(target) = ours.place.unfinished()? else { return Ok(()) };
    let (store, _) = session::open(&ours.place.build_path(&target.id))?;
    serve_if_whole(ours, target, &Positions::read(&store)?, told)
}

/// For a build that is unfinished, under the lock.
fn serve_if_whole(
    ours: &Ours,
    target: Named,
    positions: &Positions,
    told: &Told,
) -> Result<(), Fault> {
    let has_all = |(topic, ends): (&String, &Vec<i64>)| positions.have_reached(topic, ends);
    // Ready already: somebody died, or failed, between saying so and making the switch.
    if !target.build.ready {
        if told.is_empty() || !told.iter().all(has_all) {
            return Ok(());
        }
        ours.place.describe(&target.id, &Build { ready: true, ..target.build })?;
    }
    ours.place.serve(&target.id)
}
