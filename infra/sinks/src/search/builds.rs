//! The builds of an index, and which of them is served.
//!
//! | in `<search directory>/<index>/` | is |
//! |---|---|
//! | `<build>/` | a tantivy index, and `build.json` ([`Build`]) |
//! | `current` | name of the build that is served |
//! | `next` | name of the build that is being filled to take its place; mostly not there |
//! | `rebuild` | an operator's wish for a new build |
//! | `lock` | locked by whoever writes |
//!
//! Files are replaced by renaming, so readers need no lock. Writers hold it for one piece of work, not for long:
//! a worker that stands by may connect as well.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arrow::datatypes::SchemaRef;
use millstream_engine::SinkError;
use serde::{Deserialize, Serialize};

use super::faults::{Fault, broken};

/// How long a writer waits for another one. Well below the ten seconds in which a worker must have drained.
const PATIENCE: Duration = Duration::from_secs(5);

/// An index's directory. Naming it makes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    directory: PathBuf,
}

/// What is known of a build beside what tantivy keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Build {
    /// `app.pipeline`: the owner.
    pub pipeline: String,
    /// What the index's declaration was: see [`super::Index::declaration`].
    pub declared: String,
    /// The pipeline's columns; later ones come last, so that older rows are merely shorter.
    pub schema: SchemaRef,
    /// Whether all that the topic held when the build was begun is in it.
    pub ready: bool,
}

/// A build by its name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Named {
    pub id: String,
    pub build: Build,
}

/// Held while the index is written to; let go when dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Place {
    pub fn new(search: &Path, index: &str) -> Self {
        Self { directory: search.join(index) }
    }

    pub fn path(&self) -> &Path {
        &self.directory
    }

    pub fn build_path(&self, id: &str) -> PathBuf {
        self.directory.join(id)
    }

    /// Waits for the lock; blocks.
    #[allow(
        clippy::disallowed_methods,
        reason = "runs where blocking is meant, and file locks offer nothing to wait on"
    )]
    pub fn lock(&self) -> Result<Lock, Fault> {
        fs::create_dir_all(&self.directory)?;
        let file = File::options().create(true).append(true).open(self.directory.join("lock"))?;
        let since = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(TryLockError::WouldBlock) if since.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(TryLockError::WouldBlock) => {
                    let why = "another worker is writing to the index";
                    return Err(SinkError::unavailable("lock the index", why).into());
                }
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
    }

    /// The build that is served.
    pub fn current(&self) -> Result<Option<Named>, Fault> {
        self.named("current")
    }

    /// The build that is being filled to be served later.
    pub fn next(&self) -> Result<Option<Named>, Fault> {
        let next = self.named("next")?;
        let current = self.name("current")?;
        // Both names for one build: the switch was made, and somebody died before tidying up.
        Ok(next.filter(|next| current.as_ref() != Some(&next.id)))
    }

    /// The build that is written to, and read where that must agree with what was written.
    pub fn target(&self) -> Result<Option<Named>, Fault> {
        match self.next()? {
            Some(next) => Ok(Some(next)),
            None => self.current(),
        }
    }

    /// The build that is written to, while it isn't yet served as ready.
    pub fn unfinished(&self) -> Result<Option<Named>, Fault> {
        match self.next()? {
            Some(next) => Ok(Some(next)),
            None => Ok(self.current()?.filter(|current| !current.build.ready)),
        }
    }

    fn named(&self, file: &str) -> Result<Option<Named>, Fault> {
        let Some(id) = self.name(file)? else { return Ok(None) };
        match fs::read(self.build_path(&id).join("build.json")) {
            Ok(text) => {
                let build = serde_json::from_slice(&text).map_err(|error| {
                    broken(format!("read build {id} of the index"), &error.to_string())
                })?;
                Ok(Some(Named { id, build }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The name that stands in `current` or `next`.
    pub fn name(&self, file: &str) -> io::Result<Option<String>> {
        match fs::read_to_string(self.directory.join(file)) {
            Ok(id) if !id.is_empty() && !id.contains(['/', '.']) => Ok(Some(id)),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes the directory of a new build that nothing names yet. Under the lock.
    pub fn begin(&self, build: Build) -> Result<Named, Fault> {
        let mut stamp = now_ms();
        while self.build_path(&stamp.to_string()).exists() {
            stamp += 1;
        }
        let id = stamp.to_string();
        fs::create_dir_all(self.build_path(&id))?;
        self.describe(&id, &build)?;
        Ok(Named { id, build })
    }

    /// Replaces what is known of a build. Under the lock.
    pub fn describe(&self, id: &str, build: &Build) -> Result<(), Fault> {
        let text = serde_json::to_vec(build).map_err(io::Error::other)?;
        Ok(replace(&self.build_path(id).join("build.json"), &text)?)
    }

    /// From now on this build is served, and there is no next one. Under the lock.
    pub fn serve(&self, id: &str) -> Result<(), Fault> {
        replace(&self.directory.join("current"), id.as_bytes())?;
        remove(&self.directory.join("next"))?;
        self.tidy();
        Ok(())
    }

    /// From now on this build is filled, while the current one stays. Under the lock.
    pub fn fill_next(&self, id: &str) -> Result<(), Fault> {
        replace(&self.directory.join("next"), id.as_bytes())?;
        self.tidy();
        Ok(())
    }

    /// Removes builds that have no name. Readers that have one open keep its files until they let go; on a system
    /// where that isn't so the next switch tries again. So it does where a name can't be read: it may be that of
    /// the build that is served.
    fn tidy(&self) {
        let (Ok(current), Ok(next)) = (self.name("current"), self.name("next")) else { return };
        let kept = [current, next];
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_build = name.parse::<u64>().is_ok();
            if is_build
                && !kept.contains(&Some(name))
                && let Err(error) = fs::remove_dir_all(entry.path())
            {
                tracing::debug!("{} stays for now: {error}", entry.path().display());
            }
        }
    }

    /// Asks for a new build; the worker begins it with its next commit, or when it starts.
    pub fn ask_for_rebuild(&self) -> Result<(), Fault> {
        fs::create_dir_all(&self.directory)?;
        Ok(replace(&self.directory.join("rebuild"), b"")?)
    }

    pub fn is_rebuild_asked_for(&self) -> bool {
        self.directory.join("rebuild").exists()
    }

    pub fn rebuild_has_begun(&self) -> Result<(), Fault> {
        Ok(remove(&self.directory.join("rebuild"))?)
    }
}

/// Writes a file under another name, makes it durable, and renames it.
#[allow(
    clippy::disallowed_methods,
    reason = "overwriting is meant: readers see the old name or the new one"
)]
fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let aside = path.with_extension("new");
    let mut file = File::create(&aside)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Names builds, and tells people when a genesis was written.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
