//! SQLite's errors as the seams' errors: what, and whether the same call may succeed later.

use pabal_core::{Error, ErrorKind};
use rusqlite::ErrorCode;

/// What a failed statement of `operation` means.
pub(crate) fn from_sqlite(operation: &'static str, error: rusqlite::Error) -> Error {
    let (kind, message) = match error.sqlite_error_code() {
        Some(code) => of_code(code),
        None if is_about_a_value(&error) => (ErrorKind::Corrupt, "stored data can't be read"),
        None => (ErrorKind::Unexpected, "a statement failed"),
    };
    Error::new(kind, operation, message).with_source(error)
}

/// SQLite's primary codes; the extended ones (`SQLITE_IOERR_FSYNC`) count as theirs. See sqlite.org/rescode.html.
fn of_code(code: ErrorCode) -> (ErrorKind, &'static str) {
    match code {
        ErrorCode::DiskFull => (ErrorKind::Full, "the disk (or the database's size limit) is full"),
        ErrorCode::SystemIoFailure | ErrorCode::CannotOpen => {
            (ErrorKind::Unavailable, "the database file can't be read or written")
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            (ErrorKind::Locked, "another process holds the database file")
        }
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => {
            (ErrorKind::Unavailable, "the database file may not be written")
        }
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
            (ErrorKind::Corrupt, "the database file is damaged or no database")
        }
        ErrorCode::OutOfMemory => (ErrorKind::Unavailable, "there is no memory left"),
        ErrorCode::FileLockingProtocolFailed => (ErrorKind::Unavailable, "the database file can't be locked"),
        ErrorCode::OperationInterrupted | ErrorCode::OperationAborted | ErrorCode::SchemaChanged => {
            (ErrorKind::Unavailable, "the statement was interrupted")
        }
        _ => (ErrorKind::Unexpected, "a statement failed"),
    }
}

/// Whether a stored value is not what its column is read as: a number out of range, bytes that are no text.
fn is_about_a_value(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
    matches!(
        error,
        FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..)
    )
}

/// What is stored, and can't be what it should be.
pub(crate) fn corrupt(operation: &'static str, what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, operation, format!("stored data can't be read: {what}"))
}

#[cfg(test)]
mod tests {
    use rusqlite::{Connection, ffi};

    use super::*;

    fn of(code: i32) -> (ErrorKind, bool) {
        let error = from_sqlite("test", rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        (error.kind(), error.is_temporary())
    }

    #[test]
    fn what_may_go_by_itself_is_temporary() {
        let unavailable = [
            ffi::SQLITE_NOMEM,
            ffi::SQLITE_INTERRUPT,
            ffi::SQLITE_PROTOCOL,
            ffi::SQLITE_ABORT_ROLLBACK,
            ffi::SQLITE_SCHEMA,
            ffi::SQLITE_IOERR,
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_IOERR_NOMEM,
            ffi::SQLITE_CANTOPEN,
            ffi::SQLITE_READONLY,
        ];
        for code in unavailable {
            assert_eq!(of(code), (ErrorKind::Unavailable, true), "{code}");
        }
        assert_eq!(of(ffi::SQLITE_FULL), (ErrorKind::Full, true));
        assert_eq!(of(ffi::SQLITE_BUSY_SNAPSHOT), (ErrorKind::Locked, true));
    }

    #[test]
    fn what_stays_is_permanent() {
        assert_eq!(of(ffi::SQLITE_CORRUPT), (ErrorKind::Corrupt, false));
        for code in [ffi::SQLITE_ERROR, ffi::SQLITE_CONSTRAINT, ffi::SQLITE_MISUSE, ffi::SQLITE_TOOBIG] {
            assert_eq!(of(code), (ErrorKind::Unexpected, false), "{code}");
        }
    }

    #[test]
    fn values_that_cannot_be_read_are_corrupt() {
        let connection = Connection::open_in_memory().unwrap();
        let read = |sql| connection.query_row(sql, [], |row| row.get::<_, u32>(0));
        for sql in ["SELECT -1", "SELECT 'word'"] {
            assert_eq!(from_sqlite("test", read(sql).unwrap_err()).kind(), ErrorKind::Corrupt, "{sql}");
        }
        let text = connection.query_row("SELECT CAST(x'ff' AS TEXT)", [], |row| row.get::<_, String>(0));
        assert_eq!(from_sqlite("test", text.unwrap_err()).kind(), ErrorKind::Corrupt);
        let id = connection.query_row("SELECT x'00'", [], |row| row.get::<_, [u8; 16]>(0));
        assert_eq!(from_sqlite("test", id.unwrap_err()).kind(), ErrorKind::Corrupt);
    }
}
