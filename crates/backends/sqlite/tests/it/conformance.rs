//! The suites of every backend, over a file.

use std::sync::Arc;

use async_trait::async_trait;
use pabal_core::seam::{Ledger, Queue, Store};
use pabal_sqlite::Sqlite;
use pabal_testkit::TestClock;
use pabal_testkit::ledger::{LedgerHarness, QueueServer};
use pabal_testkit::queue::QueueHarness;

use crate::world::World;

struct Harness {
    world: World,
    /// `None` only between two processes.
    process: Option<Sqlite>,
}

impl Harness {
    fn new() -> Self {
        let world = World::new();
        let process = Some(world.open());
        Self { world, process }
    }

    fn process(&self) -> &Sqlite {
        self.process.as_ref().expect("a process")
    }
}

#[async_trait]
impl QueueHarness for Harness {
    fn queue(&self) -> Arc<dyn Queue> {
        Arc::new(self.process().queue())
    }

    fn clock(&self) -> TestClock {
        self.world.clock.clone()
    }

    fn leases_survive_restart(&self) -> bool {
        false
    }

    /// Nobody can lose the queue of a file apart from its store; the suite wants to know what would be.
    async fn wipe(&self) {
        let all =
            "BEGIN IMMEDIATE; DELETE FROM queue; DELETE FROM queue_counts; DELETE FROM queue_binding; COMMIT";
        self.world.raw().execute_batch(all).expect("a wipe");
    }

    /// The cases keep the queue in their hands meanwhile, so the file can't be opened anew.
    async fn restart(&mut self) {
        self.process().restart().expect("a restart");
    }
}

#[async_trait]
impl LedgerHarness for Harness {
    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(self.process().ledger())
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.process().store())
    }

    fn clock(&self) -> TestClock {
        self.world.clock.clone()
    }

    fn queue_server(&self) -> Option<QueueServer> {
        None
    }

    fn leases_survive_restart(&self) -> bool {
        false
    }

    async fn restart(&mut self) {
        self.process = None;
        self.process = Some(self.world.open());
    }
}

mod queue {
    use super::Harness;

    pabal_testkit::queue_suite!(Harness::new());
}

mod ledger {
    use super::Harness;

    pabal_testkit::ledger_suite!(Harness::new());
}
