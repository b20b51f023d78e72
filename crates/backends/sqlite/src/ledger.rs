//! The handles for queue and ledger: each call is one job, so that it commits together with whatever else waits.

use std::sync::Arc;

use async_trait::async_trait;
use pabal_core::clock::Timestamp;
use pabal_core::delivery::Reason;
use pabal_core::ids::{AppId, ItemId};
use pabal_core::seam::{
    Acceptance, Accepted, Binding, Claim, Claimed, DeadFilter, EndSummary, Generation, Lease, Leased, Ledger,
    Page, Paged, Queue, QueueItem, QueueSettle, Reconciled, Redriven, Removed, Reopened, RouteCount, Scan,
    Selection, Settle, SettledItem, Settlement,
};
use pabal_core::steps::{self, complete_now};
use pabal_core::{Result, limits};
use rusqlite::Connection;

use crate::dead::Dead;
use crate::port::{Port, call};
use crate::reads::Reads;
use crate::records;
use crate::walk::Walked;

/// Queue and store in one transaction: the steps of a ledger, run inside the writer's. What a redrive is to reopen is found
/// beside the writer.
#[derive(Clone)]
pub struct SqliteLedger {
    pub(crate) port: Arc<dyn Port>,
    pub(crate) reads: Reads,
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn accept(&self, batch: Vec<Acceptance>, take: Option<Claim>) -> Result<Accepted> {
        call(&*self.port, move |core| {
            complete_now("accept", steps::accept(core, core, &batch, take.as_ref()))
        })
        .await
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed> {
        let claimed = call(&*self.port, move |core| complete_now("claim", steps::claim(core, core, &claim)));
        Ok(claimed.await?.0)
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<SettledItem>> {
        call(&*self.port, move |core| complete_now("settle", steps::settle(core, core, &batch))).await
    }

    async fn page(&self, page: Page) -> Result<Paged> {
        call(&*self.port, move |core| complete_now("page", steps::page(core, core, &page))).await
    }

    async fn release(&self, leases: Vec<Lease>) -> Result<()> {
        call(&*self.port, move |core| complete_now("release", core.release(&leases)).map(drop)).await
    }

    async fn extend(&self, leases: Vec<Lease>, visibility_ms: u64) -> Result<Vec<Option<Lease>>> {
        call(&*self.port, move |core| complete_now("extend", core.extend(&leases, visibility_ms))).await
    }

    async fn end(
        &self,
        selection: Selection,
        reason: Reason,
        after: Option<(Timestamp, ItemId)>,
        max: usize,
    ) -> Result<EndSummary> {
        let end = move |core: &crate::core::Core| {
            complete_now("end", steps::end(core, core, &selection, reason, after, max))
        };
        call(&*self.port, end).await
    }

    async fn redrive(
        &self,
        app: AppId,
        filter: DeadFilter,
        after: Option<ItemId>,
        max: usize,
    ) -> Result<Redriven> {
        let max = max.clamp(1, limits::QUEUE_BATCH_MAX);
        let find = move |connection: &Connection| Dead { app, filter: &filter }.to_do(connection, after, max);
        let Walked { found, next, .. } = self.reads.read("redrive", find).await?;
        if found.is_empty() {
            return Ok(steps::redriven(&Reopened { work: Vec::new(), next }));
        }
        call(&*self.port, move |core| {
            let work = core.with(|tx| records::reopen(tx, &found))?;
            complete_now("redrive", steps::enqueue(core, &work))?;
            Ok(steps::redriven(&Reopened { work, next }))
        })
        .await
    }

    /// Queue and store are one: there is nothing to hold against each other.
    async fn reconcile(&self, scan: Scan, _max: usize) -> Result<Reconciled> {
        Ok(Reconciled { scan, ..Reconciled::default() })
    }

    async fn counts(&self) -> Result<Vec<RouteCount>> {
        call(&*self.port, |core| complete_now("counts", core.counts())).await
    }
}

/// The queue alone.
#[derive(Clone)]
pub struct SqliteQueue {
    pub(crate) port: Arc<dyn Port>,
}

#[async_trait]
impl Queue for SqliteQueue {
    async fn bind(&self, binding: &Binding) -> Result<Option<Generation>> {
        let binding = *binding;
        call(&*self.port, move |core| complete_now("bind", core.bind(&binding))).await
    }

    async fn open_generation(&self, generation: Generation) -> Result<()> {
        call(&*self.port, move |core| complete_now("open", core.open_generation(generation))).await
    }

    async fn enqueue(&self, items: &[QueueItem]) -> Result<()> {
        let items = items.to_vec();
        call(&*self.port, move |core| complete_now("enqueue", core.enqueue(&items))).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Leased> {
        let claim = claim.clone();
        call(&*self.port, move |core| complete_now("claim", Queue::claim(core, &claim))).await
    }

    async fn settle(&self, items: &[QueueSettle]) -> Result<Vec<Settle>> {
        let items = items.to_vec();
        call(&*self.port, move |core| complete_now("settle", Queue::settle(core, &items))).await
    }

    async fn release(&self, leases: &[Lease]) -> Result<Vec<Settle>> {
        let leases = leases.to_vec();
        call(&*self.port, move |core| complete_now("release", core.release(&leases))).await
    }

    async fn extend(&self, leases: &[Lease], visibility_ms: u64) -> Result<Vec<Option<Lease>>> {
        let leases = leases.to_vec();
        call(&*self.port, move |core| complete_now("extend", core.extend(&leases, visibility_ms))).await
    }

    async fn remove(&self, ids: &[ItemId]) -> Result<Vec<Removed>> {
        let ids = ids.to_vec();
        call(&*self.port, move |core| complete_now("remove", core.remove(&ids))).await
    }

    async fn contains(&self, ids: &[ItemId]) -> Result<Vec<bool>> {
        let ids = ids.to_vec();
        call(&*self.port, move |core| complete_now("contains", core.contains(&ids))).await
    }

    async fn counts(&self) -> Result<Vec<RouteCount>> {
        call(&*self.port, |core| complete_now("counts", core.counts())).await
    }
}
