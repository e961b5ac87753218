//! The commit of a range, and what follows from it: a build that has everything is served.

use std::collections::HashMap;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use millstream_engine::ledger::{Entry, EntryKind};
use millstream_engine::{Outcome, Range};
use millstream_topic::TopicPartition;

use super::builds::{Named, Place, State};
use super::bulk::{self, Item, Written};
use super::faults::Fault;
use super::fetch;
use super::positions::{self, Kept};
use super::{documents, names};
use crate::search::changes::{Change, Changes};

/// One worker's side of an index.
#[derive(Debug)]
pub(super) struct Ours {
    pub place: Place,
    pub pipeline: String,
    pub schema: SchemaRef,
    pub declared: String,
    /// Nobody else's name: tells our entries from those of others.
    pub writer: String,
    /// How long builds stay that were replaced.
    pub grace: Duration,
}

/// How far each partition of a topic reached when it was opened, by topic.
pub(super) type Told = HashMap<String, Vec<i64>>;

/// `build`: the one in which the partition was opened. Superseded also where another one has taken its place: the
/// partition is opened again, and stands where that one does. `is_renewed`: other code was at work before, and may have
/// left rows of this range, whose versions are the same.
pub(super) async fn commit(
    ours: &Ours,
    (build, is_renewed): (&str, bool),
    at: &TopicPartition,
    range: &Range,
) -> Result<Outcome, Fault> {
    let entry = &range.entry;
    match before(ours, build, at, entry).await? {
        Before::Follows => {}
        Before::Ours => return Ok(Outcome::Committed),
        Before::Superseded => return Ok(Outcome::Superseded),
    }
    let changes = Changes::of(&ours.place.index, &range.rows, &range.deletes)?;
    if !changes.keys.is_empty() {
        match bulk::write(ours.place.server(), build, items(ours, &changes, is_renewed)).await {
            Ok(_) => {}
            Err(fault) if fault.is_gone() => return Ok(Outcome::Superseded),
            Err(fault) => return Err(fault),
        }
    }
    enter(ours, build, at, entry).await
}

enum Before {
    Follows,
    /// It is there, and we wrote it: a reply was lost.
    Ours,
    Superseded,
}

/// Whether the entry is the next one. That alone is no fence; it spares rows that nobody is to see yet.
async fn before(
    ours: &Ours,
    build: &str,
    at: &TopicPartition,
    entry: &Entry,
) -> Result<Before, Fault> {
    let Some(seq_before) = entry.seq.checked_sub(1) else { return Ok(Before::Superseded) };
    let ids = [
        names::WISH.to_owned(),
        names::REPLACED.to_owned(),
        names::entry(at, seq_before),
        names::entry(at, entry.seq),
    ];
    let fetched = match fetch::documents(ours.place.server(), build, &ids).await {
        Ok(fetched) => fetched,
        Err(fault) if fault.is_gone() => return Ok(Before::Superseded),
        Err(fault) => return Err(fault),
    };
    let [wish, replaced, last, same]: [Option<fetch::Fetched>; 4] =
        fetched.try_into().map_err(|_| Fault::unreadable("a document"))?;
    let is_range = entry.kind == EntryKind::Range;
    if let Some(same) = same {
        return is_ours(ours, entry, Kept::of(same)?);
    }
    if replaced.is_some() || (is_range && wish.is_some()) {
        return Ok(Before::Superseded);
    }
    let Some(last) = last.map(Kept::of).transpose()? else { return Ok(Before::Superseded) };
    let follows = !is_range || last.entry.next() == entry.start;
    Ok(if follows { Before::Follows } else { Before::Superseded })
}

fn is_ours(ours: &Ours, entry: &Entry, kept: Kept) -> Result<Before, Fault> {
    let is_ours = kept.by == ours.writer && kept.entry == *entry;
    Ok(if is_ours { Before::Ours } else { Before::Superseded })
}

/// Rows and marks. Each is written unless a newer version is there, or, unless `over` is set, the same.
pub(super) fn items(
    ours: &Ours,
    changes: &Changes,
    over: bool,
) -> impl Iterator<Item = Item> + Send {
    let item = move |change: &Change| {
        let document = match change.row {
            None => documents::mark(change).into(),
            Some((batch, row)) => {
                let texts = &changes.batches[batch];
                documents::row(&ours.place.index, &ours.schema, change, (texts, row))
            }
        };
        let made = if over { Item::as_new } else { Item::newest };
        made(names::row(&change.key), change.version, &document)
    };
    changes.keys.iter().map(item)
}

/// Creates the entry: from now on the range counts.
pub(super) async fn enter(
    ours: &Ours,
    build: &str,
    at: &TopicPartition,
    entry: &Entry,
) -> Result<Outcome, Fault> {
    let server = ours.place.server();
    let item = positions::create(at, entry, &ours.writer)?;
    let id = item.id.clone();
    match bulk::one(server, build, item).await {
        Ok(Written::Done) => {}
        Ok(Written::Conflict) => {
            // Another worker's, or our own: the request may have been sent twice.
            let there = fetch::documents(server, build, &[id]).await?.into_iter().next().flatten();
            let there = there.map(Kept::of).transpose()?;
            match there.map(|kept| is_ours(ours, entry, kept)).transpose()? {
                Some(Before::Ours) => {}
                _ => return Ok(Outcome::Superseded),
            }
        }
        Err(fault) if fault.is_gone() => return Ok(Outcome::Superseded),
        Err(fault) => return Err(fault),
    }
    if let Err(fault) = positions::hint(server, build, at, entry).await {
        tracing::debug!("say where entry {} of {at} is: {fault}", entry.seq);
    }
    Ok(Outcome::Committed)
}

/// Serves the build that is being filled, if everything is in it by now.
pub(super) async fn settle(ours: &Ours, told: &Told) -> Result<(), Fault> {
    let builds = ours.place.look().await?;
    let Some(target) = builds.next.as_ref().or(builds.current.as_ref()) else { return Ok(()) };
    if !target.state.ready && !make_ready(ours, target, told).await? {
        return Ok(());
    }
    match &builds.next {
        // Ready, perhaps for long: somebody died between saying so and making the switch.
        Some(next) => ours.place.serve(builds.current.as_ref(), next).await,
        None => Ok(()),
    }
}

async fn make_ready(ours: &Ours, target: &Named, told: &Told) -> Result<bool, Fault> {
    if told.is_empty() {
        return Ok(false);
    }
    for (topic, ends) in told {
        if !positions::have_reached(ours.place.server(), &target.id, topic, ends).await? {
            return Ok(false);
        }
    }
    // Written is not yet found: who looks once it is served, or called whole, is to find all of it.
    if !ours.place.show(&target.id).await? {
        return Ok(false);
    }
    let ready = State { ready: true, ..target.state.clone() };
    ours.place.describe(target, &ready).await
}
