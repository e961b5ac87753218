//! What errors of tantivy and of the file system call for: patience, or somebody.

use std::io;
use std::path::Path;

use millstream_engine::SinkError;
use tantivy::TantivyError;
use tantivy::directory::error::OpenReadError;

/// What went wrong inside a piece of work on an index, before it is said what the work was.
#[derive(Debug)]
pub(super) enum Fault {
    Store(Box<TantivyError>),
    Io(io::Error),
    /// Says it all already.
    Told(SinkError),
}

impl From<TantivyError> for Fault {
    fn from(error: TantivyError) -> Self {
        Self::Store(Box::new(error))
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<SinkError> for Fault {
    fn from(error: SinkError) -> Self {
        Self::Told(error)
    }
}

impl Fault {
    /// `doing`: a verb with its object, such as "commit range 3 of recalls-0"; `place`: the index's directory.
    pub fn told(self, doing: &str, place: &Path) -> SinkError {
        let doing = format!("{doing} in {}", place.display());
        match self {
            Self::Told(error) => error,
            Self::Io(error) => explain_io(doing, error),
            Self::Store(error) if is_broken(&error) => broken(doing, &error.to_string()),
            Self::Store(error) => SinkError::unavailable(doing, *error),
        }
    }
}

/// Broken files wait for somebody; full disks and the like pass.
fn is_broken(error: &TantivyError) -> bool {
    matches!(
        error,
        TantivyError::DataCorruption(_)
            | TantivyError::IncompatibleIndex(_)
            | TantivyError::SchemaError(_)
            | TantivyError::FieldNotFound(_)
            | TantivyError::DeserializeError(_)
            | TantivyError::OpenReadError(
                OpenReadError::IncompatibleIndex(_) | OpenReadError::FileDoesNotExist(_)
            )
    )
}

/// What helps where the files can't be understood.
pub(super) fn broken(doing: String, why: &str) -> SinkError {
    SinkError::refused(
        doing,
        why,
        "stop the worker and remove the directory: the index is then built anew from its topic",
    )
}

fn explain_io(doing: String, error: io::Error) -> SinkError {
    match error.kind() {
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::AlreadyExists => SinkError::refused(
            doing,
            error.to_string(),
            "let this user write there, or set stores.search to another directory",
        ),
        _ => SinkError::unavailable(doing, error),
    }
}
