//! What happened, as the API reads it. Counts are recounted at each call: the model's counters can't drift.

use std::collections::BTreeMap;

use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::ids::{AppId, DeliveryId, NotificationId};
use pabal_core::seam::store::{AttemptView, DeliveryView, NotificationView};

use crate::rows::{DeliveryRow, NotificationRow, State};

impl State {
    pub(crate) fn notification_view(&self, app: AppId, id: NotificationId) -> Option<NotificationView> {
        let row = self.notifications.get(&id).filter(|row| row.notification.app == app)?;
        let mut counts = BTreeMap::<DeliveryState, u64>::new();
        for delivery in row.deliveries.iter().filter_map(|id| self.deliveries.get(id)) {
            *counts.entry(delivery.state).or_default() += 1;
        }
        Some(NotificationView {
            notification: row.notification.clone(),
            state: row.state,
            created_at: row.created_at,
            expires_at: row.expires_at,
            counts: counts.into_iter().collect(),
        })
    }

    pub(crate) fn delivery_views(
        &self,
        app: AppId,
        id: NotificationId,
        after: Option<DeliveryId>,
        max: usize,
    ) -> Vec<DeliveryView> {
        let Some(row) = self.notifications.get(&id).filter(|row| row.notification.app == app) else {
            return Vec::new();
        };
        row.deliveries
            .iter()
            .filter(|id| after.is_none_or(|after| **id > after))
            .take(max)
            .filter_map(|id| self.deliveries.get(id))
            .map(view)
            .collect()
    }

    pub(crate) fn delivery_view(
        &self,
        app: AppId,
        id: DeliveryId,
    ) -> Option<(DeliveryView, Vec<AttemptView>)> {
        let row = self.deliveries.get(&id).filter(|row| row.app == app)?;
        Some((view(row), row.timeline.clone()))
    }

    pub(crate) fn totals(&self, app: AppId) -> Vec<(DeliveryState, Option<Reason>, u64)> {
        let mut totals = BTreeMap::<(DeliveryState, Option<Reason>), u64>::new();
        for row in self.deliveries.values().filter(|row| row.app == app) {
            *totals.entry((row.state, row.reason)).or_default() += 1;
        }
        totals.into_iter().map(|((state, reason), count)| (state, reason, count)).collect()
    }

    /// About how much memory the rows take: enough to see it grow and shrink.
    pub(crate) fn used_bytes(&self) -> u64 {
        let message = |row: &NotificationRow| {
            let message = &row.notification.message;
            message.title.as_ref().map_or(0, String::len) + message.body.as_ref().map_or(0, String::len)
        };
        let notifications = self.notifications.values();
        let notifications: usize = notifications.map(|row| size_of::<NotificationRow>() + message(row)).sum();
        let deliveries = self.deliveries.values();
        let deliveries: usize = deliveries
            .map(|row| size_of::<DeliveryRow>() + row.timeline.len() * size_of::<AttemptView>())
            .sum();
        (size_of::<State>() + notifications + deliveries) as u64
    }
}

pub(crate) fn view(row: &DeliveryRow) -> DeliveryView {
    DeliveryView {
        id: row.id,
        notification: row.notification,
        recipient: row.recipient.clone(),
        route: row.route.clone(),
        state: row.state,
        reason: row.reason,
        attempts: row.attempts(),
        created_at: row.created_at,
        due_at: row.state.is_open().then_some(row.due_at),
        finished_at: row.finished_at,
    }
}
