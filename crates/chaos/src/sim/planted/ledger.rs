//! A ledger with a bug: of the engine that makes it of two servers, or of a backend that is both at once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pabal_core::Result;
use pabal_core::clock::Timestamp;
use pabal_core::delivery::Reason;
use pabal_core::ids::{AppId, ItemId};
use pabal_core::seam::{
    Acceptance, Accepted, AcceptedItem, Answer, Change, Claim, Claimed, DeadFilter, EndSummary, Lease,
    Ledger, Page, Paged, Queue, QueueSettle, Reconciled, Records, Redriven, RouteCount, Scan, Selection,
    SettledItem, Settlement, Then,
};
use pabal_core::steps;
use pabal_core::verdict::Next;

use super::Plant;
use super::backend::NoFence;

/// How long after the answer the commit comes, where the answer comes first.
const LATER: Duration = Duration::from_millis(30);

/// A ledger with a bug.
pub(super) struct BadLedger {
    inner: Arc<dyn Ledger>,
    /// The two servers of a composite.
    parts: Option<(Arc<dyn Queue>, Arc<dyn Records>)>,
    plant: Plant,
    no_fence: NoFence,
}

impl BadLedger {
    pub(super) fn new(inner: Arc<dyn Ledger>, plant: Plant) -> Self {
        Self { inner, parts: None, plant, no_fence: NoFence::default() }
    }

    pub(super) fn over(mut self, queue: Arc<dyn Queue>, records: Arc<dyn Records>) -> Self {
        self.parts = Some((queue, records));
        self
    }
}

/// Settles the queue by what the engine thinks, and only then asks the store.
async fn settle_queue_first(
    queue: &dyn Queue,
    records: &dyn Records,
    batch: &[Settlement],
) -> Result<Vec<SettledItem>> {
    let guessed =
        |settlement: &Settlement| QueueSettle { lease: settlement.lease.clone(), then: guess(settlement) };
    let settles: Vec<QueueSettle> = batch.iter().map(guessed).collect();
    let answers = queue.settle(&settles).await?;
    let (taken, _) = steps::settle_records(records, batch).await?;
    Ok(steps::settled(&taken, &settles, &answers))
}

fn guess(settlement: &Settlement) -> Then {
    let retry = |in_ms| Then::Retry { in_ms, route: settlement.lease.route.clone() };
    match &settlement.change {
        Change::Attempt(record) => match record.next {
            Next::Retry { delay_ms, .. } => retry(delay_ms),
            Next::Complete | Next::Dead(_) | Next::Expire => Then::Done,
        },
        Change::End(_) => Then::Done,
        Change::Postpone { delay_ms } => retry(*delay_ms),
    }
}

/// Answers at once, and accepts a little later.
fn accept_later(ledger: &Arc<dyn Ledger>, batch: Vec<Acceptance>) -> Accepted {
    let answer = |acceptance: &Acceptance| AcceptedItem {
        answer: Answer::Accepted { id: acceptance.notification.id, deliveries: None },
        waiting: Vec::new(),
    };
    let items = batch.iter().map(answer).collect();
    let ledger = Arc::clone(ledger);
    tokio::spawn(async move {
        tokio::time::sleep(LATER).await;
        drop(ledger.accept(batch, None).await);
    });
    Accepted { items, taken: Vec::new(), waiting: Vec::new() }
}

#[async_trait]
impl Ledger for BadLedger {
    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<SettledItem>> {
        match (self.plant, &self.parts) {
            (Plant::SettleWithoutEpoch, _) => self.inner.settle(self.no_fence.raise(&batch)).await,
            (Plant::QueueBeforeStore, Some((queue, records))) => {
                settle_queue_first(&**queue, &**records, &batch).await
            }
            _ => self.inner.settle(batch).await,
        }
    }

    async fn page(&self, page: Page) -> Result<Paged> {
        let from = page.from.clone();
        let paged = self.inner.page(page).await?;
        Ok(match paged {
            Paged::Made { last: false, waiting, .. } if self.plant == Plant::CursorGoesBack => {
                Paged::Made { cursor: from, last: false, waiting }
            }
            Paged::Made { .. } | Paged::Refused => paged,
        })
    }

    async fn accept(&self, batch: Vec<Acceptance>, take: Option<Claim>) -> Result<Accepted> {
        if self.plant == Plant::AnswerBeforeCommit {
            return Ok(accept_later(&self.inner, batch));
        }
        self.inner.accept(batch, take).await
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed> {
        self.inner.claim(claim).await
    }

    async fn release(&self, leases: Vec<Lease>) -> Result<()> {
        self.inner.release(leases).await
    }

    async fn extend(&self, leases: Vec<Lease>, visibility_ms: u64) -> Result<Vec<Option<Lease>>> {
        self.inner.extend(leases, visibility_ms).await
    }

    async fn end(
        &self,
        selection: Selection,
        reason: Reason,
        after: Option<(Timestamp, ItemId)>,
        max: usize,
    ) -> Result<EndSummary> {
        self.inner.end(selection, reason, after, max).await
    }

    async fn redrive(
        &self,
        app: AppId,
        filter: DeadFilter,
        after: Option<ItemId>,
        max: usize,
    ) -> Result<Redriven> {
        self.inner.redrive(app, filter, after, max).await
    }

    async fn reconcile(&self, scan: Scan, max: usize) -> Result<Reconciled> {
        if self.plant == Plant::NoReconciler {
            return Ok(Reconciled { scan, ..Reconciled::default() });
        }
        self.inner.reconcile(scan, max).await
    }

    async fn counts(&self) -> Result<Vec<RouteCount>> {
        self.inner.counts().await
    }
}
