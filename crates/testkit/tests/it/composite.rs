//! The composite of a queue's server and a store's, each with its own clock.

use std::sync::Arc;

use async_trait::async_trait;
use pabal_core::chance::{Chance, SeededChance};
use pabal_core::seam::{Ledger, Store};
use pabal_engine::Composite;
use pabal_memory::{MemoryQueue, MemoryStore};
use pabal_sqlite::{Sqlite, SqliteConfig};
use pabal_testkit::TestClock;
use pabal_testkit::faults::CutQueue;
use pabal_testkit::ledger::{LedgerHarness, QueueServer};
use tempfile::TempDir;

/// How far the two servers' clocks are apart.
const QUEUE_IS_AHEAD_MS: i64 = 12_345;

/// The server of a store: what is left of it when a process ends.
pub(crate) trait StoreServer: Send + Sync + 'static {
    /// How many random histories are worth their time on it.
    const HISTORIES: u32;

    fn start(clock: &TestClock) -> Self;
    fn store(&self) -> Arc<dyn Store>;
    /// The process that held it is gone, and another comes.
    fn restart(&mut self, clock: &TestClock);
}

impl StoreServer for Arc<MemoryStore> {
    const HISTORIES: u32 = 512;

    fn start(clock: &TestClock) -> Self {
        Arc::new(MemoryStore::new(Arc::new(clock.clone()), &SeededChance::from_seed(1)))
    }

    fn store(&self) -> Arc<dyn Store> {
        self.clone()
    }

    fn restart(&mut self, _clock: &TestClock) {}
}

/// A file, and the process that has it open.
pub(crate) struct SqliteFile {
    folder: TempDir,
    /// `None` only between two processes.
    open: Option<Sqlite>,
}

impl SqliteFile {
    fn open(&mut self, clock: &TestClock) {
        let config = SqliteConfig::at(self.folder.path().join("pabal.db"));
        let chance = Arc::new(SeededChance::from_seed(1));
        self.open = Some(Sqlite::open(&config, Arc::new(clock.clone()), chance).expect("a database"));
    }
}

impl StoreServer for SqliteFile {
    const HISTORIES: u32 = 48;

    fn start(clock: &TestClock) -> Self {
        let mut file = Self { folder: TempDir::new().expect("a folder"), open: None };
        file.open(clock);
        file
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.open.as_ref().expect("it is open").store())
    }

    fn restart(&mut self, clock: &TestClock) {
        self.open = None;
        self.open(clock);
    }
}

/// A queue in memory, at the other end of a line, over any store.
pub(crate) struct CompositeHarness<S> {
    clock: TestClock,
    server: QueueServer,
    store: S,
    /// `None` only between two processes.
    ledger: Option<Arc<Composite>>,
}

impl<S: StoreServer> CompositeHarness<S> {
    pub(crate) fn new() -> Self {
        let clock = TestClock::new();
        let queue_clock = clock.twin();
        queue_clock.set_by(QUEUE_IS_AHEAD_MS);
        let queue = Arc::new(MemoryQueue::new(Arc::new(queue_clock.clone())));
        let line = Arc::new(CutQueue::new(queue.clone()));
        let wiped = queue.clone();
        let server = QueueServer { clock: queue_clock, line, queue, wipe: Arc::new(move || wiped.wipe()) };
        let mut harness = Self { store: S::start(&clock), clock, server, ledger: None };
        harness.compose();
        harness
    }

    fn compose(&mut self) {
        let chance: Arc<dyn Chance> = Arc::new(SeededChance::from_seed(2));
        self.ledger = Some(Arc::new(Composite::new(self.server.line.clone(), self.store.store(), chance)));
    }
}

#[async_trait]
impl<S: StoreServer> LedgerHarness for CompositeHarness<S> {
    const HISTORIES: u32 = S::HISTORIES;

    fn ledger(&self) -> Arc<dyn Ledger> {
        self.ledger.clone().expect("a process runs")
    }

    fn store(&self) -> Arc<dyn Store> {
        self.store.store()
    }

    fn clock(&self) -> TestClock {
        self.clock.clone()
    }

    fn queue_server(&self) -> Option<QueueServer> {
        Some(self.server.clone())
    }

    fn leases_survive_restart(&self) -> bool {
        true
    }

    async fn restart(&mut self) {
        self.ledger = None;
        self.store.restart(&self.clock);
        self.compose();
    }
}
