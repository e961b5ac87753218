//! Records in, rows and buckets out: decode and transform of one stretch of a partition. A pure function of
//! records and code, so that a replay gives the same, however it cuts the stretch.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use millstream_topic::Record;
use millstream_topic::dead_letter::Kind;

use crate::decode::Decoded;
use crate::pipeline::Pipeline;
use crate::sink::{Delete, Rows};

/// A value over this size is dead-lettered: the broker's limit for the dead-letter topic lies above it.
pub const MAX_VALUE_BYTES: usize = 1 << 20;

/// What became of a stretch of records.
#[derive(Debug, Default)]
pub struct Worked {
    pub rows: Vec<Rows>,
    pub deletes: Vec<Delete>,
    pub delivered: u64,
    pub filtered: u64,
    pub dead: Vec<Dead>,
    pub tombstones: u64,
    /// Version of the last record.
    pub version: i64,
}

/// A record that can't be worked off, by its index among those given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dead {
    pub index: usize,
    pub kind: Kind,
    pub reason: String,
}

/// Works off records that follow one another in a partition. `version_before` is the version of the
/// record before the first one.
pub fn work(pipeline: &Pipeline, records: &[Record], version_before: i64) -> Worked {
    let versions = versions(records, version_before);
    let mut worked =
        Worked { version: versions.last().copied().unwrap_or(version_before), ..Worked::default() };
    let live = sort_out(pipeline, records, &versions, &mut worked);
    let (rows, mut dead) = transformed(pipeline, records, &live);
    let rows: Vec<_> =
        rows.into_iter().filter_map(|rows| without_dead(pipeline, rows, &mut dead)).collect();

    let mut delivered: Vec<u32> =
        rows.iter().flat_map(|rows| rows.origin.iter().copied()).collect();
    delivered.dedup();
    worked.delivered = delivered.len() as u64;
    worked.filtered = (live.len() - delivered.len() - dead.len()) as u64;
    worked.dead.append(&mut dead);
    worked.dead.sort_by_key(|dead| dead.index);
    worked.rows = rows.into_iter().map(|rows| with_versions(rows, &versions)).collect();
    worked
}

/// The version of the last of these records.
pub(crate) fn version_of_last(records: &[Record], before: i64) -> i64 {
    records.iter().fold(before, |before, record| version(record, before))
}

/// docs/guarantees.md: `v = max(timestamp_ms × 1000, v_before + 1)`, in microseconds.
fn version(record: &Record, before: i64) -> i64 {
    record.timestamp_ms.saturating_mul(1000).max(before + 1)
}

fn versions(records: &[Record], mut before: i64) -> Vec<i64> {
    let mut versions = Vec::with_capacity(records.len());
    for record in records {
        before = version(record, before);
        versions.push(before);
    }
    versions
}

/// Indexes of the records that have a value to decode; the others find their bucket here.
fn sort_out(
    pipeline: &Pipeline,
    records: &[Record],
    versions: &[i64],
    worked: &mut Worked,
) -> Vec<usize> {
    let compacted = pipeline.is_compacted();
    let mut live = Vec::with_capacity(records.len());
    for (index, record) in records.iter().enumerate() {
        match (&record.value, &record.key) {
            (Some(value), _) if value.len() > MAX_VALUE_BYTES => worked.dead.push(Dead {
                index,
                kind: Kind::TooLarge,
                reason: format!("{} bytes are over the limit of {MAX_VALUE_BYTES}", value.len()),
            }),
            (Some(_), _) => live.push(index),
            (None, Some(key)) if compacted => {
                worked.tombstones += 1;
                worked.deletes.push(Delete { key: key.clone(), version: versions[index] });
            }
            (None, _) => worked.dead.push(Dead {
                index,
                kind: Kind::Null,
                reason: "the value is null, and the topic isn't compacted by key".to_owned(),
            }),
        }
    }
    live
}

/// Decoded and transformed rows, whose origin is the record's index; and the records that failed.
fn transformed(
    pipeline: &Pipeline,
    records: &[Record],
    live: &[usize],
) -> (Vec<Decoded>, Vec<Dead>) {
    let mut dead = Vec::new();
    let mut decoded = Vec::new();
    let decode = |part: Range<usize>| {
        let values: Vec<&[u8]> = live[part.clone()]
            .iter()
            .filter_map(|index| records[*index].value.as_deref())
            .collect();
        let rows = pipeline.decoder.decode(&values)?;
        let origin =
            rows.origin.iter().map(|row| live[part.start + *row as usize] as u32).collect();
        Ok(Decoded { batch: rows.batch, origin })
    };
    single_out(0..live.len(), &decode, &mut decoded, &mut |part, reason| {
        dead.push(Dead { index: live[part.start], kind: Kind::Decode, reason });
    });

    let mut made = Vec::new();
    for rows in joined(decoded) {
        transform_rows(pipeline, &rows, &mut made, &mut dead);
    }
    (joined(made), dead)
}

fn transform_rows(
    pipeline: &Pipeline,
    rows: &Decoded,
    made: &mut Vec<Decoded>,
    dead: &mut Vec<Dead>,
) {
    // Where each record's rows begin: a record with one bad row is bad as a whole.
    let mut starts: Vec<usize> = (0..rows.origin.len())
        .filter(|row| *row == 0 || rows.origin[*row] != rows.origin[*row - 1])
        .collect();
    let count = starts.len();
    starts.push(rows.origin.len());
    let apply = |part: Range<usize>| {
        let (from, to) = (starts[part.start], starts[part.end]);
        let out = pipeline.transform.apply(&rows.batch.slice(from, to - from))?;
        let origin = out.origin.iter().map(|row| rows.origin[from + *row as usize]).collect();
        Ok(Decoded { batch: out.batch, origin })
    };
    single_out(0..count, &apply, made, &mut |part, reason| {
        let index = rows.origin[starts[part.start]] as usize;
        dead.push(Dead { index, kind: Kind::Transform, reason });
    });
}

/// Tries the whole; when it fails, its halves, down to the single bad ones.
pub(crate) fn single_out(
    part: Range<usize>,
    attempt: &dyn Fn(Range<usize>) -> Result<Decoded, String>,
    good: &mut Vec<Decoded>,
    bad: &mut dyn FnMut(Range<usize>, String),
) {
    if part.is_empty() {
        return;
    }
    match attempt(part.clone()) {
        Ok(rows) => good.push(rows),
        Err(reason) if part.len() == 1 => bad(part, reason),
        Err(_) => {
            let middle = part.start + part.len() / 2;
            single_out(part.start..middle, attempt, good, bad);
            single_out(middle..part.end, attempt, good, bad);
        }
    }
}

/// Pieces of one schema as one piece, so that a bad record doesn't leave many small batches behind.
fn joined(pieces: Vec<Decoded>) -> Vec<Decoded> {
    let Some(first) = pieces.first() else { return pieces };
    if pieces.len() == 1 {
        return pieces;
    }
    match concat_batches(&first.batch.schema(), pieces.iter().map(|piece| &piece.batch)) {
        Ok(batch) => {
            let origin = pieces.iter().flat_map(|piece| piece.origin.iter().copied()).collect();
            vec![Decoded { batch, origin }]
        }
        // Only pieces of differing schemas can't be joined; apart they are as good.
        Err(_) => pieces,
    }
}

/// Leaves out the rows of records that have a null in a required column, can't be held by the sink, or are dead already.
fn without_dead(pipeline: &Pipeline, rows: Decoded, dead: &mut Vec<Dead>) -> Option<Decoded> {
    let mut bad: HashSet<u32> = dead.iter().map(|dead| dead.index as u32).collect();
    for name in &pipeline.required {
        let Some(column) = rows.batch.column_by_name(name) else { continue };
        for row in (0..column.len()).filter(|row| column.is_null(*row)) {
            if bad.insert(rows.origin[row]) {
                let index = rows.origin[row] as usize;
                let reason = format!("column `{name}` is null, and the sink can't do without it");
                dead.push(Dead { index, kind: Kind::Null, reason });
            }
        }
    }
    for (row, reason) in pipeline.target.unfit(&without_looked_up(pipeline, &rows.batch)) {
        if bad.insert(rows.origin[row]) {
            let index = rows.origin[row] as usize;
            dead.push(Dead { index, kind: Kind::Refused, reason });
        }
    }
    if bad.is_empty() {
        return Some(rows);
    }
    let mask: BooleanArray = rows.origin.iter().map(|index| Some(!bad.contains(index))).collect();
    let batch = filter_record_batch(&rows.batch, &mask).ok()?;
    let origin = rows.origin.iter().copied().filter(|index| !bad.contains(index)).collect();
    Some(Decoded { batch, origin })
}

/// The columns that are the record's own: a replay finds the same in them, so they may decide what becomes of it.
fn without_looked_up(pipeline: &Pipeline, rows: &RecordBatch) -> RecordBatch {
    let looked_up = pipeline.transform.looked_up();
    if looked_up.is_empty() {
        return rows.clone();
    }
    let schema = rows.schema();
    let names = schema.fields().iter().map(|field| field.name());
    let own: Vec<_> = names
        .enumerate()
        .filter(|(_, name)| !looked_up.contains(name))
        .map(|(place, _)| place)
        .collect();
    // Places of its own columns always are there.
    rows.project(&own).unwrap_or_else(|_| rows.clone())
}

fn with_versions(rows: Decoded, versions: &[i64]) -> Rows {
    let of_rows: Int64Array =
        rows.origin.iter().map(|index| versions[*index as usize]).collect::<Vec<_>>().into();
    Rows { batch: rows.batch, versions: Arc::new(of_rows) }
}

/// Rows in all.
pub fn row_count(rows: &[Rows]) -> u64 {
    rows.iter().map(|rows| rows.batch.num_rows() as u64).sum()
}

/// Bytes the rows hold in memory.
pub fn byte_count(batch: &RecordBatch) -> usize {
    batch.get_array_memory_size()
}
