//! What SQLite's errors call for: patience, or somebody.

use std::path::Path;

use millstream_engine::SinkError;
use rusqlite::ErrorCode;

/// What went wrong inside a piece of work on a database, before it is said what the work was.
#[derive(Debug)]
pub(super) enum Fault {
    Store(rusqlite::Error),
    /// Says it all already.
    Told(SinkError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error)
    }
}

impl From<SinkError> for Fault {
    fn from(error: SinkError) -> Self {
        Self::Told(error)
    }
}

impl Fault {
    /// `doing`: a verb with its object, such as "commit range 3 of words-0".
    pub fn told(self, doing: &str, path: &Path) -> SinkError {
        match self {
            Self::Told(error) => error,
            Self::Store(error) => explain(error, doing, path),
        }
    }
}

/// Busy, full and I/O errors pass; permissions and broken files wait for somebody.
fn explain(error: rusqlite::Error, doing: &str, path: &Path) -> SinkError {
    let doing = format!("{doing} in {}", path.display());
    let why = error.to_string();
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::SystemIoFailure
            | ErrorCode::DiskFull
            | ErrorCode::OutOfMemory
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::SchemaChanged
            | ErrorCode::OperationInterrupted
            | ErrorCode::OperationAborted,
        ) => SinkError::unavailable(doing, error),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            let remedy = "let this user write to the file and its directory, or set stores.tables to another one";
            SinkError::refused(doing, why, remedy)
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            let remedy = "restore the file from a backup, or move it away: it is then built anew from the topic";
            SinkError::refused(doing, why, remedy)
        }
        _ => SinkError::refused(
            doing,
            why,
            "undo what was changed in the file by hand, or use a new table",
        ),
    }
}

/// A panic or a shutdown in the middle of the work: whether it took effect is for the next open to tell.
pub(super) fn cut_short(doing: &str, error: tokio::task::JoinError) -> SinkError {
    SinkError::unavailable(doing, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    fn told(code: i32) -> SinkError {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        Fault::from(error).told("commit range 3", Path::new("tables/a.db"))
    }

    #[test]
    fn what_passes_is_tried_again() {
        for code in
            [ffi::SQLITE_BUSY, ffi::SQLITE_LOCKED, ffi::SQLITE_FULL, ffi::SQLITE_IOERR_FSYNC]
        {
            assert!(told(code).is_retryable(), "code {code}");
        }
    }

    #[test]
    fn what_stays_names_the_file_and_the_remedy() {
        for (code, remedy) in [
            (ffi::SQLITE_READONLY, "let this user write"),
            (ffi::SQLITE_CANTOPEN, "let this user write"),
            (ffi::SQLITE_PERM, "let this user write"),
            (ffi::SQLITE_CORRUPT, "backup"),
            (ffi::SQLITE_NOTADB, "backup"),
        ] {
            let error = told(code);
            assert!(!error.is_retryable(), "code {code}");
            let text = error.to_string();
            assert!(text.contains("tables/a.db") && text.contains(remedy), "{text}");
        }
    }
}
