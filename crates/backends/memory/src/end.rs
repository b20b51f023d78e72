//! Listing open work, and ending it.

use pabal_core::clock::Timestamp;
use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::ids::ItemId;
use pabal_core::notification::NotificationState;
use pabal_core::seam::{Ending, OpenItem, Selection};

use crate::rows::{DeliveryRow, NotificationRow, State, selects_fan_out};

/// A place in a listing of open work.
pub(crate) type After = Option<(Timestamp, ItemId)>;

impl State {
    pub(crate) fn open_work(
        &mut self,
        selection: &Selection,
        reason: Reason,
        after: After,
        max: usize,
        now: Timestamp,
    ) -> Vec<OpenItem> {
        if reason == Reason::CancelRequested {
            let open = |row: &&mut NotificationRow| row.state.is_open();
            for row in self.notifications.values_mut().filter(open) {
                row.cancel_requested |= selects_fan_out(selection, row, now);
            }
        }
        let delivery = |row: &DeliveryRow| self.selects(selection, row, now);
        let fan_out = |row: &NotificationRow| selects_fan_out(selection, row, now);
        self.list_open(delivery, fan_out, after, max, now)
    }

    pub(crate) fn scan_open(
        &self,
        after: After,
        overdue_by_ms: Option<u64>,
        max: usize,
        now: Timestamp,
    ) -> Vec<OpenItem> {
        let long_due =
            |due: Timestamp| overdue_by_ms.is_none_or(|by_ms| due < now && due.ms_until(now) > by_ms);
        self.list_open(|row| long_due(row.due_at), |row| long_due(row.due_at), after, max, now)
    }

    fn list_open(
        &self,
        delivery: impl Fn(&DeliveryRow) -> bool,
        fan_out: impl Fn(&NotificationRow) -> bool,
        after: After,
        max: usize,
        now: Timestamp,
    ) -> Vec<OpenItem> {
        let deliveries = self.deliveries.values().filter(|row| row.state.is_open() && delivery(row));
        let deliveries =
            deliveries.filter_map(|row| Some(OpenItem { item: self.queue_item(row, now)?, due: row.due_at }));
        let fan_outs = self.notifications.values().filter(|row| row.state.is_open() && fan_out(row));
        let fan_outs = fan_outs.map(|row| OpenItem { item: State::fan_out_item(row, now), due: row.due_at });
        let place = |open: &OpenItem| (open.due, open.item.id);
        let mut open: Vec<OpenItem> =
            deliveries.chain(fan_outs).filter(|open| after.is_none_or(|after| place(open) > after)).collect();
        open.sort_by_key(place);
        open.truncate(max);
        open
    }

    /// Ends one item, or marks it where it is leased. Answers whether it was ended.
    pub(crate) fn end(&mut self, ending: Ending, reason: Reason, now: Timestamp) -> bool {
        let marks = ending.leased && reason == Reason::CancelRequested;
        match ending.id {
            ItemId::Delivery(id) => {
                let Some(row) = self.deliveries.get_mut(&id).filter(|row| row.state.is_open()) else {
                    return false;
                };
                row.cancel_requested |= marks;
                if !ending.leased {
                    row.finish_for(reason, now);
                }
            }
            ItemId::FanOut(id) => {
                let Some(row) = self.notifications.get_mut(&id).filter(|row| row.state.is_open()) else {
                    return false;
                };
                row.cancel_requested |= marks;
                if !ending.leased {
                    row.finish(fan_out_state(reason), Some(reason), now);
                }
            }
        }
        !ending.leased
    }
}

/// The state in which a fan-out ends for a reason.
fn fan_out_state(reason: Reason) -> NotificationState {
    match reason.state() {
        DeliveryState::Expired => NotificationState::Expired,
        DeliveryState::Dead => NotificationState::Dead,
        DeliveryState::Scheduled
        | DeliveryState::Retrying
        | DeliveryState::Delivered
        | DeliveryState::Cancelled
        | DeliveryState::Undeliverable => NotificationState::Cancelled,
    }
}
