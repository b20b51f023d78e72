//! Reading what leases are about, and ending what is over by then.

use pabal_core::clock::Timestamp;
use pabal_core::delivery::{Reason, Recipient};
use pabal_core::device::{MarkKind, Target};
use pabal_core::ids::{DeliveryId, ItemId, NotificationId};
use pabal_core::notification::NotificationState;
use pabal_core::seam::{Content, DeliveryContent, Epoch, FanOutContent, Lease, Loaded, Then};

use crate::page::cursor_at;
use crate::rows::{DeliveryRow, State};

impl State {
    pub(crate) fn load(&mut self, lease: &Lease, now: Timestamp) -> Loaded {
        match lease.id {
            ItemId::Delivery(id) => self.load_delivery(id, lease.epoch, now),
            ItemId::FanOut(id) => self.load_fan_out(id, lease.epoch, now),
        }
        .unwrap_or(Loaded::Unknown)
    }

    fn load_delivery(&mut self, id: DeliveryId, epoch: Epoch, now: Timestamp) -> Option<Loaded> {
        self.end_delivery_if_over(id, now);
        let row = self.deliveries.get(&id)?;
        if !row.state.is_open() || row.due_at > now {
            return Some(Loaded::Settled(self.then_of(row, now)));
        }
        if epoch <= row.settled {
            return None;
        }
        let content = self.content_of(row, now)?;
        self.deliveries.get_mut(&id)?.route = Some(content.route.clone());
        Some(Loaded::Content(Content::Delivery(content)))
    }

    fn content_of(&self, row: &DeliveryRow, now: Timestamp) -> Option<DeliveryContent> {
        let notification = &self.notifications.get(&row.notification)?.notification;
        Some(DeliveryContent {
            id: row.id,
            notification: row.notification,
            route: self.route_of(row)?,
            target: self.target_of(row)?,
            message: notification.message.clone(),
            attempts: row.attempts(),
            counted: row.counted,
            ttl_ms: notification.ttl_ms,
            remaining_ms: now.ms_until(self.expiry_of(row)),
        })
    }

    fn end_delivery_if_over(&mut self, id: DeliveryId, now: Timestamp) {
        let over = self.deliveries.get(&id).and_then(|row| self.over(row, now));
        let open = self.deliveries.get_mut(&id).filter(|row| row.state.is_open());
        if let (Some(row), Some(reason)) = (open, over) {
            row.finish_for(reason, now);
        }
    }

    /// Why a delivery is not to be tried (again), if so.
    fn over(&self, row: &DeliveryRow, now: Timestamp) -> Option<Reason> {
        if row.cancel_requested {
            return Some(Reason::CancelRequested);
        }
        if self.expiry_of(row) <= now {
            return Some(Reason::TtlEnded);
        }
        match (&row.recipient, self.device_of(row)) {
            (Some(Recipient::Literal(_)), _) => None,
            (Some(Recipient::Device { .. }), Some(device)) => {
                let retired = device.mark.as_ref().is_some_and(|mark| mark.kind == MarkKind::Retired);
                retired.then_some(Reason::DeviceRetired)
            }
            // Whose it was is erased, and the devices with that.
            (Some(Recipient::Device { .. }) | None, _) => Some(Reason::DeviceGone),
            (Some(Recipient::NoDevice { .. }), _) => Some(Reason::NoDevice),
        }
    }

    fn target_of(&self, row: &DeliveryRow) -> Option<Target> {
        match &row.recipient {
            Some(Recipient::Literal(target)) => Some(target.clone()),
            Some(Recipient::Device { .. } | Recipient::NoDevice { .. }) | None => {
                self.device_of(row).map(|device| device.registration.target.clone())
            }
        }
    }

    fn load_fan_out(&mut self, id: NotificationId, epoch: Epoch, now: Timestamp) -> Option<Loaded> {
        self.end_fan_out_if_over(id, now);
        let row = self.notifications.get(&id)?;
        if !row.state.is_open() || row.due_at > now {
            return Some(Loaded::Settled(State::then_of_fan_out(row, now)));
        }
        if epoch <= row.settled || epoch < row.paged {
            return None;
        }
        Some(Loaded::Content(Content::FanOut(FanOutContent {
            notification: id,
            cursor: cursor_at(row.resolved),
            failures: row.failures,
            remaining_ms: now.ms_until(row.expires_at),
        })))
    }

    /// Ends an open fan-out that was cancelled or has expired.
    pub(crate) fn end_fan_out_if_over(&mut self, id: NotificationId, now: Timestamp) {
        if let Some(row) = self.notifications.get_mut(&id).filter(|row| row.state.is_open()) {
            if row.cancel_requested {
                row.finish(NotificationState::Cancelled, Some(Reason::CancelRequested), now);
            } else if row.expires_at <= now {
                row.finish(NotificationState::Expired, Some(Reason::TtlEnded), now);
            }
        }
    }

    /// What an entry is to do, by its id.
    pub(crate) fn then_of_item(&self, id: ItemId, now: Timestamp) -> Then {
        match id {
            ItemId::Delivery(id) => self.deliveries.get(&id).map(|row| self.then_of(row, now)),
            ItemId::FanOut(id) => self.notifications.get(&id).map(|row| State::then_of_fan_out(row, now)),
        }
        .unwrap_or(Then::Done)
    }
}
