//! Listing open work in the order (due, id). First the places of deliveries and of fan-outs are found, each along an
//! index; then they are merged, and only what is left of them is read. What is past its expiry has an order of its own
//! (`past_expiry`).

use pabal_core::clock::Timestamp;
use pabal_core::ids::{DeliveryId, ItemId, NotificationId};
use pabal_core::seam::{OpenItem, QueueItem, Selection};
use pabal_core::{ErrorKind, Result};
use rusqlite::{Row, params};

use super::delivery::Delivery;
use super::fan_out::FanOut;
use super::past_expiry;
use crate::rows::signed;
use crate::tx::Tx;

/// A place in a listing.
pub(super) type Place = (Timestamp, ItemId);

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
    listed(tx, after, max, |after, max| Range { after, until, max }.places(tx, None))
}

/// The open work of a selection.
pub(super) fn open_work(
    tx: &Tx<'_>,
    selection: &Selection,
    after: Option<Place>,
    max: usize,
) -> Result<Vec<OpenItem>> {
    listed(tx, after, max, |after, max| Range { after, until: i64::MAX, max }.places(tx, Some(selection)))
}

/// Reads up to `max` items of a listing, whose places come in pages. What can't be read does not end it, nor what lies
/// behind it.
fn listed(
    tx: &Tx<'_>,
    mut after: Option<Place>,
    max: usize,
    page: impl Fn(Option<Place>, usize) -> Result<Vec<Place>>,
) -> Result<Vec<OpenItem>> {
    let (mut open, mut unreadable) = (Vec::new(), 0);
    let mut is_last = max == 0;
    while !is_last {
        let missing = max - open.len();
        let places = page(after, missing)?;
        let read = places.len();
        after = places.last().copied();
        for (due, id) in places {
            match item(tx, id) {
                Ok(found) => open.extend(found.map(|item| OpenItem { item, due })),
                Err(error) if error.kind() == ErrorKind::Corrupt => unreadable += 1,
                Err(error) => return Err(error),
            }
        }
        is_last = read < missing || open.len() == max;
    }
    if unreadable > 0 {
        tracing::warn!(unreadable, "open work can't be read, and is left alone");
    }
    Ok(open)
}

fn item(tx: &Tx<'_>, id: ItemId) -> Result<Option<QueueItem>> {
    match id {
        ItemId::Delivery(id) => match delivery_item(tx, id) {
            Err(error) if error.kind() == ErrorKind::Corrupt => Delivery::queue_item_as_kept(tx, id),
            read => read,
        },
        ItemId::FanOut(id) => Ok(FanOut::read(tx, id)?.map(|found| found.queue_item(tx.now))),
    }
}

fn delivery_item(tx: &Tx<'_>, id: DeliveryId) -> Result<Option<QueueItem>> {
    match Delivery::read(tx, id)? {
        Some(found) => found.queue_item(tx),
        None => Ok(None),
    }
}

/// What of a statement's rows is wanted: the parameters from ?5 on.
type Which<'a> = &'a [&'a dyn rusqlite::ToSql];

/// Which part of a listing is wanted.
struct Range {
    after: Option<Place>,
    until: i64,
    max: usize,
}

impl Range {
    /// The first places of a selection's open work, or of all. A user's or a delivery's never has a fan-out in it: the
    /// others that the notification is for keep it.
    fn places(&self, tx: &Tx<'_>, selection: Option<&Selection>) -> Result<Vec<Place>> {
        match selection {
            Some(Selection::Notification(app, id)) => {
                let of: Which<'_> = &[&app.0, id.as_bytes()];
                self.merged(tx, (DELIVERIES_OF_NOTIFICATION, ONE_FAN_OUT), of)
            }
            Some(Selection::User(app, user)) => {
                self.deliveries(tx, DELIVERIES_OF_USER, &[&app.0, &user.as_str()])
            }
            Some(Selection::Delivery(app, id)) => self.deliveries(tx, ONE_DELIVERY, &[&app.0, id.as_bytes()]),
            Some(Selection::App(app)) => self.merged(tx, (DELIVERIES_OF_APP, FAN_OUTS_OF_APP), &[&app.0]),
            Some(Selection::PastExpiry) => past_expiry::places(tx, self.after, self.max),
            None => self.merged(tx, (DELIVERIES, FAN_OUTS), &[]),
        }
    }

    /// Deliveries and fan-outs in one order.
    fn merged(&self, tx: &Tx<'_>, sql: (&str, &str), which: Which<'_>) -> Result<Vec<Place>> {
        let mut places = self.deliveries(tx, sql.0, which)?;
        places.extend(self.fan_outs(tx, sql.1, which)?);
        places.sort_unstable();
        places.truncate(self.max);
        Ok(places)
    }

    fn deliveries(&self, tx: &Tx<'_>, sql: &str, which: Which<'_>) -> Result<Vec<Place>> {
        let after = match &self.after {
            None => (i64::MIN, &[][..]),
            Some((due, ItemId::Delivery(id))) => (due.as_ms(), &id.as_bytes()[..]),
            // All deliveries due at that time come before all fan-outs.
            Some((due, ItemId::FanOut(_))) => (due.as_ms().saturating_add(1), &[][..]),
        };
        let item = |id| ItemId::Delivery(DeliveryId::from_bytes(id));
        self.found(tx, sql, after, which, item)
    }

    fn fan_outs(&self, tx: &Tx<'_>, sql: &str, which: Which<'_>) -> Result<Vec<Place>> {
        let after = match &self.after {
            None => (i64::MIN, &[][..]),
            Some((due, ItemId::Delivery(_))) => (due.as_ms(), &[][..]),
            Some((due, ItemId::FanOut(id))) => (due.as_ms(), &id.as_bytes()[..]),
        };
        let item = |id| ItemId::FanOut(NotificationId::from_bytes(id));
        self.found(tx, sql, after, which, item)
    }

    /// The empty blob sorts before every id.
    fn found(
        &self,
        tx: &Tx<'_>,
        sql: &str,
        after: (i64, &[u8]),
        which: Which<'_>,
        item: impl Fn([u8; 16]) -> ItemId,
    ) -> Result<Vec<Place>> {
        let place = |row: &Row<'_>| Ok((Timestamp::from_ms(row.get(0)?), item(row.get(1)?)));
        let max = signed(self.max as u64);
        let mut values = Vec::from(params![after.0, after.1, self.until, max]);
        values.extend(which);
        tx.all("open_work", sql, values.as_slice(), place)
    }
}
