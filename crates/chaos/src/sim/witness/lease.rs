//! Who holds which item of the queue.

use pabal_core::clock::Timestamp;
use pabal_core::delivery::Reason;
use pabal_core::ids::ItemId;
use pabal_core::limits;
use pabal_core::seam::{Change, Ending, Epoch, Lease, QueueItem, Removed, Settlement, Want};

use super::{Boot, Moment, Witness, short};
use crate::sim::invariant::Invariant;

/// What is known about the leases of one item.
#[derive(Debug, Default)]
pub(crate) struct LeaseBook {
    /// The greatest epoch that any claim gave.
    leased: Epoch,
    /// The greatest epoch that the store took a settlement of.
    settled: Epoch,
    current: Option<Holder>,
    /// Leases in a row that were neither settled nor released.
    unsettled: u32,
    /// Those of them whose process died of poison.
    poisoned: u32,
    /// The process whose removal met a lease last.
    removal_met_lease: Option<Boot>,
    /// Whether the queue may have forgotten its epochs: it was wiped, or was filled from a listing made before the last
    /// settlement.
    forgotten: bool,
}

#[derive(Debug, Clone, Copy)]
struct Holder {
    boot: Boot,
    epoch: Epoch,
    until: Timestamp,
    /// Whether its process knows that it has it: the answer to a claim can be lost, and so can one that is given back.
    knows: bool,
}

impl LeaseBook {
    /// Whether somebody holds an unexpired lease.
    fn is_held(&self, now: Timestamp) -> bool {
        self.current.is_some_and(|holder| holder.until > now)
    }

    pub(super) fn is_held_by(&self, boot: Boot, now: Timestamp) -> bool {
        self.is_held(now) && self.current.is_some_and(|holder| holder.boot == boot && holder.knows)
    }

    /// The greatest epoch that the store took a settlement of.
    pub(super) fn settled(&self) -> Epoch {
        self.settled
    }

    /// Whether the lease of this epoch is the one that the queue knows.
    pub(super) fn is_known(&self, epoch: Epoch) -> bool {
        self.current.is_some_and(|holder| holder.epoch == epoch)
    }

    pub(super) fn holder_died(&mut self, boot: Boot, by_poison: bool) {
        // One that did not know of its lease was not working on it.
        if self.current.is_some_and(|holder| holder.boot == boot && holder.knows) {
            self.poisoned += u32::from(by_poison);
        }
    }

    pub(super) fn wiped(&mut self) {
        self.current = None;
        self.forgotten = true;
        self.unsettled = 0;
        self.poisoned = 0;
    }

    /// The lease of this epoch was given back. Answers whether it was the present one.
    fn given_back(&mut self, epoch: Epoch) -> bool {
        self.current.take_if(|holder| holder.epoch == epoch).is_some()
    }

    /// The server that held the leases was started anew, and knows that their holders are gone.
    pub(super) fn freed(&mut self) {
        self.current = None;
    }
}

impl Witness {
    /// A claim took effect.
    pub(crate) fn leased(&mut self, boot: Boot, want: Option<&Want>, leases: &[Lease], moment: Moment) {
        for lease in leases {
            self.lease(boot, lease, moment);
        }
        let Some(want) = want else { return };
        let apart = match want {
            Want::Ordinary(_) => leases.iter().all(|lease| lease.abandoned < limits::SUSPECT_AFTER),
            Want::Suspects(_) => suspects_fit(leases),
        };
        let met_suspects = matches!(want, Want::Suspects(_)) && !leases.is_empty();
        if !apart || met_suspects {
            self.tally.check(Invariant::SuspectsAreClaimedApart, apart, || {
                let found: Vec<u32> = leases.iter().map(|lease| lease.abandoned).collect();
                format!("a claim of {want:?} gave leases abandoned {found:?} times")
            });
        }
    }

    fn lease(&mut self, boot: Boot, lease: &Lease, moment: Moment) {
        let book = self.leases.entry(lease.id).or_default();
        let floor = if self.queue_was_set_back { book.settled } else { book.settled.max(book.leased) };
        // A queue that forgot goes by its clock, which shows milliseconds here: within one it can't but repeat itself.
        // Set back, it may even lease below the last settlement: such work is not handed out, as a load shows.
        let by_clock = lease.epoch.0 == moment.queue.as_ms() * 1000;
        let may_repeat = book.forgotten && by_clock && (lease.epoch == floor || self.queue_was_set_back);
        let grows = lease.epoch > floor || may_repeat;
        self.tally.check(Invariant::EpochsGrow, grows, || {
            format!("{} was leased with {:?} after {floor:?}", short(&lease.id), lease.epoch)
        });
        book.forgotten = false;
        let held = book.is_held(moment.queue);
        self.tally.check(Invariant::LeasesAreExclusive, !held, || {
            format!("{} was leased to {boot} while {:?} held it", short(&lease.id), book.current)
        });
        book.leased = lease.epoch.max(book.leased);
        book.unsettled += 1;
        book.current = Some(Holder { boot, epoch: lease.epoch, until: lease.until, knows: true });
    }

    /// The process does not know (any more) that it holds these: the answer that told it was lost.
    pub(crate) fn unknown_to_holder(&mut self, leases: &[(ItemId, Epoch)]) {
        for (id, epoch) in leases {
            if let Some(holder) = self.leases.get_mut(id).and_then(|book| book.current.as_mut())
                && holder.epoch == *epoch
            {
                holder.knows = false;
            }
        }
    }

    /// Items were put into the queue.
    pub(crate) fn enqueued(&mut self, items: &[QueueItem]) {
        for item in items {
            if let Some(book) = self.leases.get_mut(&item.id) {
                book.forgotten |= item.epoch_floor < book.settled.max(book.leased);
            }
        }
    }

    /// The queue's clock is about to be set back: what has ended by then has ended, whatever it shows later.
    pub(crate) fn queue_is_set_back(&mut self, moment: Moment) {
        self.queue_was_set_back = true;
        for book in self.leases.values_mut() {
            book.current.take_if(|holder| holder.until <= moment.queue);
        }
    }

    /// Leases last longer now.
    pub(crate) fn extended(&mut self, leases: &[Option<Lease>]) {
        for lease in leases.iter().flatten() {
            if let Some(holder) = self.leases.get_mut(&lease.id).and_then(|book| book.current.as_mut())
                && holder.epoch == lease.epoch
            {
                holder.until = lease.until;
            }
        }
    }

    /// A lease's entry was settled in the queue: done, or to come back.
    pub(crate) fn given_back(&mut self, id: ItemId, epoch: Epoch) {
        if let Some(book) = self.leases.get_mut(&id)
            && book.given_back(epoch)
        {
            book.unsettled = 0;
            book.poisoned = 0;
        }
    }

    /// Leases were given back unused.
    pub(crate) fn released(&mut self, leases: &[Lease]) {
        for lease in leases {
            if let Some(book) = self.leases.get_mut(&lease.id)
                && book.given_back(lease.epoch)
            {
                book.unsettled = lease.abandoned;
            }
            self.tries_of(lease, |attempt| attempt.released = true);
        }
    }

    /// The queue answered what a removal found.
    pub(crate) fn removed(&mut self, boot: Boot, ids: &[ItemId], found: &[Removed], moment: Moment) {
        for (id, found) in ids.iter().zip(found) {
            let book = self.leases.entry(*id).or_default();
            if *found == Removed::Leased {
                book.removal_met_lease = Some(boot);
            } else {
                book.removal_met_lease.take_if(|met| *met == boot);
            }
            let wrongly = *found == Removed::Removed && book.is_held(moment.queue);
            self.tally.check(Invariant::CancelRespectsLeases, !wrongly, || {
                format!("{} was removed from the queue while it was leased", short(id))
            });
        }
    }

    /// The store was told to end these; what the queue found leased must come as leased.
    pub(crate) fn ending(&mut self, boot: Boot, items: &[Ending]) {
        for ending in items {
            let met_lease =
                self.leases.get(&ending.id).is_some_and(|book| book.removal_met_lease == Some(boot));
            self.tally.check(Invariant::CancelRespectsLeases, !met_lease || ending.leased, || {
                format!("{} is ended though the queue said that it is leased", short(&ending.id))
            });
        }
    }

    /// An item ended by a cancel or an expiry, in one step with the queue.
    pub(super) fn ended_in_one_step(&mut self, id: ItemId, moment: Moment) {
        let held = self.leases.get(&id).is_some_and(|book| book.is_held(moment.queue));
        self.tally.check(Invariant::CancelRespectsLeases, !held, || {
            format!("{} was ended while it was leased", short(&id))
        });
    }

    /// The store took or refused a settlement.
    pub(super) fn fenced(&mut self, settlement: &Settlement, taken: bool) {
        let lease = &settlement.lease;
        let book = self.leases.entry(lease.id).or_default();
        if lease.epoch <= book.settled {
            self.tally.check(Invariant::StaleSettlementsAreRefused, !taken, || {
                format!("{} was settled with {:?} after {:?}", short(&lease.id), lease.epoch, book.settled)
            });
        }
        if !taken {
            return;
        }
        book.settled = book.settled.max(lease.epoch);
        let (unsettled, poisoned) = (book.unsettled, book.poisoned);
        let Change::End(end) = &settlement.change else { return };
        if end.reason != Reason::Abandoned {
            return;
        }
        // The lease under which it is ended is one more.
        let often = unsettled > limits::ABANDONED_MAX;
        self.tally.check(Invariant::EndsForTheRightReason, often, || {
            format!("{} ended abandoned after {unsettled} unsettled leases", short(&lease.id))
        });
        let innocent = !self.is_poison(lease.id) && poisoned + 1 >= unsettled;
        self.tally.check(Invariant::PoisonEndsAlone, !innocent, || {
            format!("{} ended abandoned, taken along by poison {poisoned} times", short(&lease.id))
        });
    }

    /// An item is worked on: whether that kills the process.
    pub(crate) fn meets_poison(&mut self, id: ItemId) -> bool {
        let kills = self.is_poison(id);
        if kills {
            self.poison_met.insert(id);
        }
        kills
    }

    /// Whether working on an item has killed a process.
    pub(crate) fn poison_was_met(&self, id: ItemId) -> bool {
        self.poison_met.contains(&id)
    }

    /// Whether working on an item kills the process.
    fn is_poison(&self, id: ItemId) -> bool {
        match id {
            ItemId::FanOut(id) => self.book.order_of(id).is_some_and(|order| order.is_poison),
            ItemId::Delivery(id) => self
                .deliveries
                .get(&id)
                .and_then(|followed| self.book.order_of(followed.notification))
                .is_some_and(|order| order.kills_senders()),
        }
    }
}

fn suspects_fit(leases: &[Lease]) -> bool {
    let Some(first) = leases.first() else { return true };
    first.abandoned >= limits::SUSPECT_AFTER
        && leases.iter().all(|lease| lease.abandoned == first.abandoned)
        && leases.len() <= limits::suspects_at_once(first.abandoned)
}
