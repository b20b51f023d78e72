//! Lists of what happened, newest first. Each looks at a bounded number of rows, as a store with a million of them must;
//! the filters are plain, and no index helps.

use pabal_core::clock::Timestamp;
use pabal_core::ids::{AppId, DeliveryId, NotificationId};
use pabal_core::limits;
use pabal_core::seam::Listed;
use pabal_core::seam::store::{DeliveryFilter, DeliveryView, NotificationFilter, NotificationView};

use crate::history::view;
use crate::rows::{DeliveryRow, NotificationRow, State};

impl State {
    pub(crate) fn list_notifications(
        &self,
        app: AppId,
        filter: &NotificationFilter,
        before: Option<NotificationId>,
        max: usize,
    ) -> Listed<NotificationView, NotificationId> {
        let rows = self.notifications.iter().rev().filter(|(_, row)| row.notification.app == app);
        let rows = rows.filter(|(id, _)| before.is_none_or(|before| **id < before));
        let found = |row: &NotificationRow| {
            let matches = filter.state.is_none_or(|state| row.state == state)
                && within(asked_at(row.notification.id.as_bytes()), filter.since, filter.until);
            matches.then(|| self.notification_view(app, row.notification.id)).flatten()
        };
        page_of(rows.map(|(id, row)| (*id, found(row))), max)
    }

    pub(crate) fn list_deliveries(
        &self,
        app: AppId,
        filter: &DeliveryFilter,
        before: Option<DeliveryId>,
        max: usize,
    ) -> Listed<DeliveryView, DeliveryId> {
        let rows = self.deliveries.iter().rev().filter(|(_, row)| row.app == app);
        let rows = rows.filter(|(id, _)| before.is_none_or(|before| **id < before));
        page_of(rows.map(|(id, row)| (*id, is_among(filter, row).then(|| view(row)))), max)
    }
}

fn is_among(filter: &DeliveryFilter, row: &DeliveryRow) -> bool {
    filter.user.as_ref().is_none_or(|user| row.user() == Some(user))
        && filter.notification.is_none_or(|id| row.notification == id)
        && filter.state.is_none_or(|state| row.state == state)
        && filter.reason.is_none_or(|reason| row.reason == Some(reason))
        && filter.channel.is_none_or(|channel| row.channel() == Some(channel))
        && within(asked_at(row.id.as_bytes()), filter.since, filter.until)
}

/// Whether a time lies at `since` or later, and before `until`.
pub(crate) fn within(at: Timestamp, since: Option<Timestamp>, until: Option<Timestamp>) -> bool {
    since.is_none_or(|since| at >= since) && until.is_none_or(|until| at < until)
}

/// The time in an id: its first 48 bits, in milliseconds (RFC 9562, version 7).
fn asked_at(id: &[u8; 16]) -> Timestamp {
    Timestamp::from_ms(id[..6].iter().fold(0, |ms, byte| ms << 8 | i64::from(*byte)))
}

/// A page of rows that come in their order, each with its place in the list and what it shows, if it is to be shown.
pub(crate) fn page_of<T, C>(rows: impl Iterator<Item = (C, Option<T>)>, max: usize) -> Listed<T, C> {
    let (mut items, mut last, mut looked) = (Vec::new(), None, 0);
    for (place, shown) in rows {
        if items.len() >= max.max(1) || looked >= limits::LIST_SCAN_MAX {
            return Listed { items, next: last };
        }
        items.extend(shown);
        last = Some(place);
        looked += 1;
    }
    Listed { items, next: None }
}
