//! Upserted tables with their versions: what an index of the same rows is filled from.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::Int64Builder;
use millstream_engine::{Rows, SinkError};
use rusqlite::Connection;

use super::database::Database;
use super::faults::Fault;
use super::layout::{Kept, Layout};
use super::positions;
use super::scan::{BATCH_ROWS, Gathering};
use super::statements;

/// How many rows an upserted table has; `None` where there is none that a pipeline writes to. Blocks.
pub fn count_rows(database: &Path, table: &str) -> Result<Option<u64>, SinkError> {
    let Some(connection) = Database::new(database).reader()? else { return Ok(None) };
    let count = || -> Result<Option<u64>, Fault> {
        let Some(layout) = upserted(&connection, table)? else { return Ok(None) };
        let rows: i64 =
            connection.query_row(&statements::count_all(&layout), [], |row| row.get(0))?;
        Ok(Some(rows.unsigned_abs()))
    };
    count().map_err(|fault| fault.told(&format!("count the rows of table {table}"), database))
}

/// Identities of the topic called `topic` that a table's positions count, by the last entry of each partition's ledger.
/// Blocks.
pub fn topic_ids(database: &Path, table: &str, topic: &str) -> Result<BTreeSet<String>, SinkError> {
    let Some(connection) = Database::new(database).reader()? else { return Ok(BTreeSet::new()) };
    let ids = || -> Result<BTreeSet<String>, Fault> {
        if !positions::exists(&connection, "_millstream_ledger")? {
            return Ok(BTreeSet::new());
        }
        positions::topic_ids(&connection, table, topic)
    };
    ids().map_err(|fault| fault.told(&format!("read whose rows table {table} has"), database))
}

/// Shows an upserted table's rows as they are at one moment, the lowest version first, until `visit` says false. Tells
/// whether there is such a table. Blocks.
pub fn read_versions(
    database: &Path,
    table: &str,
    visit: &mut dyn FnMut(Rows) -> bool,
) -> Result<bool, SinkError> {
    let Some(mut connection) = Database::new(database).reader()? else { return Ok(false) };
    read(&mut connection, table, visit)
        .map_err(|fault| fault.told(&format!("read table {table}"), database))
}

fn read(
    connection: &mut Connection,
    table: &str,
    visit: &mut dyn FnMut(Rows) -> bool,
) -> Result<bool, Fault> {
    let transaction = connection.transaction()?;
    let Some(layout) = upserted(&transaction, table)? else { return Ok(false) };
    let mut query = transaction.prepare(&statements::select_versions(&layout))?;
    let mut rows = query.query([])?;
    let mut gathered = Gathering::new(&layout.schema)?;
    let mut versions = Int64Builder::new();
    while let Some(row) = rows.next()? {
        gathered.push(row)?;
        versions.append_value(row.get(layout.schema.fields().len())?);
        if gathered.rows == BATCH_ROWS {
            let versions = Arc::new(versions.finish());
            if !visit(Rows { batch: gathered.finish()?, versions }) {
                return Ok(true);
            }
        }
    }
    if gathered.rows > 0 {
        visit(Rows { batch: gathered.finish()?, versions: Arc::new(versions.finish()) });
    }
    Ok(true)
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
