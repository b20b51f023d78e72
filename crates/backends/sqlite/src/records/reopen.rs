//! Opening dead work again, in the order of ids: deliveries first, then fan-outs, which go on at their cursor. What was
//! found before is not found again, because it is dead no longer.
//!
//! Time to live is the notification's: where it has ended, it begins anew for all that is still open of it.

use pabal_core::delivery::DeliveryState;
use pabal_core::ids::{AppId, DeliveryId, ItemId, NotificationId};
use pabal_core::notification::NotificationState;
use pabal_core::seam::{DeadFilter, QueueItem, Reopened};
use pabal_core::{ErrorKind, Result};
use rusqlite::params;

use super::counters::{Moves, counting};
use super::delivery::Delivery;
use super::fan_out::{FanOut, expiry};
use crate::dead::Dead;
use crate::rows::{notification_state_code, state_code};
use crate::tx::Tx;
use crate::walk::Bounds;

const REOPEN: &str = "
    UPDATE delivery_states SET state = ?2, reason = NULL, finished_at = NULL, counted = 0, cancel_requested = 0,
        due_at = ?3
    WHERE id = ?1";
const REOPEN_FAN_OUT: &str = "
    UPDATE notification_states SET state = ?2, reason = NULL, finished_at = NULL, failures = 0, cancel_requested = 0,
        due_at = ?3
    WHERE id = ?1";
const EXTEND: &str = "UPDATE notification_states SET expires_at = ?2 WHERE id = ?1";

/// Makes up to `max` dead items of an app open again. What can't be read stays dead, and holds up nothing behind it.
pub(super) fn reopen(
    tx: &Tx<'_>,
    app: AppId,
    filter: &DeadFilter,
    after: Option<ItemId>,
    max: usize,
) -> Result<Reopened> {
    let dead = Dead { app, filter }.after(tx.connection, after, Bounds::of_page(max.max(1)))?;
    let work = counting(tx, |moves| {
        let mut work = Vec::with_capacity(dead.found.len());
        for id in dead.found {
            match reopen_one(tx, moves, id) {
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::error!(item = %id, %error, "what is stored of it can't be read, and it stays dead");
                }
                reopened => work.extend(reopened?),
            }
        }
        Ok(work)
    })?;
    Ok(Reopened { work, next: dead.next })
}

fn reopen_one(tx: &Tx<'_>, moves: &mut Moves, id: ItemId) -> Result<Option<QueueItem>> {
    match id {
        ItemId::Delivery(id) => reopen_delivery(tx, moves, id),
        ItemId::FanOut(id) => reopen_fan_out(tx, id),
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
