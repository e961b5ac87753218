//! Positions and ledgers: rows in our own tables. A position's row holds the last entry; the ledger those before it.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::TryStreamExt;
use millstream_engine::ledger::{Assignment, Entry};
use millstream_engine::{Outcome, SinkError};
use millstream_topic::TopicPartition;
use scylla::client::session::Session;
use scylla::response::query_result::QueryResult;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, Statement};
use scylla::value::{CqlValue, Row};

use super::faults::Fault;
use super::server::Options;
use super::statements::{LEDGER, POSITION, table_name};

/// Entries in one of Cassandra's partitions.
const BUCKET: u64 = 1_000;
const KEY: &str = "table_name = ? AND pipeline = ? AND topic = ? AND \"partition\" = ?";

/// A partition's last entry, and who wrote it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Position {
    pub seq: i64,
    pub text: String,
    pub writer: String,
}

impl Position {
    pub fn entry(&self, table: &str) -> Result<Entry, SinkError> {
        parse(table, &self.text)
    }

    /// Whether this is what `writer` wrote for a range.
    pub fn outcome(&self, seq: i64, text: &str, writer: &str) -> Outcome {
        let ours = self.seq == seq && self.text == text && self.writer == writer;
        if ours { Outcome::Committed } else { Outcome::Superseded }
    }
}

/// One table's positions and ledgers, with the statements for them.
#[derive(Debug)]
pub(super) struct Positions {
    session: Arc<Session>,
    table: String,
    read: PreparedStatement,
    begin: PreparedStatement,
    advance: PreparedStatement,
    keep: PreparedStatement,
    page: PreparedStatement,
}

/// What names a partition's rows.
type Key<'a> = (&'a str, &'a str, &'a str, i64);

impl Positions {
    pub async fn prepare(
        session: &Arc<Session>,
        options: &Options,
        keyspace: &str,
        table: &str,
    ) -> Result<Self, Fault> {
        let (position, ledger) = (table_name(keyspace, POSITION), table_name(keyspace, LEDGER));
        let mut read = prepared(
            session,
            &format!("SELECT seq, entry, writer FROM {position} WHERE {KEY}"),
            true,
        )
        .await?;
        // Finishes what another one's lightweight transaction left half done: else it might come true later.
        read.set_consistency(Consistency::Serial);
        let begin = format!(
            "INSERT INTO {position} (table_name, pipeline, topic, \"partition\", seq, entry, writer) \
             VALUES (?, ?, ?, ?, 0, ?, ?) IF NOT EXISTS"
        );
        let advance =
            format!("UPDATE {position} SET seq = ?, entry = ?, writer = ? WHERE {KEY} IF seq = ?");
        let keep = format!(
            "INSERT INTO {ledger} (table_name, pipeline, topic, \"partition\", bucket, seq, entry) \
             VALUES (?, ?, ?, ?, ?, ?, ?)"
        );
        let page = format!(
            "SELECT entry FROM {ledger} WHERE {KEY} AND bucket = ? AND seq >= ? AND seq < ?"
        );
        let mut page = prepared(session, &page, true).await?;
        page.set_consistency(options.reading());
        Ok(Self {
            session: session.clone(),
            table: table.to_owned(),
            read,
            begin: prepared(session, &begin, false).await?,
            advance: prepared(session, &advance, false).await?,
            keep: prepared(session, &keep, true).await?,
            page,
        })
    }

    /// Where the partition stands, whoever moved it last; `None`: nobody opened it.
    pub async fn read(
        &self,
        pipeline: &str,
        at: &TopicPartition,
    ) -> Result<Option<Position>, Fault> {
        let key: Key<'_> = (&self.table, pipeline, &at.topic, at.partition.into());
        let answer = self.session.execute_unpaged(&self.read, key).await?;
        let rows = answer.into_rows_result().map_err(Fault::answer)?;
        let row = rows.maybe_first_row::<(i64, String, String)>().map_err(Fault::answer)?;
        Ok(row.map(|(seq, text, writer)| Position { seq, text, writer }))
    }

    /// Writes the genesis, unless there is an entry already; tells what is there then.
    pub async fn begin(
        &self,
        assignment: &Assignment,
        genesis: &Entry,
        writer: &str,
    ) -> Result<Entry, Fault> {
        let Assignment { pipeline, at, .. } = assignment;
        let text = text(&self.table, genesis)?;
        let topic = at.topic.as_str();
        let values = (&self.table, pipeline, topic, i64::from(at.partition), &text, writer);
        let answer = self.session.execute_unpaged(&self.begin, values).await?;
        if applied(answer)? {
            return Ok(genesis.clone());
        }
        match self.read(pipeline, at).await? {
            Some(there) => Ok(there.entry(&self.table)?),
            None => Err(unreadable(&self.table, &"a position came and went").into()),
        }
    }

    /// Moves the position from `seq - 1` to `seq`: the fence.
    pub async fn advance(
        &self,
        assignment: &Assignment,
        seq: i64,
        text: &str,
        writer: &str,
    ) -> Result<Outcome, Fault> {
        let Assignment { pipeline, at, .. } = assignment;
        let partition = i64::from(at.partition);
        let values =
            (seq, text, writer, &self.table, pipeline, at.topic.as_str(), partition, seq - 1);
        let lost = match self.session.execute_unpaged(&self.advance, values).await {
            Ok(answer) => {
                if applied(answer)? {
                    return Ok(Outcome::Committed);
                }
                // Perhaps because of ourselves: the server may have been told twice.
                None
            }
            Err(error) => {
                let fault = Fault::from(error);
                if !fault.is_uncertain() {
                    return Err(fault);
                }
                Some(fault)
            }
        };
        match (self.read(pipeline, at).await?, lost) {
            (Some(there), Some(lost)) if there.seq < seq => Err(lost),
            (Some(there), _) => Ok(there.outcome(seq, text, writer)),
            (None, _) => Ok(Outcome::Superseded),
        }
    }

    /// Puts the position's entry into the ledger, before the position loses it.
    pub async fn keep(&self, assignment: &Assignment, position: &Position) -> Result<(), Fault> {
        let Assignment { pipeline, at, .. } = assignment;
        let (seq, text) = (position.seq, &position.text);
        let (bucket, partition) = (bucket(seq.unsigned_abs()), i64::from(at.partition));
        let values = (&self.table, pipeline, at.topic.as_str(), partition, bucket, seq, text);
        self.session.execute_unpaged(&self.keep, values).await?;
        Ok(())
    }

    /// Entries from `from` on, at most `max`.
    pub async fn ledger(
        &self,
        pipeline: &str,
        at: &TopicPartition,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, Fault> {
        // All before it were in the ledger before it was.
        let Some(position) = self.read(pipeline, at).await? else { return Ok(Vec::new()) };
        let last = position.seq.unsigned_abs();
        let end = from.saturating_add(max as u64).min(last + 1);
        let mut entries = Vec::new();
        let mut next = from;
        while next < end.min(last) {
            let stop = ((next / BUCKET + 1) * BUCKET).min(end).min(last);
            let values = (
                &self.table,
                pipeline,
                at.topic.as_str(),
                i64::from(at.partition),
                bucket(next),
                next.cast_signed(),
                stop.cast_signed(),
            );
            let rows = self.session.execute_iter(self.page.clone(), values).await?;
            let rows = rows.rows_stream::<(String,)>().map_err(Fault::answer)?;
            let texts: Vec<(String,)> = rows.try_collect().await?;
            for (text,) in texts {
                entries.push(parse(&self.table, &text)?);
            }
            next = stop;
        }
        if from <= last && last < end {
            entries.push(position.entry(&self.table)?);
        }
        let whole = entries.iter().zip(from..).all(|(entry, seq)| entry.seq == seq);
        if !whole || entries.len() as u64 != end.saturating_sub(from) {
            return Err(unreadable(&self.table, &"the ledger has a gap").into());
        }
        Ok(entries)
    }
}

/// Identities of a topic, by the last entry of each partition's ledger.
pub(super) async fn topic_ids(
    session: &Session,
    options: &Options,
    keyspace: &str,
    (table, topic): (&str, &str),
) -> Result<BTreeSet<String>, Fault> {
    // A row per partition of every topic: few, and nothing else tells which are there.
    let cql = format!(
        "SELECT entry FROM {} WHERE table_name = ? AND topic = ? ALLOW FILTERING",
        table_name(keyspace, POSITION)
    );
    let mut query = prepared(session, &cql, true).await?;
    query.set_consistency(options.reading());
    let rows = session.execute_iter(query, (table, topic)).await?;
    let rows = rows.rows_stream::<(String,)>().map_err(Fault::answer)?;
    let texts: Vec<(String,)> = rows.try_collect().await?;
    texts.iter().map(|(text,)| Ok(parse(table, text)?.topic_id)).collect()
}

/// `idempotent`: doing it twice is doing it once, so that it may be sent again.
pub(super) async fn prepared(
    session: &Session,
    cql: &str,
    idempotent: bool,
) -> Result<PreparedStatement, Fault> {
    let mut statement = session.prepare(Statement::new(cql)).await?;
    statement.set_is_idempotent(idempotent);
    Ok(statement)
}

/// Runs a lightweight transaction; tells whether its condition was met.
pub(super) async fn conditional(
    session: &Session,
    cql: &str,
    values: impl SerializeRow,
) -> Result<bool, Fault> {
    let statement = prepared(session, cql, false).await?;
    applied(session.execute_unpaged(&statement, values).await?)
}

fn applied(answer: QueryResult) -> Result<bool, Fault> {
    let rows = answer.into_rows_result().map_err(Fault::answer)?;
    let row = rows.first_row::<Row>().map_err(Fault::answer)?;
    Ok(matches!(row.columns.first(), Some(Some(CqlValue::Boolean(true)))))
}

pub(super) fn text(table: &str, entry: &Entry) -> Result<String, SinkError> {
    serde_json::to_string(entry).map_err(|error| unreadable(table, &error))
}

fn parse(table: &str, text: &str) -> Result<Entry, SinkError> {
    serde_json::from_str(text).map_err(|error| unreadable(table, &error))
}

fn bucket(seq: u64) -> i64 {
    (seq / BUCKET).cast_signed()
}

pub(super) fn unreadable(table: &str, why: &dyn std::fmt::Display) -> SinkError {
    SinkError::refused(
        format!("read Millstream's records of table {table}"),
        why.to_string(),
        "restore the keyspace from a backup, or name a new table",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_entry_is_a_commit() {
        let there = Position { seq: 3, text: "e".to_owned(), writer: "me/1".to_owned() };
        assert_eq!(there.outcome(3, "e", "me/1"), Outcome::Committed);
        for (seq, text, writer) in
            [(3, "e", "me/2"), (3, "f", "me/1"), (2, "e", "me/1"), (4, "e", "me/1")]
        {
            assert_eq!(there.outcome(seq, text, writer), Outcome::Superseded);
        }
    }

    #[test]
    fn no_bucket_grows_without_end() {
        assert_eq!([0, 999, 1_000, 2_500].map(bucket), [0, 0, 1, 2]);
    }
}
