//! Whose table it is. The record is there before the table, so that of two pipelines one comes first; `made` says that
//! the table was there, too: one that is missing then was dropped.

use millstream_engine::SinkError;
use scylla::client::session::Session;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;

use super::faults::Fault;
use super::positions::{conditional, prepared, unreadable};
use super::statements::{OWNER, table_name};
use crate::sql::layout::{Kept, Layout};

/// The owner's record of a table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Owned {
    pub pipeline: String,
    pub layout: Layout,
    /// The layout's schema as it is stored: two that are equal need not be read twice.
    pub columns: String,
    pub made: bool,
}

impl Owned {
    pub fn new(pipeline: &str, layout: Layout) -> Result<Self, SinkError> {
        let columns = columns(&layout)?;
        Ok(Self { pipeline: pipeline.to_owned(), layout, columns, made: false })
    }

    fn read(
        table: &str,
        (pipeline, keeping, columns, made): (String, String, String, bool),
    ) -> Result<Self, SinkError> {
        let kept: Kept = serde_json::from_str(&keeping).map_err(|e| unreadable(table, &e))?;
        let schema = serde_json::from_str(&columns).map_err(|e| unreadable(table, &e))?;
        let layout = Layout { table: table.to_owned(), kept, schema };
        Ok(Self { pipeline, layout, columns, made })
    }
}

fn columns(layout: &Layout) -> Result<String, SinkError> {
    serde_json::to_string(&layout.schema).map_err(|error| unreadable(&layout.table, &error))
}

/// The owners' records of one keyspace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owners<'a> {
    pub session: &'a Session,
    pub keyspace: &'a str,
}

impl Owners<'_> {
    /// Reads a table's record. `consistency`: serial, unless a change under way may be missed.
    pub async fn reading(&self, consistency: Consistency) -> Result<PreparedStatement, Fault> {
        let cql = format!(
            "SELECT pipeline, keeping, columns, made FROM {} WHERE table_name = ?",
            table_name(self.keyspace, OWNER)
        );
        let mut query = prepared(self.session, &cql, true).await?;
        query.set_consistency(consistency);
        Ok(query)
    }

    pub async fn read(
        &self,
        table: &str,
        consistency: Consistency,
    ) -> Result<Option<Owned>, Fault> {
        read(self.session, &self.reading(consistency).await?, table).await
    }

    /// Writes the record unless there is one.
    pub async fn take(&self, owned: &Owned) -> Result<bool, Fault> {
        let Owned { pipeline, layout, columns, .. } = owned;
        let keeping =
            serde_json::to_string(&layout.kept).map_err(|e| unreadable(&layout.table, &e))?;
        let cql = format!(
            "INSERT INTO {} (table_name, pipeline, keeping, columns, made) VALUES (?, ?, ?, ?, false) IF NOT EXISTS",
            table_name(self.keyspace, OWNER)
        );
        conditional(self.session, &cql, (&layout.table, pipeline, &keeping, columns)).await
    }

    /// Says that the table is there, with these columns; unless somebody changed the record since `before`.
    pub async fn tell_made(&self, before: &Owned, layout: &Layout) -> Result<bool, Fault> {
        let cql = format!(
            "UPDATE {} SET columns = ?, made = true WHERE table_name = ? IF pipeline = ? AND columns = ?",
            table_name(self.keyspace, OWNER)
        );
        let now = columns(layout)?;
        let values = (&now, &layout.table, &before.pipeline, &before.columns);
        conditional(self.session, &cql, values).await
    }
}

/// The record of a table, by [`Owners::reading`].
pub(super) async fn read(
    session: &Session,
    reading: &PreparedStatement,
    table: &str,
) -> Result<Option<Owned>, Fault> {
    let answer = session.execute_unpaged(reading, (table,)).await?;
    let rows = answer.into_rows_result().map_err(Fault::answer)?;
    let record = rows.maybe_first_row::<(String, String, String, bool)>();
    let record = record.map_err(Fault::answer)?;
    Ok(record.map(|record| Owned::read(table, record)).transpose()?)
}

/// Refused: another pipeline's, another key, a table that was there and isn't any more.
pub(super) fn check(
    owned: &Owned,
    pipeline: &str,
    wanted: &Layout,
    there: bool,
) -> Result<(), SinkError> {
    let table = &wanted.table;
    check_owner(&owned.pipeline, table, pipeline)?;
    if owned.layout.kept != wanted.kept {
        let why = format!("it was made as {:?} and would be {:?}", owned.layout.kept, wanted.kept);
        return Err(refuse(table, pipeline, &why));
    }
    if owned.made && !there {
        // Made anew, it would be empty, and the position says that it holds all that came before.
        let why = "the table was dropped, and its position is still there";
        return Err(refuse(table, pipeline, why));
    }
    Ok(())
}

pub(super) fn check_owner(owner: &str, table: &str, pipeline: &str) -> Result<(), SinkError> {
    if owner == pipeline {
        return Ok(());
    }
    Err(refuse(table, pipeline, &format!("it belongs to pipeline {owner}")))
}

pub(super) fn refuse(table: &str, pipeline: &str, why: &str) -> SinkError {
    SinkError::refused(
        format!("use table {table} for pipeline {pipeline}"),
        why,
        "name a new table, which is then built from the topic, or restore the keyspace from a backup",
    )
}
