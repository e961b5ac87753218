use std::io;

use rusqlite::ErrorCode;

use crate::TopicError;

/// What SQLite said, told by whether trying again can help.
pub(super) fn sql(doing: impl Into<String>, error: rusqlite::Error) -> TopicError {
    let remedy = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            "restore the topic's file from a backup, or move it away and start the topic anew"
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            "make the log's directory and files writable for this user"
        }
        Some(ErrorCode::TooBig) => "send smaller records",
        _ => return TopicError::unavailable(doing, error),
    };
    TopicError::refused(doing, error.to_string(), remedy)
}

/// What the file system said, told the same way.
pub(super) fn io(doing: impl Into<String>, error: io::Error) -> TopicError {
    use io::ErrorKind as Kind;
    let remedy = match error.kind() {
        Kind::PermissionDenied | Kind::ReadOnlyFilesystem => {
            "make the log's directory writable for this user, or choose another one"
        }
        Kind::NotADirectory | Kind::AlreadyExists => "choose a directory, not a file, for the log",
        Kind::InvalidFilename => "choose a shorter name",
        _ => return TopicError::unavailable(doing, error),
    };
    TopicError::refused(doing, error.to_string(), remedy)
}
