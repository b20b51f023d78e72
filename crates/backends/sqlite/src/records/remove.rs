//! Removing rows: dead letters that are purged, and what ended long ago. Counters follow, so that they equal a recount.

use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::ids::{AppId, DeliveryId, ItemId, NotificationId};
use pabal_core::{ErrorKind, Result};
use rusqlite::{Row, params};

use super::counters::{Moves, counting};
use crate::rows::{state_of, word};
use crate::tx::Tx;

pub(super) const DELIVERY: &str = "
    SELECT d.id, d.app, d.notification, s.state, s.reason
    FROM deliveries d CROSS JOIN delivery_states s ON s.id = d.id WHERE d.id = ?1";
pub(super) const DELETE_ATTEMPTS: &str = "DELETE FROM attempts WHERE delivery = ?1";
const DELETE_STATE: &str = "DELETE FROM delivery_states WHERE id = ?1";
const DELETE: &str = "DELETE FROM deliveries WHERE id = ?1";

pub(super) const HAS_DELIVERIES: &str =
    "SELECT 1 FROM deliveries INDEXED BY deliveries_of_notification WHERE notification = ?1 LIMIT 1";
const IS_DEAD: &str = "SELECT 1 FROM notification_states WHERE id = ?1 AND state = 5";
const TAKE_BACK: &str =
    "UPDATE notification_states SET state = 3, reason = NULL, finished_at = ?2 WHERE id = ?1";
const DELETE_NOTIFICATION: &str = "DELETE FROM notifications WHERE id = ?1";
const DELETE_NOTIFICATION_STATE: &str = "DELETE FROM notification_states WHERE id = ?1";

/// Removes what of these dead letters is (still) dead. A dead delivery goes with its attempts. A dead fan-out goes where
/// it has no deliveries; else it is taken back, for what was delivered of it is still read, and what is open of it is
/// still sent. Answers how many went.
pub(crate) fn purge(tx: &Tx<'_>, ids: &[ItemId]) -> Result<u64> {
    counting(tx, |moves| {
        let mut purged = 0;
        for id in ids {
            match purge_one(tx, moves, *id) {
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::error!(item = %id, %error, "what is stored of it can't be read, and it stays");
                }
                is_purged => purged += u64::from(is_purged?),
            }
        }
        Ok(purged)
    })
}

fn purge_one(tx: &Tx<'_>, moves: &mut Moves, id: ItemId) -> Result<bool> {
    match id {
        ItemId::Delivery(id) => purge_delivery(tx, moves, id),
        ItemId::FanOut(id) => purge_fan_out(tx, id),
    }
}

fn purge_delivery(tx: &Tx<'_>, moves: &mut Moves, id: DeliveryId) -> Result<bool> {
    let stored = tx.first("purge", DELIVERY, [id.as_bytes()], Stored::read)?;
    let Some(row) = stored.map(Stored::row).transpose()? else { return Ok(false) };
    let is_dead = row.state == DeliveryState::Dead;
    if is_dead {
        row.remove(tx, moves)?;
    }
    Ok(is_dead)
}

fn purge_fan_out(tx: &Tx<'_>, id: NotificationId) -> Result<bool> {
    if tx.first("purge", IS_DEAD, [id.as_bytes()], |_| Ok(()))?.is_none() {
        return Ok(false);
    }
    if has_deliveries(tx, id)? {
        tx.run("purge", TAKE_BACK, params![id.as_bytes(), tx.now.as_ms()])?;
    } else {
        remove_notification(tx, id)?;
    }
    Ok(true)
}

pub(super) fn has_deliveries(tx: &Tx<'_>, id: NotificationId) -> Result<bool> {
    Ok(tx.first("remove", HAS_DELIVERIES, [id.as_bytes()], |_| Ok(()))?.is_some())
}

/// Removes a notification that has no deliveries (any more).
pub(super) fn remove_notification(tx: &Tx<'_>, id: NotificationId) -> Result<()> {
    delete(tx, &[DELETE_NOTIFICATION_STATE, DELETE_NOTIFICATION], id.as_bytes())?;
    tx.messages.evict(id);
    Ok(())
}

/// All rows of an id, or none.
fn delete(tx: &Tx<'_>, statements: &[&str], id: &[u8; 16]) -> Result<()> {
    tx.whole("remove", || statements.iter().try_for_each(|sql| tx.run("remove", sql, [id]).map(drop)))
}

/// A delivery that is to be removed, as far as it counts.
pub(super) struct Removable {
    id: DeliveryId,
    app: AppId,
    notification: NotificationId,
    state: DeliveryState,
    reason: Option<Reason>,
}

impl Removable {
    /// Removes it with its attempts.
    pub(super) fn remove(&self, tx: &Tx<'_>, moves: &mut Moves) -> Result<()> {
        delete(tx, &[DELETE_ATTEMPTS, DELETE_STATE, DELETE], self.id.as_bytes())?;
        moves.removed(self.app, self.notification, (self.state, self.reason));
        Ok(())
    }
}

/// The columns of [`DELIVERY`], not yet checked.
pub(super) struct Stored {
    id: [u8; 16],
    app: u32,
    notification: [u8; 16],
    state: i64,
    reason: Option<String>,
}

impl Stored {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            app: row.get(1)?,
            notification: row.get(2)?,
            state: row.get(3)?,
            reason: row.get(4)?,
        })
    }

    pub(super) fn row(self) -> Result<Removable> {
        Ok(Removable {
            id: DeliveryId::from_bytes(self.id),
            app: AppId(self.app),
            notification: NotificationId::from_bytes(self.notification),
            state: state_of(self.state)?,
            reason: self.reason.as_deref().map(word).transpose()?,
        })
    }
}
