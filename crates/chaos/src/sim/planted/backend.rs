//! A queue and a store with a bug.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use pabal_core::Result;
use pabal_core::clock::Timestamp;
use pabal_core::delivery::Reason;
use pabal_core::ids::{AppId, ItemId, StoreId};
use pabal_core::seam::{
    Acceptance, Answer, Binding, Claim, Cursor, DeadFilter, Ending, Epoch, Generation, Lease, Leased, Loaded,
    OpenItem, PageMade, Queue, QueueItem, QueueSettle, Recorded, Records, Removed, Reopened, RouteCount,
    Selection, Settle, Settlement,
};

use super::Plant;

/// Makes every settlement newer than all before it, as if nobody compared epochs.
#[derive(Default)]
pub(super) struct NoFence(Mutex<BTreeMap<ItemId, Epoch>>);

impl NoFence {
    pub(super) fn raise(&self, batch: &[Settlement]) -> Vec<Settlement> {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let raise = |settlement: &Settlement| {
            let mut raised = settlement.clone();
            let epoch = newest.entry(raised.lease.id).or_default();
            *epoch = Epoch((epoch.0 + 1).max(raised.lease.epoch.0));
            raised.lease.epoch = *epoch;
            raised
        };
        batch.iter().map(raise).collect()
    }
}

/// A queue that settles whatever lease it is given, or lets go of what is leased.
pub(super) struct BadQueue {
    inner: Arc<dyn Queue>,
    plant: Plant,
    newest: Mutex<BTreeMap<ItemId, Lease>>,
}

impl BadQueue {
    pub(super) fn new(inner: Arc<dyn Queue>, plant: Plant) -> Self {
        Self { inner, plant, newest: Mutex::default() }
    }
}

#[async_trait]
impl Queue for BadQueue {
    async fn claim(&self, claim: &Claim) -> Result<Leased> {
        let leased = self.inner.claim(claim).await?;
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.extend(leased.leases.iter().map(|lease| (lease.id, lease.clone())));
        Ok(leased)
    }

    async fn settle(&self, items: &[QueueSettle]) -> Result<Vec<Settle>> {
        let mut items = items.to_vec();
        if self.plant == Plant::SettleWithoutEpoch {
            let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
            for item in &mut items {
                item.lease = newest.get(&item.lease.id).unwrap_or(&item.lease).clone();
            }
        }
        self.inner.settle(&items).await
    }

    async fn remove(&self, ids: &[ItemId]) -> Result<Vec<Removed>> {
        let found = self.inner.remove(ids).await?;
        let lies = |found| match found {
            Removed::Leased if self.plant == Plant::CancelTakesLeased => Removed::Removed,
            Removed::Leased | Removed::Removed | Removed::Absent => found,
        };
        Ok(found.into_iter().map(lies).collect())
    }

    async fn bind(&self, binding: &Binding) -> Result<Option<Generation>> {
        self.inner.bind(binding).await
    }

    async fn open_generation(&self, generation: Generation) -> Result<()> {
        self.inner.open_generation(generation).await
    }

    async fn enqueue(&self, items: &[QueueItem]) -> Result<()> {
        self.inner.enqueue(items).await
    }

    async fn release(&self, leases: &[Lease]) -> Result<Vec<Settle>> {
        self.inner.release(leases).await
    }

    async fn extend(&self, leases: &[Lease], visibility_ms: u64) -> Result<Vec<Option<Lease>>> {
        self.inner.extend(leases, visibility_ms).await
    }

    async fn contains(&self, ids: &[ItemId]) -> Result<Vec<bool>> {
        self.inner.contains(ids).await
    }

    async fn counts(&self) -> Result<Vec<RouteCount>> {
        self.inner.counts().await
    }
}

/// A store that records whatever comes, or whose cursors go back.
pub(super) struct BadRecords {
    inner: Arc<dyn Records>,
    plant: Plant,
    no_fence: NoFence,
}

impl BadRecords {
    pub(super) fn new(inner: Arc<dyn Records>, plant: Plant) -> Self {
        Self { inner, plant, no_fence: NoFence::default() }
    }
}

#[async_trait]
impl Records for BadRecords {
    async fn record(&self, batch: &[Settlement]) -> Result<Vec<Recorded>> {
        if self.plant == Plant::SettleWithoutEpoch {
            self.inner.record(&self.no_fence.raise(batch)).await
        } else {
            self.inner.record(batch).await
        }
    }

    async fn page(&self, lease: &Lease, from: &Cursor, users_max: usize) -> Result<PageMade> {
        let made = self.inner.page(lease, from, users_max).await?;
        Ok(match made {
            PageMade::Made { work, last: false, .. } if self.plant == Plant::CursorGoesBack => {
                PageMade::Made { work, cursor: from.clone(), last: false }
            }
            PageMade::Made { .. } | PageMade::Refused(_) => made,
        })
    }

    async fn store_id(&self) -> Result<StoreId> {
        self.inner.store_id().await
    }

    async fn accept(&self, batch: &[Acceptance]) -> Result<Vec<(Answer, Vec<QueueItem>)>> {
        self.inner.accept(batch).await
    }

    async fn load(&self, leases: &[Lease]) -> Result<Vec<Loaded>> {
        self.inner.load(leases).await
    }

    async fn open_work(
        &self,
        selection: &Selection,
        reason: Reason,
        after: Option<(Timestamp, ItemId)>,
        max: usize,
    ) -> Result<Vec<OpenItem>> {
        self.inner.open_work(selection, reason, after, max).await
    }

    async fn end(&self, items: &[Ending], reason: Reason) -> Result<u64> {
        self.inner.end(items, reason).await
    }

    async fn reopen(
        &self,
        app: AppId,
        filter: &DeadFilter,
        after: Option<ItemId>,
        max: usize,
    ) -> Result<Reopened> {
        self.inner.reopen(app, filter, after, max).await
    }

    async fn scan_open(
        &self,
        after: Option<(Timestamp, ItemId)>,
        overdue_by_ms: Option<u64>,
        max: usize,
    ) -> Result<Vec<OpenItem>> {
        self.inner.scan_open(after, overdue_by_ms, max).await
    }
}
