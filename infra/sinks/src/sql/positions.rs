//! Owners, positions and ledgers: the rows in the system tables.

use std::collections::BTreeSet;

use millstream_engine::ledger::{Assignment, Entry};
use millstream_topic::TopicPartition;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::faults::Fault;
use super::layout::{Kept, Layout};
use super::owner::{Owned, check_owned, entry, refuse_table, unreadable};
use super::statements;

/// The record of a table, if it has one.
pub(super) fn owned(connection: &Connection, table: &str) -> Result<Option<Owned>, Fault> {
    let mut query = connection.prepare_cached(
        "SELECT table_name, pipeline, keeping, schema FROM _millstream_owner WHERE table_name = ?",
    )?;
    let record = query.query_row([table], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?, row.get::<_, String>(3)?))
    });
    let Some((name, pipeline, keeping, schema_text)) = record.optional()? else { return Ok(None) };
    let kept: Kept = serde_json::from_str(&keeping).map_err(|e| unreadable(table, &e))?;
    let schema = serde_json::from_str(&schema_text).map_err(|e| unreadable(table, &e))?;
    Ok(Some(Owned { pipeline, layout: Layout { table: name, kept, schema }, schema_text }))
}

/// Identities of a topic, by the last entry of each partition's ledger.
pub(super) fn topic_ids(
    connection: &Connection,
    table: &str,
    topic: &str,
) -> Result<BTreeSet<String>, Fault> {
    let mut query = connection.prepare(
        "SELECT entry FROM _millstream_position JOIN _millstream_ledger
             USING (table_name, pipeline, topic, partition, seq)
         WHERE table_name = ? AND topic = ?",
    )?;
    let entries = query.query_map(params![table, topic], |row| row.get::<_, String>(0))?;
    let id = |entry: Result<String, rusqlite::Error>| -> Result<String, Fault> {
        let entry: Entry = serde_json::from_str(&entry?).map_err(|e| unreadable(table, &e))?;
        Ok(entry.topic_id)
    };
    entries.map(id).collect()
}

/// Makes the table or lets it grow, and records the pipeline as its owner.
pub(super) fn own(
    connection: &mut Connection,
    pipeline: &str,
    wanted: &Layout,
) -> Result<Owned, Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let table = &wanted.table;
    let there = exists(&transaction, table)?;
    let layout = match owned(&transaction, table)? {
        None if there => {
            let why = "there is a table of that name that Millstream did not make";
            return Err(refuse_table(table, pipeline, why).into());
        }
        None => {
            transaction.execute_batch(&statements::create(wanted))?;
            wanted.clone()
        }
        Some(owned) => {
            check_owned(&owned, pipeline, wanted, there)?;
            let (grown, added) = owned.layout.grown(&wanted.schema)?;
            for field in &added {
                transaction.execute_batch(&statements::add_column(&grown, field))?;
            }
            grown
        }
    };
    let keeping = serde_json::to_string(&layout.kept).map_err(|e| unreadable(table, &e))?;
    let schema_text = serde_json::to_string(&layout.schema).map_err(|e| unreadable(table, &e))?;
    transaction.execute(
        "INSERT INTO _millstream_owner (table_name, pipeline, keeping, schema) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (table_name) DO UPDATE SET schema = excluded.schema",
        params![table, pipeline, keeping, schema_text],
    )?;
    transaction.commit()?;
    Ok(Owned { pipeline: pipeline.to_owned(), layout, schema_text })
}

/// Whether a table or a view of that name is there.
pub(super) fn exists(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    let mut query = connection.prepare_cached(
        "SELECT 1 FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ? COLLATE NOCASE",
    )?;
    query.exists([table])
}

/// The last entry of a partition, written now if there is none.
pub(super) fn open(
    connection: &mut Connection,
    table: &str,
    assignment: &Assignment,
    now_ms: i64,
) -> Result<Entry, Fault> {
    if let Some(last) = last(connection, table, assignment)? {
        return Ok(last);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another worker may have been here between the look and the lock.
    if let Some(last) = last(&transaction, table, assignment)? {
        return Ok(last);
    }
    let genesis = Entry::genesis(assignment, now_ms);
    transaction.execute(
        "INSERT INTO _millstream_position (table_name, pipeline, topic, partition, seq) VALUES (?, ?, ?, ?, 0)",
        params![table, assignment.pipeline, assignment.at.topic, assignment.at.partition],
    )?;
    append(&transaction, table, assignment, &genesis)?;
    transaction.commit()?;
    Ok(genesis)
}

fn last(
    connection: &Connection,
    table: &str,
    assignment: &Assignment,
) -> Result<Option<Entry>, Fault> {
    let mut query = connection.prepare_cached(
        "SELECT entry FROM _millstream_position LEFT JOIN _millstream_ledger
             USING (table_name, pipeline, topic, partition, seq)
         WHERE table_name = ? AND pipeline = ? AND topic = ? AND partition = ?",
    )?;
    let key = params![table, assignment.pipeline, assignment.at.topic, assignment.at.partition];
    match query.query_row(key, |row| row.get::<_, Option<String>>(0)).optional()? {
        None => Ok(None),
        Some(None) => Err(unreadable(table, &"the position's entry is missing").into()),
        Some(Some(text)) => Ok(Some(entry(table, &text)?)),
    }
}

/// Moves the position from `seq - 1` to `seq`; false where it is elsewhere.
pub(super) fn advance(
    connection: &Connection,
    table: &str,
    assignment: &Assignment,
    seq: u64,
) -> rusqlite::Result<bool> {
    let (Ok(seq), true) = (i64::try_from(seq), seq > 0) else { return Ok(false) };
    let mut update = connection.prepare_cached(
        "UPDATE _millstream_position SET seq = ?1
         WHERE table_name = ?2 AND pipeline = ?3 AND topic = ?4 AND partition = ?5 AND seq = ?1 - 1",
    )?;
    let at = &assignment.at;
    let moved = update.execute(params![seq, table, assignment.pipeline, at.topic, at.partition])?;
    Ok(moved == 1)
}

pub(super) fn append(
    connection: &Connection,
    table: &str,
    assignment: &Assignment,
    entry: &Entry,
) -> Result<(), Fault> {
    let text = serde_json::to_string(entry).map_err(|error| unreadable(table, &error))?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO _millstream_ledger (table_name, pipeline, topic, partition, seq, entry)
         VALUES (?, ?, ?, ?, ?, ?)",
    )?;
    let at = &assignment.at;
    let seq = entry.seq.cast_signed();
    insert.execute(params![table, assignment.pipeline, at.topic, at.partition, seq, text])?;
    Ok(())
}

pub(super) fn ledger(
    connection: &Connection,
    table: &str,
    pipeline: &str,
    at: &TopicPartition,
    (from, max): (u64, usize),
) -> Result<Vec<Entry>, Fault> {
    let mut query = connection.prepare_cached(
        "SELECT entry FROM _millstream_ledger
         WHERE table_name = ? AND pipeline = ? AND topic = ? AND partition = ? AND seq >= ?
         ORDER BY seq LIMIT ?",
    )?;
    let from = i64::try_from(from).unwrap_or(i64::MAX);
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let key = params![table, pipeline, at.topic, at.partition, from, max];
    let texts = query.query_map(key, |row| row.get::<_, String>(0))?;
    texts.map(|text| Ok(entry(table, &text?)?)).collect()
}
