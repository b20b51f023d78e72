//! Listing open work in the order (due, id). First the places of deliveries and of fan-outs are found, each along an
//! index; then they are merged, and only what is left of them is read.
//!
//! What is past its expiry is found by its notification's and sorted by its due time, as a user's or a notification's
//! is: what is listed so is about to end, and is not listed again.

use pabal_core::Result;
use pabal_core::clock::Timestamp;
use pabal_core::ids::{DeliveryId, ItemId, NotificationId};
use pabal_core::seam::{OpenItem, Selection};
use rusqlite::{Row, params};

use super::delivery::Delivery;
use super::fan_out::FanOut;
use crate::rows::signed;
use crate::tx::Tx;

/// A place in a listing.
type Place = (Timestamp, ItemId);

/// The deliveries that lie after (?1, ?2), due at ?3 at the latest.
macro_rules! deliveries {
    ($from:literal, $which:literal) => {
        concat!(
            "SELECT s.due_at, s.id FROM ",
            $from,
            " WHERE s.state < 2 AND (s.due_at, s.id) > (?1, ?2) AND s.due_at <= ?3 AND ",
            $which,
            " ORDER BY s.due_at, s.id LIMIT ?4"
        )
    };
}

pub(super) const DELIVERIES: &str = deliveries!("delivery_states s INDEXED BY delivery_states_open", "TRUE");
pub(super) const DELIVERIES_OF_APP: &str = deliveries!(
    "delivery_states s INDEXED BY delivery_states_open CROSS JOIN deliveries d ON d.id = s.id",
    "d.app = ?5"
);
pub(super) const DELIVERIES_OF_NOTIFICATION: &str = deliveries!(
    "notifications m CROSS JOIN deliveries d INDEXED BY deliveries_of_notification ON d.notification = m.id
        CROSS JOIN delivery_states s ON s.id = d.id",
    "m.app = ?5 AND m.id = ?6"
);
pub(super) const DELIVERIES_OF_USER: &str = deliveries!(
    "deliveries d INDEXED BY deliveries_of_user CROSS JOIN delivery_states s ON s.id = d.id",
    "d.app = ?5 AND d.user = ?6"
);
pub(super) const ONE_DELIVERY: &str =
    deliveries!("deliveries d CROSS JOIN delivery_states s ON s.id = d.id", "d.app = ?5 AND d.id = ?6");
pub(super) const DELIVERIES_PAST_EXPIRY: &str = deliveries!(
    "notification_states n INDEXED BY notification_states_open
        CROSS JOIN deliveries d INDEXED BY deliveries_of_notification ON d.notification = n.id
        CROSS JOIN delivery_states s ON s.id = d.id",
    "n.expires_at <= ?5 AND (n.state < 2 OR n.scheduled > 0 OR n.retrying > 0) AND n.scheduled + n.retrying > 0"
);

/// The fan-outs that lie after (?1, ?2), due at ?3 at the latest.
macro_rules! fan_outs {
    ($from:literal, $which:literal) => {
        concat!(
            "SELECT n.due_at, n.id FROM ",
            $from,
            " WHERE n.state < 2 AND (n.due_at, n.id) > (?1, ?2) AND n.due_at <= ?3 AND ",
            $which,
            " ORDER BY n.due_at, n.id LIMIT ?4"
        )
    };
}

pub(super) const FAN_OUTS: &str =
    fan_outs!("notification_states n INDEXED BY notification_states_due", "TRUE");
pub(super) const FAN_OUTS_OF_APP: &str = fan_outs!(
    "notification_states n INDEXED BY notification_states_due CROSS JOIN notifications m ON m.id = n.id",
    "m.app = ?5"
);
pub(super) const ONE_FAN_OUT: &str =
    fan_outs!("notifications m CROSS JOIN notification_states n ON n.id = m.id", "m.app = ?5 AND m.id = ?6");
pub(super) const FAN_OUTS_PAST_EXPIRY: &str = fan_outs!(
    "notification_states n INDEXED BY notification_states_open",
    "n.expires_at <= ?5 AND (n.state < 2 OR n.scheduled > 0 OR n.retrying > 0)"
);

/// All open work, or what has been due for longer than `overdue_by_ms`.
pub(super) fn scan_open(
    tx: &Tx<'_>,
    after: Option<Place>,
    overdue_by_ms: Option<u64>,
    max: usize,
) -> Result<Vec<OpenItem>> {
    let until = overdue_by_ms.map_or(i64::MAX, |by_ms| {
        // *Longer* than that: what has been due for just as long is not among it.
        tx.now.as_ms().saturating_sub(signed(by_ms)).saturating_sub(1)
    });
    let range = Range { after, until, max: signed(max as u64) };
    let deliveries = range.deliveries(tx, DELIVERIES, &[])?;
    let fan_outs = range.fan_outs(tx, FAN_OUTS, &[])?;
    read(tx, deliveries, fan_outs, max)
}

/// The open work of a selection. A user's or a delivery's never has a fan-out in it: the others that the notification
/// is for keep it.
pub(super) fn open_work(
    tx: &Tx<'_>,
    selection: &Selection,
    after: Option<Place>,
    max: usize,
) -> Result<Vec<OpenItem>> {
    let range = Range { after, until: i64::MAX, max: signed(max as u64) };
    let (deliveries, fan_outs) = match selection {
        Selection::Notification(app, id) => {
            let of: Which<'_> = &[&app.0, id.as_bytes()];
            (range.deliveries(tx, DELIVERIES_OF_NOTIFICATION, of)?, range.fan_outs(tx, ONE_FAN_OUT, of)?)
        }
        Selection::User(app, user) => {
            (range.deliveries(tx, DELIVERIES_OF_USER, &[&app.0, &user.as_str()])?, Vec::new())
        }
        Selection::Delivery(app, id) => {
            (range.deliveries(tx, ONE_DELIVERY, &[&app.0, id.as_bytes()])?, Vec::new())
        }
        Selection::PastExpiry => {
            let of: Which<'_> = &[&tx.now.as_ms()];
            (range.deliveries(tx, DELIVERIES_PAST_EXPIRY, of)?, range.fan_outs(tx, FAN_OUTS_PAST_EXPIRY, of)?)
        }
        Selection::App(app) => {
            let of: Which<'_> = &[&app.0];
            (range.deliveries(tx, DELIVERIES_OF_APP, of)?, range.fan_outs(tx, FAN_OUTS_OF_APP, of)?)
        }
    };
    read(tx, deliveries, fan_outs, max)
}

/// What of a statement's rows is wanted: the parameters from ?5 on.
type Which<'a> = &'a [&'a dyn rusqlite::ToSql];

/// Which part of a listing is wanted.
struct Range {
    after: Option<Place>,
    until: i64,
    max: i64,
}

impl Range {
    fn deliveries(&self, tx: &Tx<'_>, sql: &str, which: Which<'_>) -> Result<Vec<Place>> {
        let after = match &self.after {
            None => (i64::MIN, &[][..]),
            Some((due, ItemId::Delivery(id))) => (due.as_ms(), &id.as_bytes()[..]),
            // All deliveries due at that time come before all fan-outs.
            Some((due, ItemId::FanOut(_))) => (due.as_ms().saturating_add(1), &[][..]),
        };
        let item = |id| ItemId::Delivery(DeliveryId::from_bytes(id));
        self.places(tx, sql, after, which, item)
    }

    fn fan_outs(&self, tx: &Tx<'_>, sql: &str, which: Which<'_>) -> Result<Vec<Place>> {
        let after = match &self.after {
            None => (i64::MIN, &[][..]),
            Some((due, ItemId::Delivery(_))) => (due.as_ms(), &[][..]),
            Some((due, ItemId::FanOut(id))) => (due.as_ms(), &id.as_bytes()[..]),
        };
        let item = |id| ItemId::FanOut(NotificationId::from_bytes(id));
        self.places(tx, sql, after, which, item)
    }

    /// The empty blob sorts before every id.
    fn places(
        &self,
        tx: &Tx<'_>,
        sql: &str,
        after: (i64, &[u8]),
        which: Which<'_>,
        item: impl Fn([u8; 16]) -> ItemId,
    ) -> Result<Vec<Place>> {
        let place = |row: &Row<'_>| Ok((Timestamp::from_ms(row.get(0)?), item(row.get(1)?)));
        let mut values = Vec::from(params![after.0, after.1, self.until, self.max]);
        values.extend(which);
        tx.all("open_work", sql, values.as_slice(), place)
    }
}

fn read(tx: &Tx<'_>, deliveries: Vec<Place>, fan_outs: Vec<Place>, max: usize) -> Result<Vec<OpenItem>> {
    let mut places = deliveries;
    places.extend(fan_outs);
    places.sort_unstable();
    places.truncate(max);
    let mut open = Vec::with_capacity(places.len());
    for (due, id) in places {
        let item = match id {
            ItemId::Delivery(id) => {
                Delivery::read(tx, id)?.map(|found| found.queue_item(tx)).transpose()?.flatten()
            }
            ItemId::FanOut(id) => FanOut::read(tx, id)?.map(|found| found.queue_item(tx.now)),
        };
        open.extend(item.map(|item| OpenItem { item, due }));
    }
    Ok(open)
}
