//! The witness sees every effect at the moment it happens, whether or not the caller lives to see the answer, and
//! holds it against what may happen. It believes nothing that the engine says about itself.
//!
//! | file | what it follows |
//! | --- | --- |
//! | `lease` | who holds which item: epochs, suspects, ends of leases |
//! | `attempt` | each try of a delivery, from load over arrival to record |
//! | `hold` | which routes a process must hold |
//! | `state` | what the store says about deliveries and notifications |
//! | `devices` | who has which address, and what the provider said about it |
//! | `book` | what callers asked for, and what they were answered |
//! | `forgetting` | what may be removed from the store, and who was erased |

pub(crate) mod attempt;
pub(crate) mod book;
pub(crate) mod devices;
pub(crate) mod forgetting;
mod hold;
pub(crate) mod lease;
pub(crate) mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use pabal_core::clock::Timestamp;
use pabal_core::ids::{DeliveryId, ItemId, NotificationId};
use pabal_core::seam::Lease;

use self::book::Book;
use self::devices::Devices;
use self::forgetting::Erasure;
use self::hold::Holds;
use self::lease::LeaseBook;
use self::state::{Followed, FollowedNotification};
use super::invariant::{Invariant, Tally};

/// One life of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Boot {
    pub(crate) node: usize,
    pub(crate) number: u32,
}

impl fmt::Display for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}.{}", self.node, self.number)
    }
}

/// When something happened: a number that orders all effects, the time since the start, and what the servers' clocks
/// showed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) seq: u64,
    pub(crate) at: Duration,
    pub(crate) store: Timestamp,
    pub(crate) queue: Timestamp,
}

/// The limits that the plan set and the witness checks.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) attempts_in_flight_max: usize,
    pub(crate) attempts_in_flight_per_route_max: usize,
    pub(crate) attempts_max: u32,
    pub(crate) credential_probe_ms: u64,
    /// How long a claim can take in this world: a process reckons times from before it.
    pub(crate) claim_takes_ms_max: u64,
}

/// What a run counts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stats {
    pub(crate) crashes: u64,
    pub(crate) lost: u64,
    pub(crate) duplicates: u64,
    pub(crate) deliveries: u64,
    pub(crate) wipes: u64,
}

/// All that was seen.
pub(crate) struct Witness {
    pub(crate) tally: Tally,
    pub(crate) stats: Stats,
    pub(crate) book: Book,
    pub(crate) devices: Devices,
    limits: Limits,
    leases: BTreeMap<ItemId, LeaseBook>,
    deliveries: BTreeMap<DeliveryId, Followed>,
    notifications: BTreeMap<NotificationId, FollowedNotification>,
    holds: Holds,
    erasures: Vec<Erasure>,
    /// Poison that somebody has worked on.
    poison_met: BTreeSet<ItemId>,
    /// Boots whose last settle failed, and that may not begin an attempt.
    failing: BTreeSet<Boot>,
    /// Whether the queue's clock was ever set back.
    queue_was_set_back: bool,
    /// The latest time that the store's clock showed before it was set.
    store_has_shown: Timestamp,
}

impl Witness {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            tally: Tally::default(),
            stats: Stats::default(),
            book: Book::default(),
            devices: Devices::default(),
            limits,
            leases: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            notifications: BTreeMap::new(),
            holds: Holds::default(),
            erasures: Vec::new(),
            poison_met: BTreeSet::new(),
            failing: BTreeSet::new(),
            queue_was_set_back: false,
            store_has_shown: Timestamp::default(),
        }
    }

    /// A process died, or ended: what it had in hand is nobody's.
    pub(crate) fn died(&mut self, boot: Boot, by_poison: bool, moment: Moment) -> usize {
        self.failing.remove(&boot);
        for book in self.leases.values_mut() {
            book.holder_died(boot, by_poison);
        }
        self.deliveries.values_mut().map(|followed| followed.holder_died(boot, moment)).sum()
    }

    /// The queue forgot everything.
    pub(crate) fn wiped(&mut self, moment: Moment) {
        self.stats.wipes += 1;
        self.leases.values_mut().for_each(LeaseBook::wiped);
        for followed in self.deliveries.values_mut() {
            followed.queue_wiped(moment);
        }
    }

    /// An embedded server was started anew: the leases of its earlier boots are free.
    pub(crate) fn leases_freed(&mut self) {
        self.leases.values_mut().for_each(LeaseBook::freed);
    }

    /// The latest time that the store's clock has shown.
    pub(crate) fn store_has_shown_by(&self, moment: Moment) -> Timestamp {
        self.store_has_shown.max(moment.store)
    }

    /// The store's clock is about to be set: what it showed, it has shown.
    pub(crate) fn store_is_set(&mut self, moment: Moment) {
        self.store_has_shown = self.store_has_shown.max(moment.store);
    }

    /// Outcomes could not be written, or could again.
    pub(crate) fn writes_fail(&mut self, boot: Boot, fails: bool) {
        if fails {
            self.failing.insert(boot);
            self.tally.chance(Invariant::NoAttemptWhileWritesFail);
        } else {
            self.failing.remove(&boot);
        }
    }

    /// A graceful stop is over: nothing may be left in its hands.
    pub(crate) fn stopped(&mut self, boot: Boot, moment: Moment) {
        let left: Vec<String> = self
            .leases
            .iter()
            .filter(|(_, book)| book.is_held_by(boot, moment.queue))
            .map(|(id, _)| short(id))
            .collect();
        self.tally.check(Invariant::DrainLeavesNoLease, left.is_empty(), || {
            format!("{boot} stopped and left {} leased", left.join(", "))
        });
    }

    /// What the store is known to hold of deliveries that are not final.
    pub(crate) fn open_deliveries(&self) -> Vec<DeliveryId> {
        let open = self.deliveries.iter().filter(|(_, followed)| followed.state.is_open());
        open.map(|(id, _)| *id).collect()
    }

    pub(crate) fn deliveries(&self) -> &BTreeMap<DeliveryId, Followed> {
        &self.deliveries
    }

    pub(crate) fn notifications(&self) -> &BTreeMap<NotificationId, FollowedNotification> {
        &self.notifications
    }
}

/// A name for an item that people can tell from others in a log.
pub(crate) fn short(id: &ItemId) -> String {
    let bytes = id.as_bytes();
    let kind = match id {
        ItemId::Delivery(_) => 'd',
        ItemId::FanOut(_) => 'n',
    };
    format!("{kind}{:02x}{:02x}{:02x}", bytes[13], bytes[14], bytes[15])
}

/// Leases as a log shows them, with how often each was abandoned.
pub(crate) fn listed(leases: &[Lease]) -> String {
    let name = |lease: &Lease| match lease.abandoned {
        0 => short(&lease.id),
        abandoned => format!("{} (abandoned {abandoned})", short(&lease.id)),
    };
    let names: Vec<String> = leases.iter().map(name).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}
