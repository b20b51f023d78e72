//! What never changes of a notification, kept so that a thousand deliveries of it read and parse it once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pabal_core::ids::NotificationId;
use pabal_core::message::Message;
use pabal_core::route::Lane;

/// Notifications that are kept at most. A message has at most about 30 KiB, most have less than one.
pub(crate) const MESSAGES_KEPT_MAX: usize = 2048;

/// What a delivery's load needs of its notification.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) lane: Lane,
    pub(crate) ttl_ms: i64,
    pub(crate) message: Arc<Message>,
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

    pub(crate) fn get(&self, id: NotificationId) -> Option<Kept> {
        let mut generations = self.generations();
        if let Some(kept) = generations.young.get(&id) {
            return Some(kept.clone());
        }
        let kept = generations.old.remove(&id)?;
        generations.keep(id, kept.clone());
        Some(kept)
    }

    pub(crate) fn keep(&self, id: NotificationId, kept: Kept) {
        self.generations().keep(id, kept);
    }

    /// Forgets one, whose message is no longer what it was: the person it was for is to be forgotten.
    pub(crate) fn evict(&self, id: NotificationId) {
        let mut generations = self.generations();
        generations.young.remove(&id);
        generations.old.remove(&id);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
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
