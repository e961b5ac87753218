use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use millstream_config::Finding;
use millstream_engine::SinkError;

/// Where a lake's objects are kept: a directory, memory, S3. [`super::store_conformance`] is the suite that every
/// store passes.
///
/// Paths are relative, parts divided by `/`. An object is seen whole or not at all, and a write that
/// was answered survives a power loss.
#[async_trait]
pub trait Store: Send + Sync + Debug {
    /// Writes an object. `Put::IfAbsent` is the fence everything rests on: of several writers exactly one
    /// is answered `Created`.
    async fn put(&self, path: &str, bytes: Bytes, how: Put) -> Result<Stored, SinkError>;

    /// The object, `None` if there is none.
    async fn get(&self, path: &str) -> Result<Option<Bytes>, SinkError>;

    /// At most `max` objects whose path begins with `prefix` and comes after `start_after`, in byte order of
    /// the paths. Objects written meanwhile may be missing.
    async fn list(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        max: usize,
    ) -> Result<Vec<Listed>, SinkError>;

    /// The bytes `range` of an object, as far as it has them; `None` if there is no object.
    async fn get_range(&self, path: &str, range: Range<u64>) -> Result<Option<Bytes>, SinkError> {
        let whole = self.get(path).await?;
        Ok(whole.map(|whole| {
            let end = range.end.min(whole.len() as u64);
            whole.slice(range.start.min(end) as usize..end as usize)
        }))
    }

    /// Writes what is left of a file as an object that is too long for memory; as [`Store::put`] otherwise.
    async fn put_file(&self, path: &str, file: File, how: Put) -> Result<Stored, SinkError> {
        let bytes = blocking("read what becomes", path, move || rest_of(file)).await?;
        self.put(path, bytes, how).await
    }

    /// The object as a file to be read from its beginning, `None` if there is none.
    async fn open(&self, path: &str) -> Result<Option<File>, SinkError> {
        match self.get(path).await? {
            Some(bytes) => blocking("open", path, move || nameless(&bytes)).await.map(Some),
            None => Ok(None),
        }
    }

    /// Takes an object away, if it is there. Not for a table's files: the ledger names those for ever.
    async fn remove(&self, path: &str) -> Result<(), SinkError> {
        Err(SinkError::refused(
            format!("remove {path} of {}", self.place()),
            "this store keeps all it has",
            "leave it there",
        ))
    }

    /// Looks whether a lake can be kept here, and says what to do where not. Leaves nothing behind that counts.
    async fn examine(&self) -> Vec<Finding> {
        vec![]
    }

    /// Where it is, for people to read: no secrets.
    fn place(&self) -> String {
        format!("{self:?}")
    }
}

/// What becomes of an object that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It stays as it is.
    IfAbsent,
    /// It is replaced. Only for emptying the files of abandoned tries.
    Overwrite,
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The object holds these bytes.
    Created,
    /// It was there already (`Put::IfAbsent` only); possibly from a lost reply of ours.
    Exists,
}

/// One object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub path: String,
    /// Bytes.
    pub size: u64,
}

/// Refuses paths that would leave the store, or that its listings would not show (parts with a leading dot).
pub(super) fn check_path(path: &str) -> Result<(), SinkError> {
    let fine = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains('\0');
    if path.split('/').all(fine) {
        return Ok(());
    }
    Err(SinkError::refused(
        format!("use path {path:?} of the lake"),
        "its parts must not be empty or begin with a dot",
        "rename the table or the columns it is partitioned by",
    ))
}

/// Runs file operations where they may block.
async fn blocking<T: Send + 'static>(
    verb: &str,
    path: &str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, SinkError> {
    let doing = || format!("{verb} {path} of the lake");
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| SinkError::unavailable(doing(), error)),
        Err(error) => Err(SinkError::unavailable(doing(), error)),
    }
}

fn rest_of(mut file: File) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

/// A temporary file with these bytes.
fn nameless(bytes: &[u8]) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}
