//! The store's half of a ledger: the truth of notifications, deliveries and attempts.
//!
//! Each method is one atomic step. What must then happen in the queue is part of the answer ([`Then`],
//! [`QueueItem`]), so that a ledger over any queue follows the same record.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::queue::{Lease, QueueItem, Then};
use super::store::DeadFilter;
use crate::clock::Timestamp;
use crate::delivery::{DeliveryState, Reason};
use crate::device::{MarkKind, Target};
use crate::error::Result;
use crate::ids::{AppId, DeliveryId, IdempotencyKey, ItemId, NotificationId, StoreId, UserId};
use crate::message::Message;
use crate::notification::Notification;
use crate::outcome::Report;
use crate::route::Route;

/// A notification to be accepted.
#[derive(Debug, Clone)]
pub struct Acceptance {
    /// What the caller asked for.
    pub notification: Notification,
    /// Set where the caller gave an `Idempotency-Key`.
    pub idempotency: Option<Idempotency>,
}

/// What makes a repeated request the same request. Remembered per app for [`crate::limits::IDEMPOTENCY_KEPT_MS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The caller's key, with the endpoint it was used on in front (`notifications:…`).
    pub key: IdempotencyKey,
    /// A hash of the request's body.
    pub body_hash: [u8; 32],
}

/// The answer to one acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is in the store. `deliveries` is `None` where recipients are resolved later.
    Accepted {
        /// Its id.
        id: NotificationId,
        /// How many deliveries it has.
        deliveries: Option<u32>,
    },
    /// The same request was accepted before; this is its first answer.
    Replayed {
        /// The first one's id.
        id: NotificationId,
        /// As answered then.
        deliveries: Option<u32>,
    },
    /// The key was used with another body. Nothing is changed.
    KeyReused,
}

/// Where a fan-out goes on. Opaque outside the store; the empty text is the beginning. Compares equal only to itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub String);

/// What a lease is about, read from the store.
#[derive(Debug, Clone)]
pub enum Loaded {
    /// It is to be worked on.
    Content(Content),
    /// The record says that nothing is to be done now: final, cancelled, expired (ended by this very load), device
    /// gone or retired (likewise), or not due yet. The lease is given back so.
    Settled(Then),
    /// What is stored of it can't be read. It comes back after [`crate::limits::UNREADABLE_RETRY_MS`], and the others go
    /// on: one damaged row must not stop them.
    Unreadable,
    /// The store does not know it (any more), or would refuse its lease: the epoch is not above the last settlement's,
    /// as after a wipe of a queue whose clock was set back. Its entry is dropped; what is open is put back by the
    /// reconciler, with the floor that the record has.
    Unknown,
}

/// What is to be worked on.
#[derive(Debug, Clone)]
pub enum Content {
    /// An attempt is to be made.
    Delivery(DeliveryContent),
    /// A notification is to be paged into deliveries.
    FanOut(FanOutContent),
}

impl Content {
    /// The route that it has now, if that is another than `claimed_on`: its device was registered anew.
    pub fn other_route(&self, claimed_on: &Route) -> Option<Route> {
        match self {
            Content::Delivery(content) if content.route != *claimed_on => Some(content.route.clone()),
            Content::Delivery(_) | Content::FanOut(_) => None,
        }
    }
}

/// All that an attempt needs.
#[derive(Debug, Clone)]
pub struct DeliveryContent {
    /// Which delivery.
    pub id: DeliveryId,
    /// Of which notification.
    pub notification: NotificationId,
    /// The route that its registration has now.
    pub route: Route,
    /// The address that its device has now.
    pub target: Target,
    /// What to say; shared by all deliveries of the notification.
    pub message: Arc<Message>,
    /// Attempts made so far.
    pub attempts: u32,
    /// Those that count against the budget.
    pub counted: u32,
    /// The time to live that the caller gave.
    pub ttl_ms: i64,
    /// How long it is still worth delivering, at the time of the load: includes what is given to a time to live below
    /// [`crate::limits::TTL_GRACE_MS`] to be handed over at all.
    pub remaining_ms: u64,
}

/// All that a fan-out needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FanOutContent {
    /// Which notification.
    pub notification: NotificationId,
    /// Where to go on.
    pub cursor: Cursor,
    /// How often its fan-out has failed so far.
    pub failures: u32,
    /// How long it is still worth delivering, at the time of the load.
    pub remaining_ms: u64,
}

/// What came of a lease.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The lease it is settled under.
    pub lease: Lease,
    /// What is to be recorded.
    pub change: Change,
}

/// What is to be recorded.
#[derive(Debug, Clone)]
pub enum Change {
    /// An attempt was made.
    Attempt(AttemptRecord),
    /// No attempt was made, and none will be: abandoned too often, expired.
    End(EndAs),
    /// No attempt was made; the fan-out failed and comes back after this long.
    Postpone {
        /// How long, in milliseconds.
        delay_ms: u64,
    },
}

/// One attempt of a delivery, with what follows from it.
#[derive(Debug, Clone)]
pub struct AttemptRecord {
    /// What the channel reported.
    pub report: Report,
    /// How long the channel took, in milliseconds.
    pub latency_ms: u64,
    /// How long before the settle it began, in milliseconds.
    pub began_ms_ago: u64,
    /// The address it was sent to. Marks hold for this address alone.
    pub target: Target,
    /// What becomes of the delivery.
    pub next: crate::verdict::Next,
    /// The mark that the device gets, if `target` is still its address.
    pub mark: Option<MarkKind>,
}

/// An end without an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndAs {
    /// The final state.
    pub state: DeliveryState,
    /// Why.
    pub reason: Reason,
}

/// What the store made of one settlement, and what its queue entry is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Whether and how it was recorded.
    pub taken: Taken,
    /// What the lease's entry does, as the record now stands.
    pub then: Then,
}

/// Whether and how a settlement was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// As it was given.
    Recorded,
    /// The attempt is recorded, but the device has a newer address than the one it was about: instead of dying, the
    /// delivery is retried at once, on the newer registration's route.
    Superseded,
    /// Its epoch is not above the last settlement's, or the delivery is final and this is no delivery: not recorded.
    Refused,
}

/// A page of a fan-out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageMade {
    /// The deliveries and the new cursor are stored in one commit.
    Made {
        /// The new deliveries, for the queue. Deliveries that were there already are not among them.
        work: Vec<QueueItem>,
        /// Where the next page begins.
        cursor: Cursor,
        /// Whether this was the last page; the notification is then `expanded`.
        last: bool,
    },
    /// A newer lease has paged on, the cursor is not where `from` says, or the notification has ended.
    Refused(Then),
}

/// Which open work is to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// One notification's.
    Notification(AppId, NotificationId),
    /// One user's.
    User(AppId, UserId),
    /// One delivery.
    Delivery(AppId, DeliveryId),
    /// Everything whose time to live has ended.
    PastExpiry,
    /// Everything of an app.
    App(AppId),
}

/// What was opened again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reopened {
    /// For the queue.
    pub work: Vec<QueueItem>,
    /// Where the next step begins; `None` when everything was looked at.
    pub next: Option<ItemId>,
}

/// An item of open work, with what a later page of the same listing begins after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenItem {
    /// How it is (to be) queued, by the store's clock and record.
    pub item: QueueItem,
    /// What orders listings, with its id: its due time; of [`Selection::PastExpiry`] whatever the store lists it by.
    pub due: Timestamp,
}

/// How to end one item, once the queue has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// Which.
    pub id: ItemId,
    /// Whether somebody holds a lease on it: then it is only marked, no other attempt begins, and the running one
    /// may still end delivered.
    pub leased: bool,
}

/// The store's half of a ledger. See docs/specs/ledger.md for its numbered rules.
#[async_trait]
pub trait Records: Send + Sync {
    /// Which store this is.
    async fn store_id(&self) -> Result<StoreId>;

    /// Stores notifications with their idempotency keys, and, for what is due now, their deliveries: all or nothing.
    /// A user without a device gets one delivery, `undeliverable: no_device`. What is scheduled for later becomes an
    /// item of fan-out work. Each answer comes with what is to be enqueued.
    async fn accept(&self, batch: &[Acceptance]) -> Result<Vec<(Answer, Vec<QueueItem>)>>;

    /// Reads what leases are about, in their order, and ends what is over (expired, cancelled, device gone).
    async fn load(&self, leases: &[Lease]) -> Result<Vec<Loaded>>;

    /// Records what came of leases, item by item: one whose epoch is not above the last settlement's is refused; a
    /// final state changes only into `delivered`.
    async fn record(&self, batch: &[Settlement]) -> Result<Vec<Recorded>>;

    /// Resolves up to `users_max` more users of a notification into deliveries, from the cursor `from`.
    async fn page(&self, lease: &Lease, from: &Cursor, users_max: usize) -> Result<PageMade>;

    /// Lists up to `max` items of open work of `selection`, after `after` in the order (due, id), and fewer only where
    /// there are no more; [`Selection::PastExpiry`] in an order of the store's own. What can't be read is left out. For a
    /// reason of `CancelRequested`, notifications that are not yet expanded are marked first, so that no later page adds
    /// to them.
    async fn open_work(
        &self,
        selection: &Selection,
        reason: Reason,
        after: Option<(Timestamp, ItemId)>,
        max: usize,
    ) -> Result<Vec<OpenItem>>;

    /// Ends items of open work (state by reason: `CancelRequested` → cancelled, `TtlEnded` → expired), or marks the
    /// leased ones. Items that are final meanwhile are left alone. Answers how many were ended.
    async fn end(&self, items: &[Ending], reason: Reason) -> Result<u64>;

    /// Makes up to `max` dead deliveries (and dead notifications) of an app open again, in the order of their ids after
    /// `after`, deliveries first, with a fresh attempt budget and, past expiry, their time to live again from now. Looks
    /// at [`crate::limits::LIST_SCAN_MAX`] rows at most.
    async fn reopen(
        &self,
        app: AppId,
        filter: &DeadFilter,
        after: Option<ItemId>,
        max: usize,
    ) -> Result<Reopened>;

    /// Lists up to `max` items of all open work in the order (due, id), after `after`; with `overdue_by_ms` only
    /// what has been due for longer than that.
    async fn scan_open(
        &self,
        after: Option<(Timestamp, ItemId)>,
        overdue_by_ms: Option<u64>,
        max: usize,
    ) -> Result<Vec<OpenItem>>;
}
