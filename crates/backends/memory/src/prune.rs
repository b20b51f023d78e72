//! Forgetting what ended long ago, oldest first, a bounded number of rows at a time.

use std::ops::Bound;

use pabal_core::clock::Timestamp;
use pabal_core::delivery::DeliveryState;
use pabal_core::ids::NotificationId;
use pabal_core::limits;
use pabal_core::notification::NotificationState;
use pabal_core::seam::store::{Prune, Pruned};

use crate::rows::{DeliveryRow, NotificationRow, State};

impl State {
    pub(crate) fn prune(&mut self, prune: &Prune, now: Timestamp) -> Pruned {
        let jobs_ms_ago = prune.ended_ms_ago.max(limits::REDRIVE_KEPT_MS);
        self.redrives.retain(|_, job| job.finished_at.is_none_or(|at| !is_ago(at, jobs_ms_ago, now)));
        self.answers.retain(|_, kept| now < kept.at.plus_ms(limits::IDEMPOTENCY_KEPT_MS));
        let mut pruned = Pruned::default();
        // Where a step that could not finish the first one begins again: before all ids.
        let mut done = prune.after.unwrap_or(NotificationId::from_bytes([0; 16]));
        let from = prune.after.map_or(Bound::Unbounded, Bound::Excluded);
        let ids: Vec<NotificationId> =
            self.notifications.range((from, Bound::Unbounded)).map(|(id, _)| *id).collect();
        for (looked, id) in ids.into_iter().enumerate() {
            let goes = self.notifications.get(&id).is_some_and(|row| self.goes(row, prune, now));
            if looked >= limits::LIST_SCAN_MAX || (goes && !self.remove_within(id, prune, &mut pruned)) {
                return Pruned { next: Some(done), ..pruned };
            }
            done = id;
        }
        pruned
    }

    /// Whether all of it has ended, and long enough ago.
    fn goes(&self, row: &NotificationRow, prune: &Prune, now: Timestamp) -> bool {
        let deliveries: Vec<&DeliveryRow> =
            row.deliveries.iter().filter_map(|id| self.deliveries.get(id)).collect();
        let dead = row.state == NotificationState::Dead
            || deliveries.iter().any(|delivery| delivery.state == DeliveryState::Dead);
        let kept_ms = if dead { prune.dead_ms_ago } else { prune.ended_ms_ago };
        let mut ends = deliveries.iter().map(|delivery| delivery.finished_at).chain([row.finished_at]);
        ends.all(|end| end.is_some_and(|end| is_ago(end, kept_ms, now)))
    }

    /// Removes a notification, its deliveries first, as far as the step has room. Answers whether all of it is gone.
    fn remove_within(&mut self, id: NotificationId, prune: &Prune, pruned: &mut Pruned) -> bool {
        let rows_max = prune.rows_max.max(1) as u64;
        let deliveries = self.notifications.get(&id).map(|row| row.deliveries.clone()).unwrap_or_default();
        for delivery in deliveries {
            if pruned.notifications + pruned.deliveries >= rows_max {
                return false;
            }
            self.remove_delivery(delivery);
            pruned.deliveries += 1;
        }
        if pruned.notifications + pruned.deliveries >= rows_max {
            return false;
        }
        self.notifications.remove(&id);
        pruned.notifications += 1;
        true
    }
}

/// Whether a time lies so long ago.
fn is_ago(at: Timestamp, ms: u64, now: Timestamp) -> bool {
    at <= now.plus_ms(i64::try_from(ms).map_or(i64::MIN, |ms| -ms))
}
