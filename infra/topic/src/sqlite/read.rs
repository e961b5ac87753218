use bytes::Bytes;
use rusqlite::types::{FromSqlError, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row};

use super::file::TopicFile;
use super::headers;
use crate::{Bounds, Record, Slice, TopicError};

/// How much is read at once, at most. The first record always fits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) records: usize,
    /// Of memory.
    pub(super) bytes: usize,
}

impl Default for Limit {
    fn default() -> Self {
        Self { records: 4_000, bytes: 4 << 20 }
    }
}

impl TopicFile {
    pub(super) fn read(
        &self,
        partition: u32,
        from: i64,
        limit: &Limit,
    ) -> Result<Slice, TopicError> {
        let found = self.reading("read", |reader| slice(reader, partition, from, limit))?;
        let found = found.map(|(_, slice)| slice);
        found.ok_or_else(|| {
            TopicError::refused(
                format!("read {}-{partition}", self.topic),
                "the topic has no such partition",
                "correct the partition",
            )
        })
    }
}

/// How far each partition reaches, in order.
pub(super) fn bounds(on: &Connection) -> rusqlite::Result<Vec<Bounds>> {
    let mut select = on.prepare_cached("SELECT low, next FROM partitions ORDER BY partition")?;
    let rows = select.query_map((), to_bounds)?;
    rows.collect()
}

/// The records from `from` on, and how far the partition reaches. Both are of one moment only inside
/// a transaction. `None`: there is no such partition.
pub(super) fn slice(
    on: &Connection,
    partition: u32,
    from: i64,
    limit: &Limit,
) -> rusqlite::Result<Option<(Bounds, Slice)>> {
    let mut select = on.prepare_cached("SELECT low, next FROM partitions WHERE partition = ?")?;
    let Some(bounds) = select.query_row([partition], to_bounds).optional()? else {
        return Ok(None);
    };
    let from = from.max(bounds.low);
    let (records, whole) = records(on, partition, from, limit)?;
    let next = match records.last() {
        // Nothing but absent offsets is left up to the end.
        _ if whole => bounds.end.max(from),
        Some(last) => last.offset + 1,
        None => from,
    };
    Ok(Some((bounds, Slice { records, next, end: bounds.end })))
}

/// The records, and whether these are all up to the partition's end.
fn records(
    on: &Connection,
    partition: u32,
    from: i64,
    limit: &Limit,
) -> rusqlite::Result<(Vec<Record>, bool)> {
    let mut select = on.prepare_cached(
        "SELECT offset, timestamp_ms, key, value, headers FROM records
         WHERE partition = ?1 AND offset >= ?2 ORDER BY offset",
    )?;
    let mut rows = select.query((partition, from))?;
    let (mut records, mut bytes) = (Vec::new(), 0);
    while records.len() < limit.records && bytes < limit.bytes {
        let Some(row) = rows.next()? else { return Ok((records, true)) };
        let record = to_record(row)?;
        bytes += record.size();
        records.push(record);
    }
    Ok((records, false))
}

fn to_bounds(row: &Row<'_>) -> rusqlite::Result<Bounds> {
    Ok(Bounds { low: row.get(0)?, end: row.get(1)? })
}

fn to_record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let headers = match row.get_ref(4)? {
        ValueRef::Null => Vec::new(),
        blob => headers::decode(blob.as_blob()?).ok_or_else(|| {
            let unreadable = FromSqlError::Other("these are no record headers".into());
            rusqlite::Error::from(unreadable)
        })?,
    };
    Ok(Record {
        offset: row.get(0)?,
        timestamp_ms: row.get(1)?,
        key: to_bytes(row, 2)?,
        value: to_bytes(row, 3)?,
        headers,
    })
}

fn to_bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Bytes>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        blob => Ok(Some(Bytes::copy_from_slice(blob.as_blob()?))),
    }
}
