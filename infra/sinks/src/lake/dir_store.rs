use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use millstream_config::Finding;
use millstream_engine::SinkError;

use super::store::{Listed, Put, Store, Stored, check_path};
use crate::directory;

/// Half-written files; on the store's own file system, so that they can be linked from there.
const TEMPORARY: &str = "_millstream/.tmp";
/// Of a half-written file, before it counts as left behind by a process that died. A writer that is slower
/// than this gets an error and tries again.
const STALE: Duration = Duration::from_secs(3600);

/// A lake in a local directory. Several processes may use it at once.
#[derive(Clone, Debug)]
pub struct DirStore {
    root: PathBuf,
    durable: Arc<Durable>,
}

impl DirStore {
    /// The directory is made when the first object is written.
    pub fn new(root: PathBuf) -> Self {
        Self { root, durable: Arc::default() }
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Runs file operations where they may block.
    async fn blocking<T: Send + 'static>(
        &self,
        verb: &str,
        path: &str,
        work: impl FnOnce(&Self, &str) -> io::Result<T> + Send + 'static,
    ) -> Result<T, SinkError> {
        check_path(path.trim_end_matches('/'))?;
        let (store, key) = (self.clone(), path.to_owned());
        let done = tokio::task::spawn_blocking(move || work(&store, &key)).await;
        let doing = || format!("{verb} {}", self.root.join(path).display());
        match done {
            Ok(result) => result.map_err(|error| explain(doing(), error)),
            Err(error) => Err(SinkError::unavailable(doing(), error)),
        }
    }

    fn write(&self, path: &str, bytes: &mut dyn Read, how: Put) -> io::Result<Stored> {
        let target = self.root.join(path);
        let parent = target.parent().unwrap_or(&self.root);
        self.durable.make(&self.root, parent)?;
        let temporary = self.temporary(bytes)?;
        let placed = match how {
            Put::IfAbsent => fs::hard_link(&temporary, &target),
            Put::Overwrite => replace(&temporary, &target),
        };
        if how == Put::IfAbsent || placed.is_err() {
            // Failing to tidy up is harmless: the file is stale in an hour.
            let _ = fs::remove_file(&temporary);
        }
        match placed {
            Ok(()) => sync_directory(parent).map(|()| Stored::Created),
            Err(error) if how == Put::IfAbsent && error.kind() == ErrorKind::AlreadyExists => {
                // The winner may have died before its fsync; what is answered now must outlast a power loss.
                sync_directory(parent).map(|()| Stored::Exists)
            }
            Err(error) => {
                // The directories may have been removed under us: make them anew next time.
                self.durable.forget();
                Err(error)
            }
        }
    }

    /// A new file holding `bytes`, on the disk.
    fn temporary(&self, bytes: &mut dyn Read) -> io::Result<PathBuf> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let directory = self.root.join(TEMPORARY);
        let is_first = self.durable.make(&self.root, &directory)?;
        loop {
            let name = format!("{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let path = directory.join(name);
            // The same process id may be another machine's or container's: never share a file.
            let mut file = match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                Err(error) => {
                    self.durable.forget();
                    return Err(error);
                }
                Ok(file) => file,
            };
            let written = io::copy(bytes, &mut file).and_then(|_| file.sync_all());
            return match written {
                Ok(()) => {
                    if is_first {
                        remove_stale(&directory, &path);
                    }
                    Ok(path)
                }
                Err(error) => {
                    let _ = fs::remove_file(&path);
                    Err(error)
                }
            };
        }
    }
}

#[async_trait]
impl Store for DirStore {
    async fn put(&self, path: &str, bytes: Bytes, how: Put) -> Result<Stored, SinkError> {
        self.blocking("write", path, move |store, path| store.write(path, &mut bytes.as_ref(), how))
            .await
    }

    async fn get(&self, path: &str) -> Result<Option<Bytes>, SinkError> {
        self.blocking("read", path, |store, path| {
            Ok(if_there(fs::read(store.root.join(path)))?.map(Bytes::from))
        })
        .await
    }

    async fn list(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        max: usize,
    ) -> Result<Vec<Listed>, SinkError> {
        let start_after = start_after.unwrap_or_default().to_owned();
        self.blocking("list", prefix, move |store, prefix| {
            let mut walk =
                Walk { root: &store.root, prefix, start_after: &start_after, max, found: vec![] };
            let directory = prefix.rfind('/').map_or("", |slash| &prefix[..=slash]);
            walk.directory(directory)?;
            Ok(walk.found)
        })
        .await
    }

    async fn get_range(&self, path: &str, range: Range<u64>) -> Result<Option<Bytes>, SinkError> {
        self.blocking("read", path, move |store, path| {
            let Some(mut file) = if_there(File::open(store.root.join(path)))? else {
                return Ok(None);
            };
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(range.start))?;
            file.take(range.end.saturating_sub(range.start)).read_to_end(&mut bytes)?;
            Ok(Some(bytes.into()))
        })
        .await
    }

    async fn put_file(&self, path: &str, mut file: File, how: Put) -> Result<Stored, SinkError> {
        self.blocking("write", path, move |store, path| store.write(path, &mut file, how)).await
    }

    async fn open(&self, path: &str) -> Result<Option<File>, SinkError> {
        self.blocking("open", path, |store, path| if_there(File::open(store.root.join(path)))).await
    }

    async fn remove(&self, path: &str) -> Result<(), SinkError> {
        self.blocking("remove", path, |store, path| {
            if_there(fs::remove_file(store.root.join(path))).map(|_| ())
        })
        .await
    }

    async fn examine(&self) -> Vec<Finding> {
        let root = self.root.clone();
        let told = tokio::task::spawn_blocking(move || directory::writable("lake", &root)).await;
        let told = told.unwrap_or_else(|error| {
            let remedy = "report it: this is a fault of Millstream";
            Finding::bad("lake", format!("look at {}: {error}", self.root.display()), remedy)
        });
        vec![told]
    }

    fn place(&self) -> String {
        format!("file://{}", self.root.display())
    }
}

fn if_there<T>(done: io::Result<T>) -> io::Result<Option<T>> {
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        done => done.map(Some),
    }
}

/// A listing under way. Directories that can't hold what is asked for are not read.
struct Walk<'a> {
    root: &'a Path,
    prefix: &'a str,
    start_after: &'a str,
    max: usize,
    found: Vec<Listed>,
}

impl Walk<'_> {
    /// `directory`: its path with a slash at the end; empty: the root.
    fn directory(&mut self, directory: &str) -> io::Result<()> {
        let entries = match fs::read_dir(self.root.join(directory)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        let mut paths = vec![];
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            // Nothing of ours begins with a dot or is not UTF-8.
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
            let slash = if entry.file_type()?.is_dir() { "/" } else { "" };
            let path = format!("{directory}{name}{slash}");
            if self.wants(&path) {
                paths.push(path);
            }
        }
        paths.sort_unstable();
        for path in paths {
            if self.found.len() >= self.max {
                break;
            }
            self.take(path)?;
        }
        Ok(())
    }

    fn wants(&self, path: &str) -> bool {
        if path.ends_with('/') {
            let overlaps = path.starts_with(self.prefix) || self.prefix.starts_with(path);
            overlaps && (path > self.start_after || self.start_after.starts_with(path))
        } else {
            path.starts_with(self.prefix) && path > self.start_after
        }
    }

    fn take(&mut self, path: String) -> io::Result<()> {
        if path.ends_with('/') {
            return self.directory(&path);
        }
        match fs::metadata(self.root.join(&path)) {
            Ok(data) => self.found.push(Listed { path, size: data.len() }),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// The directories this process knows to be on the disk.
#[derive(Debug, Default)]
struct Durable(Mutex<HashSet<PathBuf>>);

impl Durable {
    /// Makes `directory` and what is missing above it; true if it was not known before. A directory that is
    /// there is synced all the same, once: the process that made it may have died before it did so.
    fn make(&self, root: &Path, directory: &Path) -> io::Result<bool> {
        if self.known().contains(directory) {
            return Ok(false);
        }
        let above = directory.parent().filter(|above| !above.as_os_str().is_empty());
        // Above the root, what is there already is not ours to look after.
        if let Some(above) = above.filter(|above| directory != root || !above.exists()) {
            self.make(root, above)?;
        }
        fs::create_dir_all(directory)?;
        sync_directory(above.unwrap_or(Path::new(".")))?;
        self.known().insert(directory.to_owned());
        Ok(true)
    }

    fn forget(&self) {
        self.known().clear();
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[allow(clippy::disallowed_methods, reason = "overwriting is meant: the files of an abandoned try")]
fn replace(temporary: &Path, target: &Path) -> io::Result<()> {
    fs::rename(temporary, target)
}

/// Best effort: whatever stays here is seen by nobody. What is old is told by the file system's own clock, through
/// the file that was just written.
fn remove_stale(directory: &Path, newest: &Path) {
    let modified = |path: &Path| fs::metadata(path).and_then(|data| data.modified());
    let limit = modified(newest).ok().and_then(|now| now.checked_sub(STALE));
    let (Some(limit), Ok(entries)) = (limit, fs::read_dir(directory)) else { return };
    for entry in entries.flatten() {
        if modified(&entry.path()).is_ok_and(|modified| modified < limit) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Says whether waiting helps, and what does otherwise.
fn explain(doing: String, error: io::Error) -> SinkError {
    let remedy = match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "let this user write there, or name another directory under stores.lake"
        }
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists | ErrorKind::IsADirectory => {
            "move away what stands where the lake needs a directory, or name another one under stores.lake"
        }
        ErrorKind::Unsupported | ErrorKind::CrossesDevices => {
            "name a directory under stores.lake whose file system has hard links"
        }
        ErrorKind::InvalidFilename => {
            "partition by a column with shorter values: a directory's name has at most 255 bytes"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            let doing = format!("{doing} (free some space, it is tried again)");
            return SinkError::unavailable(doing, error);
        }
        _ => return SinkError::unavailable(doing, error),
    };
    SinkError::refused(doing, error.to_string(), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::store_conformance;

    fn store() -> (tempfile::TempDir, DirStore) {
        let directory = tempfile::tempdir().unwrap();
        let store = DirStore::new(directory.path().join("new/lake"));
        (directory, store)
    }

    #[tokio::test]
    async fn passes_the_suite() {
        let (_directory, store) = store();
        store_conformance::store(Arc::new(store)).await;
    }

    #[tokio::test]
    async fn temporary_files_are_removed_and_never_listed() {
        let (_directory, store) = store();
        store.put("a/b", Bytes::from_static(b"x"), Put::IfAbsent).await.unwrap();
        store.put("a/b", Bytes::from_static(b"y"), Put::IfAbsent).await.unwrap();
        store.put("a/b", Bytes::from_static(b"z"), Put::Overwrite).await.unwrap();
        let temporary = store.root().join(TEMPORARY);
        assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
        let left = temporary.join("1-1");
        fs::write(&left, b"half").unwrap();
        let now = fs::metadata(&left).unwrap().modified().unwrap();
        File::options().write(true).open(&left).unwrap().set_modified(now - 2 * STALE).unwrap();
        fs::write(temporary.join("1-2"), b"under way").unwrap();
        let paths = store.list("", None, 9).await;
        assert!(paths.is_err(), "an empty prefix is no path");
        assert_eq!(store.list("_millstream/", None, 9).await.unwrap(), vec![]);
        let other = DirStore::new(store.root().to_owned());
        other.put("a/c", Bytes::new(), Put::IfAbsent).await.unwrap();
        assert!(!left.exists(), "left by a dead process");
        assert!(temporary.join("1-2").exists());
    }

    #[tokio::test]
    async fn removed_directories_come_back() {
        let (_directory, store) = store();
        store.put("a/b", Bytes::new(), Put::IfAbsent).await.unwrap();
        fs::remove_dir_all(store.root()).unwrap();
        let first = store.put("a/c", Bytes::new(), Put::IfAbsent).await.unwrap_err();
        assert!(first.is_retryable(), "{first}");
        assert_eq!(store.put("a/c", Bytes::new(), Put::IfAbsent).await.unwrap(), Stored::Created);
    }

    #[tokio::test]
    async fn a_file_in_the_way_is_refused_with_a_remedy() {
        let (directory, _) = store();
        let path = directory.path().join("file");
        fs::write(&path, b"").unwrap();
        let store = DirStore::new(path);
        let error = store.put("a/b", Bytes::new(), Put::IfAbsent).await.unwrap_err();
        assert!(!error.is_retryable() && error.to_string().contains("stores.lake"), "{error}");
    }

    #[test]
    fn waiting_helps_a_full_disk_only() {
        let told = |kind: ErrorKind| explain("write x".into(), kind.into());
        assert!(told(ErrorKind::StorageFull).is_retryable());
        assert!(told(ErrorKind::StorageFull).to_string().contains("free some space"));
        for kind in [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem] {
            assert!(told(kind).to_string().contains("stores.lake"));
        }
        assert!(told(ErrorKind::InvalidFilename).to_string().contains("shorter"));
    }

    #[tokio::test]
    async fn a_value_too_long_for_a_name_is_refused() {
        let (_directory, store) = store();
        let path = format!("t/c={}/f", "x".repeat(300));
        let error = store.put(&path, Bytes::new(), Put::IfAbsent).await.unwrap_err();
        assert!(!error.is_retryable() && error.to_string().contains("255"), "{error}");
    }
}
