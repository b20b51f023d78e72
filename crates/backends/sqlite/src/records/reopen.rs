//! Opening dead work again, in the order of ids: deliveries first, then fan-outs, which go on at their cursor. What was
//! found before is not found again, because it is dead no longer. They are found beside the writer, and looked at again
//! where they are written.
//!
//! Time to live is the notification's: where it has ended, it begins anew for all that is still open of it.

use pabal_core::delivery::DeliveryState;
use pabal_core::ids::{DeliveryId, ItemId, NotificationId};
use pabal_core::notification::NotificationState;
use pabal_core::seam::QueueItem;
use pabal_core::{ErrorKind, Result};
use rusqlite::params;

use super::counters::{Moves, counting};
use super::delivery::Delivery;
use super::fan_out::{FanOut, expiry};
use crate::errors::corrupt;
use crate::rows::{notification_state_code, state_code};
use crate::tx::Tx;

const REOPEN: &str = "
    UPDATE delivery_states SET state = ?2, reason = NULL, finished_at = NULL, counted = 0, cancel_requested = 0,
        due_at = ?3
    WHERE id = ?1";
const REOPEN_FAN_OUT: &str = "
    UPDATE notification_states SET state = ?2, reason = NULL, finished_at = NULL, failures = 0, cancel_requested = 0,
        due_at = ?3
    WHERE id = ?1";
const EXTEND: &str = "UPDATE notification_states SET expires_at = ?2 WHERE id = ?1";

/// Makes dead items open again, and answers how each is queued. What is dead no longer is passed over. What can't be read
/// stays dead, and holds up nothing behind it.
pub(crate) fn reopen(tx: &Tx<'_>, ids: &[ItemId]) -> Result<Vec<QueueItem>> {
    counting(tx, |moves| {
        let mut work = Vec::with_capacity(ids.len());
        for id in ids {
            match reopen_one(tx, moves, *id) {
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::error!(item = %id, %error, "what is stored of it can't be read, and it stays dead");
                }
                reopened => work.extend(reopened?),
            }
        }
        Ok(work)
    })
}

fn reopen_one(tx: &Tx<'_>, moves: &mut Moves, id: ItemId) -> Result<Option<QueueItem>> {
    match id {
        ItemId::Delivery(id) => reopen_delivery(tx, moves, id),
        ItemId::FanOut(id) => reopen_fan_out(tx, id),
    }
}

/// All that may be unreadable is read before anything is written.
fn reopen_delivery(tx: &Tx<'_>, moves: &mut Moves, id: DeliveryId) -> Result<Option<QueueItem>> {
    let Some(mut delivery) = Delivery::read(tx, id)? else { return Ok(None) };
    if delivery.state != DeliveryState::Dead {
        return Ok(None);
    }
    delivery.due_at = tx.now;
    let item = delivery.queue_item(tx)?.ok_or_else(|| corrupt("reopen", "it is dead and has no route"))?;
    let of = match delivery.expires_at <= tx.now {
        true => FanOut::read(tx, delivery.notification)?,
        false => None,
    };
    let scheduled = DeliveryState::Scheduled;
    tx.whole("reopen", || {
        tx.run("reopen", REOPEN, params![id.as_bytes(), state_code(scheduled), tx.now.as_ms()])?;
        of.map(|of| extend(tx, of.id, of.ttl_ms)).transpose()
    })?;
    moves.moved(delivery.app, delivery.notification, delivery.counted_as(), (scheduled, None));
    Ok(Some(item))
}

fn reopen_fan_out(tx: &Tx<'_>, id: NotificationId) -> Result<Option<QueueItem>> {
    let Some(mut fan_out) = FanOut::read(tx, id)? else { return Ok(None) };
    if fan_out.state != NotificationState::Dead {
        return Ok(None);
    }
    let begun = fan_out.resolved > 0;
    let state = if begun { NotificationState::Expanding } else { NotificationState::Scheduled };
    let values = params![id.as_bytes(), notification_state_code(state), tx.now.as_ms()];
    tx.whole("reopen", || {
        tx.run("reopen", REOPEN_FAN_OUT, values)?;
        let is_over = fan_out.expires_at <= tx.now;
        is_over.then(|| extend(tx, id, fan_out.ttl_ms)).transpose()
    })?;
    fan_out.due_at = tx.now;
    Ok(Some(fan_out.queue_item(tx.now)))
}

/// Its time to live begins anew.
fn extend(tx: &Tx<'_>, id: NotificationId, ttl_ms: i64) -> Result<()> {
    let expires_at = expiry(ttl_ms, tx.now).as_ms();
    tx.run("reopen", EXTEND, params![id.as_bytes(), expires_at]).map(drop)
}
