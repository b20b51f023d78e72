//! A folder with a database file in it, and the processes that open it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pabal_core::Result;
use pabal_core::chance::SeededChance;
use pabal_core::ids::KeyId;
use pabal_core::seam::store::KeyRecord;
use pabal_core::seam::{Claim, Ledger, Want, Work, Worker};
use pabal_sqlite::{Sqlite, SqliteConfig};
use pabal_testkit::TestClock;
use pabal_testkit::clock::START;
use pabal_testkit::fixtures::{APP, VISIBILITY_MS, all_routes};
use rusqlite::Connection;
use tempfile::TempDir;

pub(crate) struct World {
    folder: TempDir,
    pub(crate) clock: TestClock,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), clock: TestClock::new() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("pabal.db")
    }

    /// Starts a process over the file.
    pub(crate) fn open(&self) -> Sqlite {
        self.try_open(&SqliteConfig::at(self.path())).unwrap()
    }

    pub(crate) fn try_open(&self, config: &SqliteConfig) -> Result<Sqlite> {
        Sqlite::open(config, Arc::new(self.clock.clone()), Arc::new(SeededChance::from_seed(7)))
    }

    /// Why the file can't be opened.
    pub(crate) fn refusal(&self) -> pabal_core::Error {
        match self.try_open(&SqliteConfig::at(self.path())) {
            Ok(_) => panic!("it was opened"),
            Err(error) => error,
        }
    }

    /// The file as SQLite sees it, without Pabal.
    pub(crate) fn raw(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }
}

/// The key number `n`, made at the beginning.
pub(crate) fn key(n: u8, name: &str) -> KeyRecord {
    KeyRecord {
        id: KeyId::new(START, [n; 10]),
        hash: [n; 32],
        app: APP,
        name: name.to_owned(),
        scopes: vec!["send".to_owned(), "manage".to_owned()],
        created_at: START,
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
    }
}

/// How many commits the write-ahead log of a database holds. See "WAL File Format" in SQLite's documentation: a frame
/// that ends a commit names the size of the database after it.
pub(crate) fn commits_in_log(database: &Path) -> usize {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let log = std::fs::read(log).unwrap();
    let number = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap());
    let (page_size, salts) = (number(8) as usize, &log[16..24]);
    let frames = (32..log.len()).step_by(24 + page_size).filter(|at| at + 24 + page_size <= log.len());
    frames.filter(|at| log[at + 8..at + 16] == *salts && number(at + 4) != 0).count()
}

/// Lets everything that was spawned on this thread run until it waits for the writer.
pub(crate) async fn all_are_submitted() {
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
}

/// Claims whatever ordinary work is due.
pub(crate) async fn claim(ledger: &dyn Ledger, worker: u64) -> Vec<Work> {
    let want = Want::Ordinary(all_routes().into_iter().map(|route| (route, 1000)).collect());
    let claim = Claim { want, worker: Worker(worker), visibility_ms: VISIBILITY_MS };
    ledger.claim(claim).await.unwrap().work
}
