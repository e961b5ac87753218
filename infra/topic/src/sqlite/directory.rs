use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::{fault, file};
use crate::{Topic, TopicError};

/// Held while topics come (exclusively), go (exclusively) and are opened (shared): SQLite finds a
/// database's `-wal` by name, so a file must not be replaced between the opening of the two.
const LOCK: &str = "directory.lock";
const CLUSTER: &str = "cluster.id";
/// What SQLite keeps beside a database.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// Tells a file from another one that has its name later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId(u64, u64);

/// The directory a log lives in.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    cluster: String,
}

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Self, TopicError> {
        let doing = || format!("open the embedded log in {}", path.display());
        let found = |error| fault::io(doing(), error);
        fs::create_dir_all(path).map_err(found)?;
        let mut directory = Self { path: path.to_owned(), cluster: String::new() };
        directory.cluster = directory.identify().map_err(found)?;
        if directory.cluster.is_empty() {
            let why = format!("its {CLUSTER} is empty");
            return Err(TopicError::refused(doing(), why, "restore the file, or start a new log"));
        }
        Ok(directory)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The log's identity, in the place of a cluster's.
    pub(super) fn cluster(&self) -> &str {
        &self.cluster
    }

    pub(super) fn topic_path(&self, topic: &str) -> PathBuf {
        self.path.join(format!("{topic}.db"))
    }

    pub(super) fn group_path(&self, group: &str) -> PathBuf {
        self.path.join(format!("{group}.group.lock"))
    }

    /// `None`: there is no such topic.
    pub(super) fn file_id(&self, topic: &str) -> Result<Option<FileId>, TopicError> {
        Topic::check_name(topic)?;
        match fs::metadata(self.topic_path(topic)) {
            Ok(metadata) => Ok(Some(FileId::of(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fault::io(format!("look for topic {topic}"), error)),
        }
    }

    /// Keeps topics from coming and going while the file is open.
    pub(super) fn keep(&self) -> io::Result<File> {
        let lock = self.lock_file()?;
        lock.lock_shared()?;
        Ok(lock)
    }

    /// Makes the topic unless it is there. It appears whole or not at all.
    pub(super) fn create(&self, topic: &Topic) -> Result<(), TopicError> {
        let name = topic.name.as_ref();
        let doing = || format!("create topic {name}");
        if self.file_id(name)?.is_some() {
            return Ok(());
        }
        if topic.partitions == 0 {
            let why = "it is to have no partitions";
            return Err(TopicError::refused(doing(), why, "give it at least one"));
        }
        let _alone = self.alone().map_err(|error| fault::io(doing(), error))?;
        if self.file_id(name)?.is_some() {
            return Ok(());
        }
        let (target, new) = (self.topic_path(name), self.path.join(format!("{name}.db.new")));
        // What a crash left: a half-made file, or the journal of a topic deleted by half, which
        // SQLite would take for the new file's.
        remove_database(&new).map_err(|error| fault::io(doing(), error))?;
        remove_database(&target).map_err(|error| fault::io(doing(), error))?;
        file::build(&new, topic).map_err(|error| fault::sql(doing(), error))?;
        let appear = appear(&new, &target).and_then(|()| self.sync());
        appear.map_err(|error| fault::io(doing(), error))
    }

    /// Deletes the topic. `false`: there was none.
    pub(super) fn delete(&self, topic: &str) -> Result<bool, TopicError> {
        let doing = |error| fault::io(format!("delete topic {topic}"), error);
        let _alone = self.alone().map_err(doing)?;
        if self.file_id(topic)?.is_none() {
            return Ok(false);
        }
        remove_database(&self.topic_path(topic)).and_then(|()| self.sync()).map_err(doing)?;
        Ok(true)
    }

    fn alone(&self) -> io::Result<File> {
        let lock = self.lock_file()?;
        lock.lock()?;
        Ok(lock)
    }

    fn lock_file(&self) -> io::Result<File> {
        OpenOptions::new().create(true).truncate(false).write(true).open(self.path.join(LOCK))
    }

    /// Reads the log's identity; the first one to come makes it.
    fn identify(&self) -> io::Result<String> {
        let path = self.path.join(CLUSTER);
        let _alone = self.alone()?;
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            known => return Ok(known?.trim().to_owned()),
        }
        let (new, id) = (self.path.join(format!("{CLUSTER}.new")), Uuid::new_v4().to_string());
        fs::write(&new, format!("{id}\n"))?;
        File::open(&new)?.sync_all()?;
        appear(&new, &path)?;
        self.sync()?;
        Ok(id)
    }

    /// Makes names that came or went durable.
    fn sync(&self) -> io::Result<()> {
        if cfg!(unix) { File::open(&self.path)?.sync_all() } else { Ok(()) }
    }
}

impl FileId {
    #[cfg(unix)]
    pub(super) fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self(metadata.dev(), metadata.ino())
    }

    #[cfg(not(unix))]
    pub(super) fn of(metadata: &Metadata) -> Self {
        let created = metadata.created().ok();
        let since = created.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let since = since.unwrap_or_default();
        Self(since.as_secs(), u64::from(since.subsec_nanos()))
    }
}

/// Gives a finished file its name, which is free.
#[allow(
    clippy::disallowed_methods,
    reason = "the directory's lock is the fence, and not every disk links"
)]
fn appear(new: &Path, target: &Path) -> io::Result<()> {
    fs::rename(new, target)
}

/// Removes a database file and what SQLite keeps beside it, as far as they are there.
fn remove_database(path: &Path) -> io::Result<()> {
    let companion = |suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    for path in [path.to_owned()].into_iter().chain(COMPANIONS.map(companion)) {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
