//! Faults as a layer over a seam: a queue at the end of a line that a test can cut.
//!
//! A line can break before a request arrives, when nothing has happened, or after, when everything has and only the
//! answer is lost. A ledger over two servers must come through both, at every step.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use async_trait::async_trait;
use pabal_core::ids::ItemId;
use pabal_core::seam::{
    Binding, Claim, Generation, Lease, Leased, Queue, QueueItem, QueueSettle, Removed, RouteCount, Settle,
};
use pabal_core::{Error, ErrorKind, Result};

/// Where a line is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Cut {
    /// Nowhere.
    Mended = 0,
    /// Requests don't arrive.
    Requests = 1,
    /// Requests arrive and are carried out; their answers are lost.
    Answers = 2,
}

/// A queue at the other end of a line.
pub struct CutQueue {
    queue: Arc<dyn Queue>,
    cut: AtomicU8,
}

impl CutQueue {
    /// A line in good order.
    pub fn new(queue: Arc<dyn Queue>) -> Self {
        Self { queue, cut: AtomicU8::new(Cut::Mended as u8) }
    }

    /// Cuts or mends the line, for every later call.
    pub fn cut(&self, cut: Cut) {
        self.cut.store(cut as u8, Ordering::SeqCst);
    }

    fn before(&self, operation: &'static str) -> Result<&dyn Queue> {
        if self.cut.load(Ordering::SeqCst) == Cut::Requests as u8 {
            return Err(lost(operation));
        }
        Ok(&*self.queue)
    }

    fn after<T>(&self, operation: &'static str, answer: Result<T>) -> Result<T> {
        if self.cut.load(Ordering::SeqCst) == Cut::Answers as u8 { Err(lost(operation)) } else { answer }
    }
}

fn lost(operation: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, operation, "the line to the queue is cut")
}

#[async_trait]
impl Queue for CutQueue {
    async fn bind(&self, binding: &Binding) -> Result<Option<Generation>> {
        let answer = self.before("bind")?.bind(binding).await;
        self.after("bind", answer)
    }

    async fn open_generation(&self, generation: Generation) -> Result<()> {
        let answer = self.before("open_generation")?.open_generation(generation).await;
        self.after("open_generation", answer)
    }

    async fn enqueue(&self, items: &[QueueItem]) -> Result<()> {
        let answer = self.before("enqueue")?.enqueue(items).await;
        self.after("enqueue", answer)
    }

    async fn claim(&self, claim: &Claim) -> Result<Leased> {
        let answer = self.before("claim")?.claim(claim).await;
        self.after("claim", answer)
    }

    async fn settle(&self, items: &[QueueSettle]) -> Result<Vec<Settle>> {
        let answer = self.before("settle")?.settle(items).await;
        self.after("settle", answer)
    }

    async fn release(&self, leases: &[Lease]) -> Result<Vec<Settle>> {
        let answer = self.before("release")?.release(leases).await;
        self.after("release", answer)
    }

    async fn extend(&self, leases: &[Lease], visibility_ms: u64) -> Result<Vec<Option<Lease>>> {
        let answer = self.before("extend")?.extend(leases, visibility_ms).await;
        self.after("extend", answer)
    }

    async fn remove(&self, ids: &[ItemId]) -> Result<Vec<Removed>> {
        let answer = self.before("remove")?.remove(ids).await;
        self.after("remove", answer)
    }

    async fn contains(&self, ids: &[ItemId]) -> Result<Vec<bool>> {
        let answer = self.before("contains")?.contains(ids).await;
        self.after("contains", answer)
    }

    async fn counts(&self) -> Result<Vec<RouteCount>> {
        let answer = self.before("counts")?.counts().await;
        self.after("counts", answer)
    }
}
