//! The reference model proves itself as every backend does.

use std::sync::Arc;

use async_trait::async_trait;
use pabal_core::chance::SeededChance;
use pabal_core::seam::{Ledger, Queue, Store};
use pabal_memory::{MemoryLedger, MemoryQueue, MemoryStore};
use pabal_testkit::TestClock;
use pabal_testkit::ledger::{LedgerHarness, QueueServer};
use pabal_testkit::queue::QueueHarness;

/// A queue in memory stands for a server of its own: it outlives the processes that use it.
struct MemoryQueueHarness {
    clock: TestClock,
    queue: Arc<MemoryQueue>,
}

impl MemoryQueueHarness {
    fn new() -> Self {
        let clock = TestClock::new();
        let queue = Arc::new(MemoryQueue::new(Arc::new(clock.clone())));
        Self { clock, queue }
    }
}

#[async_trait]
impl QueueHarness for MemoryQueueHarness {
    fn queue(&self) -> Arc<dyn Queue> {
        self.queue.clone()
    }

    fn clock(&self) -> TestClock {
        self.clock.clone()
    }

    fn leases_survive_restart(&self) -> bool {
        true
    }

    async fn wipe(&self) {
        self.queue.wipe();
    }

    async fn restart(&mut self) {}
}

mod queue {
    use super::MemoryQueueHarness;

    pabal_testkit::queue_suite!(MemoryQueueHarness::new());
}

/// Queue and store as one stand for an embedded database: it knows its boot, and frees what an earlier one had leased.
struct MemoryLedgerHarness {
    clock: TestClock,
    queue: Arc<MemoryQueue>,
    store: Arc<MemoryStore>,
    ledger: Arc<MemoryLedger>,
}

impl MemoryLedgerHarness {
    fn new() -> Self {
        let clock = TestClock::new();
        let queue = Arc::new(MemoryQueue::new(Arc::new(clock.clone())));
        let store = Arc::new(MemoryStore::new(Arc::new(clock.clone()), &SeededChance::from_seed(1)));
        let ledger = Arc::new(MemoryLedger::new(queue.clone(), store.clone()));
        Self { clock, queue, store, ledger }
    }
}

#[async_trait]
impl LedgerHarness for MemoryLedgerHarness {
    const HISTORIES: u32 = 512;

    fn ledger(&self) -> Arc<dyn Ledger> {
        self.ledger.clone()
    }

    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn clock(&self) -> TestClock {
        self.clock.clone()
    }

    fn queue_server(&self) -> Option<QueueServer> {
        None
    }

    fn leases_survive_restart(&self) -> bool {
        false
    }

    async fn restart(&mut self) {
        self.queue.end_leases();
        self.ledger = Arc::new(MemoryLedger::new(self.queue.clone(), self.store.clone()));
    }
}

mod ledger {
    use super::MemoryLedgerHarness;

    pabal_testkit::ledger_suite!(MemoryLedgerHarness::new());
}
