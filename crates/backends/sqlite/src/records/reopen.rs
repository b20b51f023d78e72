//! Opening dead work again, in the order of ids: deliveries first, then fan-outs, which go on at their cursor. What was
//! found before is not found again, because it is dead no longer.
//!
//! Time to live is the notification's: where it has ended, it begins anew for all that is still open of it.

use pabal_core::Result;
use pabal_core::delivery::DeliveryState;
use pabal_core::ids::{DeliveryId, ItemId, NotificationId};
use pabal_core::notification::NotificationState;
use pabal_core::seam::{QueueItem, Selection};
use rusqlite::params;

use super::counters::{Moves, counting};
use super::delivery::Delivery;
use super::fan_out::{FanOut, expiry};
use crate::rows::{notification_state_code, signed, state_code};
use crate::tx::Tx;

/// The dead deliveries with an id after ?1. The id is that of the table which is walked in its order.
macro_rules! dead_deliveries {
    ($id:literal, $from:literal, $which:literal) => {
        concat!(
            "SELECT ",
            $id,
            " FROM ",
            $from,
            " WHERE s.state = 3 AND ",
            $id,
            " > ?1 AND ",
            $which,
            " ORDER BY ",
            $id,
            " LIMIT ?2"
        )
    };
}

pub(super) const DEAD_OF_NOTIFICATION: &str = dead_deliveries!(
    "d.id",
    "deliveries d INDEXED BY deliveries_of_notification CROSS JOIN delivery_states s ON s.id = d.id",
    "d.notification = ?4 AND (SELECT m.app FROM notifications m WHERE m.id = ?4) = ?3"
);
pub(super) const DEAD_OF_USER: &str = dead_deliveries!(
    "d.id",
    "deliveries d INDEXED BY deliveries_of_user CROSS JOIN delivery_states s ON s.id = d.id",
    "d.app = ?3 AND d.user = ?4"
);
pub(super) const ONE_DEAD: &str = dead_deliveries!(
    "d.id",
    "deliveries d CROSS JOIN delivery_states s ON s.id = d.id",
    "d.app = ?3 AND d.id = ?4"
);
pub(super) const DEAD_OF_APP: &str = dead_deliveries!(
    "s.id",
    "delivery_states s INDEXED BY delivery_states_dead CROSS JOIN deliveries d ON d.id = s.id",
    "d.app = ?3"
);
pub(super) const DEAD_PAST_EXPIRY: &str = dead_deliveries!(
    "s.id",
    "delivery_states s INDEXED BY delivery_states_dead CROSS JOIN deliveries d ON d.id = s.id
        CROSS JOIN notification_states n ON n.id = d.notification",
    "n.expires_at <= ?3"
);

/// The dead fan-outs with an id after ?1.
macro_rules! dead_fan_outs {
    ($from:literal, $which:literal) => {
        concat!(
            "SELECT n.id FROM ",
            $from,
            " WHERE n.state = 5 AND n.id > ?1 AND ",
            $which,
            " ORDER BY n.id LIMIT ?2"
        )
    };
}

pub(super) const ONE_DEAD_FAN_OUT: &str = dead_fan_outs!(
    "notifications m CROSS JOIN notification_states n ON n.id = m.id",
    "m.app = ?3 AND m.id = ?4"
);
pub(super) const DEAD_FAN_OUTS_OF_APP: &str = dead_fan_outs!(
    "notification_states n INDEXED BY notification_states_dead CROSS JOIN notifications m ON m.id = n.id",
    "m.app = ?3"
);
pub(super) const DEAD_FAN_OUTS_PAST_EXPIRY: &str =
    dead_fan_outs!("notification_states n INDEXED BY notification_states_dead", "n.expires_at <= ?3");

const REOPEN: &str = "
    UPDATE delivery_states SET state = ?2, reason = NULL, finished_at = NULL, counted = 0, cancel_requested = 0,
        due_at = ?3
    WHERE id = ?1";
const REOPEN_FAN_OUT: &str = "
    UPDATE notification_states SET state = ?2, failures = 0, cancel_requested = 0, due_at = ?3 WHERE id = ?1";
const EXTEND: &str = "UPDATE notification_states SET expires_at = ?2 WHERE id = ?1";

/// Makes up to `max` dead items of a selection open again.
pub(super) fn reopen(
    tx: &Tx<'_>,
    selection: &Selection,
    after: Option<ItemId>,
    max: usize,
) -> Result<Vec<QueueItem>> {
    let mut dead = match after {
        Some(ItemId::FanOut(_)) => Vec::new(),
        Some(ItemId::Delivery(id)) => dead_deliveries(tx, selection, id.as_bytes(), max)?,
        None => dead_deliveries(tx, selection, &[], max)?,
    };
    let room = max - dead.len();
    dead.extend(match after {
        Some(ItemId::FanOut(id)) => dead_fan_outs(tx, selection, id.as_bytes(), room)?,
        Some(ItemId::Delivery(_)) | None => dead_fan_outs(tx, selection, &[], room)?,
    });
    counting(tx, |moves| {
        let mut work = Vec::with_capacity(dead.len());
        for id in dead {
            work.extend(match id {
                ItemId::Delivery(id) => reopen_delivery(tx, moves, id)?,
                ItemId::FanOut(id) => reopen_fan_out(tx, id)?,
            });
        }
        Ok(work)
    })
}

/// The empty blob sorts before every id.
fn dead_deliveries(tx: &Tx<'_>, selection: &Selection, after: &[u8], max: usize) -> Result<Vec<ItemId>> {
    let max = signed(max as u64);
    let item = |row: &rusqlite::Row<'_>| Ok(ItemId::Delivery(DeliveryId::from_bytes(row.get(0)?)));
    match selection {
        Selection::Notification(app, id) => {
            tx.all("reopen", DEAD_OF_NOTIFICATION, params![after, max, app.0, id.as_bytes()], item)
        }
        Selection::User(app, user) => {
            tx.all("reopen", DEAD_OF_USER, params![after, max, app.0, user.as_str()], item)
        }
        Selection::Delivery(app, id) => {
            tx.all("reopen", ONE_DEAD, params![after, max, app.0, id.as_bytes()], item)
        }
        Selection::PastExpiry => {
            tx.all("reopen", DEAD_PAST_EXPIRY, params![after, max, tx.now.as_ms()], item)
        }
        Selection::App(app) => tx.all("reopen", DEAD_OF_APP, params![after, max, app.0], item),
    }
}

/// The empty blob sorts before every id.
fn dead_fan_outs(tx: &Tx<'_>, selection: &Selection, after: &[u8], max: usize) -> Result<Vec<ItemId>> {
    let max = signed(max as u64);
    let item = |row: &rusqlite::Row<'_>| Ok(ItemId::FanOut(NotificationId::from_bytes(row.get(0)?)));
    match selection {
        Selection::Notification(app, id) => {
            tx.all("reopen", ONE_DEAD_FAN_OUT, params![after, max, app.0, id.as_bytes()], item)
        }
        Selection::User(..) | Selection::Delivery(..) => Ok(Vec::new()),
        Selection::PastExpiry => {
            tx.all("reopen", DEAD_FAN_OUTS_PAST_EXPIRY, params![after, max, tx.now.as_ms()], item)
        }
        Selection::App(app) => tx.all("reopen", DEAD_FAN_OUTS_OF_APP, params![after, max, app.0], item),
    }
}

fn reopen_delivery(tx: &Tx<'_>, moves: &mut Moves, id: DeliveryId) -> Result<Option<QueueItem>> {
    let Some(mut delivery) = Delivery::read(tx, id)? else { return Ok(None) };
    let scheduled = DeliveryState::Scheduled;
    tx.run("reopen", REOPEN, params![id.as_bytes(), state_code(scheduled), tx.now.as_ms()])?;
    moves.moved(delivery.app, delivery.notification, delivery.counted_as(), (scheduled, None));
    if delivery.expires_at <= tx.now {
        let of = FanOut::read(tx, delivery.notification)?;
        of.map(|of| extend(tx, delivery.notification, of.ttl_ms)).transpose()?;
    }
    delivery.due_at = tx.now;
    delivery.queue_item(tx)
}

fn reopen_fan_out(tx: &Tx<'_>, id: NotificationId) -> Result<Option<QueueItem>> {
    let Some(mut fan_out) = FanOut::read(tx, id)? else { return Ok(None) };
    let begun = fan_out.resolved > 0;
    let state = if begun { NotificationState::Expanding } else { NotificationState::Scheduled };
    let values = params![id.as_bytes(), notification_state_code(state), tx.now.as_ms()];
    tx.run("reopen", REOPEN_FAN_OUT, values)?;
    if fan_out.expires_at <= tx.now {
        extend(tx, id, fan_out.ttl_ms)?;
    }
    fan_out.due_at = tx.now;
    Ok(Some(fan_out.queue_item(tx.now)))
}

/// Its time to live begins anew.
fn extend(tx: &Tx<'_>, id: NotificationId, ttl_ms: i64) -> Result<()> {
    let expires_at = expiry(ttl_ms, tx.now).as_ms();
    tx.run("reopen", EXTEND, params![id.as_bytes(), expires_at]).map(drop)
}
