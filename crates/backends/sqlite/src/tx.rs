//! What statements run with: the connection, inside whatever transaction is open, the time, and what is remembered.

use pabal_core::clock::Timestamp;
use pabal_core::{ErrorKind, Result};
use rusqlite::{Connection, OptionalExtension, Params, Row};

use crate::cache::MessageCache;
use crate::errors::from_sqlite;
use crate::rows::RouteNumbers;

/// What a statement works with: the connection, the time, and what is remembered.
pub(crate) struct Tx<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) now: Timestamp,
    pub(crate) routes: &'a RouteNumbers,
    pub(crate) messages: &'a MessageCache,
}

impl Tx<'_> {
    /// Runs a statement; answers how many rows it changed.
    pub(crate) fn run(&self, operation: &'static str, sql: &str, parameters: impl Params) -> Result<usize> {
        let run = self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute(parameters));
        run.map_err(|error| from_sqlite(operation, error))
    }

    /// Runs what is written whole or not at all: for items whose errors are passed over. Where it can't be undone alone,
    /// that is the error.
    pub(crate) fn whole<T>(&self, operation: &'static str, write: impl FnOnce() -> Result<T>) -> Result<T> {
        self.run(operation, "SAVEPOINT item", [])?;
        let written = write();
        let undone = match &written {
            Ok(_) => Ok(0),
            Err(_) => self.run(operation, "ROLLBACK TO item", []),
        };
        match (written, undone.and_then(|_| self.run(operation, "RELEASE item", []))) {
            (Err(error), Err(_)) if error.kind() != ErrorKind::Corrupt => Err(error),
            (_, Err(error)) => Err(error),
            (written, Ok(_)) => written,
        }
    }

    /// The first row of a query, if it has one.
    pub(crate) fn first<T>(
        &self,
        operation: &'static str,
        sql: &str,
        parameters: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        let statement = self.connection.prepare_cached(sql);
        let first = statement.and_then(|mut statement| statement.query_row(parameters, read).optional());
        first.map_err(|error| from_sqlite(operation, error))
    }

    /// All rows of a query.
    pub(crate) fn all<T>(
        &self,
        operation: &'static str,
        sql: &str,
        parameters: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let statement = self.connection.prepare_cached(sql);
        let all = statement.and_then(|mut statement| statement.query_map(parameters, read)?.collect());
        all.map_err(|error| from_sqlite(operation, error))
    }
}
