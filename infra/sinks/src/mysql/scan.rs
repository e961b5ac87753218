//! Reading tables, also while others write to them.

use std::sync::Arc;

use arrow::array::{Int64Builder, RecordBatch};
use arrow::datatypes::SchemaRef;
use millstream_engine::{Rows, SinkError};
use mysql_async::{Row, Value};

use super::cells::{read_beyond, take};
use super::columns::Columns;
use super::faults::Fault;
use super::positions::{self, NO_DATABASE};
use super::server::Mysql;
use super::session::{Session, value};
use super::statements;
use crate::sql::gathering::{BATCH_ROWS, Gathering, edited};
use crate::sql::layout::{Kept, Layout};
use crate::sql::owner::check_owner;

/// All that is read is of this moment.
const SNAPSHOT: [&str; 2] = [
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
];

/// A connection for reading; `None` where there is no such database.
pub(super) async fn reader(server: &Mysql, database: &str) -> Result<Option<Session>, Fault> {
    match Session::open(server, Some(database)).await {
        Err(fault) if fault.code() == Some(NO_DATABASE) => Ok(None),
        session => session.map(Some),
    }
}

/// Shows a table's rows batch by batch; none where there is no table. `pipeline`: whose it must be.
pub(super) async fn read(
    session: &mut Session,
    table: &str,
    pipeline: &str,
    visit: &mut (dyn FnMut(RecordBatch) -> Result<(), SinkError> + Send),
) -> Result<(), Fault> {
    let Some(layout) = snapshot(session, table, Some(pipeline)).await? else { return Ok(()) };
    let mut reading = Reading::new(&layout)?;
    let mut each = |row: &Row| {
        reading.push(row)?;
        if reading.gathering.rows == BATCH_ROWS {
            visit(reading.gathering.finish()?)?;
        }
        Ok(())
    };
    session.each(&statements::select(&layout, false), &mut each).await?;
    if reading.gathering.rows > 0 {
        visit(reading.gathering.finish()?)?;
    }
    Ok(())
}

/// Shows an upserted table's rows with their versions, the lowest version first.
pub(super) async fn read_versions(
    session: &mut Session,
    table: &str,
    visit: &mut (dyn FnMut(Rows) -> Result<(), SinkError> + Send),
) -> Result<(), Fault> {
    let Some(layout) = upserted(session, table).await? else { return Ok(()) };
    let mut reading = Reading::new(&layout)?;
    let mut versions = Int64Builder::new();
    let mut each = |row: &Row| {
        reading.push(row)?;
        match row.as_ref(reading.columns.all.len() + 1) {
            Some(Value::Int(version)) => versions.append_value(*version),
            _ => return Err(reading.no_version().into()),
        }
        if reading.gathering.rows == BATCH_ROWS {
            let versions = Arc::new(versions.finish());
            visit(Rows { batch: reading.gathering.finish()?, versions })?;
        }
        Ok(())
    };
    session.each(&statements::select(&layout, true), &mut each).await?;
    if reading.gathering.rows > 0 {
        let versions = Arc::new(versions.finish());
        visit(Rows { batch: reading.gathering.finish()?, versions })?;
    }
    Ok(())
}

/// How many rows an upserted table has; `None` where there is none.
pub(super) async fn count(session: &mut Session, table: &str) -> Result<Option<usize>, Fault> {
    let Some(layout) = upserted(session, table).await? else { return Ok(None) };
    let row = session.row(&statements::count_all(&layout), vec![]).await?;
    let count: Option<i64> = row.and_then(|row| value(&row, 0));
    Ok(count.and_then(|count| usize::try_from(count).ok()))
}

async fn upserted(session: &mut Session, table: &str) -> Result<Option<Layout>, Fault> {
    let layout = snapshot(session, table, None).await?;
    Ok(layout.filter(|layout| matches!(layout.kept, Kept::Upsert { .. })))
}

/// The table as it is from now on, for this session; `None` where there is none that a pipeline writes to.
async fn snapshot(
    session: &mut Session,
    table: &str,
    pipeline: Option<&str>,
) -> Result<Option<Layout>, Fault> {
    for statement in SNAPSHOT {
        session.say(statement).await?;
    }
    let Some(record) = positions::record(session, table).await? else { return Ok(None) };
    if let Some(pipeline) = pipeline {
        check_owner(&record.owned.pipeline, table, pipeline)?;
    }
    Ok(Some(record.owned.layout).filter(|_| record.made))
}

/// A table's rows as batches.
struct Reading {
    columns: Columns,
    schema: SchemaRef,
    gathering: Gathering,
}

impl Reading {
    fn new(layout: &Layout) -> Result<Self, Fault> {
        let schema = layout.schema.clone();
        let gathering = Gathering::new(&schema)?;
        Ok(Self { columns: Columns::of(layout), schema, gathering })
    }

    /// A row of [`statements::select`].
    fn push(&mut self, row: &Row) -> Result<(), Fault> {
        let beyond = row.as_ref(self.columns.all.len()).unwrap_or(&Value::NULL);
        let beyond = read_beyond(beyond).map_err(|error| edited("_beyond", &error))?;
        let columns = self.columns.all.iter().zip(&mut self.gathering.columns);
        for (index, ((name, kind), column)) in columns.enumerate() {
            let value = row.as_ref(index).unwrap_or(&Value::NULL);
            let beyond = beyond.get(name).map(String::as_str);
            take(column, *kind, value, beyond).map_err(|error| edited(name, &error))?;
        }
        self.gathering.rows += 1;
        Ok(())
    }

    fn no_version(&self) -> SinkError {
        let error = arrow::error::ArrowError::ParseError(format!(
            "a row of {} columns has no version",
            self.schema.fields().len()
        ));
        edited("_version", &error)
    }
}
