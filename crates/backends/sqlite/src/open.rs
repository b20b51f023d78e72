//! Opening a database: one process, one writer, WAL with `synchronous=FULL`.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pabal_core::chance::Chance;
use pabal_core::clock::Clock;
use pabal_core::{Error, ErrorKind, Result};
use rusqlite::Connection;

use crate::config::SqliteConfig;
use crate::core::Core;
use crate::errors::from_sqlite;
use crate::ledger::{SqliteLedger, SqliteQueue};
use crate::port::{CommitHook, Inline, Port, WriterThread};
use crate::reads::{Pool, Reads};
use crate::schema;
use crate::store::SqliteStore;

/// Bytes of a page. Small ones, because retries touch rows in random order, and each touched page is logged whole.
const PAGE_SIZE: u32 = 1024;
/// Pages of the write-ahead log after which it is checkpointed: about 80 MB. Seldom is cheaper, for the same reason.
const CHECKPOINT_PAGES: u32 = 80_000;
/// How long a connection waits for another program's lock before it answers [`Locked`](ErrorKind::Locked). No second
/// server can hold one (the lock file keeps it out); a backup or somebody's `sqlite3` can, and everything that waits to
/// be written waits with it.
pub(crate) const BUSY_WAIT_MAX: Duration = Duration::from_secs(5);

/// An open database. Its handles may outlive it; the file is released when the last of them is gone.
pub struct Sqlite {
    core: Arc<Core>,
    port: Arc<dyn Port>,
    reads: Reads,
    /// `None` in memory.
    file: Option<Arc<Path>>,
}

/// The lock on a database file: held as long as the writer lives, freed by the system when the process dies.
struct FileLock {
    _file: File,
}

impl Sqlite {
    /// Opens a file, or makes it. Leases of an earlier process are free at once.
    ///
    /// # Errors
    /// [`Locked`](ErrorKind::Locked) where another process has it, [`Corrupt`](ErrorKind::Corrupt) where it is damaged
    /// or another program's, [`SchemaTooNew`](ErrorKind::SchemaTooNew), [`Unavailable`](ErrorKind::Unavailable) where
    /// it can't be read or written.
    ///
    /// While another program holds the file's write lock, this and all later writes wait for it, up to five seconds, and
    /// are then [`Locked`](ErrorKind::Locked), which is temporary.
    pub fn open(config: &SqliteConfig, clock: Arc<dyn Clock>, chance: Arc<dyn Chance>) -> Result<Self> {
        let path = &config.path;
        let lock = lock(path)?;
        let opened = connect(config).and_then(|connection| prepare(connection, clock, &*chance));
        let core = Arc::new(opened.map_err(|error| at(path, error))?);
        let port = Arc::new(Locked { writer: WriterThread::start(Arc::clone(&core))?, _lock: lock });
        let reads = Reads::Pool(Arc::new(Pool::open(path, config.readers).map_err(|error| at(path, error))?));
        Ok(Self { core, port, reads, file: Some(Arc::from(path.as_path())) })
    }

    /// A database in memory, for simulators: each job runs at once on the caller's task, and `hook` decides around each
    /// commit. What was committed outlives a simulated crash as long as this value does.
    ///
    /// # Errors
    /// If SQLite fails, which it does not in memory.
    pub fn in_memory(
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
        hook: Arc<dyn CommitHook>,
    ) -> Result<Self> {
        let connection = Connection::open_in_memory().map_err(|error| from_sqlite("open", error))?;
        let core = Arc::new(prepare(connection, clock, &*chance)?);
        let port = Arc::new(Inline { core: Arc::clone(&core), hook });
        Ok(Self { reads: Reads::Inline(Arc::clone(&core)), core, port, file: None })
    }

    /// What a new process does with a database that an earlier one left: rolls back what was not committed, forgets
    /// what was remembered, and frees the earlier process's leases.
    ///
    /// # Errors
    /// If the database fails.
    pub fn restart(&self) -> Result<()> {
        self.core.rollback();
        self.core.begin()?;
        self.core.free_leases()?;
        self.core.commit()
    }

    /// Queue and store as one ledger.
    pub fn ledger(&self) -> SqliteLedger {
        SqliteLedger { port: Arc::clone(&self.port), reads: self.reads.clone() }
    }

    /// The store alone, for a queue elsewhere too.
    pub fn store(&self) -> SqliteStore {
        SqliteStore {
            port: Arc::clone(&self.port),
            reads: self.reads.clone(),
            clock: self.core.clock(),
            file: self.file.clone(),
        }
    }

    /// The queue alone.
    pub fn queue(&self) -> SqliteQueue {
        SqliteQueue { port: Arc::clone(&self.port) }
    }
}

/// The writer with the lock on its file. The writer is declared first: it ends before the lock does.
struct Locked {
    writer: WriterThread,
    _lock: FileLock,
}

#[async_trait::async_trait]
impl Port for Locked {
    async fn submit(&self, job: Box<dyn crate::port::Job>) {
        self.writer.submit(job).await;
    }
}

fn prepare(connection: Connection, clock: Arc<dyn Clock>, chance: &dyn Chance) -> Result<Core> {
    schema::migrate(&connection, clock.now(), sixteen_bytes(chance))?;
    let core = Core::new(connection, clock);
    core.begin()?;
    core.free_leases()?;
    core.commit()?;
    Ok(core)
}

/// Makes the file, if it is not there, so that its owner alone may read it: it holds tokens and messages. What SQLite puts
/// beside it gets the same mode.
fn create(path: &Path) -> Result<()> {
    let created = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
    match created {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            let message = "the file can't be made";
            Err(Error::new(ErrorKind::Unavailable, "open", message).with_source(error))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

fn connect(config: &SqliteConfig) -> Result<Connection> {
    create(&config.path)?;
    let connection = Connection::open(&config.path).map_err(|error| from_sqlite("open", error))?;
    connection.busy_timeout(BUSY_WAIT_MAX).map_err(|error| from_sqlite("open", error))?;
    schema::check(&connection)?;
    let set = || -> rusqlite::Result<()> {
        connection.pragma_update(None, "page_size", PAGE_SIZE)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "cache_size", -65_536)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        // What is erased is overwritten: a settle costs 1.5 % more for it, and its log 3 %. FAST leaves a third there.
        connection.pragma_update(None, "secure_delete", true)?;
        if let Some(pages) = config.pages_max {
            connection.pragma_update(None, "max_page_count", pages)?;
        }
        Ok(())
    };
    set().map_err(|error| from_sqlite("open", error))?;
    Ok(connection)
}

fn lock(path: &Path) -> Result<FileLock> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let message =
            format!("{}: the folder {} does not exist; create it", path.display(), folder.display());
        return Err(Error::new(ErrorKind::Conflict, "open", message));
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&name).map_err(|error| {
        let message = format!("the folder of {} can't be written to", path.display());
        Error::new(ErrorKind::Unavailable, "open", message).with_source(error)
    })?;
    match file.try_lock() {
        Ok(()) => Ok(FileLock { _file: file }),
        Err(TryLockError::WouldBlock) => {
            let message = format!(
                "{} is in use by another process. A SQLite file belongs to one server: stop the other one first, or \
                 name another file",
                path.display()
            );
            Err(Error::new(ErrorKind::Locked, "open", message))
        }
        Err(TryLockError::Error(error)) => {
            let message = format!("{} can't be locked", path.display());
            Err(Error::new(ErrorKind::Unavailable, "open", message).with_source(error))
        }
    }
}

fn at(path: &Path, error: Error) -> Error {
    Error::new(error.kind(), "open", format!("{}: {}", path.display(), error.message()))
}

fn sixteen_bytes(chance: &dyn Chance) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&chance.next_u64().to_le_bytes());
    bytes[8..].copy_from_slice(&chance.next_u64().to_le_bytes());
    bytes
}
