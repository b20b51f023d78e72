//! The ledger: the one seam that the engine works against. It accepts, leases and settles over a queue and a store,
//! whether both are one database or two servers.

use async_trait::async_trait;

use super::queue::{Claim, Lease, RouteCount};
use super::records::{Acceptance, Answer, Content, Cursor, Selection, Settlement};
use super::store::DeadFilter;
use crate::clock::Timestamp;
use crate::delivery::Reason;
use crate::error::Result;
use crate::ids::{AppId, ItemId};
use crate::route::Route;

/// Leased work with its content.
#[derive(Debug, Clone)]
pub struct Work {
    /// The lease to settle.
    pub lease: Lease,
    /// What it is about.
    pub content: Content,
}

/// The answers to a batch of acceptances.
#[derive(Debug)]
pub struct Accepted {
    /// One for each, in order.
    pub items: Vec<AcceptedItem>,
    /// Work that was leased in the same step: not necessarily of this batch, for what was due before goes first.
    pub taken: Vec<Work>,
    /// Where what was leased and not worked on comes back, as [`Claimed::waiting`].
    pub waiting: Vec<(Route, u64)>,
}

/// What came of one acceptance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedItem {
    /// The caller's answer.
    pub answer: Answer,
    /// The routes on which something now waits, each with how long until the first of it is due.
    pub waiting: Vec<(Route, u64)>,
}

/// What a claim gave.
#[derive(Debug)]
pub struct Claimed {
    /// Work, loaded.
    pub work: Vec<Work>,
    /// As [`super::queue::Leased::next_due_in_ms`].
    pub next_due_in_ms: Option<u64>,
    /// As [`super::queue::Leased::suspects_waiting`].
    pub suspects_waiting: bool,
    /// The queue's time, which the leases' ends are measured by.
    pub server_now: Timestamp,
    /// Entries that the store does not know (any more) and that were dropped.
    pub dropped: u64,
    /// Entries whose record can't be read; they come back later.
    pub unreadable: u64,
    /// Where what was not worked on comes back, and after how long: not due yet, or on another route since its device
    /// was registered anew.
    pub waiting: Vec<(Route, u64)>,
}

/// What came of one settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Recorded, and the lease was still the entry's own.
    Settled,
    /// Recorded as the attempt it was; a newer lease holds the entry and decides when it is due.
    Overtaken,
    /// Recorded, and retried at once with the device's newer address.
    Superseded,
    /// Not recorded: a newer settlement came first, or the delivery had ended.
    Refused,
}

/// What came of one settlement, and what then waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledItem {
    /// What came of it.
    pub settled: Settled,
    /// The route on which the entry comes back, and after how long; `None` where it is done, or a newer lease decides.
    pub waiting: Option<(Route, u64)>,
}

/// A request for a page of a fan-out.
#[derive(Debug, Clone)]
pub struct Page {
    /// The lease on the fan-out.
    pub lease: Lease,
    /// Where the page begins; as loaded, then as the page before answered.
    pub from: Cursor,
    /// How many users it resolves at most.
    pub users_max: usize,
}

/// What came of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paged {
    /// It is stored and queued.
    Made {
        /// Where the next page begins.
        cursor: Cursor,
        /// Whether it was the last; the lease is then settled.
        last: bool,
        /// The routes on which something now waits.
        waiting: Vec<(Route, u64)>,
    },
    /// A newer lease has paged on, or the notification has ended: stop.
    Refused,
}

/// What came of a step of ending open work.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EndSummary {
    /// Ended by this step.
    pub ended: u64,
    /// Under a lease: marked, and may still end delivered.
    pub in_flight: u64,
    /// Where the next step begins; `None` when all is done.
    pub next: Option<(Timestamp, ItemId)>,
}

/// What came of a step of redriving.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Redriven {
    /// What was reopened.
    pub reopened: Vec<ItemId>,
    /// The routes on which something now waits.
    pub waiting: Vec<(Route, u64)>,
    /// Where the next step begins; `None` when all is done.
    pub next: Option<ItemId>,
}

/// Where the reconciler stands; kept by its caller, opaque to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scan {
    /// How far the watch on what lately became overdue has come.
    pub recent: Option<(Timestamp, ItemId)>,
    /// How far the round over all overdue work has come.
    pub round: Option<(Timestamp, ItemId)>,
    /// How far a rebuild has come.
    pub rebuild: Option<(Timestamp, ItemId)>,
}

/// What came of a step of reconciling.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reconciled {
    /// Items that were missing in the queue and were put back.
    pub repaired: u64,
    /// The routes on which something now waits.
    pub waiting: Vec<(Route, u64)>,
    /// Whether a rebuild of the queue is under way: call again at once.
    pub rebuilding: bool,
    /// Where to go on.
    pub scan: Scan,
}

/// Accept, claim, settle over a queue and a store. See docs/specs/ledger.md for its numbered rules.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Accepts a batch, durably, before it answers; with `take`, leases due work of those routes in the same step.
    /// A queue that can't be reached does not fail an accept: the reconciler enqueues later.
    async fn accept(&self, batch: Vec<Acceptance>, take: Option<Claim>) -> Result<Accepted>;

    /// Leases due work and loads it. What the record says is not to be worked on is settled so, and not returned.
    async fn claim(&self, claim: Claim) -> Result<Claimed>;

    /// Records what came of leases and gives them back, item by item.
    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<SettledItem>>;

    /// Makes a page of a fan-out.
    async fn page(&self, page: Page) -> Result<Paged>;

    /// Gives leases back unused.
    async fn release(&self, leases: Vec<Lease>) -> Result<()>;

    /// Lets leases last longer; `None` for those that were lost.
    async fn extend(&self, leases: Vec<Lease>, visibility_ms: u64) -> Result<Vec<Option<Lease>>>;

    /// Ends up to `max` items of open work of a selection: taken from the queue first, then ended in the store.
    async fn end(
        &self,
        selection: Selection,
        reason: Reason,
        after: Option<(Timestamp, ItemId)>,
        max: usize,
    ) -> Result<EndSummary>;

    /// Makes up to `max` dead items of an app open again.
    async fn redrive(
        &self,
        app: AppId,
        filter: DeadFilter,
        after: Option<ItemId>,
        max: usize,
    ) -> Result<Redriven>;

    /// One step of holding the queue against the store. Where both are one there is nothing to do.
    async fn reconcile(&self, scan: Scan, max: usize) -> Result<Reconciled>;

    /// How much each route holds.
    async fn counts(&self) -> Result<Vec<RouteCount>>;
}
