use rusqlite::Connection;

use super::file::{Failure, TopicFile};
use super::{compact, headers, read};
use crate::{Cleanup, Outgoing, Placed, TopicError, partition_for_key, record};

impl TopicFile {
    /// All of the records or none. Offsets are given inside the transaction, so that writers in several
    /// processes never give one twice or leave a gap. Tells, too, whether compaction is due.
    pub(super) fn append(
        &self,
        records: &[Outgoing],
        now_ms: i64,
    ) -> Result<(Vec<Placed>, bool), TopicError> {
        if records.is_empty() {
            return Ok((Vec::new(), false));
        }
        if self.cleanup == Cleanup::Compact {
            record::refuse_keyless(&self.topic, records)?;
        }
        self.writing("append to", |transaction| {
            let bounds = read::bounds(transaction)?;
            let mut next: Vec<i64> = bounds.iter().map(|bounds| bounds.end).collect();
            let placed = place(&self.topic, records, &mut next).map_err(Failure::Told)?;
            insert(transaction, records, &placed, now_ms)?;
            let mut advance = transaction
                .prepare_cached("UPDATE partitions SET next = ?2 WHERE partition = ?1")?;
            let mut due = false;
            for (partition, (bounds, next)) in (0_u32..).zip(bounds.iter().zip(&next)) {
                if bounds.end != *next {
                    advance.execute((partition, next))?;
                    due |= self.cleanup == Cleanup::Compact
                        && compact::is_due(transaction, partition, *next)?;
                }
            }
            Ok((placed, due))
        })
    }
}

/// Where each record goes, given the next offset of each partition.
fn place(topic: &str, records: &[Outgoing], next: &mut [i64]) -> Result<Vec<Placed>, TopicError> {
    let count = next.len() as u32;
    // The keyless records of one call stay together, in the partition that has had the fewest.
    let shortest = (0..count).min_by_key(|partition| next[*partition as usize]).unwrap_or_default();
    let mut placed = Vec::with_capacity(records.len());
    for record in records {
        let partition = match (record.partition, &record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_for_key(key, count),
            (None, None) => shortest,
        };
        let Some(offset) = next.get_mut(partition as usize) else {
            return Err(TopicError::refused(
                format!("append to {topic}-{partition}"),
                format!("the topic has {count} partitions, numbered from 0"),
                "correct the partition",
            ));
        };
        placed.push(Placed { partition, offset: *offset });
        *offset += 1;
    }
    Ok(placed)
}

fn insert(
    on: &Connection,
    records: &[Outgoing],
    placed: &[Placed],
    now_ms: i64,
) -> rusqlite::Result<()> {
    let mut insert = on.prepare_cached("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)")?;
    for (record, placed) in records.iter().zip(placed) {
        insert.execute((
            placed.partition,
            placed.offset,
            record.timestamp_ms.unwrap_or(now_ms),
            record.key.as_deref(),
            record.value.as_deref(),
            headers::encode(&record.headers),
        ))?;
    }
    Ok(())
}
