//! The embedded log: topics in a directory, one SQLite file each, shared by any number of processes.
//!
//! # Layout
//! - `directory`: which file is what; how topics come and go whole, and the log's identity.
//! - `file`: a topic's file, opened; its tables.
//! - `append`: gives offsets and writes records.
//! - `read`: stretches of a partition, and how far partitions reach.
//! - `headers`: record headers as one blob.
//! - `lock`: one member at a time works for a group.
//! - `consumer`: that member, or one standing by.
//! - `look`: what the working member sees when it looks for new records.
//! - `upkeep`: retention, more partitions, deletion.
//! - `compact`: of topics declared compacted, the last record of each key.
//! - `fault`: what SQLite or the disk says, as the role's error.

mod append;
mod compact;
mod consumer;
mod directory;
mod fault;
mod file;
mod headers;
mod lock;
mod look;
mod read;
#[cfg(test)]
mod tests;
mod upkeep;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

use crate::memory::Clock;
use crate::{
    Consumer, Outgoing, Placed, Slice, Subscriptions, Topic, TopicError, TopicInfo, TopicPartition,
    Topics,
};
pub use compact::DELETE_RETENTION;
use consumer::SqliteConsumer;
use directory::{Directory, FileId};
use file::TopicFile;
use lock::GroupLock;
use read::Limit;

/// The topics of one directory. Clones share their connections; other processes may use the directory
/// at the same time, and any of them may be killed at any moment.
///
/// An append is durable (`synchronous=FULL`) and all or nothing. A group has one working member at a
/// time; the others stand by.
#[derive(Clone)]
pub struct SqliteLog {
    shared: Arc<Shared>,
}

struct Shared {
    directory: Directory,
    clock: Clock,
    files: Mutex<HashMap<String, (FileId, Arc<TopicFile>)>>,
}

impl SqliteLog {
    /// Opens the log in `dir`, making the directory and the log's identity when they are absent.
    /// Refused when the directory can't be written to.
    pub fn open(dir: &Path) -> Result<Self, TopicError> {
        Self::with_clock(dir, Arc::new(now_ms))
    }

    /// As [`Self::open`]; `clock` stamps records that have no timestamp, and tells when a tombstone's time
    /// is over.
    pub fn with_clock(dir: &Path, clock: Clock) -> Result<Self, TopicError> {
        let directory = Directory::open(dir)?;
        Ok(Self { shared: Arc::new(Shared { directory, clock, files: Mutex::default() }) })
    }

    /// Runs `work` on the topic's file, off the async threads: SQLite blocks.
    async fn with_file<T: Send + 'static>(
        &self,
        topic: &str,
        doing: &'static str,
        work: impl FnOnce(&Arc<TopicFile>) -> Result<T, TopicError> + Send + 'static,
    ) -> Result<T, TopicError> {
        let (shared, topic) = (self.shared.clone(), topic.to_owned());
        blocking(move || {
            let file = shared.file(&topic)?.ok_or_else(|| no_topic(doing, &topic))?;
            work(&file)
        })
        .await
    }
}

impl fmt::Debug for SqliteLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteLog").field("directory", &self.shared.directory.path()).finish()
    }
}

impl Shared {
    /// The topic's file as it is now, opened: one that was deleted and made anew is opened again.
    /// `None`: there is no such topic.
    fn file(&self, topic: &str) -> Result<Option<Arc<TopicFile>>, TopicError> {
        let id = self.directory.file_id(topic)?;
        let mut files = relocked(&self.files);
        let Some(id) = id else {
            files.remove(topic);
            return Ok(None);
        };
        if let Some((known, file)) = files.get(topic)
            && *known == id
        {
            return Ok(Some(file.clone()));
        }
        let Some((id, file)) = TopicFile::open(&self.directory, topic)? else { return Ok(None) };
        let file = Arc::new(file);
        files.insert(topic.to_owned(), (id, file.clone()));
        Ok(Some(file))
    }
}

#[async_trait]
impl Topics for SqliteLog {
    async fn ensure(&self, topic: &Topic) -> Result<TopicInfo, TopicError> {
        let (shared, topic) = (self.shared.clone(), topic.clone());
        blocking(move || {
            shared.directory.create(&topic)?;
            let file = shared.file(&topic.name)?.ok_or_else(|| no_topic("create", &topic.name))?;
            file.info(shared.directory.cluster())
        })
        .await
    }

    async fn info(&self, name: &str) -> Result<Option<TopicInfo>, TopicError> {
        let (shared, name) = (self.shared.clone(), name.to_owned());
        blocking(move || {
            let file = shared.file(&name)?;
            file.map(|file| file.info(shared.directory.cluster())).transpose()
        })
        .await
    }

    async fn append(&self, topic: &str, records: Vec<Outgoing>) -> Result<Vec<Placed>, TopicError> {
        let now_ms = (self.shared.clock)();
        let append = move |file: &Arc<TopicFile>| {
            let (placed, due) = file.append(&records, now_ms)?;
            Ok((placed, due.then(|| file.clone())))
        };
        let (placed, due) = self.with_file(topic, "append to", append).await?;
        if let Some(file) = due {
            compact::in_background(file, self.shared.clock.clone());
        }
        Ok(placed)
    }
}

#[async_trait]
impl Subscriptions for SqliteLog {
    async fn join(&self, group: &str, topics: &[String]) -> Result<Box<dyn Consumer>, TopicError> {
        let lock = GroupLock::new(&self.shared.directory, group)?;
        for topic in topics {
            self.with_file(topic, "subscribe to", |_| Ok(())).await?;
        }
        Ok(Box::new(SqliteConsumer::new(self.clone(), group, topics, lock)))
    }

    async fn read(&self, at: &TopicPartition, from: i64, max: usize) -> Result<Slice, TopicError> {
        let (partition, limit) = (at.partition, Limit { records: max, ..Limit::default() });
        let read = move |file: &Arc<TopicFile>| file.read(partition, from, &limit);
        self.with_file(&at.topic, "read", read).await
    }
}

fn no_topic(doing: &str, name: &str) -> TopicError {
    TopicError::refused(
        format!("{doing} topic {name}"),
        "there is no such topic in this log",
        "create it first (run its producer), or correct the name",
    )
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TopicError> + Send + 'static,
) -> Result<T, TopicError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(TopicError::unavailable("use the embedded log", error)))
}

/// A thread that panicked leaves nothing half done here: SQLite rolls its transaction back.
fn relocked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[allow(clippy::disallowed_methods, reason = "like a broker, the log stamps with the real time")]
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
