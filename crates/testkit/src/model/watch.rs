//! What no history may break, watched on the ledger alone.

use std::collections::BTreeMap;

use pabal_core::clock::Timestamp;
use pabal_core::delivery::DeliveryState;
use pabal_core::ids::ItemId;
use pabal_core::seam::store::DeliveryView;
use pabal_core::seam::{Epoch, Lease, Work};

use super::side::Picture;

/// What a step may do that others may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing of this.
    Ordinary,
    /// What is dead may be opened again.
    Redrives,
    /// What is dead may vanish.
    Purges,
    /// What is final may vanish.
    Prunes,
}

/// What was seen so far.
#[derive(Default)]
pub(super) struct Watch {
    /// The lease that holds each id, until it is given back or lost.
    live: BTreeMap<ItemId, Lease>,
    /// The epoch of the last settlement that was recorded.
    settled: BTreeMap<ItemId, Epoch>,
    last: Option<Picture>,
}

impl Watch {
    /// Work was leased.
    pub(super) fn claimed(&mut self, work: &[Work], now: Timestamp) {
        for Work { lease, .. } in work {
            let live = self.live.insert(lease.id, lease.clone());
            let alone = live.as_ref().is_none_or(|live| live.until <= now);
            assert!(alone, "{} is leased twice: {live:?} and {lease:?}", lease.id);
            let settled = self.settled.get(&lease.id).copied().unwrap_or_default();
            assert!(lease.epoch > settled, "{lease:?} could not be settled after {settled:?}");
        }
    }

    /// A lease was given back, whatever was answered.
    pub(super) fn given_back(&mut self, lease: &Lease) {
        let same = |live: &Lease| live.epoch == lease.epoch && live.worker == lease.worker;
        if self.live.get(&lease.id).is_some_and(same) {
            self.live.remove(&lease.id);
        }
    }

    /// A settlement was recorded.
    pub(super) fn recorded(&mut self, lease: &Lease) {
        self.settled.insert(lease.id, lease.epoch);
    }

    /// A lease lasts longer.
    pub(super) fn extended(&mut self, lease: &Lease) {
        self.live.insert(lease.id, lease.clone());
    }

    /// All leases are lost: the queue was wiped, or freed them at a start.
    pub(super) fn leases_lost(&mut self) {
        self.live.clear();
    }

    /// Looks at everything, after a step.
    pub(super) fn look(&mut self, picture: Picture, step: Step) {
        for (view, attempts) in picture.deliveries.values().flatten() {
            check_one(view);
            assert_eq!(view.attempts as usize, attempts.len(), "{view:?} has a complete timeline");
            assert!(attempts.iter().zip(1..).all(|(attempt, number)| attempt.number == number));
        }
        check_counts(&picture);
        picture.check_lists();
        if let Some(last) = &self.last {
            check_step(last, &picture, step);
        }
        // What vanished may be made anew, under the same id and from the beginning.
        self.settled.retain(|id, _| picture.holds(*id));
        self.last = Some(picture);
    }
}

fn check_one(view: &DeliveryView) {
    let ended_otherwise = !view.state.is_open() && view.state != DeliveryState::Delivered;
    assert_eq!(view.reason.is_some(), ended_otherwise, "{view:?} says why it ended");
    assert_eq!(view.finished_at.is_some(), !view.state.is_open(), "{view:?} says when it ended");
    assert_eq!(view.due_at.is_some(), view.state.is_open(), "{view:?} says when it is due");
}

fn check_counts(picture: &Picture) {
    let mut totals = BTreeMap::new();
    for (id, deliveries) in &picture.deliveries {
        let mut counts = BTreeMap::new();
        for (view, _) in deliveries {
            *counts.entry(view.state).or_insert(0) += 1;
            *totals.entry((view.state, view.reason)).or_insert(0) += 1;
        }
        let told = &picture.notifications[id].counts;
        assert_eq!(*told, counts.into_iter().collect::<Vec<_>>(), "the counts of {id} equal a recount");
    }
    assert_eq!(picture.totals, totals, "the totals equal a recount");
}

fn check_step(last: &Picture, picture: &Picture, step: Step) {
    for (before, _) in last.deliveries.values().flatten() {
        let now = picture.deliveries.get(&before.notification).into_iter().flatten();
        let Some((now, _)) = now.into_iter().find(|(view, _)| view.id == before.id) else {
            let may_vanish = match step {
                Step::Ordinary | Step::Redrives => false,
                Step::Purges => before.state == DeliveryState::Dead,
                Step::Prunes => !before.state.is_open(),
            };
            assert!(may_vanish, "{before:?} vanished");
            continue;
        };
        let reopened =
            step == Step::Redrives && before.state.can_be_redriven() && now.state == DeliveryState::Scheduled;
        let allowed = before.state == now.state || before.state.may_become(now.state) || reopened;
        assert!(allowed, "{} became {}", before.state, now.state);
        assert!(now.attempts >= before.attempts, "attempts are never taken back");
    }
}
