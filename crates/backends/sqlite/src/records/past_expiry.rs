//! Listing what is past its expiry: notification by notification in the order (expiry, id), of each its open deliveries
//! by id; after all deliveries, in the same order, the fan-outs. Each walk is that of an index: what is listed is about
//! to end, the expirer comes every second, and what lies behind a page costs it nothing.
//!
//! A place in this listing is (expiry, item). What has ended is not met again; what stays open (it is under a lease)
//! lies before the next page, so that nothing is listed twice in a round, and nothing hides behind it. Deliveries that
//! have ended otherwise are passed once in a round, as long as another one of their notification is open.

use pabal_core::Result;
use pabal_core::clock::Timestamp;
use pabal_core::ids::{DeliveryId, ItemId, NotificationId};
use rusqlite::{Row, params};

use super::scan::Place;
use crate::rows::signed;
use crate::tx::Tx;

/// The notifications past expiry at ?3 with open deliveries, after (?1, ?2).
pub(super) const NOTIFICATIONS: &str = "
    SELECT n.expires_at, n.id FROM notification_states n INDEXED BY notification_states_open
    WHERE (n.expires_at, n.id) > (?1, ?2) AND n.expires_at <= ?3
        AND (n.state < 2 OR n.scheduled > 0 OR n.retrying > 0) AND n.scheduled + n.retrying > 0
    ORDER BY n.expires_at, n.id LIMIT ?4";

/// The open deliveries of a notification with an id after ?2.
pub(super) const DELIVERIES: &str = "
    SELECT d.id FROM deliveries d INDEXED BY deliveries_of_notification
        CROSS JOIN delivery_states s ON s.id = d.id
    WHERE d.notification = ?1 AND d.id > ?2 AND s.state < 2
    ORDER BY d.id LIMIT ?3";

/// The fan-outs past expiry at ?3, after (?1, ?2).
pub(super) const FAN_OUTS: &str = "
    SELECT n.expires_at, n.id FROM notification_states n INDEXED BY notification_states_open
    WHERE (n.expires_at, n.id) > (?1, ?2) AND n.expires_at <= ?3
        AND (n.state < 2 OR n.scheduled > 0 OR n.retrying > 0) AND n.state < 2
    ORDER BY n.expires_at, n.id LIMIT ?4";

/// The notification of a delivery, and whether it is still at its place in the listing: a redrive moves it on.
pub(super) const NOTIFICATION_OF: &str = "
    SELECT d.notification, n.expires_at = ?2 AND n.expires_at <= ?3
    FROM deliveries d CROSS JOIN notification_states n ON n.id = d.notification
    WHERE d.id = ?1";

/// A place between notifications; the empty blob sorts before every id.
struct Between(Timestamp, Option<NotificationId>);

const BEGINNING: Between = Between(Timestamp::from_ms(i64::MIN), None);

/// Up to `max` places after `after`.
pub(super) fn places(tx: &Tx<'_>, after: Option<Place>, max: usize) -> Result<Vec<Place>> {
    let (mut places, fan_outs_from) = match after {
        None => (deliveries(tx, BEGINNING, max)?, BEGINNING),
        Some((expiry, ItemId::Delivery(id))) => (deliveries_after(tx, expiry, id, max)?, BEGINNING),
        Some((expiry, ItemId::FanOut(id))) => (Vec::new(), Between(expiry, Some(id))),
    };
    if places.len() < max {
        let fan_outs = notifications(tx, FAN_OUTS, &fan_outs_from, max - places.len())?;
        places.extend(fan_outs.into_iter().map(|(expiry, id)| (expiry, ItemId::FanOut(id))));
    }
    Ok(places)
}

/// The rest of one notification's, and then those of the notifications after it.
fn deliveries_after(tx: &Tx<'_>, expiry: Timestamp, id: DeliveryId, max: usize) -> Result<Vec<Place>> {
    let asked = params![id.as_bytes(), expiry.as_ms(), tx.now.as_ms()];
    let found = tx.first("open_work", NOTIFICATION_OF, asked, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some((notification, is_in_place)) = found else {
        return deliveries(tx, Between(expiry.plus_ms(1), None), max);
    };
    let notification = NotificationId::from_bytes(notification);
    let mut places = Vec::new();
    if is_in_place {
        places.extend(open_of(tx, (expiry, notification), id.as_bytes(), max)?);
    }
    places.extend(deliveries(tx, Between(expiry, Some(notification)), max - places.len())?);
    Ok(places)
}

/// The open deliveries of the notifications after a place.
fn deliveries(tx: &Tx<'_>, mut from: Between, max: usize) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    while places.len() < max {
        // Each has an open one at least, by its counters: so many are enough.
        let next = notifications(tx, NOTIFICATIONS, &from, max - places.len())?;
        let Some((expiry, last)) = next.last() else { break };
        from = Between(*expiry, Some(*last));
        for notification in next {
            places.extend(open_of(tx, notification, &[], max - places.len())?);
        }
    }
    Ok(places)
}

fn open_of(tx: &Tx<'_>, of: (Timestamp, NotificationId), after: &[u8], max: usize) -> Result<Vec<Place>> {
    if max == 0 {
        return Ok(Vec::new());
    }
    let (expiry, notification) = of;
    let place = |row: &Row<'_>| Ok((expiry, ItemId::Delivery(DeliveryId::from_bytes(row.get(0)?))));
    tx.all("open_work", DELIVERIES, params![notification.as_bytes(), after, signed(max as u64)], place)
}

fn notifications(
    tx: &Tx<'_>,
    sql: &str,
    from: &Between,
    max: usize,
) -> Result<Vec<(Timestamp, NotificationId)>> {
    let Between(expiry, id) = from;
    let id: &[u8] = id.as_ref().map_or(&[], |id| id.as_bytes());
    let found =
        |row: &Row<'_>| Ok((Timestamp::from_ms(row.get(0)?), NotificationId::from_bytes(row.get(1)?)));
    tx.all("open_work", sql, params![expiry.as_ms(), id, tx.now.as_ms(), signed(max as u64)], found)
}
