//! Dead letters: listed, removed, and opened again. The jobs that open many of them are in `redrives.rs`.

use std::cmp::Reverse;

use pabal_core::clock::Timestamp;
use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::ids::{AppId, DeliveryId, ItemId};
use pabal_core::notification::NotificationState;
use pabal_core::seam::store::{DeadLetter, Purged};
use pabal_core::seam::{DeadFilter, Listed, QueueItem, Reopened};

use crate::history::view;
use crate::lists::{page_of, within};
use crate::rows::{DeliveryRow, NotificationRow, State};

impl State {
    pub(crate) fn list_dead(
        &self,
        app: AppId,
        filter: &DeadFilter,
        before: Option<ItemId>,
        max: usize,
    ) -> Listed<DeadLetter, ItemId> {
        let mut dead = self.dead(app);
        dead.retain(|id| before.is_none_or(|before| id.as_bytes() < before.as_bytes()));
        dead.sort_unstable_by_key(|id| Reverse(*id.as_bytes()));
        page_of(dead.into_iter().map(|id| (id, self.dead_letter(id, filter))), max)
    }

    pub(crate) fn reopen(
        &mut self,
        app: AppId,
        filter: &DeadFilter,
        after: Option<ItemId>,
        max: usize,
        now: Timestamp,
    ) -> Reopened {
        let Listed { items, next } = self.dead_after(app, filter, after, max);
        let work = items.into_iter().filter_map(|id| self.reopen_one(id, now)).collect();
        Reopened { work, next }
    }

    pub(crate) fn purge_dead(
        &mut self,
        app: AppId,
        filter: &DeadFilter,
        after: Option<ItemId>,
        max: usize,
        now: Timestamp,
    ) -> Purged {
        let Listed { items, next } = self.dead_after(app, filter, after, max);
        for id in &items {
            self.purge_one(*id, now);
        }
        Purged { purged: items.len() as u64, next }
    }

    /// All dead work of an app, in the order of its ids, deliveries first.
    pub(crate) fn dead(&self, app: AppId) -> Vec<ItemId> {
        let deliveries = self.deliveries.values();
        let deliveries = deliveries.filter(|row| row.app == app && row.state.can_be_redriven());
        let fan_outs = self.notifications.values();
        let fan_outs =
            fan_outs.filter(|row| row.notification.app == app && row.state == NotificationState::Dead);
        let deliveries = deliveries.map(|row| ItemId::Delivery(row.id));
        deliveries.chain(fan_outs.map(|row| ItemId::FanOut(row.notification.id))).collect()
    }

    pub(crate) fn is_dead_among(&self, id: ItemId, filter: &DeadFilter) -> bool {
        match id {
            ItemId::Delivery(id) => {
                self.deliveries.get(&id).is_some_and(|row| is_delivery_among(filter, row))
            }
            ItemId::FanOut(id) => {
                self.notifications.get(&id).is_some_and(|row| is_fan_out_among(filter, row))
            }
        }
    }

    fn dead_after(
        &self,
        app: AppId,
        filter: &DeadFilter,
        after: Option<ItemId>,
        max: usize,
    ) -> Listed<ItemId, ItemId> {
        let dead = self.dead(app).into_iter().filter(|id| after.is_none_or(|after| *id > after));
        page_of(dead.map(|id| (id, self.is_dead_among(id, filter).then_some(id))), max)
    }

    fn dead_letter(&self, id: ItemId, filter: &DeadFilter) -> Option<DeadLetter> {
        if !self.is_dead_among(id, filter) {
            return None;
        }
        match id {
            ItemId::Delivery(id) => {
                let row = self.deliveries.get(&id)?;
                let last_attempt = row.timeline.last().cloned();
                Some(DeadLetter::Delivery { view: view(row), last_attempt })
            }
            ItemId::FanOut(id) => {
                let row = self.notifications.get(&id)?;
                let (reason, died_at) = (row.reason?, row.finished_at?);
                let view = self.notification_view(row.notification.app, id)?;
                Some(DeadLetter::FanOut { view, reason, died_at })
            }
        }
    }

    /// A dead delivery goes with its attempts. A dead fan-out goes where it has no deliveries; else it is taken back, for
    /// what was delivered of it is still read, and what is open of it is still sent.
    fn purge_one(&mut self, id: ItemId, now: Timestamp) {
        match id {
            ItemId::Delivery(id) => self.remove_delivery(id),
            ItemId::FanOut(id) => {
                let Some(row) = self.notifications.get_mut(&id) else { return };
                if row.deliveries.is_empty() {
                    self.notifications.remove(&id);
                } else {
                    row.state = NotificationState::Cancelled;
                    row.reason = Some(Reason::CancelRequested);
                    row.finished_at = Some(now);
                }
            }
        }
    }

    pub(crate) fn remove_delivery(&mut self, id: DeliveryId) {
        let Some(removed) = self.deliveries.remove(&id) else { return };
        if let Some(row) = self.notifications.get_mut(&removed.notification) {
            row.deliveries.remove(&id);
        }
    }

    fn reopen_one(&mut self, id: ItemId, now: Timestamp) -> Option<QueueItem> {
        match id {
            ItemId::Delivery(id) => {
                let row = self.deliveries.get_mut(&id)?;
                row.state = DeliveryState::Scheduled;
                row.reason = None;
                row.finished_at = None;
                row.counted = 0;
                row.cancel_requested = false;
                row.due_at = now;
                self.notifications.get_mut(&row.notification)?.live_again(now);
                let row = self.deliveries.get(&id)?;
                self.queue_item(row, now)
            }
            ItemId::FanOut(id) => {
                let row = self.notifications.get_mut(&id)?;
                let begun = row.resolved > 0;
                row.state = if begun { NotificationState::Expanding } else { NotificationState::Scheduled };
                row.reason = None;
                row.finished_at = None;
                row.failures = 0;
                row.cancel_requested = false;
                row.due_at = now;
                row.live_again(now);
                Some(State::fan_out_item(row, now))
            }
        }
    }
}

fn is_delivery_among(filter: &DeadFilter, row: &DeliveryRow) -> bool {
    filter.reason.is_none_or(|reason| row.reason == Some(reason))
        && filter.channel.is_none_or(|channel| row.channel() == Some(channel))
        && filter.user.as_ref().is_none_or(|user| row.user() == Some(user))
        && filter.notification.is_none_or(|id| row.notification == id)
        && filter.delivery.is_none_or(|id| row.id == id)
        && row.finished_at.is_some_and(|died_at| within(died_at, filter.since, filter.until))
}

fn is_fan_out_among(filter: &DeadFilter, row: &NotificationRow) -> bool {
    filter.finds_fan_outs()
        && filter.reason.is_none_or(|reason| row.reason == Some(reason))
        && filter.notification.is_none_or(|id| row.notification.id == id)
        && row.finished_at.is_some_and(|died_at| within(died_at, filter.since, filter.until))
}
