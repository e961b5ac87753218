//! Compaction by key, in steps short enough that nobody waits long for the file.
//!
//! A pass over a partition reads the keys written since the pass before it (the map), then goes through
//! the partition from its start and deletes every record that has a newer one of its key in the map (the
//! sweep), then the tombstones whose time is over. Each step stands for itself: what it deletes is
//! shadowed by a record that is in the file, so a crash, a second process at the same work and a reader in
//! between do no harm. That the part was swept is noted last.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction};

use super::blocking;
use super::file::TopicFile;
use crate::memory::Clock;
use crate::{Cleanup, TopicError};

/// How long a tombstone stays after the first pass that met it: Kafka's `delete.retention.ms`, and
/// measured as Kafka does. (A record's own timestamp is the sender's and may lie long ago.)
pub const DELETE_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
/// A pass is due when so many records were written since the last one, and no fewer than it left over.
pub(super) const LEAST_DIRTY: i64 = 5_000;
/// How many records a step looks at, so that a step takes some milliseconds.
const STEP: usize = 2_000;
/// Keys that the map holds at most, in bytes; the rest is for another pass.
const MAP_BYTES: usize = 64 << 20;
/// Between two steps, for writers in other processes that have gone to sleep while they wait.
const PAUSE: Duration = Duration::from_millis(5);

/// Added to a topic's file when it is opened: files of older versions don't have them.
pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS compaction (
        partition INTEGER PRIMARY KEY,
        clean INTEGER NOT NULL,
        live INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS tombstones (
        partition INTEGER NOT NULL,
        offset INTEGER NOT NULL,
        since_ms INTEGER NOT NULL,
        PRIMARY KEY (partition, offset)
    ) WITHOUT ROWID;
";

/// What is known of a partition's earlier passes.
struct Swept {
    /// Below this offset each key has one record.
    clean: i64,
    /// How many records there are below.
    live: i64,
}

/// Whether enough was written to a partition that now ends at `next`.
pub(super) fn is_due(on: &Connection, partition: u32, next: i64) -> rusqlite::Result<bool> {
    let Swept { clean, live } = swept(on, partition)?;
    Ok(next - clean >= live.max(LEAST_DIRTY))
}

fn swept(on: &Connection, partition: u32) -> rusqlite::Result<Swept> {
    let mut select = on.prepare_cached("SELECT clean, live FROM compaction WHERE partition = ?")?;
    let found =
        select.query_row([partition], |row| Ok(Swept { clean: row.get(0)?, live: row.get(1)? }));
    Ok(found.optional()?.unwrap_or(Swept { clean: 0, live: 0 }))
}

/// Compacts every partition, up to what was there when this began, but for each one's last record.
/// `paced`: pauses between steps. Refused on a topic that isn't declared compacted.
pub(super) async fn compact(
    file: Arc<TopicFile>,
    clock: Clock,
    paced: bool,
) -> Result<u64, TopicError> {
    if file.cleanup != Cleanup::Compact {
        return Err(TopicError::refused(
            format!("compact topic {}", file.topic),
            "it is not declared as compacted, so records of one key don't replace each other",
            "leave it, or make a new topic that is declared compacted",
        ));
    }
    let mut passes = begin(file.clone()).await?;
    let mut deleted = 0;
    while let Some(mut pass) = passes.pop() {
        loop {
            let (file, clock) = (file.clone(), clock.clone());
            let done;
            (pass, done) = blocking(move || {
                let done = pass.step(&file, clock())?;
                Ok((pass, done))
            })
            .await?;
            if done {
                break;
            }
            if paced {
                tokio::time::sleep(PAUSE).await;
            }
        }
        deleted += pass.deleted;
        passes.extend(pass.rest());
    }
    Ok(deleted)
}

async fn begin(file: Arc<TopicFile>) -> Result<Vec<Pass>, TopicError> {
    blocking(move || {
        file.reading("compact", |reader| {
            let bounds = super::read::bounds(reader)?;
            let passes = (0..).zip(bounds).map(|(partition, bounds)| {
                let clean = swept(reader, partition)?.clean.max(bounds.low);
                // The last record is never part of it, as Kafka's newest segment isn't.
                Ok(Pass::new(partition, bounds.low, clean, (bounds.end - 1).max(clean)))
            });
            passes.collect()
        })
    })
    .await
}

/// Compacts in the background, unless that is under way. Nobody waits for it: what stops it half-way
/// (the end of the process) leaves a whole file, and the next append begins anew.
pub(super) fn in_background(file: Arc<TopicFile>, clock: Clock) {
    let Some(running) = Running::begin(file) else { return };
    tokio::spawn(async move {
        let file = running.0.clone();
        match compact(file, clock, true).await {
            Ok(deleted) => tracing::debug!(topic = running.0.topic, deleted, "compacted"),
            Err(error) => {
                let topic = &running.0.topic;
                tracing::warn!(topic, "compaction waits for the next append: {error}");
            }
        }
    });
}

/// That this process compacts a file at the moment; over when dropped.
struct Running(Arc<TopicFile>);

impl Running {
    fn begin(file: Arc<TopicFile>) -> Option<Self> {
        let flag: &AtomicBool = &file.compacting;
        let free = flag.compare_exchange(false, true, Ordering::AcqRel, Ordering::Acquire).is_ok();
        free.then(|| Self(file))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.compacting.store(false, Ordering::Release);
    }
}

/// The compaction of one partition, between two steps.
struct Pass {
    partition: u32,
    phase: Phase,
    low: i64,
    /// Where the part begins that no pass has seen.
    clean: i64,
    /// Where this pass ends (exclusive): the map's limit may set it short of `wanted`.
    to: i64,
    wanted: i64,
    /// The next offset to be looked at.
    at: i64,
    /// Key → offset of its newest record in `clean..to`.
    newest: HashMap<Box<[u8]>, i64>,
    bytes: usize,
    kept: i64,
    deleted: u64,
}

#[derive(Clone, Copy)]
enum Phase {
    Map,
    Sweep,
    Expire,
    Note,
}

/// A record as far as compaction is concerned.
struct Met {
    offset: i64,
    key: Option<Box<[u8]>>,
    tombstone: bool,
}

impl Pass {
    fn new(partition: u32, low: i64, clean: i64, wanted: i64) -> Self {
        Self {
            partition,
            phase: if wanted > clean { Phase::Map } else { Phase::Expire },
            low,
            clean,
            to: wanted,
            wanted,
            at: clean,
            newest: HashMap::new(),
            bytes: 0,
            kept: 0,
            deleted: 0,
        }
    }

    /// What this pass had to leave to another one.
    fn rest(&self) -> Option<Self> {
        (self.to < self.wanted).then(|| Self::new(self.partition, self.low, self.to, self.wanted))
    }

    /// One step. Tells whether it was the last one.
    fn step(&mut self, file: &TopicFile, now_ms: i64) -> Result<bool, TopicError> {
        match self.phase {
            Phase::Map => self.map(file)?,
            Phase::Sweep => self.sweep(file, now_ms)?,
            Phase::Expire => self.expire(file, now_ms)?,
            Phase::Note => {
                self.note(file)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn map(&mut self, file: &TopicFile) -> Result<(), TopicError> {
        for met in self.meet(file)? {
            let Some(key) = met.key else { continue };
            if self.bytes >= MAP_BYTES {
                self.to = met.offset;
                break;
            }
            let size = key.len() + size_of::<(Box<[u8]>, i64)>();
            if self.newest.insert(key, met.offset).is_none() {
                self.bytes += size;
            }
        }
        if self.at >= self.to {
            (self.phase, self.at) = (Phase::Sweep, self.low);
        }
        Ok(())
    }

    fn sweep(&mut self, file: &TopicFile, now_ms: i64) -> Result<(), TopicError> {
        let (mut shadowed, mut tombstones) = (Vec::new(), Vec::new());
        for met in self.meet(file)? {
            let newest = met.key.as_ref().and_then(|key| self.newest.get(key));
            // A record without key, from before they were refused, shadows nothing and stays.
            if newest.is_some_and(|newest| *newest > met.offset) {
                shadowed.push(met.offset);
            } else {
                self.kept += 1;
                // All older ones of its key are gone, as they came earlier in this sweep.
                if met.tombstone && met.offset >= self.clean {
                    tombstones.push(met.offset);
                }
            }
        }
        if self.at >= self.to {
            self.phase = Phase::Expire;
        }
        if shadowed.is_empty() && tombstones.is_empty() {
            return Ok(());
        }
        self.deleted += shadowed.len() as u64;
        let partition = self.partition;
        file.writing("compact", |on| {
            delete(on, partition, &shadowed)?;
            let mut met = on.prepare_cached("INSERT OR IGNORE INTO tombstones VALUES (?, ?, ?)")?;
            for offset in tombstones {
                met.execute((partition, offset, now_ms))?;
            }
            Ok(())
        })
    }

    /// Drops tombstones that were met long enough ago.
    fn expire(&mut self, file: &TopicFile, now_ms: i64) -> Result<(), TopicError> {
        let retention = i64::try_from(DELETE_RETENTION.as_millis()).unwrap_or(i64::MAX);
        let (partition, before) = (self.partition, now_ms.saturating_sub(retention));
        let over = file.reading("compact", |on| {
            let mut select = on.prepare_cached(
                "SELECT offset FROM tombstones WHERE partition = ?1 AND since_ms <= ?2 LIMIT ?3",
            )?;
            let offsets = select.query_map((partition, before, STEP as i64), |row| row.get(0))?;
            offsets.collect::<rusqlite::Result<Vec<i64>>>()
        })?;
        if over.len() < STEP {
            self.phase = Phase::Note;
        }
        if over.is_empty() {
            return Ok(());
        }
        let dropped = file.writing("compact", |on| Ok(delete(on, partition, &over)?))?;
        self.kept -= dropped as i64;
        self.deleted += dropped;
        Ok(())
    }

    fn note(&self, file: &TopicFile) -> Result<(), TopicError> {
        if self.to <= self.clean {
            return Ok(());
        }
        file.writing("compact", |on| {
            // Another process may have come further meanwhile.
            on.execute(
                "INSERT INTO compaction VALUES (?1, ?2, ?3) ON CONFLICT (partition)
                 DO UPDATE SET clean = ?2, live = ?3 WHERE clean < ?2",
                (self.partition, self.to, self.kept.max(0)),
            )?;
            Ok(())
        })
    }

    /// The next records up to `to`, as many as a step takes; moves `at` behind them.
    fn meet(&mut self, file: &TopicFile) -> Result<Vec<Met>, TopicError> {
        let (partition, at, to) = (self.partition, self.at, self.to);
        let met = file.reading("compact", |on| {
            let mut select = on.prepare_cached(
                "SELECT offset, key, value IS NULL FROM records
                 WHERE partition = ?1 AND offset >= ?2 AND offset < ?3 ORDER BY offset LIMIT ?4",
            )?;
            let rows = select.query_map((partition, at, to, STEP as i64), |row| {
                let key = row.get::<_, Option<Vec<u8>>>(1)?.map(Vec::into_boxed_slice);
                Ok(Met { offset: row.get(0)?, key, tombstone: row.get(2)? })
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        self.at = match met.last() {
            Some(last) if met.len() == STEP => last.offset + 1,
            _ => to,
        };
        Ok(met)
    }
}

/// Deletes records, and what is known of those that are tombstones. Tells how many were there.
fn delete(on: &Transaction<'_>, partition: u32, offsets: &[i64]) -> rusqlite::Result<u64> {
    let mut record =
        on.prepare_cached("DELETE FROM records WHERE partition = ?1 AND offset = ?2")?;
    let mut tombstone =
        on.prepare_cached("DELETE FROM tombstones WHERE partition = ?1 AND offset = ?2")?;
    let mut deleted = 0;
    for offset in offsets {
        deleted += record.execute((partition, offset))? as u64;
        tombstone.execute((partition, offset))?;
    }
    Ok(deleted)
}
