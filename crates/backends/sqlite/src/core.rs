//! The synchronous core: everything that is done to the database, inside whatever transaction is open.
//!
//! The connection's mutex is never contended (one thread writes); it makes the core shareable, so that the seams'
//! traits can be implemented on it with futures that never wait.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pabal_core::clock::{Clock, Timestamp};
use pabal_core::{Error, ErrorKind, Result};
use rusqlite::Connection;

use crate::cache::MessageCache;
use crate::errors::from_sqlite;
use crate::open::BUSY_WAIT_MAX;
use crate::rows::RouteNumbers;
use crate::tx::Tx;

/// How long emptying the log waits for those who read an old state of the database. All who write wait with it.
const READERS_WAIT_MAX: Duration = Duration::from_millis(100);
/// After how long it is tried again.
const EMPTY_LOG_AGAIN_MS: i64 = 10_000;

/// A database, and what is remembered of it.
pub(crate) struct Core {
    connection: Mutex<Connection>,
    transaction: Mutex<Transaction>,
    clock: Arc<dyn Clock>,
    /// Numbers of routes; forgotten at a rollback, which may have undone one.
    routes: RouteNumbers,
    /// Messages of notifications; they never change once stored.
    messages: MessageCache,
    /// When the log is to be emptied, if it is.
    empty_log_at: Mutex<Option<Timestamp>>,
}

/// Where the core stands between [`Core::begin`] and [`Core::commit`] or [`Core::rollback`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Transaction {
    /// Statements are on their own.
    None,
    /// Statements run in it.
    Open,
    /// It was undone before its commit, by an error of this kind: nothing runs any more, and nothing commits.
    Ended(ErrorKind),
}

impl Core {
    /// A core over a migrated database.
    pub(crate) fn new(connection: Connection, clock: Arc<dyn Clock>) -> Self {
        connection.set_prepared_statement_cache_capacity(256);
        let transaction = Mutex::new(Transaction::None);
        let (routes, messages) = (RouteNumbers::default(), MessageCache::default());
        let empty_log_at = Mutex::new(None);
        Self { connection: Mutex::new(connection), transaction, clock, routes, messages, empty_log_at }
    }

    /// What time is read from.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// Runs statements inside whatever transaction is open. Where that has ended early they don't run at all, for each
    /// would be a transaction of its own.
    pub(crate) fn with<T>(&self, run: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T> {
        self.alive()?;
        let connection = self.lock();
        let tx = Tx {
            connection: &connection,
            now: self.clock.now(),
            routes: &self.routes,
            messages: &self.messages,
        };
        let done = run(&tx);
        self.watched(&connection, done)
    }

    /// Begins the transaction that the next jobs run in.
    pub(crate) fn begin(&self) -> Result<()> {
        if !self.lock().is_autocommit() {
            self.execute("begin", "ROLLBACK")?;
        }
        self.execute("begin", "BEGIN IMMEDIATE")?;
        self.become_transaction(Transaction::Open);
        Ok(())
    }

    /// Commits; what fails to commit is rolled back whole.
    pub(crate) fn commit(&self) -> Result<()> {
        let committed = self.alive().and_then(|()| self.execute("commit", "COMMIT"));
        if committed.is_err() {
            self.rollback();
        }
        self.become_transaction(Transaction::None);
        committed
    }

    /// Back to the last commit, with nothing remembered that it did not hold.
    pub(crate) fn rollback(&self) {
        self.forget();
        self.roll_back();
        self.become_transaction(Transaction::None);
    }

    /// What fails here is tried again before the next transaction begins.
    fn roll_back(&self) {
        if self.lock().is_autocommit() {
            return;
        }
        if let Err(error) = self.execute("rollback", "ROLLBACK") {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }

    /// Does one piece of work in a savepoint, so that its failure undoes only what it did. An error of the disk can end
    /// the whole transaction under it: what came before it is undone too, and what comes after it does not begin.
    pub(crate) fn run(&self, work: impl FnOnce(&Core) -> Result<()>) -> Result<()> {
        self.alive()?;
        self.step("savepoint", "SAVEPOINT job")?;
        let done = self.guarded(work).and_then(|()| self.step("release", "RELEASE job"));
        if let Err(error) = &done {
            self.undo(error);
        }
        done
    }

    /// Undoes the job that failed so; if it can't be undone alone, then everything.
    fn undo(&self, error: &Error) {
        self.forget();
        if self.alive().is_err() {
            return;
        }
        if self.lock().is_autocommit() {
            return self.become_transaction(Transaction::Ended(error.kind()));
        }
        if let Err(error) = self.step("undo", "ROLLBACK TO job; RELEASE job") {
            tracing::error!(%error, "a job could not be undone alone; its whole transaction is undone");
            self.roll_back();
            self.become_transaction(Transaction::Ended(error.kind()));
        }
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

    /// Whether what runs now would be part of a commit.
    fn alive(&self) -> Result<()> {
        match *self.transaction.lock().unwrap_or_else(PoisonError::into_inner) {
            Transaction::None | Transaction::Open => Ok(()),
            Transaction::Ended(kind) => Err(lost(kind)),
        }
    }

    /// Looks, after statements, whether SQLite has ended the transaction by itself, and keeps what for.
    fn watched<T>(&self, connection: &Connection, done: Result<T>) -> Result<T> {
        let mut transaction = self.transaction.lock().unwrap_or_else(PoisonError::into_inner);
        if *transaction != Transaction::Open || !connection.is_autocommit() {
            return done;
        }
        let kind = done.as_ref().err().map_or(ErrorKind::Unavailable, Error::kind);
        *transaction = Transaction::Ended(kind);
        done.and_then(|_| Err(lost(kind)))
    }

    fn become_transaction(&self, transaction: Transaction) {
        *self.transaction.lock().unwrap_or_else(PoisonError::into_inner) = transaction;
    }

    /// Forgets what is remembered, as a new process would.
    pub(crate) fn forget(&self) {
        self.routes.forget();
        self.messages.forget();
    }

    /// Asks for an empty log after this commit, or as soon after it as may be: what was erased is still in it.
    pub(crate) fn empty_log_soon(&self) {
        *self.empty_log_at() = Some(self.clock.now());
    }

    /// Empties the log, where somebody has asked for it. Whoever reads an old state of the database keeps it: then it is
    /// tried again after a later commit.
    pub(crate) fn empty_log_if_asked(&self) {
        let now = self.clock.now();
        if self.empty_log_at().is_none_or(|at| at > now) {
            return;
        }
        let emptied = self.waiting_at_most(READERS_WAIT_MAX, Self::empty_log);
        if let Err(error) = &emptied {
            tracing::warn!(%error, "the database's log could not be brought into the file");
        }
        let is_empty = matches!(emptied, Ok(true));
        *self.empty_log_at() = (!is_empty).then(|| now.plus_ms(EMPTY_LOG_AGAIN_MS));
    }

    /// Brings everything from the log into the file, so that after a clean stop one file holds all.
    pub(crate) fn close(&self) {
        match self.empty_log() {
            Ok(true) => {}
            Ok(false) => tracing::warn!("somebody reads the database: its log is not yet in the file"),
            Err(error) => tracing::warn!(%error, "the database's log could not be brought into the file"),
        }
    }

    /// Brings the log into the file. Answers whether it is empty now.
    fn empty_log(&self) -> rusqlite::Result<bool> {
        let is_busy = |row: &rusqlite::Row<'_>| row.get::<_, bool>(0);
        self.lock().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], is_busy).map(|is_busy| !is_busy)
    }

    /// Does something with a shorter wait for others' locks.
    fn waiting_at_most<T>(
        &self,
        wait: Duration,
        run: impl FnOnce(&Self) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        self.lock().busy_timeout(wait)?;
        let done = run(self);
        self.lock().busy_timeout(BUSY_WAIT_MAX)?;
        done
    }

    fn empty_log_at(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.empty_log_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A statement that stays within the transaction.
    fn step(&self, operation: &'static str, sql: &'static str) -> Result<()> {
        let connection = self.lock();
        let done = connection.execute_batch(sql).map_err(|error| from_sqlite(operation, error));
        self.watched(&connection, done)
    }

    fn execute(&self, operation: &'static str, sql: &'static str) -> Result<()> {
        self.lock().execute_batch(sql).map_err(|error| from_sqlite(operation, error))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What everybody gets whose work was in a transaction that ended so. A mistake in one call says nothing about the others:
/// those may try again.
fn lost(kind: ErrorKind) -> Error {
    use ErrorKind::{Corrupt, Full, Locked, Unavailable};
    let kind = if matches!(kind, Corrupt | Full | Locked) { kind } else { Unavailable };
    Error::new(kind, "commit", "the transaction was undone, because one of its statements failed")
}

#[cfg(test)]
mod tests {
    use pabal_testkit::TestClock;

    use super::*;

    fn core() -> Core {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE kept (n INTEGER)").unwrap();
        Core::new(connection, Arc::new(TestClock::new()))
    }

    fn keep(core: &Core, n: i64) -> Result<()> {
        core.with(|tx| tx.run("test", "INSERT INTO kept VALUES (?1)", [n])).map(drop)
    }

    fn end_by(core: &Core, sql: &str, kind: ErrorKind) -> Result<()> {
        core.with(|tx| {
            tx.run("test", sql, [])?;
            Err(Error::new(kind, "test", "it failed"))
        })
    }

    fn kept(core: &Core) -> Vec<i64> {
        core.with(|tx| tx.all("test", "SELECT n FROM kept ORDER BY n", [], |row| row.get(0))).unwrap()
    }

    #[test]
    fn a_job_that_fails_is_undone_alone() {
        let core = core();
        core.begin().unwrap();
        core.run(|core| keep(core, 1)).unwrap();
        let failed = core.run(|core| {
            keep(core, 2)?;
            Err(Error::new(ErrorKind::LimitReached, "test", "no more"))
        });
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::LimitReached);
        core.run(|core| keep(core, 3)).unwrap();
        core.commit().unwrap();
        assert_eq!(kept(&core), [1, 3]);
    }

    #[test]
    fn what_cannot_be_undone_alone_takes_the_whole_transaction_with_it() {
        let core = core();
        core.begin().unwrap();
        core.run(|core| keep(core, 1)).unwrap();
        // Without its savepoint it can't be undone.
        let failed = core.run(|core| {
            keep(core, 2)?;
            end_by(core, "RELEASE job", ErrorKind::LimitReached)
        });
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::LimitReached);
        let later = core.run(|core| keep(core, 3)).unwrap_err();
        assert_eq!((later.kind(), later.is_temporary()), (ErrorKind::Unavailable, true), "{later}");
        assert!(core.commit().unwrap_err().is_temporary());
        assert!(kept(&core).is_empty());

        core.begin().unwrap();
        core.run(|core| keep(core, 4)).unwrap();
        core.commit().unwrap();
        assert_eq!(kept(&core), [4]);
    }

    #[test]
    fn what_ended_a_transaction_is_told_to_all_of_it() {
        for kind in [ErrorKind::Full, ErrorKind::Unavailable, ErrorKind::Corrupt] {
            let core = core();
            core.begin().unwrap();
            core.run(|core| keep(core, 1)).unwrap();
            let failed = core.run(|core| {
                keep(core, 2)?;
                end_by(core, "ROLLBACK", kind).unwrap_err();
                // What the job does to tidy up is no transaction of its own.
                keep(core, 3)
            });
            assert_eq!(failed.unwrap_err().kind(), kind);
            assert_eq!(core.run(|core| keep(core, 4)).unwrap_err().kind(), kind);
            assert_eq!(core.commit().unwrap_err().kind(), kind);
            assert!(kept(&core).is_empty());
        }
    }

    #[test]
    fn a_panic_that_leaves_no_transaction_loses_it() {
        let core = core();
        core.begin().unwrap();
        let failed = core.run(|core| {
            core.with(|tx| {
                tx.run("test", "ROLLBACK", [])?;
                panic!("in the middle of it")
            })
        });
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::Unexpected);
        assert_eq!(core.run(|core| keep(core, 1)).unwrap_err().kind(), ErrorKind::Unavailable);
        assert!(core.commit().is_err());
        assert!(kept(&core).is_empty());
    }

    #[test]
    fn what_was_left_open_is_rolled_back_first() {
        let core = core();
        core.begin().unwrap();
        core.run(|core| keep(core, 1)).unwrap();
        core.begin().unwrap();
        core.run(|core| keep(core, 2)).unwrap();
        core.commit().unwrap();
        assert_eq!(kept(&core), [2]);
    }
}
