//! Queue and store as one: each call runs its steps under one lock, as a database would in one transaction. Neither
//! half ever waits, so the steps run to their end at once.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use pabal_core::Result;
use pabal_core::clock::Timestamp;
use pabal_core::delivery::Reason;
use pabal_core::ids::{AppId, ItemId};
use pabal_core::seam::{
    Acceptance, Accepted, Claim, Claimed, DeadFilter, EndSummary, Lease, Ledger, Page, Paged, Queue,
    Reconciled, Redriven, RouteCount, Scan, Selection, SettledItem, Settlement,
};
use pabal_core::steps;

use crate::{MemoryQueue, MemoryStore};

/// A ledger over a queue and a store that nobody else changes meanwhile.
pub struct MemoryLedger {
    queue: Arc<MemoryQueue>,
    store: Arc<MemoryStore>,
    turn: Mutex<()>,
}

impl MemoryLedger {
    /// A ledger over both. They outlive it, as data outlives a process.
    pub fn new(queue: Arc<MemoryQueue>, store: Arc<MemoryStore>) -> Self {
        Self { queue, store, turn: Mutex::new(()) }
    }

    fn at_once<T>(&self, operation: &'static str, steps: impl Future<Output = Result<T>>) -> Result<T> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        steps::complete_now(operation, steps)
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn accept(&self, batch: Vec<Acceptance>, take: Option<Claim>) -> Result<Accepted> {
        self.at_once("accept", steps::accept(&*self.queue, &*self.store, &batch, take.as_ref()))
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed> {
        let (claimed, _) = self.at_once("claim", steps::claim(&*self.queue, &*self.store, &claim))?;
        Ok(claimed)
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<SettledItem>> {
        self.at_once("settle", steps::settle(&*self.queue, &*self.store, &batch))
    }

    async fn page(&self, page: Page) -> Result<Paged> {
        self.at_once("page", steps::page(&*self.queue, &*self.store, &page))
    }

    async fn release(&self, leases: Vec<Lease>) -> Result<()> {
        self.at_once("release", self.queue.release(&leases)).map(drop)
    }

    async fn extend(&self, leases: Vec<Lease>, visibility_ms: u64) -> Result<Vec<Option<Lease>>> {
        self.at_once("extend", self.queue.extend(&leases, visibility_ms))
    }

    async fn end(
        &self,
        selection: Selection,
        reason: Reason,
        after: Option<(Timestamp, ItemId)>,
        max: usize,
    ) -> Result<EndSummary> {
        self.at_once("end", steps::end(&*self.queue, &*self.store, &selection, reason, after, max))
    }

    async fn redrive(
        &self,
        app: AppId,
        filter: DeadFilter,
        after: Option<ItemId>,
        max: usize,
    ) -> Result<Redriven> {
        self.at_once("redrive", steps::redrive(&*self.queue, &*self.store, app, &filter, after, max))
    }

    /// Both are one: there is nothing to repair.
    async fn reconcile(&self, scan: Scan, _max: usize) -> Result<Reconciled> {
        Ok(Reconciled { scan, ..Reconciled::default() })
    }

    async fn counts(&self) -> Result<Vec<RouteCount>> {
        self.at_once("counts", self.queue.counts())
    }
}
