//! SQLite's errors as the seams' errors: what, and whether the same call may succeed later.

use pabal_core::{Error, ErrorKind};
use rusqlite::ErrorCode;

/// What a failed statement of `operation` means.
pub(crate) fn from_sqlite(operation: &'static str, error: rusqlite::Error) -> Error {
    let (kind, message) = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => (ErrorKind::Full, "the disk (or the database's size limit) is full"),
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => {
            (ErrorKind::Unavailable, "the database file can't be read or written")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (ErrorKind::Locked, "another process holds the database file")
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            (ErrorKind::Unavailable, "the database file may not be written")
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            (ErrorKind::Corrupt, "the database file is damaged or no database")
        }
        _ => (ErrorKind::Unexpected, "a statement failed"),
    };
    Error::new(kind, operation, message).with_source(error)
}

/// What is stored, and can't be what it should be.
pub(crate) fn corrupt(operation: &'static str, what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, operation, format!("stored data can't be read: {what}"))
}
