use std::collections::HashSet;

use millstream_topic::dead_letter::{self, DeadLetter};
use millstream_topic::{Bounds, Record, TopicError, TopicPartition};

use super::Report;
use super::compare::Expected;
use super::ledgers::Ledger;
use crate::batch::{self, Worked};
use crate::ledger::{Entry, EntryKind};
use crate::open_range::CHUNK_RECORDS;
use crate::pipeline::Pipeline;
use crate::world::World;

/// So many dead letters are read at once.
const READ: usize = 20_000;

/// Works off once more what the ledger says was worked off.
pub(super) async fn partition(
    pipeline: &Pipeline,
    world: &World,
    ledger: &Ledger,
    bounds: Bounds,
    expected: &mut Expected,
    report: &mut Report,
) -> Result<(), TopicError> {
    let fingerprint = pipeline.fingerprint();
    let topic_id = ledger.entries.last().map(|entry| entry.topic_id.clone());
    let mut version = 0;
    for entry in &ledger.entries {
        let again = entry.fingerprint == fingerprint
            && entry.start >= bounds.low
            && Some(&entry.topic_id) == topic_id.as_ref();
        match entry.kind {
            EntryKind::Range if again => {
                let records = read(world, &ledger.at, entry).await?;
                version = range(pipeline, &ledger.at, entry, &records, version, expected, report);
            }
            EntryKind::Range => {
                report.unchecked += (entry.end - entry.start + 1) as u64;
                version = entry.version;
            }
            _ => version = entry.version.max(version),
        }
    }
    Ok(())
}

async fn read(
    world: &World,
    at: &TopicPartition,
    entry: &Entry,
) -> Result<Vec<Record>, TopicError> {
    let mut records = Vec::new();
    let mut next = entry.start;
    while next <= entry.end {
        // All that is left: each time a reader begins anew, and fetches more than it is asked for.
        let max = (entry.end - next + 1) as usize;
        let slice = world.topics.read(at, next, max).await?;
        if slice.next <= next {
            break;
        }
        next = slice.next;
        records.extend(slice.records.into_iter().filter(|record| record.offset <= entry.end));
    }
    Ok(records)
}

/// Compares one range's buckets and remembers its rows. Tells the version of its last record.
fn range(
    pipeline: &Pipeline,
    at: &TopicPartition,
    entry: &Entry,
    records: &[Record],
    version: i64,
    expected: &mut Expected,
    report: &mut Report,
) -> i64 {
    let (seq, buckets) = (entry.seq, &entry.buckets);
    let mut version = version;
    let mut found = Found::default();
    for stretch in records.chunks(CHUNK_RECORDS) {
        let worked = batch::work(pipeline, stretch, version);
        version = worked.version;
        found.add(&worked, stretch);
        if let Err(error) = expected.add(worked) {
            report.problem(format!("{at}: range {seq} has rows that can't be compared: {error}"));
        }
    }
    // Compaction may have taken some of what was there; nothing ever comes.
    let shrinks = pipeline.is_compacted();
    let as_told = match shrinks {
        true => found.dead.iter().all(|offset| buckets.dead.contains(offset)),
        false => found.dead == buckets.dead,
    };
    if !as_told {
        report.problem(format!("{at}: range {seq} dead-lettered other records than it should"));
    }
    let absent = (entry.end - entry.start + 1) - records.len() as i64;
    for (bucket, told, seen) in [
        ("delivered", buckets.delivered, found.delivered),
        ("filtered", buckets.filtered, found.filtered),
        ("tombstones", buckets.tombstones, found.tombstones),
        ("absent", buckets.absent_count(), absent as u64),
        ("rows", entry.rows, found.rows),
    ] {
        let fewer = if bucket == "absent" { told < seen } else { seen < told };
        if told != seen && !(shrinks && fewer) {
            report.problem(format!("{at}: range {seq} tells {told} {bucket}, its records {seen}"));
        }
    }
    version
}

/// What a range's records come to.
#[derive(Default)]
struct Found {
    delivered: u64,
    filtered: u64,
    tombstones: u64,
    rows: u64,
    /// Offsets of dead letters.
    dead: Vec<i64>,
}

impl Found {
    fn add(&mut self, worked: &Worked, records: &[Record]) {
        self.delivered += worked.delivered;
        self.filtered += worked.filtered;
        self.tombstones += worked.tombstones;
        self.rows += batch::row_count(&worked.rows);
        self.dead.extend(worked.dead.iter().map(|dead| records[dead.index].offset));
    }
}

/// Every dead offset of the ledger has to be found in the dead-letter topic.
pub(super) async fn letters(
    world: &World,
    pipeline: &str,
    ledger: &Ledger,
    report: &mut Report,
) -> Result<(), TopicError> {
    let dead: HashSet<i64> =
        ledger.entries.iter().flat_map(|entry| entry.buckets.dead.iter().copied()).collect();
    if dead.is_empty() {
        return Ok(());
    }
    let written = written(world, pipeline, &ledger.at).await?;
    let missing: Vec<_> = dead.difference(&written).collect();
    if let Some(first) = missing.first() {
        report.lost += missing.len() as u64;
        let (count, at) = (missing.len(), &ledger.at);
        report
            .problem(format!("{at}: {count} dead letters are missing, that of {first} among them"));
    }
    Ok(())
}

async fn written(
    world: &World,
    pipeline: &str,
    source: &TopicPartition,
) -> Result<HashSet<i64>, TopicError> {
    let name = dead_letter::topic_for(&source.topic);
    let mut found = HashSet::new();
    let Some(info) = world.topics.info(&name).await? else { return Ok(found) };
    for partition in 0..info.partitions.len() as u32 {
        let at = TopicPartition::new(name.clone(), partition);
        let mut next = info.partitions[partition as usize].low;
        while next < info.partitions[partition as usize].end {
            let slice = world.topics.read(&at, next, READ).await?;
            if slice.next <= next {
                break;
            }
            next = slice.next;
            let letters = slice.records.iter().filter_map(|r| DeadLetter::from_record(r).ok());
            let ours = letters.filter(|letter| letter.pipeline == pipeline && letter.at == *source);
            found.extend(ours.map(|letter| letter.offset));
        }
    }
    Ok(found)
}
