//! What never changes of a notification, kept so that a thousand deliveries of it read and parse it once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pabal_core::Result;
use pabal_core::ids::NotificationId;
use pabal_core::message::Message;
use pabal_core::route::Lane;

use crate::core::Tx;
use crate::errors::corrupt;
use crate::rows::word;

/// Notifications that are kept at most. A message has at most about 30 KiB, most have less than one.
pub(super) const MESSAGES_KEPT_MAX: usize = 2048;

pub(super) const LANE: &str = "SELECT lane FROM notifications WHERE id = ?1";
pub(super) const MESSAGE: &str = "SELECT lane, ttl_ms, message FROM notifications WHERE id = ?1";

/// What a delivery's load needs of its notification.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) lane: Lane,
    pub(super) ttl_ms: i64,
    pub(super) message: Arc<Message>,
}

/// A bounded cache of messages, in two generations: what is used moves to the young one, and when that is half of the
/// bound, the old one goes. No list to keep in order, and what is in use stays.
#[derive(Default)]
pub(crate) struct MessageCache(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<NotificationId, Kept>,
    old: HashMap<NotificationId, Kept>,
}

impl MessageCache {
    /// Forgets all: a rollback may have undone the notification of some.
    pub(crate) fn forget(&self) {
        *self.generations() = Generations::default();
    }

    pub(super) fn get(&self, id: NotificationId) -> Option<Kept> {
        let mut generations = self.generations();
        if let Some(kept) = generations.young.get(&id) {
            return Some(kept.clone());
        }
        let kept = generations.old.remove(&id)?;
        generations.keep(id, kept.clone());
        Some(kept)
    }

    pub(super) fn keep(&self, id: NotificationId, kept: Kept) {
        self.generations().keep(id, kept);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let generations = self.generations();
        generations.young.len() + generations.old.len()
    }

    fn generations(&self) -> MutexGuard<'_, Generations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn keep(&mut self, id: NotificationId, kept: Kept) {
        if self.young.len() >= MESSAGES_KEPT_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id, kept);
    }
}

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
