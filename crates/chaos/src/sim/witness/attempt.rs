//! Each try of a delivery, from the load of its content over the send and the arrival to the record.

use std::time::Duration;

use pabal_core::clock::Timestamp;
use pabal_core::delivery::{DeliveryState, Recipient};
use pabal_core::device::Target;
use pabal_core::ids::{DeliveryId, ItemId};
use pabal_core::outcome::{Outcome, OutcomeKind};
use pabal_core::route::{Lane, Route};
use pabal_core::seam::{Change, DeliveryContent, Epoch, Lease, Outbound, Settlement, Taken};
use pabal_core::verdict::Next;

use super::lease::LeaseBook;
use super::state::Followed;
use super::{Boot, Moment, Witness, short};
use crate::sim::invariant::Invariant;

/// One try.
#[derive(Debug, Clone)]
pub(crate) struct Try {
    boot: Boot,
    epoch: Epoch,
    lease_until: Timestamp,
    lease_route: Route,
    loaded: Moment,
    remaining_ms: u64,
    target: Target,
    begun: bool,
    arrived: bool,
    /// What the provider said, when, and after how long it may be tried again.
    answer: Option<(OutcomeKind, Duration, u64)>,
    recorded: Option<(u64, OutcomeKind)>,
    refused: bool,
    pub(super) released: bool,
    /// When its process died, its record not written.
    lost: Option<u64>,
    /// When the queue was seen to have forgotten its lease.
    forgotten: Option<u64>,
}

impl Try {
    /// Sent, perhaps, and not yet in the store.
    fn is_in_flight(&self) -> bool {
        self.begun && self.recorded.is_none() && !self.refused && self.lost.is_none()
    }

    /// Whether its time to live was over, as its process reckons it from before the claim.
    fn is_over(&self, moment: Moment, claim_takes_ms_max: u64) -> bool {
        let since_load = u64::try_from((moment.at - self.loaded.at).as_millis()).unwrap_or(u64::MAX);
        self.remaining_ms <= since_load + claim_takes_ms_max
    }

    pub(super) fn has_arrived(&self) -> bool {
        self.arrived
    }

    /// Why `later` may send what this try has already brought to its device.
    fn excuses(&self, later: &Try) -> bool {
        let before = |seq: Option<u64>| seq.is_some_and(|seq| seq < later.loaded.seq);
        let unknown =
            self.recorded.is_some_and(|(seq, kind)| kind == OutcomeKind::Unknown && seq < later.loaded.seq);
        unknown || before(self.lost) || before(self.forgotten) || self.lease_until <= later.loaded.queue
    }
}

impl Followed {
    /// Answers how many of its tries were in flight.
    pub(super) fn holder_died(&mut self, boot: Boot, moment: Moment) -> usize {
        let held =
            |attempt: &&mut Try| attempt.boot == boot && attempt.recorded.is_none() && attempt.lost.is_none();
        let mut in_flight = 0;
        for attempt in self.tries.iter_mut().filter(held) {
            in_flight += usize::from(attempt.is_in_flight() && attempt.arrived);
            attempt.lost = Some(moment.seq);
        }
        in_flight
    }

    pub(super) fn queue_wiped(&mut self, moment: Moment) {
        for attempt in self.tries.iter_mut().filter(|attempt| attempt.recorded.is_none()) {
            attempt.forgotten = Some(moment.seq);
        }
    }

    /// Whether the provider answered so to any try.
    pub(super) fn was_answered(&self, kind: OutcomeKind) -> bool {
        self.tries.iter().any(|attempt| attempt.answer.is_some_and(|(answered, _, _)| answered == kind))
    }
}

impl Witness {
    /// The content of a leased delivery was read: a try begins.
    pub(crate) fn loaded(&mut self, boot: Boot, lease: &Lease, content: &DeliveryContent, moment: Moment) {
        if !self.deliveries.contains_key(&content.id) {
            let unknown = || format!("{} was loaded before anybody accepted it", short(&lease.id));
            return self.tally.check(Invariant::NothingArrivesUnasked, false, unknown);
        }
        let name = short(&lease.id);
        let is_erased = self.deliveries.get(&content.id).is_some_and(|it| self.is_for_an_erased(it));
        if is_erased {
            self.tally.broken(Invariant::ErasedStaysErased, format!("{name} was loaded after the erasure"));
        }
        let Some(followed) = self.deliveries.get_mut(&content.id) else { return };
        let tally = &mut self.tally;
        tally.check(Invariant::NoAttemptAfterTheEnd, followed.state.is_open(), || {
            format!("{name} was loaded as {}", followed.state)
        });
        if followed.cancel_is_known {
            tally.broken(Invariant::NoAttemptAfterCancel, format!("{name} was loaded after its cancel"));
        }
        if let Some(due) = followed.due {
            tally.check(Invariant::RetryIsNeverEarly, moment.store >= due, || {
                format!("{name} was loaded at {:?} and is due at {due:?}", moment.store)
            });
        }
        let counts = (content.attempts, content.counted);
        tally.check(Invariant::AttemptsAreCounted, counts == (followed.recorded, followed.counted), || {
            format!(
                "{name} was loaded with {counts:?} attempts, recorded {:?}",
                (followed.recorded, followed.counted)
            )
        });
        let target = match &followed.recipient {
            Recipient::Device { user, device } => {
                self.devices.registration(user, device).map(|it| &it.target)
            }
            Recipient::Literal(target) => Some(target),
            Recipient::NoDevice { .. } => None,
        };
        tally.check(Invariant::NewestAddressIsUsed, target == Some(&content.target), || {
            format!("{name} was loaded with {}, its device has {target:?}", content.target.address())
        });
        let settled = self.leases.get(&lease.id).map(LeaseBook::settled).unwrap_or_default();
        tally.check(Invariant::EpochsGrow, lease.epoch > settled, || {
            format!("{name} was loaded under {:?} after a settlement of {settled:?}", lease.epoch)
        });
        // The queue may have been wiped between the claim and this load.
        let is_known = self.leases.get(&lease.id).is_some_and(|book| book.is_known(lease.epoch));
        followed.tries.push(Try {
            boot,
            epoch: lease.epoch,
            lease_until: lease.until,
            lease_route: lease.route.clone(),
            loaded: moment,
            remaining_ms: content.remaining_ms,
            target: content.target.clone(),
            begun: false,
            arrived: false,
            answer: None,
            recorded: None,
            refused: false,
            released: false,
            lost: None,
            forgotten: (!is_known).then_some(moment.seq),
        });
    }

    /// A send begins. Answers which try of the delivery it is.
    pub(crate) fn sending(&mut self, boot: Boot, outbound: &Outbound, moment: Moment) -> Option<usize> {
        let name = short(&ItemId::Delivery(outbound.delivery));
        // The latest: an earlier one that never began was lost on its way to the process.
        let waits = |attempt: &Try| attempt.boot == boot && !attempt.begun && !attempt.released;
        let followed = self.deliveries.get_mut(&outbound.delivery);
        let found = followed.and_then(|followed| {
            let index = followed.tries.iter().rposition(waits)?;
            Some((index, &mut followed.tries[index]))
        });
        let Some((index, attempt)) = found else {
            let unasked = || format!("{boot} sends {name} without having loaded it");
            self.tally.check(Invariant::NothingArrivesUnasked, false, unasked);
            return None;
        };
        attempt.begun = true;
        let after_ms = u64::try_from((moment.at - attempt.loaded.at).as_millis()).unwrap_or(u64::MAX);
        let remaining_ms = attempt.remaining_ms;
        self.tally.check(Invariant::NothingIsSentExpired, after_ms <= remaining_ms, || {
            format!("{name} is sent {after_ms} ms after a load that gave it {remaining_ms} ms")
        });
        let same = attempt.target == outbound.target;
        self.tally
            .check(Invariant::NewestAddressIsUsed, same, || format!("{name} is sent elsewhere than loaded"));
        if self.failing.contains(&boot) {
            let what = format!("{name} is sent while {boot} can't write outcomes");
            self.tally.broken(Invariant::NoAttemptWhileWritesFail, what);
        }
        let route = attempt.lease_route.clone();
        self.check_permits(boot, &route, &name);
        self.probes(boot, &route, &name, moment);
        Some(index)
    }

    fn check_permits(&mut self, boot: Boot, route: &Route, name: &str) {
        let in_flight: Vec<&Try> = self
            .deliveries
            .values()
            .flat_map(|followed| &followed.tries)
            .filter(|attempt| attempt.boot == boot && attempt.is_in_flight())
            .collect();
        let (all, limits) = (in_flight.len(), &self.limits);
        let on_route = in_flight.iter().filter(|attempt| attempt.lease_route == *route).count();
        let bulk = in_flight.iter().filter(|attempt| attempt.lease_route.lane == Lane::Bulk).count();
        let bulk_max = (limits.attempts_in_flight_max * 9 / 10).max(1);
        let fits = all <= limits.attempts_in_flight_max
            && on_route <= limits.attempts_in_flight_per_route_max
            && bulk <= bulk_max;
        self.tally.check(Invariant::PermitsAreBounded, fits, || {
            format!("with {name}, {boot} has {all} in flight, {on_route} on {route}, {bulk} of the bulk lane")
        });
    }

    /// The message reached its device.
    pub(crate) fn arrived(&mut self, delivery: DeliveryId, index: usize) {
        let Some(followed) = self.deliveries.get_mut(&delivery) else { return };
        let known = self.book.order_of(followed.notification).is_some();
        let name = short(&ItemId::Delivery(delivery));
        self.tally.check(Invariant::NothingArrivesUnasked, known, || {
            format!("{name} arrived, and nobody asked for it")
        });
        followed.tries[index].arrived = true;
        let (later, all) = (&followed.tries[index], &followed.tries);
        let earlier: Vec<&Try> = all
            .iter()
            .enumerate()
            .filter(|(at, other)| *at != index && other.arrived)
            .map(|(_, it)| it)
            .collect();
        if earlier.is_empty() {
            return;
        }
        self.stats.duplicates += 1;
        // Of two tries that overlapped the one that was claimed first excuses the other, whichever arrived first.
        let unexcused = |other: &&&Try| {
            let other_is_first = other.loaded.seq < later.loaded.seq;
            let (first, second) = if other_is_first { (**other, later) } else { (later, **other) };
            !first.excuses(second)
        };
        let unexplained = earlier.iter().find(unexcused).map(|other| format!("{other:?}"));
        self.tally.check(Invariant::DuplicatesAreExplained, unexplained.is_none(), || {
            format!("{name} arrived again by {later:?}, after {}", unexplained.unwrap_or_default())
        });
    }

    /// The provider answered.
    pub(crate) fn answered(&mut self, delivery: DeliveryId, index: usize, outcome: &Outcome, moment: Moment) {
        let retry_after_ms = match outcome {
            Outcome::Throttled { retry_after_ms, .. } | Outcome::Unavailable { retry_after_ms } => {
                *retry_after_ms
            }
            _ => None,
        };
        let Some(followed) = self.deliveries.get_mut(&delivery) else { return };
        let attempt = &mut followed.tries[index];
        attempt.answer = Some((outcome.kind(), moment.at, retry_after_ms.unwrap_or(0)));
        let (boot, route) = (attempt.boot, attempt.lease_route.clone());
        self.heard(boot, &route, outcome, moment);
    }

    /// The store took a settlement of a delivery, or refused it.
    pub(crate) fn recorded(&mut self, boot: Boot, settlement: &Settlement, taken: Taken, moment: Moment) {
        self.fenced(settlement, taken != Taken::Refused);
        self.settles_what_is_gone(settlement.lease.id, taken != Taken::Refused);
        let ItemId::Delivery(id) = settlement.lease.id else { return };
        let Some(followed) = self.deliveries.get_mut(&id) else { return };
        let epoch = settlement.lease.epoch;
        let found = followed.tries.iter().position(|attempt| attempt.epoch == epoch && attempt.boot == boot);
        let attempt = found.map(|index| &mut followed.tries[index]);
        if taken == Taken::Refused {
            if let Some(attempt) = attempt {
                attempt.refused = attempt.recorded.is_none();
            }
            return;
        }
        let record = match &settlement.change {
            Change::Attempt(record) => record,
            Change::End(end) => {
                let claim_takes_ms_max = self.limits.claim_takes_ms_max;
                let over = |attempt: &mut Try| attempt.is_over(moment, claim_takes_ms_max);
                followed.expire_is_recorded |=
                    end.state == DeliveryState::Expired && attempt.is_some_and(over);
                return;
            }
            Change::Postpone { .. } => return,
        };
        followed.recorded += 1;
        let waits_for_ms = attempt.and_then(|attempt| {
            attempt.recorded = Some((moment.seq, record.report.outcome.kind()));
            let (_, answered_at, retry_after_ms) = attempt.answer?;
            let since = u64::try_from((moment.at - answered_at).as_millis()).unwrap_or(u64::MAX);
            Some(retry_after_ms.saturating_sub(since))
        });
        followed.expire_is_recorded |= record.next == Next::Expire;
        followed.due = match record.next {
            Next::Retry { delay_ms, counted } if taken == Taken::Recorded => {
                followed.counted += u32::from(counted);
                let wait_ms = delay_ms.max(waits_for_ms.unwrap_or(0));
                Some(moment.store.plus_ms(i64::try_from(wait_ms).unwrap_or(i64::MAX)))
            }
            _ => None,
        };
        if let (Recipient::Device { user, device }, Some(mark)) = (&followed.recipient, record.mark) {
            self.devices.marked(user, device, &record.target, mark, moment);
        }
    }

    /// Changes the tries that belong to a lease.
    pub(super) fn tries_of(&mut self, lease: &Lease, change: impl Fn(&mut Try)) {
        let ItemId::Delivery(id) = lease.id else { return };
        if let Some(followed) = self.deliveries.get_mut(&id) {
            followed.tries.iter_mut().filter(|attempt| attempt.epoch == lease.epoch).for_each(change);
        }
    }
}
