//! The synchronous core: everything that is done to the database, inside whatever transaction is open.
//!
//! The connection's mutex is never contended (one thread writes); it makes the core shareable, so that the seams'
//! traits can be implemented on it with futures that never wait.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pabal_core::clock::Clock;
use pabal_core::{Error, ErrorKind, Result};
use rusqlite::Connection;

use crate::cache::MessageCache;
use crate::errors::from_sqlite;
use crate::rows::RouteNumbers;
use crate::tx::Tx;

/// A database, and what is remembered of it.
pub(crate) struct Core {
    connection: Mutex<Connection>,
    clock: Arc<dyn Clock>,
    /// Numbers of routes; forgotten at a rollback, which may have undone one.
    routes: RouteNumbers,
    /// Messages of notifications; they never change once stored.
    messages: MessageCache,
}

impl Core {
    /// A core over a migrated database.
    pub(crate) fn new(connection: Connection, clock: Arc<dyn Clock>) -> Self {
        connection.set_prepared_statement_cache_capacity(128);
        let (routes, messages) = (RouteNumbers::default(), MessageCache::default());
        Self { connection: Mutex::new(connection), clock, routes, messages }
    }

    /// Runs statements inside whatever transaction is open.
    pub(crate) fn with<T>(&self, run: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T> {
        let connection = self.lock();
        let tx = Tx {
            connection: &connection,
            now: self.clock.now(),
            routes: &self.routes,
            messages: &self.messages,
        };
        run(&tx)
    }

    /// Begins the transaction that the next jobs run in.
    pub(crate) fn begin(&self) -> Result<()> {
        self.execute("begin", "BEGIN IMMEDIATE")
    }

    /// Commits; what fails to commit is rolled back whole.
    pub(crate) fn commit(&self) -> Result<()> {
        let committed = if self.is_lost() { Err(lost()) } else { self.execute("commit", "COMMIT") };
        if committed.is_err() {
            self.rollback();
        }
        committed
    }

    /// Back to the last commit, with nothing remembered that it did not hold.
    pub(crate) fn rollback(&self) {
        self.forget();
        if self.is_lost() {
            return;
        }
        if let Err(error) = self.execute("rollback", "ROLLBACK") {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }

    /// Does one piece of work in a savepoint, so that its failure undoes only what it did. A full disk can end the whole
    /// transaction under it: what came before it is undone too, and what comes after it does not begin, for it would be
    /// a transaction of its own.
    pub(crate) fn run(&self, work: impl FnOnce(&Core) -> Result<()>) -> Result<()> {
        if self.is_lost() {
            return Err(lost());
        }
        let done = self.execute("savepoint", "SAVEPOINT job").and_then(|()| self.guarded(work));
        let kept = match &done {
            Ok(()) => self.execute("release", "RELEASE job"),
            Err(_) => {
                self.forget();
                if self.is_lost() { Ok(()) } else { self.execute("undo", "ROLLBACK TO job; RELEASE job") }
            }
        };
        done.and(kept)
    }

    /// Work that panics fails alone: the writer goes on for everybody else.
    fn guarded(&self, work: impl FnOnce(&Core) -> Result<()>) -> Result<()> {
        std::panic::catch_unwind(AssertUnwindSafe(|| work(self))).unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Unexpected,
                "write",
                "a panic, whose message is in the log before this",
            ))
        })
    }

    /// Whether SQLite has ended the transaction by itself.
    fn is_lost(&self) -> bool {
        self.lock().is_autocommit()
    }

    /// Forgets what is remembered, as a new process would.
    pub(crate) fn forget(&self) {
        self.routes.forget();
        self.messages.forget();
    }

    fn execute(&self, operation: &'static str, sql: &'static str) -> Result<()> {
        self.lock().execute_batch(sql).map_err(|error| from_sqlite(operation, error))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lost() -> Error {
    Error::new(
        ErrorKind::Full,
        "commit",
        "the transaction was undone: the disk is full, or could not be written",
    )
}
