//! Reading beside the writer: connections of their own, so that a long read delays no commit. The simulator reads over
//! the one connection that it has.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use pabal_core::{Error, ErrorKind, Result};
use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use crate::core::Core;
use crate::errors::from_sqlite;
use crate::open::BUSY_WAIT_MAX;

/// Where reads go.
#[derive(Clone)]
pub(crate) enum Reads {
    /// To connections of their own, on threads that may block.
    Pool(Arc<Pool>),
    /// To the writer's connection, at once.
    Inline(Arc<Core>),
}

/// Connections for reading.
pub(crate) struct Pool {
    idle: Mutex<Vec<Connection>>,
    free: Arc<Semaphore>,
}

impl Pool {
    /// Opens `count` connections on a file.
    pub(crate) fn open(path: &Path, count: usize) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connect = || {
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(BUSY_WAIT_MAX)?;
            connection.set_prepared_statement_cache_capacity(64);
            Ok(connection)
        };
        let idle: rusqlite::Result<Vec<Connection>> = (0..count.max(1)).map(|_| connect()).collect();
        let idle = idle.map_err(|error| from_sqlite("open", error))?;
        Ok(Self { free: Arc::new(Semaphore::new(idle.len())), idle: Mutex::new(idle) })
    }

    fn take(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn give_back(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

impl Reads {
    /// Reads what is committed.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        read: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let pool = match self {
            Reads::Inline(core) => return core.with(|tx| read(tx.connection)),
            Reads::Pool(pool) => Arc::clone(pool),
        };
        let gone = || Error::new(ErrorKind::Unexpected, operation, "a reading connection is gone");
        let permit = Arc::clone(&pool.free).acquire_owned().await.map_err(|_| gone())?;
        let reading = tokio::task::spawn_blocking(move || {
            let connection = pool.take().ok_or_else(gone)?;
            let value = read(&connection);
            pool.give_back(connection);
            drop(permit);
            value
        });
        reading.await.map_err(|error| gone().with_source(error))?
    }
}

/// Runs several reads on one state of the database: nothing is committed between them, as far as they see. A savepoint,
/// because the simulator's connection may be in a transaction already; elsewhere it begins one that only reads.
pub(crate) fn at_one_moment<T>(
    connection: &Connection,
    operation: &'static str,
    read: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let run = |sql| connection.execute_batch(sql).map_err(|error| from_sqlite(operation, error));
    run("SAVEPOINT reading")?;
    let value = read();
    run("RELEASE reading")?;
    value
}
