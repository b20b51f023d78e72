//! The composite ledger: any queue over any store. The order of its calls is that of [`pabal_core::steps`]; a failed
//! queue delays, and never fails what the store has already recorded.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pabal_core::chance::Chance;
use pabal_core::clock::Timestamp;
use pabal_core::delivery::Reason;
use pabal_core::ids::{AppId, ItemId};
use pabal_core::seam::{
    Acceptance, Accepted, Binding, Claim, Claimed, DeadFilter, EndSummary, Generation, Lease, Ledger,
    OpenItem, Page, PageMade, Paged, Queue, QueueItem, QueueSettle, Reconciled, Records, Redriven,
    RouteCount, Scan, Selection, Settle, SettledItem, Settlement, Then,
};
use pabal_core::{Result, limits, steps};

/// The version of the layout that this ledger expects of a queue.
const LAYOUT: u32 = 1;
/// How long something must be overdue before its absence from the queue counts as a gap: longer than an enqueue that
/// is still under way takes.
const OVERDUE_BY_MS: u64 = 30_000;

/// How often a queue is asked to settle what is recorded, and how long between two tries.
const SETTLE_TRIES: usize = 3;
const SETTLE_PAUSE: Duration = Duration::from_millis(100);

/// Any queue over any store.
pub struct Composite {
    queue: Arc<dyn Queue>,
    records: Arc<dyn Records>,
    chance: Arc<dyn Chance>,
}

impl Composite {
    /// A ledger over both. The queue is bound to the store by the first step of the reconciler.
    pub fn new(queue: Arc<dyn Queue>, records: Arc<dyn Records>, chance: Arc<dyn Chance>) -> Self {
        Self { queue, records, chance }
    }

    /// Enqueues what the store has recorded. What fails here is found by the reconciler.
    async fn enqueue(&self, work: &[QueueItem]) {
        if let Err(error) = steps::enqueue(&*self.queue, work).await {
            tracing::warn!(%error, items = work.len(), "not enqueued yet; the reconciler will");
        }
    }

    /// Settles the queue after the record. What fails here, after some tries, is settled from the record when its lease
    /// has ended.
    async fn settle_queue(&self, settles: &[QueueSettle]) -> Vec<Settle> {
        for _ in 1..SETTLE_TRIES {
            match self.queue.settle(settles).await {
                Ok(answers) => return answers,
                Err(error) => tracing::debug!(%error, "the queue is asked again"),
            }
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
        match self.queue.settle(settles).await {
            Ok(answers) => answers,
            Err(error) => {
                tracing::warn!(%error, items = settles.len(), "recorded, but not yet settled in the queue");
                vec![Settle::Ok; settles.len()]
            }
        }
    }

    /// One step of filling a queue that is new or was wiped: all open work, due or not, then the generation.
    async fn rebuild(&self, mut scan: Scan, max: usize) -> Result<Reconciled> {
        let open = self.records.scan_open(scan.rebuild, None, max).await?;
        let work: Vec<QueueItem> = open.iter().map(|open| open.item.clone()).collect();
        steps::enqueue(&*self.queue, &work).await?;
        let repaired = work.len() as u64;
        let waiting = steps::waiting(&work);
        if open.len() == max {
            scan.rebuild = key_of_last(&open);
            return Ok(Reconciled { repaired, waiting, rebuilding: true, scan });
        }
        scan.rebuild = None;
        // What was enqueued first tells whether the queue was wiped once more since: then it begins again.
        let first = self.records.scan_open(None, None, max).await?;
        let wiped_again = !self.repair(&first).await?.is_empty();
        if !wiped_again {
            self.queue.open_generation(Generation(self.chance.next_u64())).await?;
            tracing::info!("the queue is complete");
        }
        Ok(Reconciled { repaired, waiting, rebuilding: wiped_again, scan })
    }

    /// Puts back what of `open` the queue does not hold.
    async fn repair(&self, open: &[OpenItem]) -> Result<Vec<QueueItem>> {
        if open.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<ItemId> = open.iter().map(|open| open.item.id).collect();
        let held = self.queue.contains(&ids).await?;
        let missing = open.iter().zip(held).filter(|(_, held)| !held).map(|(open, _)| open.item.clone());
        let missing: Vec<QueueItem> = missing.collect();
        steps::enqueue(&*self.queue, &missing).await?;
        Ok(missing)
    }
}

#[async_trait]
impl Ledger for Composite {
    async fn accept(&self, batch: Vec<Acceptance>, _take: Option<Claim>) -> Result<Accepted> {
        let (items, work) = steps::accept_records(&*self.records, &batch).await?;
        self.enqueue(&work).await;
        Ok(Accepted { items, taken: Vec::new(), waiting: Vec::new() })
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed> {
        let (claimed, _generation) = steps::claim(&*self.queue, &*self.records, &claim).await?;
        Ok(claimed)
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<SettledItem>> {
        let (taken, settles) = steps::settle_records(&*self.records, &batch).await?;
        let answers = self.settle_queue(&settles).await;
        Ok(steps::settled(&taken, &settles, &answers))
    }

    async fn page(&self, page: Page) -> Result<Paged> {
        let lease = page.lease.clone();
        let give_back = |then| [QueueSettle { lease, then }];
        match self.records.page(&page.lease, &page.from, page.users_max).await? {
            PageMade::Made { work, cursor, last } => {
                self.enqueue(&work).await;
                if last {
                    self.settle_queue(&give_back(Then::Done)).await;
                }
                Ok(Paged::Made { cursor, last, waiting: steps::waiting(&work) })
            }
            PageMade::Refused(then) => {
                self.settle_queue(&give_back(then)).await;
                Ok(Paged::Refused)
            }
        }
    }

    async fn release(&self, leases: Vec<Lease>) -> Result<()> {
        self.queue.release(&leases).await.map(drop)
    }

    async fn extend(&self, leases: Vec<Lease>, visibility_ms: u64) -> Result<Vec<Option<Lease>>> {
        self.queue.extend(&leases, visibility_ms).await
    }

    async fn end(
        &self,
        selection: Selection,
        reason: Reason,
        after: Option<(Timestamp, ItemId)>,
        max: usize,
    ) -> Result<EndSummary> {
        steps::end(&*self.queue, &*self.records, &selection, reason, after, max).await
    }

    async fn redrive(
        &self,
        app: AppId,
        filter: DeadFilter,
        after: Option<ItemId>,
        max: usize,
    ) -> Result<Redriven> {
        let max = max.clamp(1, limits::QUEUE_BATCH_MAX);
        let reopened = self.records.reopen(app, &filter, after, max).await?;
        self.enqueue(&reopened.work).await;
        Ok(steps::redriven(&reopened))
    }

    async fn reconcile(&self, mut scan: Scan, max: usize) -> Result<Reconciled> {
        let max = max.clamp(1, limits::QUEUE_BATCH_MAX);
        let binding = Binding { store: self.records.store_id().await?, layout: LAYOUT, shards: 1 };
        if self.queue.bind(&binding).await?.is_none() {
            return self.rebuild(scan, max).await;
        }
        let recent = self.records.scan_open(scan.recent, Some(OVERDUE_BY_MS), max).await?;
        let mut repaired = self.repair(&recent).await?;
        scan.recent = key_of_last(&recent).or(scan.recent);
        let round = self.records.scan_open(scan.round, Some(OVERDUE_BY_MS), max).await?;
        repaired.extend(self.repair(&round).await?);
        scan.round = if round.len() == max { key_of_last(&round) } else { None };
        let waiting = steps::waiting(&repaired);
        Ok(Reconciled { repaired: repaired.len() as u64, waiting, rebuilding: false, scan })
    }

    async fn counts(&self) -> Result<Vec<RouteCount>> {
        self.queue.counts().await
    }
}

fn key_of_last(open: &[OpenItem]) -> Option<(Timestamp, ItemId)> {
    open.last().map(|open| (open.due, open.item.id))
}
