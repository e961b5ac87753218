use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use uuid::Uuid;

use super::directory::{Directory, FileId};
use super::{compact, fault, read, relocked};
use crate::{Cleanup, Topic, TopicError, TopicInfo};

/// The tables' version, in SQLite's `user_version`.
const VERSION: i64 = 1;
/// How long a writer waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(30);

const TABLES: &str = "
    CREATE TABLE meta (id TEXT NOT NULL, cleanup TEXT NOT NULL);
    CREATE TABLE partitions (
        partition INTEGER PRIMARY KEY,
        low INTEGER NOT NULL,
        next INTEGER NOT NULL
    );
    CREATE TABLE records (
        partition INTEGER NOT NULL,
        offset INTEGER NOT NULL,
        timestamp_ms INTEGER NOT NULL,
        key BLOB,
        value BLOB,
        headers BLOB,
        PRIMARY KEY (partition, offset)
    ) WITHOUT ROWID;
    CREATE TABLE positions (
        consumer_group TEXT NOT NULL,
        partition INTEGER NOT NULL,
        next INTEGER NOT NULL,
        PRIMARY KEY (consumer_group, partition)
    ) WITHOUT ROWID;
";

/// A topic's file with a connection to write and one to read, so that neither waits for the other.
pub(super) struct TopicFile {
    pub(super) topic: String,
    id: String,
    pub(super) cleanup: Cleanup,
    /// Whether this process compacts it in the background.
    pub(super) compacting: AtomicBool,
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

/// Makes the file of a new topic.
pub(super) fn build(path: &Path, topic: &Topic) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    // A page holds a few records of usual size without spilling them into overflow pages.
    connection.pragma_update(None, "page_size", 8192)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(TABLES)?;
    let (id, cleanup) = (Uuid::new_v4().to_string(), cleanup_name(topic.cleanup));
    transaction.execute("INSERT INTO meta VALUES (?, ?)", (id, cleanup))?;
    add_partitions(&transaction, 0, topic.partitions)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    // Last, so that all of the above is in the file itself and not in a `-wal` beside it.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.close().map_err(|(_, error)| error)
}

pub(super) fn add_partitions(on: &Connection, from: u32, more: u32) -> rusqlite::Result<()> {
    let mut insert = on.prepare("INSERT INTO partitions VALUES (?, 0, 0)")?;
    (from..from.saturating_add(more))
        .try_for_each(|partition| insert.execute([partition]).map(|_| ()))
}

/// A connection for reading, and which file it reads. `None`: there is no such topic.
pub(super) fn open_reader(
    directory: &Directory,
    topic: &str,
) -> Result<Option<(FileId, Connection)>, TopicError> {
    let doing = || format!("open topic {topic}");
    let _kept = directory.keep().map_err(|error| fault::io(doing(), error))?;
    let Some(id) = directory.file_id(topic)? else { return Ok(None) };
    let connection = connect(&directory.topic_path(topic), topic)?;
    let only = connection.pragma_update(None, "query_only", true);
    only.map_err(|error| fault::sql(doing(), error))?;
    Ok(Some((id, connection)))
}

impl TopicFile {
    /// `None`: there is no such topic.
    pub(super) fn open(
        directory: &Directory,
        topic: &str,
    ) -> Result<Option<(FileId, Self)>, TopicError> {
        let found = |error| fault::sql(format!("open topic {topic}"), error);
        let kept = directory.keep();
        let _kept = kept.map_err(|error| fault::io(format!("open topic {topic}"), error))?;
        let path = directory.topic_path(topic);
        let Ok(metadata) = fs::metadata(&path) else { return Ok(None) };
        let (writer, reader) = (connect(&path, topic)?, connect(&path, topic)?);
        prepare_writer(&writer).map_err(found)?;
        let meta = reader.query_row("SELECT id, cleanup FROM meta", (), |row| {
            Ok((row.get(0)?, row.get::<_, String>(1)?))
        });
        let (id, cleanup) = meta.map_err(found)?;
        let cleanup = if cleanup == cleanup_name(Cleanup::Compact) {
            Cleanup::Compact
        } else {
            Cleanup::Delete
        };
        if cleanup == Cleanup::Compact {
            writer.execute_batch(compact::TABLES).map_err(found)?;
        }
        let (topic, writer, reader) = (topic.to_owned(), writer.into(), reader.into());
        let compacting = AtomicBool::new(false);
        Ok(Some((FileId::of(&metadata), Self { topic, id, cleanup, compacting, writer, reader })))
    }

    pub(super) fn info(&self, cluster: &str) -> Result<TopicInfo, TopicError> {
        let partitions = self.reading("look at", |reader| read::bounds(reader))?;
        Ok(TopicInfo {
            name: self.topic.clone(),
            id: self.id.clone(),
            cluster: cluster.to_owned(),
            cleanup: self.cleanup,
            partitions,
        })
    }

    /// Runs `work` on what the file holds at one moment.
    pub(super) fn reading<T>(
        &self,
        doing: &str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, TopicError> {
        let mut reader = relocked(&self.reader);
        let done = reader.transaction().and_then(|transaction| work(&transaction));
        done.map_err(|error| fault::sql(format!("{doing} topic {}", self.topic), error))
    }

    /// Runs `work` as one transaction; what it did is durable when this returns `Ok`, and undone when
    /// `work` fails.
    pub(super) fn writing<T>(
        &self,
        doing: &str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T, TopicError> {
        let mut writer = relocked(&self.writer);
        let done = writer
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(Failure::from)
            .and_then(|transaction| {
                let done = work(&transaction)?;
                transaction.commit()?;
                Ok(done)
            });
        done.map_err(|failure| match failure {
            Failure::Sql(error) => fault::sql(format!("{doing} topic {}", self.topic), error),
            Failure::Told(error) => error,
        })
    }
}

/// Why a transaction was given up.
pub(super) enum Failure {
    Sql(rusqlite::Error),
    Told(TopicError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

fn connect(path: &Path, topic: &str) -> Result<Connection, TopicError> {
    let doing = || format!("open topic {topic}");
    // Not created: a topic deleted meanwhile must not come back as an empty file.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
        connection.busy_timeout(BUSY)?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        Ok((connection, version))
    });
    match opened.map_err(|error| fault::sql(doing(), error))? {
        (connection, VERSION) => Ok(connection),
        (_, other) => Err(TopicError::refused(
            doing(),
            format!("its file has format {other}; this program knows format {VERSION}"),
            "use the program version that wrote it",
        )),
    }
}

fn prepare_writer(writer: &Connection) -> rusqlite::Result<()> {
    writer.pragma_update(None, "synchronous", "FULL")?;
    // Pages: fewer, larger moves from the WAL into the file than SQLite's default of 1,000.
    writer.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    // Bytes: what the WAL may keep after a burst.
    writer.pragma_update(None, "journal_size_limit", 64 << 20)
}

const fn cleanup_name(cleanup: Cleanup) -> &'static str {
    match cleanup {
        Cleanup::Delete => "delete",
        Cleanup::Compact => "compact",
    }
}
