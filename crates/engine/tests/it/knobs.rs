//! A ledger with knobs: writes that fail, accepts that fail, calls that take a while.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use pabal_core::clock::Timestamp;
use pabal_core::delivery::Reason;
use pabal_core::ids::{AppId, ItemId, NotificationId};
use pabal_core::seam::{
    Acceptance, Accepted, Claim, Claimed, DeadFilter, EndSummary, Lease, Ledger, Page, Paged, Reconciled,
    Redriven, RouteCount, Scan, Selection, SettledItem, Settlement,
};
use pabal_core::{Error, ErrorKind, Result};

/// A ledger with knobs.
pub(crate) struct Knobs {
    inner: Arc<dyn Ledger>,
    /// Every write fails, as on a full disk.
    pub(crate) all_full: AtomicBool,
    /// Accepts fail so, as when only what is big does not fit.
    pub(crate) accept_full: AtomicBool,
    /// An accept is carried out, and its answer takes 50 ms.
    pub(crate) slow_accept: AtomicBool,
    /// A claim takes 20 ms.
    pub(crate) slow_claim: AtomicBool,
    /// A settle takes 50 ms.
    pub(crate) slow_settle: AtomicBool,
    /// Redriving that one notification fails, for good.
    pub(crate) redrive_fails_for: Mutex<Option<NotificationId>>,
    /// A settle panics, as a bug of ours or of a library would.
    pub(crate) panicking_settle: AtomicBool,
}

impl Knobs {
    pub(crate) fn over(inner: Arc<dyn Ledger>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            all_full: AtomicBool::default(),
            accept_full: AtomicBool::default(),
            slow_accept: AtomicBool::default(),
            slow_claim: AtomicBool::default(),
            slow_settle: AtomicBool::default(),
            redrive_fails_for: Mutex::default(),
            panicking_settle: AtomicBool::default(),
        })
    }

    fn write(&self) -> Result<&dyn Ledger> {
        if self.all_full.load(Ordering::SeqCst) {
            return Err(full());
        }
        Ok(&*self.inner)
    }
}

fn full() -> Error {
    Error::new(ErrorKind::Full, "write", "the disk is full")
}

async fn take_a_while(knob: &AtomicBool, ms: u64) {
    if knob.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

#[async_trait]
impl Ledger for Knobs {
    async fn accept(&self, batch: Vec<Acceptance>, take: Option<Claim>) -> Result<Accepted> {
        if self.accept_full.load(Ordering::SeqCst) {
            return Err(full());
        }
        let accepted = self.write()?.accept(batch, take).await;
        take_a_while(&self.slow_accept, 50).await;
        accepted
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed> {
        take_a_while(&self.slow_claim, 20).await;
        self.write()?.claim(claim).await
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<SettledItem>> {
        take_a_while(&self.slow_settle, 50).await;
        assert!(!self.panicking_settle.load(Ordering::SeqCst), "a bug");
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

    async fn redrive(
        &self,
        app: AppId,
        filter: DeadFilter,
        after: Option<ItemId>,
        max: usize,
    ) -> Result<Redriven> {
        let fails_for = *self.redrive_fails_for.lock().unwrap();
        if fails_for.is_some() && filter.notification == fails_for {
            return Err(Error::new(ErrorKind::LimitReached, "redrive", "there are too many routes"));
        }
        self.write()?.redrive(app, filter, after, max).await
    }

    async fn reconcile(&self, scan: Scan, max: usize) -> Result<Reconciled> {
        self.write()?.reconcile(scan, max).await
    }

    async fn counts(&self) -> Result<Vec<RouteCount>> {
        self.inner.counts().await
    }
}
