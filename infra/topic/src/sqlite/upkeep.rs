use rusqlite::Connection;

use super::file::{self, TopicFile};
use super::{SqliteLog, blocking, compact, no_topic, read};
use crate::{Bounds, TopicError};

/// How many offsets one transaction of the retention gives up, so that no writer waits long.
const STEP: i64 = 20_000;

/// What an operator or a housekeeping task does to a topic.
impl SqliteLog {
    /// Drops the oldest records until the topic takes at most `max_bytes` of its file, each partition
    /// the same share of its offsets. The space is used again by later records; offsets never are.
    /// Returns how many offsets were given up.
    pub async fn retain(&self, topic: &str, max_bytes: u64) -> Result<u64, TopicError> {
        self.with_file(topic, "drop old records of", move |file| file.retain(max_bytes)).await
    }

    /// Compacts a topic declared compacted, now and at once: of the records there are, but for each
    /// partition's last one, the last of each key is kept, and tombstones whose [`super::DELETE_RETENTION`]
    /// is over are dropped. Offsets stay as they are. Returns how many records were deleted. Otherwise this
    /// happens by itself, in the background, as records are appended.
    pub async fn compact(&self, topic: &str) -> Result<u64, TopicError> {
        let file = self.with_file(topic, "compact", |file| Ok(file.clone())).await?;
        compact::compact(file, self.shared.clock.clone(), false).await
    }

    /// Adds `more` empty partitions. Members notice within a second.
    pub async fn add_partitions(&self, topic: &str, more: u32) -> Result<(), TopicError> {
        self.with_file(topic, "add partitions to", move |file| file.grow(more)).await
    }

    /// Deletes the topic and its groups' offsets. Members see it empty-handed until it is made anew.
    pub async fn delete(&self, topic: &str) -> Result<(), TopicError> {
        let (shared, topic) = (self.shared.clone(), topic.to_owned());
        blocking(move || {
            if shared.directory.delete(&topic)? { Ok(()) } else { Err(no_topic("delete", &topic)) }
        })
        .await
    }

    /// What `group` committed on the topic: partition and next offset.
    pub async fn committed(&self, topic: &str, group: &str) -> Result<Vec<(u32, i64)>, TopicError> {
        let group = group.to_owned();
        self.with_file(topic, "look at", move |file| {
            file.reading("look at", |reader| committed(reader, &group))
        })
        .await
    }
}

impl TopicFile {
    /// Stores the next offset per partition for a group.
    pub(super) fn commit(&self, group: &str, next: &[(u32, i64)]) -> Result<(), TopicError> {
        self.writing("commit offsets of", |transaction| {
            let mut store =
                transaction.prepare_cached("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)")?;
            for (partition, next) in next {
                store.execute((group, partition, next))?;
            }
            Ok(())
        })
    }

    fn grow(&self, more: u32) -> Result<(), TopicError> {
        self.writing("add partitions to", |transaction| {
            let count = read::bounds(transaction)?.len() as u32;
            Ok(file::add_partitions(transaction, count, more)?)
        })
    }

    fn retain(&self, max_bytes: u64) -> Result<u64, TopicError> {
        let mut dropped = 0;
        // The share is an estimate, as records differ in size; a few rounds come close enough.
        while let Some(lows) = self.reading("measure", |reader| too_old(reader, max_bytes))? {
            for (partition, low) in lows {
                dropped += self.truncate(partition, low)?;
            }
        }
        Ok(dropped)
    }

    /// Gives up the offsets below `low`.
    fn truncate(&self, partition: u32, low: i64) -> Result<u64, TopicError> {
        let mut dropped = 0;
        loop {
            let step = self.writing("drop old records of", |transaction| {
                Ok(truncate_step(transaction, partition, low)?)
            })?;
            if step == 0 {
                return Ok(dropped);
            }
            dropped += step;
        }
    }
}

/// The offsets to begin at, per partition, so that the file's pages in use come down to `max_bytes`.
/// `None`: they fit, or there is nothing left to drop.
fn too_old(on: &Connection, max_bytes: u64) -> rusqlite::Result<Option<Vec<(u32, i64)>>> {
    let pragma = |name| on.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let used = (pragma("page_count")? - pragma("freelist_count")?) * pragma("page_size")?;
    let bounds = read::bounds(on)?;
    let used = used.cast_unsigned();
    if used <= max_bytes || bounds.iter().all(|bounds| bounds.low == bounds.end) {
        return Ok(None);
    }
    let share = 1.0 - max_bytes as f64 / used as f64;
    let low = |Bounds { low, end }| low + (((end - low) as f64) * share).ceil() as i64;
    Ok(Some((0..).zip(bounds.into_iter().map(low)).collect()))
}

fn truncate_step(on: &Connection, partition: u32, low: i64) -> rusqlite::Result<u64> {
    let bounds = read::bounds(on)?;
    let Some(Bounds { low: old, end }) = bounds.get(partition as usize).copied() else {
        return Ok(0);
    };
    let low = low.min(end).min(old + STEP);
    if low <= old {
        return Ok(0);
    }
    on.execute("DELETE FROM records WHERE partition = ?1 AND offset < ?2", (partition, low))?;
    on.execute("UPDATE partitions SET low = ?2 WHERE partition = ?1", (partition, low))?;
    Ok(low.abs_diff(old))
}

fn committed(on: &Connection, group: &str) -> rusqlite::Result<Vec<(u32, i64)>> {
    let mut select = on.prepare_cached(
        "SELECT partition, next FROM positions WHERE consumer_group = ? ORDER BY partition",
    )?;
    let rows = select.query_map([group], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}
