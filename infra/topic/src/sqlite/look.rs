use rusqlite::Connection;

use super::directory::FileId;
use super::read::{self, Limit};
use super::{Shared, fault, file};
use crate::{Bounds, Slice, TopicError, TopicPartition};

/// A topic as one member reads it: a connection of its own, so that groups don't wait for each other.
pub(super) struct Reader {
    topic: String,
    open: Option<(FileId, Connection)>,
    /// SQLite's `data_version` when `bounds` were read.
    version: i64,
    bounds: Vec<Bounds>,
}

/// A partition to be delivered.
pub(super) struct Wanted {
    pub(super) at: TopicPartition,
    pub(super) next: i64,
    /// The end that was told last.
    pub(super) end_told: Option<i64>,
}

/// What one look at the files found.
pub(super) struct Look {
    /// Topics that are there, and how far their partitions reach.
    pub(super) topics: Vec<(String, Vec<Bounds>)>,
    pub(super) found: Option<Found>,
}

/// The first partition in turn about which there is something to tell.
pub(super) struct Found {
    pub(super) at: TopicPartition,
    pub(super) bounds: Bounds,
    /// What was read; `None`: there is nothing to read where we stand.
    pub(super) slice: Option<Slice>,
}

/// Looks whether any of `wanted`, asked in this order, has something to tell.
pub(super) fn look(
    shared: &Shared,
    readers: &mut [Reader],
    wanted: Vec<Wanted>,
) -> Result<Look, TopicError> {
    let mut topics = Vec::with_capacity(readers.len());
    for reader in &mut *readers {
        if reader.refresh(shared)? {
            topics.push((reader.topic.clone(), reader.bounds.clone()));
        }
    }
    for wanted in wanted {
        let reader = readers.iter_mut().find(|reader| reader.topic == wanted.at.topic);
        let Some(reader) = reader else { continue };
        if let Some((bounds, slice)) = reader.find(&wanted)? {
            return Ok(Look { topics, found: Some(Found { at: wanted.at, bounds, slice }) });
        }
    }
    Ok(Look { topics, found: None })
}

impl Reader {
    pub(super) fn new(topic: &str) -> Self {
        Self { topic: topic.to_owned(), open: None, version: 0, bounds: Vec::new() }
    }

    /// Brings `bounds` up to date; `false`: the topic is not there.
    fn refresh(&mut self, shared: &Shared) -> Result<bool, TopicError> {
        let id = shared.directory.file_id(&self.topic)?;
        if self.open.as_ref().map(|(open, _)| *open) != id {
            self.open = file::open_reader(&shared.directory, &self.topic)?;
            self.version = -1;
        }
        let Some((_, reader)) = &self.open else { return Ok(false) };
        let changed = changed_bounds(reader, self.version).map_err(|error| self.fault(error))?;
        if let Some((version, bounds)) = changed {
            (self.version, self.bounds) = (version, bounds);
        }
        Ok(true)
    }

    fn find(&mut self, wanted: &Wanted) -> Result<Option<(Bounds, Option<Slice>)>, TopicError> {
        let Some((_, reader)) = &mut self.open else { return Ok(None) };
        let partition = wanted.at.partition;
        let Some(bounds) = self.bounds.get(partition as usize) else { return Ok(None) };
        if !(bounds.low..bounds.end).contains(&wanted.next) {
            let told = wanted.next == bounds.end && wanted.end_told == Some(bounds.end);
            return Ok((!told).then_some((*bounds, None)));
        }
        let slice = reader
            .transaction()
            .and_then(|on| read::slice(&on, partition, wanted.next, &Limit::default()));
        let found = slice.map_err(|error| self.fault(error))?;
        Ok(found.map(|(bounds, slice)| (bounds, Some(slice))))
    }

    fn fault(&self, error: rusqlite::Error) -> TopicError {
        fault::sql(format!("read topic {}", self.topic), error)
    }
}

/// The bounds, if anything was committed since `version`.
fn changed_bounds(
    reader: &Connection,
    version: i64,
) -> rusqlite::Result<Option<(i64, Vec<Bounds>)>> {
    let mut select = reader.prepare_cached("PRAGMA data_version")?;
    let now: i64 = select.query_row((), |row| row.get(0))?;
    // A commit between the two statements is seen by the second one, and again by the next look.
    if now == version { Ok(None) } else { Ok(Some((now, read::bounds(reader)?))) }
}
