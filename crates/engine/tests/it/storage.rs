//! A store that takes no writes for a while: nothing begins, nothing is forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pabal_core::clock::Timestamp;
use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::ids::ItemId;
use pabal_core::outcome::Outcome;
use pabal_core::seam::{
    Acceptance, Accepted, Claim, Claimed, EndSummary, Lease, Ledger, Page, Paged, Reconciled, Redriven,
    RouteCount, Scan, Selection, SettledItem, Settlement,
};
use pabal_core::{Error, ErrorKind, Result};
use pabal_testkit::eventually;
use pabal_testkit::fixtures::{notification_id, to_users};

use crate::stage::{Line, Scripted, Stage, accept, states};

/// A ledger whose writes fail while `full`.
struct Full {
    inner: Arc<dyn Ledger>,
    full: AtomicBool,
}

impl Full {
    fn write(&self) -> Result<&dyn Ledger> {
        if self.full.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Full, "write", "the disk is full"));
        }
        Ok(&*self.inner)
    }
}

#[async_trait]
impl Ledger for Full {
    async fn accept(&self, batch: Vec<Acceptance>, take: Option<Claim>) -> Result<Accepted> {
        self.write()?.accept(batch, take).await
    }
    async fn claim(&self, claim: Claim) -> Result<Claimed> {
        self.write()?.claim(claim).await
    }
    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<SettledItem>> {
        self.write()?.settle(batch).await
    }
    async fn page(&self, page: Page) -> Result<Paged> {
        self.write()?.page(page).await
    }
    async fn release(&self, leases: Vec<Lease>) -> Result<()> {
        self.write()?.release(leases).await
    }
    async fn extend(&self, leases: Vec<Lease>, visibility_ms: u64) -> Result<Vec<Option<Lease>>> {
        self.write()?.extend(leases, visibility_ms).await
    }
    async fn end(
        &self,
        selection: Selection,
        reason: Reason,
        after: Option<(Timestamp, ItemId)>,
        max: usize,
    ) -> Result<EndSummary> {
        self.write()?.end(selection, reason, after, max).await
    }
    async fn redrive(&self, selection: Selection, after: Option<ItemId>, max: usize) -> Result<Redriven> {
        self.write()?.redrive(selection, after, max).await
    }
    async fn reconcile(&self, scan: Scan, max: usize) -> Result<Reconciled> {
        self.write()?.reconcile(scan, max).await
    }
    async fn counts(&self) -> Result<Vec<RouteCount>> {
        self.inner.counts().await
    }
}

#[tokio::test(start_paused = true)]
async fn outcomes_are_kept_until_the_store_is_back_and_nothing_is_sent_meanwhile() {
    let stage = Stage::new().await;
    let full = Arc::new(Full { inner: stage.ledger.clone(), full: AtomicBool::new(false) });
    let channel = Scripted::new(|_, _| Line::AnswerAfter(Outcome::Delivered, Duration::from_secs(2)));
    let engine = stage.engine_with(&channel, full.clone(), |config| config.attempts_in_flight_max = 2).await;
    accept(&engine, 1, to_users(&["mina", "jun"])).await;
    channel.under_way.subscribe().wait_for(|count| *count == 2).await.unwrap();
    full.full.store(true, Ordering::SeqCst);
    eventually("the engine to notice", || async { engine.status().store_fails.then_some(()) }).await;

    let refused = engine.accept(vec![to_users(&["jun"]).build(notification_id(2))]).await.unwrap_err();
    assert_eq!((refused.kind(), refused.is_temporary()), (ErrorKind::Full, true));
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(channel.total(), 2, "no attempt begins while the store takes no writes");

    full.full.store(false, Ordering::SeqCst);
    assert_eq!(states(&stage.ended(1).await), [DeliveryState::Delivered; 3]);
    assert_eq!(channel.total(), 3, "what was in flight was settled, not sent again");
    assert!(stage.deliveries(2).await.is_empty(), "nothing is half-accepted");
    assert!(!engine.status().store_fails);
}
