//! Upserted tables with their versions: what an index of the same rows is filled from.

use std::sync::Arc;

use arrow::array::Int64Builder;
use async_trait::async_trait;
use millstream_engine::{Rows, SinkError};
use rusqlite::Connection;
use tokio::sync::mpsc;

use super::database::Database;
use super::faults::{Fault, cut_short};
use super::gathering::{BATCH_ROWS, Gathering};
use super::layout::{Kept, Layout};
use super::positions;
use super::scan;
use super::statements;
use super::table::{AHEAD, SqlTable, blocking};
use crate::Upserted;

#[async_trait]
impl Upserted for SqlTable {
    async fn topic_ids(&self, topic: &str) -> Result<Vec<String>, SinkError> {
        let (target, topic) = (self.clone(), topic.to_owned());
        let doing = format!("read whose rows table {} has", self.table);
        self.ask(doing, move |connection| {
            if !positions::exists(connection, "_millstream_ledger")? {
                return Ok(Vec::new());
            }
            let ids = positions::topic_ids(connection, &target.table, &topic)?;
            Ok(ids.into_iter().collect())
        })
        .await
        .map(Option::unwrap_or_default)
    }

    async fn count(&self) -> Result<Option<usize>, SinkError> {
        let target = self.clone();
        let doing = format!("count the rows of table {}", self.table);
        let counted = self.ask(doing, move |connection| {
            let Some(layout) = upserted(connection, &target.table)? else { return Ok(None) };
            let count = statements::count_all(&layout);
            let rows: i64 = connection.query_row(&count, [], |row| row.get(0))?;
            Ok(usize::try_from(rows).ok())
        });
        counted.await.map(Option::flatten)
    }

    /// As they are at one moment, the lowest version first.
    async fn read(
        &self,
        visit: &mut (dyn FnMut(Rows) -> Result<(), SinkError> + Send),
    ) -> Result<(), SinkError> {
        let (sender, mut batches) = mpsc::channel(AHEAD);
        let target = self.clone();
        let doing = format!("read table {}", self.table);
        let reading = tokio::spawn({
            let doing = doing.clone();
            async move {
                let table = target.table.clone();
                let send = move |rows| sender.blocking_send(rows).is_ok();
                target.ask(doing, move |connection| read(connection, &table, &send)).await
            }
        });
        while let Some(rows) = batches.recv().await {
            visit(rows)?;
        }
        reading.await.map_err(|error| cut_short(&doing, error))?.map(|_| ())
    }
}

impl SqlTable {
    /// Runs `question` where it may block; `None`: there is no such database yet.
    async fn ask<T: Send + 'static>(
        &self,
        doing: String,
        question: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<Option<T>, SinkError> {
        let database: Database = self.database.clone();
        blocking(doing.clone(), move || {
            let Some(mut connection) = database.reader()? else { return Ok(None) };
            let answered = question(&mut connection);
            answered.map(Some).map_err(|fault| fault.told(&doing, database.path()))
        })
        .await
    }
}

fn read(
    connection: &mut Connection,
    table: &str,
    visit: &dyn Fn(Rows) -> bool,
) -> Result<(), Fault> {
    let transaction = connection.transaction()?;
    let Some(layout) = upserted(&transaction, table)? else { return Ok(()) };
    let mut query = transaction.prepare(&statements::select_versions(&layout))?;
    let mut rows = query.query([])?;
    let mut gathered = Gathering::new(&layout.schema)?;
    let mut versions = Int64Builder::new();
    while let Some(row) = rows.next()? {
        scan::push(&mut gathered, row)?;
        versions.append_value(row.get(layout.schema.fields().len())?);
        if gathered.rows == BATCH_ROWS {
            let versions = Arc::new(versions.finish());
            if !visit(Rows { batch: gathered.finish()?, versions }) {
                return Ok(());
            }
        }
    }
    if gathered.rows > 0 {
        visit(Rows { batch: gathered.finish()?, versions: Arc::new(versions.finish()) });
    }
    Ok(())
}

fn upserted(connection: &Connection, table: &str) -> Result<Option<Layout>, Fault> {
    if !positions::exists(connection, "_millstream_owner")?
        || !positions::exists(connection, table)?
    {
        return Ok(None);
    }
    let layout = positions::owned(connection, table)?.map(|owned| owned.layout);
    Ok(layout.filter(|layout| matches!(layout.kept, Kept::Upsert { .. })))
}
