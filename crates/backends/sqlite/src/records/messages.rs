//! Reading what never changes of a notification, past the cache.

use std::sync::Arc;

use pabal_core::Result;
use pabal_core::ids::NotificationId;
use pabal_core::route::Lane;

use crate::cache::Kept;
use crate::errors::corrupt;
use crate::rows::word;
use crate::tx::Tx;

pub(super) const LANE: &str = "SELECT lane FROM notifications WHERE id = ?1";
pub(super) const MESSAGE: &str = "SELECT lane, ttl_ms, message FROM notifications WHERE id = ?1";

/// The lane of a notification. What is not kept is not read whole for it.
pub(super) fn lane_of(tx: &Tx<'_>, id: NotificationId) -> Result<Lane> {
    if let Some(kept) = tx.messages.get(id) {
        return Ok(kept.lane);
    }
    let lane: Option<String> = tx.first("lane", LANE, [id.as_bytes()], |row| row.get(0))?;
    word(&lane.ok_or_else(|| gone("lane", id))?)
}

/// What a load needs of a notification.
pub(super) fn message_of(tx: &Tx<'_>, id: NotificationId) -> Result<Kept> {
    if let Some(kept) = tx.messages.get(id) {
        return Ok(kept);
    }
    let read = tx.first("load", MESSAGE, [id.as_bytes()], |row| {
        Ok((row.get::<_, String>(0)?, row.get(1)?, row.get::<_, String>(2)?))
    })?;
    let (lane, ttl_ms, message) = read.ok_or_else(|| gone("load", id))?;
    // What is in a message stays out of the error: it is about people.
    let unreadable = |error: serde_json::Error| {
        corrupt("load", format!("message: {:?} error in its JSON", error.classify()))
    };
    let message = serde_json::from_str(&message).map_err(unreadable)?;
    let kept = Kept { lane: word(&lane)?, ttl_ms, message: Arc::new(message) };
    tx.messages.keep(id, kept.clone());
    Ok(kept)
}

fn gone(operation: &'static str, id: NotificationId) -> pabal_core::Error {
    corrupt(operation, format!("notification {id} has deliveries and is not there"))
}
