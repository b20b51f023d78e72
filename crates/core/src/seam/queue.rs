//! The queue: *which ids are due when*. It knows ids, routes, due times and counts, and never content, so a wiped
//! queue can be rebuilt from the store and a person's data lives in one place.

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::{ItemId, StoreId};
use crate::route::Route;

/// A fencing token. Each claim of an item gets a greater one than every claim and settlement before it, over wipes,
/// redrives and clocks set back: max(previous + 1, floor + 1, server time in µs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub i64);

impl Epoch {
    /// Below every epoch that a claim gives.
    pub const NONE: Epoch = Epoch(0);

    /// The epoch of the next claim, after `previous` (the entry's last claim), `floor` (the last settlement that
    /// the store knows) and at the server's time.
    #[must_use]
    pub fn next(previous: Epoch, floor: Epoch, server_now: Timestamp) -> Epoch {
        let by_time = server_now.as_ms().saturating_mul(1000);
        Epoch((previous.0 + 1).max(floor.0 + 1).max(by_time))
    }
}

/// Who holds a lease: drawn at random at each start, so that a restarted node is somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Worker(pub u64);

/// What makes a filled queue *this* filling: written as the last step of a rebuild, gone after a wipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

/// What a queue is bound to at its first start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// The store whose ids it holds.
    pub store: StoreId,
    /// The version of the layout of its keys or tables.
    pub layout: u32,
    /// Into how many shards it is split.
    pub shards: u32,
}

/// What is put into a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueItem {
    /// Which delivery or fan-out.
    pub id: ItemId,
    /// What it is claimed by.
    pub route: Route,
    /// Due after this long, by the queue's own clock; two servers' clocks need not agree.
    pub due_in_ms: u64,
    /// The epoch of the last settlement, which every later claim must exceed.
    pub epoch_floor: Epoch,
}

/// A claimed id: hidden from other claims until it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What is leased.
    pub id: ItemId,
    /// The route it was claimed on.
    pub route: Route,
    /// Who holds it.
    pub worker: Worker,
    /// The fencing token.
    pub epoch: Epoch,
    /// When it ends, by the queue's clock.
    pub until: Timestamp,
    /// How often a lease of this item ended without a settle or release, since the last of these.
    pub abandoned: u32,
    /// How long past its due time it was claimed, in milliseconds, by the queue's clock. Shown, and decides nothing.
    pub late_ms: u64,
}

/// What a claim asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// Work that is no suspect: on each route up to so many, oldest due first.
    Ordinary(Vec<(Route, usize)>),
    /// Suspects only, on these routes: all of one claim were abandoned equally often, at most
    /// [`crate::limits::suspects_at_once`] of them, the least often abandoned first.
    Suspects(Vec<Route>),
}

/// A claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What is wanted.
    pub want: Want,
    /// For whom.
    pub worker: Worker,
    /// How long the leases last.
    pub visibility_ms: u64,
}

/// What a claim gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leased {
    /// The leases, at most [`crate::limits::CLAIM_MAX`] of them.
    pub leases: Vec<Lease>,
    /// When the next item of the routes asked for falls due or its lease ends: 0 where a maximum was the limit,
    /// `None` where nothing waits. Suspects don't count.
    pub next_due_in_ms: Option<u64>,
    /// Whether suspects are due on the routes asked for.
    pub suspects_waiting: bool,
    /// The queue's time, which [`Lease::until`] is measured by.
    pub server_now: Timestamp,
    /// The queue's filling; `None` while it is not (or no longer) complete.
    pub generation: Option<Generation>,
}

/// What becomes of an entry when its lease is given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// It is finished: the entry goes.
    Done,
    /// It comes back.
    Retry {
        /// After this long, by the queue's clock.
        in_ms: u64,
        /// On this route, which may be another than before.
        route: Route,
    },
}

/// A lease given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSettle {
    /// Which lease.
    pub lease: Lease,
    /// What becomes of its entry.
    pub then: Then,
}

/// Whether a lease was still the entry's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settle {
    /// It was, and the entry is changed.
    Ok,
    /// Another claim, a wipe or a settle came between (epoch or worker differ, or the entry is gone): left alone.
    Stale,
}

/// What [`Queue::remove`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// It waited, and is gone.
    Removed,
    /// Somebody holds an unexpired lease on it: left alone.
    Leased,
    /// It was not there.
    Absent,
}

/// How much a route holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteCount {
    /// Which route.
    pub route: Route,
    /// Entries, leased ones included.
    pub entries: u64,
    /// Entries under a lease.
    pub leased: u64,
    /// How long the oldest entry that waits has been due, in milliseconds; `None` where nothing is due.
    pub oldest_due_ms: Option<u64>,
}

/// *Which ids are due when.* See docs/specs/queue.md for its numbered rules.
///
/// # Errors
/// Every method fails as a whole, with nothing changed as far as the caller may rely on it; all are safe to repeat.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Binds the queue to a store, or checks the binding it has. Answers its generation; `None` means that it must
    /// be filled from the store and then opened.
    ///
    /// # Errors
    /// [`BoundElsewhere`](crate::ErrorKind::BoundElsewhere) names both sides where they differ.
    async fn bind(&self, binding: &Binding) -> Result<Option<Generation>>;

    /// The last step of a rebuild. Fails with [`Conflict`](crate::ErrorKind::Conflict) where the binding is gone:
    /// the queue was wiped again meanwhile.
    async fn open_generation(&self, generation: Generation) -> Result<()>;

    /// Puts items in. An id that is there already is left alone, with its due time, lease and counts: idempotent.
    async fn enqueue(&self, items: &[QueueItem]) -> Result<()>;

    /// Leases due items. An entry whose lease had ended counts as abandoned once more.
    async fn claim(&self, claim: &Claim) -> Result<Leased>;

    /// Gives leases back, item by item; a retry forgets how often the entry was abandoned.
    async fn settle(&self, items: &[QueueSettle]) -> Result<Vec<Settle>>;

    /// Gives leases back as if they had not been claimed: due at once, counts as they were at the claim.
    async fn release(&self, leases: &[Lease]) -> Result<Vec<Settle>>;

    /// Lets leases last `visibility_ms` from now; `None` for those that are no longer their holder's.
    async fn extend(&self, leases: &[Lease], visibility_ms: u64) -> Result<Vec<Option<Lease>>>;

    /// Takes waiting entries out.
    async fn remove(&self, ids: &[ItemId]) -> Result<Vec<Removed>>;

    /// Whether each id is in the queue, leased or not.
    async fn contains(&self, ids: &[ItemId]) -> Result<Vec<bool>>;

    /// How much each route holds; routes that hold nothing may be missing.
    async fn counts(&self) -> Result<Vec<RouteCount>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_grow_though_the_clock_is_set_back() {
        let now = Timestamp::from_ms(1_000_000);
        let first = Epoch::next(Epoch::NONE, Epoch::NONE, now);
        let second = Epoch::next(first, Epoch::NONE, now.plus_ms(-3_600_000));
        let after_a_wipe = Epoch::next(Epoch::NONE, second, now.plus_ms(-3_600_000));
        assert!(first < second && second < after_a_wipe);
    }
}
