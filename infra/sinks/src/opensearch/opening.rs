//! Connecting, and opening a partition: which build is written to, and where the partition stands in it.

use millstream_engine::SinkError;
use millstream_engine::ledger::{Assignment, Entry};

use super::builds::{Builds, Meta, Named, State, now_ms};
use super::commit::{Ours, enter};
use super::faults::Fault;
use super::positions;
use crate::search::owner::{Fit, compare};

/// Looks again after losing a race against another worker.
const LOOKS: usize = 10;

/// Checks the owner, makes the first build where there is none, and tells which build is written to.
pub(super) async fn meet(ours: &Ours) -> Result<Named, Fault> {
    for _ in 0..LOOKS {
        // Before the look: a build that comes between the two has this number, and is then in the way.
        let number = ours.place.last_number().await? + 1;
        if let Some(target) = ours.place.look().await?.target() {
            check_owner(ours, &target)?;
            return Ok(target);
        }
        if let Some(first) = ours.place.make(number, true, meta(ours)).await? {
            return Ok(first);
        }
    }
    Err(SinkError::unavailable("make the first build of an index", "others do so, too").into())
}

/// The build that is written to, in which the columns are ours. One that doesn't fit what is declared, or whose
/// replacement was asked for, is replaced, if it is the one that was `met` when the worker connected.
pub(super) async fn target(ours: &Ours, met: &str) -> Result<Named, Fault> {
    for _ in 0..LOOKS {
        let target = meet(ours).await?;
        let fits =
            compare((&target.meta.declared, target.schema()), (&ours.declared, &ours.schema));
        match fits {
            Fit::Differs if target.id != met => return Err(stranger(ours).into()),
            Fit::Differs => {}
            _ if ours.place.is_wished_for(&target.id).await? => {}
            Fit::Fits => return Ok(target),
            Fit::Grows(schema) => {
                let state = State { schema: Some(schema), ..target.state.clone() };
                ours.place.describe(&target, &state).await?;
                continue;
            }
        }
        if let Some(next) = replace(ours, &target).await? {
            return Ok(next);
        }
    }
    Err(SinkError::unavailable("find the build to be written to", "others change it").into())
}

/// Begins a build in this one's place. `None`: another worker was faster.
async fn replace(ours: &Ours, target: &Named) -> Result<Option<Named>, Fault> {
    let Some(next) = ours.place.make(target.number + 1, false, meta(ours)).await? else {
        // Another worker made it, and its alias with it; if that isn't so it was left over.
        return left_over(ours, target).await;
    };
    give_way(ours, target).await?;
    tracing::info!(
        pipeline = ours.pipeline,
        "index {} is built anew; the old one is served until the new one has everything",
        ours.place.names.served
    );
    Ok(Some(next))
}

/// Ends work on a build that another one is filled in place of.
async fn give_way(ours: &Ours, target: &Named) -> Result<(), Fault> {
    ours.place.replaced(&target.id).await?;
    // If it was on its way to be served itself, it isn't any more.
    let Builds { current, .. } = ours.place.look().await?;
    match current.is_some_and(|current| current.id == target.id) {
        true => Ok(()),
        false => ours.place.give_up(&target.id).await,
    }
}

/// The number after a build's is taken: mostly by another worker's. A build without a name may have it, too, which
/// was given up; then the next free number is taken.
async fn left_over(ours: &Ours, target: &Named) -> Result<Option<Named>, Fault> {
    let number = ours.place.last_number().await? + 1;
    let now = ours.place.look().await?.target();
    if now.is_none_or(|named| named.number > target.number) {
        return Ok(None);
    }
    let made = ours.place.make(number, false, meta(ours)).await?;
    if made.is_some() {
        give_way(ours, target).await?;
    }
    Ok(made)
}

fn meta(ours: &Ours) -> Meta {
    Meta {
        pipeline: ours.pipeline.clone(),
        declared: ours.declared.clone(),
        schema: ours.schema.clone(),
    }
}

/// Refuses another pipeline by name.
pub(super) fn check_owner(ours: &Ours, build: &Named) -> Result<(), SinkError> {
    let owner = &build.meta.pipeline;
    if *owner == ours.pipeline {
        return Ok(());
    }
    Err(SinkError::refused(
        format!("use index {} for pipeline {}", ours.place.names.served, ours.pipeline),
        format!("it belongs to pipeline {owner}"),
        "name a new index, which is then built from the topic",
    ))
}

fn stranger(ours: &Ours) -> SinkError {
    SinkError::refused(
        format!("write to index {} for pipeline {}", ours.place.names.served, ours.pipeline),
        "another worker has begun to build it anew for another declaration of its fields",
        "stop the worker whose code is the older one",
    )
}

/// The partition's last entry; writes the genesis where there is none.
pub(super) async fn entry(
    ours: &Ours,
    build: &str,
    assignment: &Assignment,
) -> Result<Entry, Fault> {
    let (server, at) = (ours.place.server(), &assignment.at);
    for _ in 0..LOOKS {
        if let Some((entry, is_hinted)) = positions::newest(server, build, at).await? {
            if !is_hinted {
                positions::hint(server, build, at, &entry).await?;
            }
            return Ok(entry);
        }
        // Ours or another worker's: the next look finds it.
        enter(ours, build, at, &Entry::genesis(assignment, now_ms())).await?;
    }
    Err(SinkError::unavailable(format!("open {at}"), "its build was replaced meanwhile").into())
}
