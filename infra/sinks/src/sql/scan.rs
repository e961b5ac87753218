//! Reading tables, also while others write to them.

use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use millstream_engine::{Keeping, SinkError};
use rusqlite::{Connection, Row};

use super::database::Database;
use super::faults::Fault;
use super::gathering::{BATCH_ROWS, Gathering, edited};
use super::layout::Layout;
use super::owner::{Owned, check_owner};
use super::positions;
use super::statements;

/// A database and the tables in it that pipelines write to.
#[derive(Clone, Debug)]
pub struct DatabaseTables {
    /// The file's name without `.db`.
    pub name: String,
    pub path: PathBuf,
    pub tables: Vec<TableInfo>,
}

/// A table that a pipeline writes to.
#[derive(Clone, Debug, PartialEq)]
pub struct TableInfo {
    pub name: String,
    /// `app.pipeline`.
    pub owner: String,
    pub schema: SchemaRef,
    pub keeping: Keeping,
}

/// A table's rows at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordBatches {
    pub schema: SchemaRef,
    pub batches: Vec<RecordBatch>,
}

/// Every `*.db` in the directory, by name; none where there is no directory. Blocks.
pub fn databases(directory: &Path) -> Result<Vec<DatabaseTables>, SinkError> {
    let mut found = Vec::new();
    for path in files(directory)? {
        let tables = match Database::new(&path).reader()? {
            Some(connection) => {
                tables(&connection).map_err(|fault| fault.told("list the tables", &path))?
            }
            None => Vec::new(),
        };
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        found.push(DatabaseTables { name, path, tables });
    }
    Ok(found)
}

fn files(directory: &Path) -> Result<Vec<PathBuf>, SinkError> {
    let listed = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()
        }),
    };
    let mut files = listed.map_err(|error| {
        let doing = format!("list the databases in {}", directory.display());
        SinkError::refused(doing, error.to_string(), "let this user read the directory")
    })?;
    files.retain(|path| path.extension().is_some_and(|end| end == "db") && path.is_file());
    files.sort();
    Ok(files)
}

fn tables(connection: &Connection) -> Result<Vec<TableInfo>, Fault> {
    if !positions::exists(connection, "_millstream_owner")? {
        return Ok(Vec::new());
    }
    let mut query = connection.prepare("SELECT table_name FROM _millstream_owner ORDER BY 1")?;
    let names: Vec<String> = query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut tables = Vec::new();
    for name in names {
        let Some(Owned { pipeline, layout, .. }) = positions::owned(connection, &name)? else {
            continue;
        };
        if positions::exists(connection, &name)? {
            let Layout { kept, schema, .. } = layout;
            tables.push(TableInfo { name, owner: pipeline, schema, keeping: kept.into() });
        }
    }
    Ok(tables)
}

/// A table's rows as they are now, without our own columns and without deleted keys. Blocks.
pub fn read_table(database: &Path, table: &str) -> Result<RecordBatches, SinkError> {
    let doing = format!("read table {table}");
    let mut batches = Vec::new();
    let read = read(&Database::new(database), table, None, &mut |batch| {
        batches.push(batch);
        true
    })?;
    match read {
        Some(schema) => Ok(RecordBatches { schema, batches }),
        None => Err(SinkError::refused(
            format!("{doing} in {}", database.display()),
            "there is none that a pipeline writes to",
            "check its name, and that its pipeline has run",
        )),
    }
}

/// Shows the rows batch by batch until `visit` says false; tells the schema, or `None` where there is no table.
/// `pipeline`: whose table it must be.
pub(super) fn read(
    database: &Database,
    table: &str,
    pipeline: Option<&str>,
    visit: &mut dyn FnMut(RecordBatch) -> bool,
) -> Result<Option<SchemaRef>, SinkError> {
    let Some(mut connection) = database.reader()? else { return Ok(None) };
    let told = |fault: Fault| fault.told(&format!("read table {table}"), database.path());
    read_from(&mut connection, table, pipeline, visit).map_err(told)
}

fn read_from(
    connection: &mut Connection,
    table: &str,
    pipeline: Option<&str>,
    visit: &mut dyn FnMut(RecordBatch) -> bool,
) -> Result<Option<SchemaRef>, Fault> {
    // One transaction: the layout and all rows are of the same moment.
    let transaction = connection.transaction()?;
    if !positions::exists(&transaction, "_millstream_owner")? {
        return Ok(None);
    }
    let Some(owned) = positions::owned(&transaction, table)? else { return Ok(None) };
    if let Some(pipeline) = pipeline {
        check_owner(&owned.pipeline, table, pipeline)?;
    }
    let schema = owned.layout.schema.clone();
    let mut query = transaction.prepare(&statements::select(&owned.layout))?;
    let mut rows = query.query([])?;
    let mut gathered = Gathering::new(&schema)?;
    while let Some(row) = rows.next()? {
        push(&mut gathered, row)?;
        if gathered.rows == BATCH_ROWS && !visit(gathered.finish()?) {
            return Ok(Some(schema));
        }
    }
    if gathered.rows > 0 {
        visit(gathered.finish()?);
    }
    Ok(Some(schema))
}

pub(super) fn push(gathering: &mut Gathering, row: &Row<'_>) -> Result<(), Fault> {
    for (index, column) in gathering.columns.iter_mut().enumerate() {
        let value = row.get_ref(index)?;
        let name = gathering.schema.field(index).name();
        column.push(value).map_err(|error| edited(name, &error))?;
    }
    gathering.rows += 1;
    Ok(())
}
