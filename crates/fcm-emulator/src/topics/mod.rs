//! Who is subscribed to which topic: kept in memory, as FCM keeps it, and asked at each send to a topic or condition.
//!
//! A registration is a registration token or a Firebase Installation ID, and is known by the name it was subscribed
//! under: the emulator can't tell that a token and an installation id are the same app on the same phone. It refuses
//! to hold more than the bounds of [`crate::limits`].

mod book;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::Serialize;

use crate::clock::{rfc3339_ms, unix_ms};
use crate::inbox::Page;
use crate::message::{Condition, Target, TargetKind};
use book::Book;
pub(crate) use book::SubscribeError;

/// One subscription, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopicSubscription {
    /// Its number; ask for what comes after it.
    pub cursor: u64,
    /// Project id.
    pub project: String,
    /// Registration token or installation id.
    pub registration: Arc<str>,
    /// Name of the topic.
    pub topic: Arc<str>,
    /// RFC 3339 with milliseconds, UTC, by the system's clock.
    pub create_time: String,
}

/// The subscribed devices that a send to a topic or condition reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reached {
    /// How many.
    pub count: u64,
    /// Their tokens and installation ids, the first [`crate::limits::MAX_REACHED_LISTED`] of them.
    pub registrations: Arc<[Arc<str>]>,
}

/// What became of a request to subscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subscribed {
    /// With the time of creation, in milliseconds since the epoch.
    Created(i64),
    /// There was one already, created then.
    Existed(i64),
}

/// All subscriptions of all projects.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    book: RwLock<Book>,
}

impl Subscriptions {
    pub(crate) fn subscribe(
        &self,
        project: usize,
        registration: &str,
        topic: &str,
    ) -> Result<Subscribed, SubscribeError> {
        self.write().subscribe(project, registration, topic, unix_ms())
    }

    /// Whether there was one to end.
    pub(crate) fn unsubscribe(&self, project: usize, registration: &str, topic: &str) -> bool {
        self.write().unsubscribe(project, registration, topic)
    }

    /// When a subscription was created, in milliseconds since the epoch.
    pub(crate) fn created_at_ms(&self, project: usize, registration: &str, topic: &str) -> Option<i64> {
        self.read().created_at_ms(project, registration, topic)
    }

    /// Up to `limit` topics of a registration after a name, in their order, with their times of creation; and
    /// whether there are more.
    pub(crate) fn topics_of(
        &self,
        project: usize,
        registration: &str,
        after: &str,
        limit: usize,
    ) -> (Vec<(Arc<str>, i64)>, bool) {
        self.read().topics_of(project, registration, after, limit)
    }

    /// The subscribed devices that a topic or condition means; none for a send to a single device.
    pub(crate) fn reached(&self, project: usize, target: Target<'_>) -> Option<Reached> {
        match target.kind {
            TargetKind::Token | TargetKind::Fid => None,
            TargetKind::Topic => Some(self.read().of_topic(project, target.value)),
            TargetKind::Condition => {
                let condition = Condition::parse(target.value)?;
                Some(self.read().of_condition(project, &condition))
            }
        }
    }

    /// Subscriptions after a cursor, oldest first.
    pub(crate) fn list(&self, after: u64, limit: usize, projects: &[&str]) -> Page<TopicSubscription> {
        let entries = self.read().after(after, limit);
        let cursor = entries.last().map_or(after, |entry| entry.cursor);
        let items = entries.into_iter().filter_map(|entry| {
            Some(TopicSubscription {
                cursor: entry.cursor,
                project: (*projects.get(entry.project)?).to_owned(),
                registration: entry.registration,
                topic: entry.topic,
                create_time: rfc3339_ms(entry.created_at_ms),
            })
        });
        Page { items: items.collect(), cursor, dropped: 0 }
    }

    /// Ends all of them. Cursors go on from where they were.
    pub(crate) fn clear(&self) {
        self.write().clear();
    }

    fn read(&self) -> RwLockReadGuard<'_, Book> {
        self.book.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Book> {
        self.book.write().unwrap_or_else(PoisonError::into_inner)
    }
}
