use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use millstream_engine::SinkError;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::faults::Fault;

/// How long a call waits for another process's transaction before it says the database is busy. Well below the
/// ten seconds in which a worker must have drained.
const PATIENCE: Duration = Duration::from_secs(5);

/// Beside the user's tables. `table_name` is part of every key: a pipeline that is given a new table starts it
/// at its own genesis. Names compare as SQLite compares those of tables.
const SYSTEM_TABLES: &str = r#"
CREATE TABLE IF NOT EXISTS _millstream_owner (
    table_name TEXT NOT NULL COLLATE NOCASE PRIMARY KEY,
    pipeline   TEXT NOT NULL,
    keeping    TEXT NOT NULL,
    schema     TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _millstream_position (
    table_name TEXT NOT NULL COLLATE NOCASE,
    pipeline   TEXT NOT NULL,
    topic      TEXT NOT NULL,
    partition  INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    PRIMARY KEY (table_name, pipeline, topic, partition)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _millstream_ledger (
    table_name TEXT NOT NULL COLLATE NOCASE,
    pipeline   TEXT NOT NULL,
    topic      TEXT NOT NULL,
    partition  INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    entry      TEXT NOT NULL,
    PRIMARY KEY (table_name, pipeline, topic, partition, seq)
) WITHOUT ROWID;
"#;

/// One SQLite file. Naming it opens nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    path: PathBuf,
}

impl Database {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// For reading and writing; makes the file, its directory and the system tables if they are missing.
    pub(super) fn writer(&self) -> Result<Connection, SinkError> {
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory).map_err(|error| no_directory(directory, error))?;
        }
        self.open_writer().map_err(|fault| fault.told("open the database", &self.path))
    }

    fn open_writer(&self) -> Result<Connection, Fault> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(PATIENCE)?;
        write_ahead(&connection)?;
        // The ledger says that an event was counted; it must not forget that when the power fails.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -16 * 1024)?;
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {SYSTEM_TABLES} COMMIT;"))?;
        Ok(connection)
    }

    /// For reading only, also while others write; `None` where there is no file.
    pub(super) fn reader(&self) -> Result<Option<Connection>, SinkError> {
        if !self.path.exists() {
            return Ok(None);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)
            .and_then(|connection| connection.busy_timeout(PATIENCE).map(|()| connection));
        connection
            .map(Some)
            .map_err(|error| Fault::from(error).told("open the database to read", &self.path))
    }
}

/// Turns write-ahead logging on, so that readers and the writer don't wait for each other. SQLite doesn't call
/// its busy handler for this switch, hence the loop: workers of several pipelines may make the file at once.
#[allow(
    clippy::disallowed_methods,
    reason = "runs where blocking is meant, and SQLite offers nothing to wait on"
)]
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let since = Instant::now();
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())) {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && since.elapsed() < PATIENCE =>
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            done => return done,
        }
    }
}

fn no_directory(directory: &Path, error: std::io::Error) -> SinkError {
    let doing = format!("create the directory {}", directory.display());
    match error.kind() {
        ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::NotADirectory
        | ErrorKind::AlreadyExists => {
            let remedy = "set stores.tables to a directory this user may write to";
            SinkError::refused(doing, error.to_string(), remedy)
        }
        _ => SinkError::unavailable(doing, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn naming_a_database_makes_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::new(directory.path().join("a.db"));
        assert!(database.reader().unwrap().is_none());
        assert!(!database.path().exists());
    }

    #[test]
    fn a_writer_is_durable() {
        let directory = tempfile::tempdir().unwrap();
        let writer = Database::new(directory.path().join("deep/er/a.db")).writer().unwrap();
        let text: String =
            writer.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        let full: i64 = writer.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        assert_eq!((text.as_str(), full), ("wal", 2));
    }

    #[test]
    fn several_workers_may_make_the_file_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::new(directory.path().join("a.db"));
        let workers: Vec<_> = (0..8)
            .map(|_| {
                let database = database.clone();
                std::thread::spawn(move || database.writer().map(|_| ()))
            })
            .collect();
        for worker in workers {
            worker.join().unwrap().unwrap();
        }
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("file"), "").unwrap();
        let error = Database::new(directory.path().join("file/a.db")).writer().unwrap_err();
        let text = error.to_string();
        assert!(!error.is_retryable() && text.contains("stores.tables"), "{text}");
    }

    #[test]
    fn a_file_that_is_no_database_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        fs::write(&path, "not a database, but some notes, ".repeat(100)).unwrap();
        let error = Database::new(&path).writer().unwrap_err();
        assert!(!error.is_retryable() && error.to_string().contains("a.db"), "{error}");
        assert!(fs::read_to_string(&path).unwrap().starts_with("not a database"));
    }
}
