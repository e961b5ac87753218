//! Connecting, and opening a partition: which build is written to, and where the partition stands in it.

use millstream_engine::SinkError;
use millstream_engine::ledger::{Assignment, Entry};

use super::builds::{Build, Lock, Named, now_ms};
use super::commit::Ours;
use super::faults::Fault;
use super::owner::{self, Fit};
use super::positions::Positions;
use super::session::{self, Session};

/// What came of looking for a partition.
pub(super) enum Opened {
    /// It stands at this entry in the build of this name.
    At(String, Entry),
    /// Its genesis has to be written.
    New(Locked),
}

/// A build that is about to be written to.
pub(super) struct Locked {
    pub target: Named,
    /// The build is to be filled from its seed first.
    pub needs_seed: bool,
    pub _lock: Lock,
}

/// Checks the owner, makes the first build where there is none, and tells which build is written to.
pub(super) fn meet(ours: &Ours) -> Result<String, Fault> {
    if let Some(target) = ours.place.target()? {
        owner::check(&ours.place, &target.build.pipeline, &ours.pipeline)?;
        return Ok(target.id);
    }
    let _lock = ours.place.lock()?;
    Ok(make_first(ours)?.id)
}

/// Under the lock.
fn make_first(ours: &Ours) -> Result<Named, Fault> {
    // Another worker may have been here between the look and the lock.
    if let Some(target) = ours.place.target()? {
        owner::check(&ours.place, &target.build.pipeline, &ours.pipeline)?;
        return Ok(target);
    }
    let first = make(ours)?;
    // Served at once: what it has is more than nothing.
    ours.place.serve(&first.id)?;
    Ok(first)
}

/// A new, empty build that has no name yet.
fn make(ours: &Ours) -> Result<Named, Fault> {
    let build = Build {
        pipeline: ours.pipeline.clone(),
        declared: ours.declared.clone(),
        schema: ours.schema.clone(),
        ready: false,
    };
    let made = ours.place.begin(build)?;
    session::make(&ours.place.build_path(&made.id), &ours.index)?;
    Ok(made)
}

/// Finds the partition's last entry. A build that doesn't fit what is declared, or whose replacement was asked for,
/// is replaced, if it is the one that was `met` when the worker connected.
pub(super) fn open(
    ours: &Ours,
    assignment: &Assignment,
    met: &str,
    has_seed: bool,
) -> Result<Opened, Fault> {
    let look = |target: &Named| -> Result<_, Fault> {
        let (store, _) = session::open(&ours.place.build_path(&target.id))?;
        let positions = Positions::read(&store)?;
        let needs_seed = has_seed && positions.seeded.is_none();
        Ok((positions.last(&assignment.at).cloned(), needs_seed))
    };
    if let Some(target) = ours.place.target()?
        && owner::fit(&target.build, &ours.declared, &ours.schema) == Fit::Fits
        && !ours.place.is_rebuild_asked_for()
        && let (Some(entry), false) = look(&target)?
    {
        owner::check(&ours.place, &target.build.pipeline, &ours.pipeline)?;
        return Ok(Opened::At(target.id, entry));
    }
    let lock = ours.place.lock()?;
    let target = make_first(ours)?;
    let target = match owner::fit(&target.build, &ours.declared, &ours.schema) {
        Fit::Differs if target.id != met => return Err(stranger(ours).into()),
        Fit::Differs => make_next(ours)?,
        _ if ours.place.is_rebuild_asked_for() => make_next(ours)?,
        Fit::Grows(schema) => ours.grown(target, schema)?,
        Fit::Fits => target,
    };
    let (entry, needs_seed) = look(&target)?;
    Ok(match entry {
        Some(entry) if !needs_seed => Opened::At(target.id, entry),
        _ => Opened::New(Locked { target, needs_seed, _lock: lock }),
    })
}

fn make_next(ours: &Ours) -> Result<Named, Fault> {
    let next = make(ours)?;
    ours.place.fill_next(&next.id)?;
    ours.place.rebuild_has_begun()?;
    tracing::info!(
        pipeline = ours.pipeline,
        "index {} is built anew; the old one is served until the new one has everything",
        ours.index.name
    );
    Ok(next)
}

fn stranger(ours: &Ours) -> SinkError {
    SinkError::refused(
        format!("write to index {} for pipeline {}", ours.index.name, ours.pipeline),
        "another worker has begun to build it anew for another declaration of its fields",
        "stop the worker whose code is the older one",
    )
}

/// Writes the genesis where there is no entry.
pub(super) fn genesis(
    ours: &Ours,
    locked: &Locked,
    assignment: &Assignment,
) -> Result<(String, Entry), Fault> {
    let id = locked.target.id.clone();
    let store = session::open(&ours.place.build_path(&id))?;
    let mut session = Session::begin(store, &ours.index, &locked.target.build, 1)?;
    if let Some(entry) = session.positions.last(&assignment.at) {
        return Ok((id, entry.clone()));
    }
    let genesis = Entry::genesis(assignment, now_ms());
    session.advance(&assignment.at, &genesis)?;
    session.commit()?;
    session.end()?;
    Ok((id, genesis))
}
