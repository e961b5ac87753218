use std::path::{Path, PathBuf};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use millstream_engine::{Limits, LookupError};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::texts::{Texts, to_texts};
use super::{create, insert, select};

/// How long a call waits for another process's transaction.
const PATIENCE: Duration = Duration::from_secs(5);

/// An SQLite file.
#[derive(Clone, Debug)]
pub(super) struct Sqlite {
    pub(super) path: PathBuf,
    /// As it stands in the settings.
    pub(super) shown: String,
}

impl Sqlite {
    pub(super) async fn read(
        &self,
        doing: String,
        table: &str,
        columns: &SchemaRef,
        limits: Limits,
    ) -> Result<RecordBatch, LookupError> {
        let (path, sql, columns) = (self.path.clone(), select(table, columns), columns.clone());
        blocking(doing.clone(), move || {
            if !path.exists() {
                return Err(LookupError::unavailable(doing, "the file isn't there yet"));
            }
            refuse_directory(&path, &doing)?;
            let texts = Texts::new(doing.clone(), &columns, limits);
            let told = |error| told(&doing, error);
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = open(&path, flags).map_err(told)?;
            read(&connection, &sql, texts, &told)?.finish(&columns)
        })
        .await
    }

    pub(super) async fn fill(
        &self,
        table: &str,
        key: &str,
        rows: &RecordBatch,
    ) -> Result<bool, LookupError> {
        let doing = format!("make table {table} in {}", self.shown);
        let create = create(table, key, &rows.schema(), |field| kind(field.data_type()));
        let (insert, values) = (insert(table, &rows.schema()), to_texts(rows)?);
        let (path, table) = (self.path.clone(), table.to_owned());
        blocking(doing.clone(), move || {
            refuse_directory(&path, &doing)?;
            if let Some(directory) = path.parent() {
                std::fs::create_dir_all(directory)
                    .map_err(|error| LookupError::unavailable(doing.clone(), error))?;
            }
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let filled = open(&path, flags).and_then(|mut connection| {
                fill(&mut connection, &table, &create, &insert, &values)
            });
            filled.map_err(|error| told(&doing, error))
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    doing: String,
    work: impl FnOnce() -> Result<T, LookupError> + Send + 'static,
) -> Result<T, LookupError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| LookupError::unavailable(doing, error))?
}

/// SQLite takes a directory for a disk that fails, which would be waited for in vain.
fn refuse_directory(path: &Path, doing: &str) -> Result<(), LookupError> {
    match path.is_dir() {
        true => Err(LookupError::refused(doing, "it is a directory", "name a file")),
        false => Ok(()),
    }
}

fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

fn read(
    connection: &Connection,
    sql: &str,
    mut texts: Texts,
    told: &impl Fn(rusqlite::Error) -> LookupError,
) -> Result<Texts, LookupError> {
    let mut statement = connection.prepare(sql).map_err(told)?;
    let width = statement.column_count();
    let mut rows = statement.query([]).map_err(told)?;
    while let Some(row) = rows.next().map_err(told)? {
        let values: Vec<_> = (0..width)
            .map(|place| Ok(row.get_ref(place)?.to_owned_text()))
            .collect::<rusqlite::Result<_>>()
            .map_err(told)?;
        texts.push(values.iter().map(Option::as_deref))?;
    }
    Ok(texts)
}

trait ToText {
    fn to_owned_text(self) -> Option<String>;
}

impl ToText for ValueRef<'_> {
    fn to_owned_text(self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Integer(number) => Some(number.to_string()),
            Self::Real(number) => Some(number.to_string()),
            Self::Text(bytes) | Self::Blob(bytes) => {
                Some(String::from_utf8_lossy(bytes).into_owned())
            }
        }
    }
}

fn fill(
    connection: &mut Connection,
    table: &str,
    create: &str,
    insert: &str,
    values: &[Vec<Option<String>>],
) -> rusqlite::Result<bool> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let there = "SELECT count(*) FROM pragma_table_info(?)";
    let columns: i64 = transaction.query_row(there, [table], |row| row.get(0))?;
    if columns > 0 {
        return Ok(false);
    }
    transaction.execute_batch(create)?;
    {
        let mut statement = transaction.prepare(insert)?;
        for row in values {
            statement.execute(rusqlite::params_from_iter(row))?;
        }
    }
    transaction.commit()?;
    Ok(true)
}

/// Its affinity makes numbers of the texts that are inserted.
fn kind(kind: &DataType) -> &'static str {
    match kind {
        kind if kind.is_integer() => "INTEGER",
        DataType::Boolean => "INTEGER",
        kind if kind.is_floating() => "REAL",
        _ => "TEXT",
    }
}

/// A table that isn't there may come; a column that isn't there is for somebody to correct.
fn told(doing: &str, error: rusqlite::Error) -> LookupError {
    let text = error.to_string();
    match error.sqlite_error_code() {
        _ if text.contains("no such column") => LookupError::refused(
            doing,
            text,
            "add the column, or correct those that the pipeline declares",
        ),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            LookupError::refused(doing, text, "restore the file, or name another one")
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            LookupError::refused(doing, text, "let this user open the file and its directory")
        }
        Some(ErrorCode::ConstraintViolation) => {
            LookupError::refused(doing, "a key stands twice, or is missing", "correct the rows")
        }
        _ => LookupError::unavailable(doing, error),
    }
}
