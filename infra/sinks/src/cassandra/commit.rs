//! The steps of a range's commit, as the module's first page tells them.

use std::sync::Arc;

use arrow::error::ArrowError;
use futures::stream::{self, StreamExt, TryStreamExt};
use millstream_engine::ledger::Assignment;
use millstream_engine::{Outcome, Range, SinkError};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;

use super::bound::Bound;
use super::faults::Fault;
use super::keys;
use super::positions::{self, Positions, prepared};
use super::statements;
use super::values::Stored;
use crate::sql::layout::Layout;
use crate::sql::merge::{Action, Change, changes};

/// Who commits, and how.
pub(super) struct Commit<'a> {
    pub session: &'a Session,
    pub positions: &'a Positions,
    pub writes: &'a Writes,
    pub writer: &'a str,
    /// How many writes are under way at once.
    pub concurrency: usize,
}

/// The statements that change a table.
#[derive(Debug)]
pub(super) struct Writes {
    layout: Layout,
    put: PreparedStatement,
    delete: PreparedStatement,
}

impl Writes {
    pub async fn prepare(
        session: &Session,
        keyspace: &str,
        layout: &Layout,
    ) -> Result<Self, Fault> {
        Ok(Self {
            layout: layout.clone(),
            put: prepared(session, &statements::put(keyspace, layout), true).await?,
            delete: prepared(session, &statements::delete(keyspace, layout), true).await?,
        })
    }
}

/// A range's rows, one change per key, as CQL sees them.
#[derive(Debug)]
pub(super) struct Ready {
    columns: Vec<(String, Stored)>,
    changes: Vec<Change>,
}

impl Ready {
    /// `layout`: what the pipeline's rows look like.
    pub fn new(layout: &Layout, range: &Range) -> Result<Self, SinkError> {
        let (values, changes) = changes(layout, range)?;
        let broken = |error: ArrowError| {
            let doing = format!("make a range's rows ready for table {}", layout.table);
            SinkError::refused(doing, error.to_string(), "correct the pipeline's SQL")
        };
        let mut columns = Vec::new();
        for (field, column) in values.schema_ref().fields().iter().zip(values.columns()) {
            columns.push((field.name().clone(), Stored::of(column).map_err(broken)?));
        }
        let mut ready = Self { columns, changes };
        ready.check_keys(layout)?;
        Ok(ready)
    }

    fn column(&self, name: &str) -> Option<&Stored> {
        self.columns.iter().find(|(known, _)| known == name).map(|(_, stored)| stored)
    }

    /// A key that can't be there need not be deleted. A row with such a key would have been dead-lettered.
    fn check_keys(&mut self, layout: &Layout) -> Result<(), SinkError> {
        let Self { columns, changes } = self;
        let names = layout.kept.key();
        let find = |name: &String| columns.iter().find(|(known, _)| known == name);
        let key: Vec<_> =
            names.iter().filter_map(|name| find(name).map(|(_, stored)| stored)).collect();
        let is_put = |change: &&Change| matches!(change.action, Action::Put(_));
        let mut problems =
            changes.iter().filter(is_put).map(|change| keys::problem(&key, change.row));
        if let Some(why) = problems.find_map(|problem| problem) {
            let doing =
                format!("write a row to table {}, whose key is {}", layout.table, names.join(", "));
            let remedy = "leave such rows out in the pipeline's SQL, or pass the record with `millstream position skip`";
            return Err(SinkError::refused(doing, why, remedy));
        }
        changes.retain(|change| keys::problem(&key, change.row).is_none());
        Ok(())
    }
}

impl Commit<'_> {
    pub async fn run(
        &self,
        assignment: &Assignment,
        range: &Range,
        ready: &Arc<Ready>,
    ) -> Result<Outcome, Fault> {
        let (table, entry) = (&self.writes.layout.table, &range.entry);
        let (Ok(seq), true) = (i64::try_from(entry.seq), entry.seq > 0) else {
            return Ok(Outcome::Superseded);
        };
        let text = positions::text(table, entry)?;
        let Some(position) = self.positions.read(&assignment.pipeline, &assignment.at).await?
        else {
            return Ok(Outcome::Superseded);
        };
        if position.seq != seq - 1 {
            return Ok(position.outcome(seq, &text, self.writer));
        }
        tokio::try_join!(self.positions.keep(assignment, &position), self.write(ready))?;
        self.positions.advance(assignment, seq, &text, self.writer).await
    }

    /// Returns when every write was acknowledged, or with the first error.
    async fn write(&self, ready: &Ready) -> Result<(), Fault> {
        let Writes { layout, put, delete } = self.writes;
        let columns: Vec<_> =
            layout.schema.fields().iter().map(|field| ready.column(field.name())).collect();
        let key: Vec<_> = layout.kept.key().iter().map(|name| ready.column(name)).collect();
        let (columns, key) = (columns.as_slice(), key.as_slice());
        let send = |change: &Change| {
            let row = change.row;
            let (statement, bound) = match change.action {
                Action::Put(version) => {
                    (put, Bound { first: None, columns, row, last: Some(version) })
                }
                Action::Delete(version) | Action::Add(version) => {
                    (delete, Bound { first: Some(version), columns: key, row, last: None })
                }
            };
            let session = self.session;
            async move { session.execute_unpaged(statement, bound).await.map(|_| ()) }
        };
        let sends = stream::iter(&ready.changes).map(send).buffer_unordered(self.concurrency);
        sends.map_err(Fault::from).try_collect::<()>().await
    }
}
