//! The reference model proves itself as every backend does.

use std::sync::Arc;

use async_trait::async_trait;
use pabal_core::seam::Queue;
use pabal_memory::MemoryQueue;
use pabal_testkit::TestClock;
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
