//! Recording what came of leases.
//!
//! What is recorded depends on the epoch of the settlement and on the state that the delivery is in by then:
//!
//! | | open | final |
//! | --- | --- | --- |
//! | epoch above the last settlement's | recorded | recorded if it delivered, else refused |
//! | any other | refused | refused |

use pabal_core::clock::Timestamp;
use pabal_core::delivery::{DeliveryState, Reason, Recipient};
use pabal_core::device::{Device, Mark};
use pabal_core::ids::{DeliveryId, ItemId, NotificationId};
use pabal_core::notification::NotificationState;
use pabal_core::seam::store::AttemptView;
use pabal_core::seam::{AttemptRecord, Change, Epoch, Recorded, Settlement, Taken};
use pabal_core::verdict::Next;

use crate::rows::{DeliveryRow, State};

impl State {
    pub(crate) fn record(&mut self, settlement: &Settlement, now: Timestamp) -> Recorded {
        let Settlement { lease, change } = settlement;
        let taken = match lease.id {
            ItemId::Delivery(id) => self.record_delivery(id, lease.epoch, change, now),
            ItemId::FanOut(id) => self.record_fan_out(id, lease.epoch, change, now),
        };
        Recorded { taken: taken.unwrap_or(Taken::Refused), then: self.then_of_item(lease.id, now) }
    }

    fn record_delivery(
        &mut self,
        id: DeliveryId,
        epoch: Epoch,
        change: &Change,
        now: Timestamp,
    ) -> Option<Taken> {
        let superseded = self.superseded(self.deliveries.get(&id)?, change);
        let row = self.deliveries.get_mut(&id)?;
        let delivers = matches!(change, Change::Attempt(AttemptRecord { next: Next::Complete, .. }));
        let fits = row.state.is_open() || (delivers && row.state.may_become(DeliveryState::Delivered));
        if epoch <= row.settled || !fits {
            return Some(Taken::Refused);
        }
        match change {
            Change::Attempt(attempt) => {
                row.timeline.push(shown(attempt, row.attempts() + 1, now));
                match attempt.next {
                    Next::Complete => row.finish(DeliveryState::Delivered, None, now),
                    Next::Retry { delay_ms, counted } => {
                        row.counted += u32::from(counted);
                        retry(row, DeliveryState::Retrying, delay_ms, now);
                    }
                    Next::Dead(_) if superseded => retry(row, DeliveryState::Retrying, 0, now),
                    Next::Dead(reason) => row.finish_for(reason, now),
                    Next::Expire => row.finish_for(Reason::TtlEnded, now),
                }
            }
            // Without an attempt nothing arrives, and an end is final.
            Change::End(end) if end.state.is_open() || end.state == DeliveryState::Delivered => {
                return Some(Taken::Refused);
            }
            Change::End(end) => row.finish(end.state, Some(end.reason), now),
            Change::Postpone { delay_ms } => retry(row, row.state, *delay_ms, now),
        }
        row.settled = epoch;
        let comes_back = row.state.is_open();
        self.follow_device(id);
        if let Change::Attempt(attempt) = change {
            self.mark_device(id, attempt, now);
        }
        Some(if superseded && comes_back { Taken::Superseded } else { Taken::Recorded })
    }

    /// Whether an attempt killed the delivery for an address that its device no longer has.
    fn superseded(&self, row: &DeliveryRow, change: &Change) -> bool {
        let Change::Attempt(attempt) = change else { return false };
        let for_its_address = matches!(
            attempt.next,
            Next::Dead(Reason::Unregistered | Reason::SenderMismatch | Reason::MalformedTarget)
        );
        let another = |device: &Device| device.registration.target != attempt.target;
        for_its_address && self.device_of(row).is_some_and(another)
    }

    /// A delivery that comes back does so on the route that its device has now.
    fn follow_device(&mut self, id: DeliveryId) {
        let route = self.deliveries.get(&id).and_then(|row| self.route_of(row));
        if let Some(row) = self.deliveries.get_mut(&id).filter(|row| row.state.is_open()) {
            row.route = route;
        }
    }

    /// Marks the device of a delivery, if the address that was sent to is still its own.
    fn mark_device(&mut self, id: DeliveryId, attempt: &AttemptRecord, now: Timestamp) {
        let Some(DeliveryRow { app, recipient: Some(Recipient::Device { user, device }), .. }) =
            self.deliveries.get(&id)
        else {
            return;
        };
        let device = self.devices.get_mut(*app, user, device);
        let same = device.filter(|device| device.registration.target == attempt.target);
        if let (Some(device), Some(kind)) = (same, attempt.mark) {
            let code = attempt.report.code.clone();
            let reason = code.unwrap_or_else(|| attempt.report.outcome.kind().as_str().to_owned());
            device.mark = Some(Mark { kind, reason, at: now });
        }
    }

    fn record_fan_out(
        &mut self,
        id: NotificationId,
        epoch: Epoch,
        change: &Change,
        now: Timestamp,
    ) -> Option<Taken> {
        let row = self.notifications.get_mut(&id)?;
        // A page under a newer lease shows that this one was overtaken, though nothing is settled yet.
        if !row.state.is_open() || epoch <= row.settled || epoch < row.paged {
            return Some(Taken::Refused);
        }
        match change {
            Change::Attempt(_) => return Some(Taken::Refused),
            Change::Postpone { .. } if row.cancel_requested => {
                row.finish(NotificationState::Cancelled, Some(Reason::CancelRequested), now);
            }
            Change::Postpone { delay_ms } => {
                row.failures += 1;
                row.due_at = now.plus_ms(i64::try_from(*delay_ms).unwrap_or(i64::MAX));
            }
            Change::End(end) => match end.state {
                DeliveryState::Dead => row.finish(NotificationState::Dead, Some(end.reason), now),
                DeliveryState::Expired => row.finish(NotificationState::Expired, Some(end.reason), now),
                DeliveryState::Cancelled => row.finish(NotificationState::Cancelled, Some(end.reason), now),
                DeliveryState::Scheduled
                | DeliveryState::Retrying
                | DeliveryState::Delivered
                | DeliveryState::Undeliverable => return Some(Taken::Refused),
            },
        }
        row.settled = epoch;
        Some(Taken::Recorded)
    }
}

/// Waits for another attempt, unless the caller has taken it back.
fn retry(row: &mut DeliveryRow, state: DeliveryState, delay_ms: u64, now: Timestamp) {
    if row.cancel_requested {
        return row.finish_for(Reason::CancelRequested, now);
    }
    row.state = state;
    row.due_at = now.plus_ms(i64::try_from(delay_ms).unwrap_or(i64::MAX));
}

fn shown(attempt: &AttemptRecord, number: u32, now: Timestamp) -> AttemptView {
    AttemptView {
        number,
        at: now.plus_ms(-i64::try_from(attempt.began_ms_ago).unwrap_or(i64::MAX)),
        outcome: attempt.report.outcome.kind(),
        status: attempt.report.status,
        code: attempt.report.code.clone(),
        detail: attempt.report.detail.clone(),
        latency_ms: attempt.latency_ms,
    }
}
