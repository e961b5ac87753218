//! Positions, ledgers and owners: the rows in the system tables.

use millstream_engine::SinkError;
use millstream_engine::ledger::{Assignment, Entry};
use millstream_topic::TopicPartition;
use mysql_async::{Row, Value};

use super::faults::Fault;
use super::session::{Session, value};
use crate::sql::layout::{Kept, Layout};
use crate::sql::owner::{Owned, entry, unreadable};

/// No such table; no such database; a row of that key is there.
pub(super) const NO_TABLE: u16 = 1146;
pub(super) const NO_DATABASE: u16 = 1049;
pub(super) const DUPLICATE: u16 = 1062;

/// The owner's record, and whether the table was made to its end.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub owned: Owned,
    pub made: bool,
}

/// The record of a table, if it has one. Names compare without case, as some servers compare those of tables.
pub(super) async fn record(session: &mut Session, table: &str) -> Result<Option<Record>, Fault> {
    let query = "SELECT table_name, pipeline, keeping, `schema`, made FROM _millstream_owner \
                 WHERE LOWER(table_name) = LOWER(?)";
    let row = match session.row(query, vec![table.into()]).await {
        Err(fault) if fault.code() == Some(NO_TABLE) => return Ok(None),
        row => row?,
    };
    let Some(row) = row else { return Ok(None) };
    Ok(Some(read_record(table, row)?))
}

fn read_record(table: &str, row: Row) -> Result<Record, SinkError> {
    let columns = mysql_async::from_row_opt::<(String, String, String, String, bool)>(row);
    let (name, pipeline, keeping, schema_text, made) =
        columns.map_err(|_| unreadable(table, &"the owner's record has other columns"))?;
    let kept: Kept = serde_json::from_str(&keeping).map_err(|e| unreadable(table, &e))?;
    let schema = serde_json::from_str(&schema_text).map_err(|e| unreadable(table, &e))?;
    let layout = Layout { table: name, kept, schema };
    Ok(Record { owned: Owned { pipeline, layout, schema_text }, made })
}

/// Whether a table or a view of that name is there.
pub(super) async fn exists(session: &mut Session, table: &str) -> Result<bool, Fault> {
    let query = "SELECT 1 FROM information_schema.tables \
                 WHERE table_schema = DATABASE() AND LOWER(table_name) = LOWER(?) LIMIT 1";
    Ok(session.row(query, vec![table.into()]).await?.is_some())
}

/// The last entry of a partition, written now if there is none. `writer`: of this try.
pub(super) async fn open(
    session: &mut Session,
    table: &str,
    ours: &Assignment,
    now_ms: i64,
    writer: &str,
) -> Result<Entry, Fault> {
    if let Some(last) = last(session, table, ours).await? {
        return Ok(last);
    }
    let genesis = Entry::genesis(ours, now_ms);
    session.say("START TRANSACTION").await?;
    let begun = begin(session, table, ours, &genesis, writer).await;
    match begun {
        Ok(()) => {
            session.say("COMMIT").await?;
            Ok(genesis)
        }
        Err(fault) if fault.code() == Some(DUPLICATE) => {
            // Another worker was here between the look and the insert.
            session.roll_back().await;
            let last = last(session, table, ours).await?;
            last.ok_or_else(|| unreadable(table, &"its position comes and goes").into())
        }
        Err(fault) => Err(fault),
    }
}

async fn begin(
    session: &mut Session,
    table: &str,
    ours: &Assignment,
    genesis: &Entry,
    writer: &str,
) -> Result<(), Fault> {
    let insert = "INSERT INTO _millstream_position (table_name, pipeline, topic, `partition`, seq) \
                  VALUES (?, ?, ?, ?, 0)";
    session.run(insert, filed(table, &ours.pipeline, &ours.at)).await?;
    append(session, table, ours, genesis, writer).await
}

async fn last(
    session: &mut Session,
    table: &str,
    ours: &Assignment,
) -> Result<Option<Entry>, Fault> {
    let query = "SELECT entry FROM _millstream_position LEFT JOIN _millstream_ledger \
                     USING (table_name, pipeline, topic, `partition`, seq) \
                 WHERE table_name = ? AND pipeline = ? AND topic = ? AND `partition` = ?";
    let Some(row) = session.row(query, filed(table, &ours.pipeline, &ours.at)).await? else {
        return Ok(None);
    };
    match row.as_ref(0) {
        Some(Value::Bytes(text)) => Ok(Some(read_entry(table, text)?)),
        _ => Err(unreadable(table, &"the position's entry is missing").into()),
    }
}

/// Moves the position from `seq - 1` to `seq`, and locks its row; false where it is elsewhere.
pub(super) async fn advance(
    session: &mut Session,
    table: &str,
    ours: &Assignment,
    seq: u64,
) -> Result<bool, Fault> {
    let (Ok(seq), true) = (i64::try_from(seq), seq > 0) else { return Ok(false) };
    let update = "UPDATE _millstream_position SET seq = ? \
                  WHERE table_name = ? AND pipeline = ? AND topic = ? AND `partition` = ? AND seq = ?";
    let mut values = vec![seq.into()];
    values.extend(filed(table, &ours.pipeline, &ours.at));
    values.push((seq - 1).into());
    Ok(session.run(update, values).await? == 1)
}

pub(super) async fn append(
    session: &mut Session,
    table: &str,
    ours: &Assignment,
    entry: &Entry,
    writer: &str,
) -> Result<(), Fault> {
    let text = serde_json::to_string(entry).map_err(|error| unreadable(table, &error))?;
    let insert = "INSERT INTO _millstream_ledger (table_name, pipeline, topic, `partition`, seq, entry, writer) \
                  VALUES (?, ?, ?, ?, ?, ?, ?)";
    let mut values = filed(table, &ours.pipeline, &ours.at);
    values.extend([entry.seq.into(), text.into(), writer.into()]);
    session.run(insert, values).await?;
    Ok(())
}

/// Who wrote the entry `seq`, once no transaction on the position is under way any more; `None`: nobody.
pub(super) async fn writer(
    session: &mut Session,
    table: &str,
    ours: &Assignment,
    seq: u64,
) -> Result<Option<String>, Fault> {
    let key = || filed(table, &ours.pipeline, &ours.at);
    session.say("START TRANSACTION").await?;
    // The commit whose reply was lost may still be on its way: its transaction holds this row until it ends.
    let lock = "SELECT seq FROM _millstream_position \
                WHERE table_name = ? AND pipeline = ? AND topic = ? AND `partition` = ? FOR UPDATE";
    session.row(lock, key()).await?;
    let query = "SELECT writer FROM _millstream_ledger \
                 WHERE table_name = ? AND pipeline = ? AND topic = ? AND `partition` = ? AND seq = ?";
    let mut values = key();
    values.push(seq.into());
    let row = session.row(query, values).await?;
    session.say("COMMIT").await?;
    Ok(row.and_then(|row| value(&row, 0)))
}

pub(super) async fn ledger(
    session: &mut Session,
    table: &str,
    pipeline: &str,
    at: &TopicPartition,
    (from, max): (u64, usize),
) -> Result<Vec<Entry>, Fault> {
    let query = "SELECT entry FROM _millstream_ledger \
                 WHERE table_name = ? AND pipeline = ? AND topic = ? AND `partition` = ? AND seq >= ? \
                 ORDER BY seq LIMIT ?";
    let mut values = filed(table, pipeline, at);
    let most = i64::try_from(max).unwrap_or(i64::MAX);
    values.extend([i64::try_from(from).unwrap_or(i64::MAX).into(), most.into()]);
    entries(table, session.rows(query, values).await?)
}

/// Identities of a topic, by the last entry of each partition's ledger.
pub(super) async fn topic_ids(
    session: &mut Session,
    table: &str,
    topic: &str,
) -> Result<Vec<String>, Fault> {
    let query = "SELECT entry FROM _millstream_position JOIN _millstream_ledger \
                     USING (table_name, pipeline, topic, `partition`, seq) \
                 WHERE table_name = ? AND topic = ?";
    let rows = match session.rows(query, vec![table.into(), topic.into()]).await {
        Err(fault) if fault.code() == Some(NO_TABLE) => return Ok(Vec::new()),
        rows => rows?,
    };
    let mut ids: Vec<_> = entries(table, rows)?.into_iter().map(|entry| entry.topic_id).collect();
    ids.sort();
    ids.dedup();
    Ok(ids)
}

fn entries(table: &str, rows: Vec<Row>) -> Result<Vec<Entry>, Fault> {
    let one = |row: Row| match row.as_ref(0) {
        Some(Value::Bytes(text)) => Ok(read_entry(table, text)?),
        _ => Err(unreadable(table, &"an entry is missing").into()),
    };
    rows.into_iter().map(one).collect()
}

fn read_entry(table: &str, text: &[u8]) -> Result<Entry, SinkError> {
    entry(table, &String::from_utf8_lossy(text))
}

fn filed(table: &str, pipeline: &str, at: &TopicPartition) -> Vec<Value> {
    vec![table.into(), pipeline.into(), at.topic.as_str().into(), at.partition.into()]
}
