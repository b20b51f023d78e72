//! Everything accepted, as the phones would have got it: counted exactly, listed, awaited.
//!
//! Three memories with three bounds, because they serve three questions. The counts are always exact. The ids, for a
//! harness that compares books, hold every accepted send up to a bound in the millions. The bodies, for people and
//! small tests, are the latest ones. What a bound made the emulator drop is counted and told.
//!
//! A cursor numbers accepted sends from 1 and never goes back, not even when everything is cleared.

mod bodies;
mod ids;
mod unique;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Notify;

pub use bodies::ReceivedMessage;
use bodies::{Bodies, Body};
use ids::Ids;
pub use ids::ReceivedId;
use unique::Unique;

use crate::clock::unix_ms;
use crate::hash::Hasher128;
use crate::limits::ID_PAGE;
use crate::message::Outgoing;
use crate::topics::Reached;

/// How much was accepted since the start or the last clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Sends accepted, duplicates included.
    pub accepted: u64,
    /// Distinct (target, `message.data.pabal_id`) pairs among them.
    pub unique: u64,
    /// Sends accepted whose answer was withheld by a `reset_after` fault.
    pub answers_lost: u64,
    /// What is no longer remembered.
    #[serde(skip_serializing_if = "Dropped::is_nothing")]
    pub dropped: Dropped,
}

/// What the bounds of memory made the emulator forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Dropped {
    /// Oldest bodies, no longer listed.
    pub bodies: u64,
    /// Newest ids, not in the list of ids.
    pub ids: u64,
    /// Sends that could not be told apart any more and are not in `unique`.
    pub unique: u64,
}

impl Dropped {
    fn is_nothing(&self) -> bool {
        *self == Dropped::default()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Inbox {
    log: Mutex<Log>,
    hasher: Hasher128,
    /// Told after every accepted send and every clear.
    arrived: Notify,
}

/// All of it under one short lock, so that what a reader sees belongs together.
#[derive(Debug, Default)]
struct Log {
    last_cursor: u64,
    /// The last cursor at the last clear.
    cleared_at: u64,
    accepted: u64,
    answers_lost: u64,
    unique: Unique,
    ids: Ids,
    bodies: Bodies,
}

/// What a page of either list ends with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// Where to go on: the cursor of the last item, or the one asked for if there is none.
    pub(crate) cursor: u64,
    /// Items that are no longer or never were remembered, since the last clear.
    pub(crate) dropped: u64,
}

/// How far the book has got: what a reader compares to see whether there is something new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) last_cursor: u64,
    /// Everything up to here was cleared.
    pub(crate) cleared_at: u64,
}

impl Inbox {
    /// Takes a send in. `reached`: the subscribed devices of its topic or condition. `answer_lost`: its sender will
    /// not hear of it.
    pub(crate) fn accept(
        &self,
        project: usize,
        outgoing: Outgoing<'_>,
        body: &[u8],
        reached: Option<Reached>,
        answer_lost: bool,
    ) {
        let Outgoing { target, pabal_id, .. } = outgoing;
        let target_key = self.hasher.of(&(target.kind, target.value));
        let pair_key = self.hasher.of(&(target.kind, target.value, pabal_id));
        let body = Body { project, received_at_ms: unix_ms(), json: body.into(), reached };
        {
            let mut log = self.log();
            log.last_cursor += 1;
            log.accepted += 1;
            log.answers_lost += u64::from(answer_lost);
            log.unique.insert(pair_key);
            let cursor = log.last_cursor;
            log.ids.push(target_key, target, pabal_id);
            log.bodies.push(cursor, body);
        }
        self.arrived.notify_waiters();
    }

    pub(crate) fn count(&self) -> Counts {
        let log = self.log();
        Counts {
            accepted: log.accepted,
            unique: log.unique.count(),
            answers_lost: log.answers_lost,
            dropped: Dropped {
                bodies: log.bodies.dropped(),
                ids: log.ids.dropped(),
                unique: log.unique.dropped(),
            },
        }
    }

    /// Messages after a cursor, oldest first. Parsed outside the lock.
    pub(crate) fn messages(&self, after: u64, limit: usize, projects: &[&str]) -> Page<ReceivedMessage> {
        let (bodies, dropped) = {
            let log = self.log();
            (log.bodies.after(after, limit), log.bodies.dropped())
        };
        let cursor = bodies.last().map_or(after, |(cursor, _)| *cursor);
        let items = bodies.into_iter().filter_map(|(cursor, body)| body.read(cursor, projects)).collect();
        Page { items, cursor, dropped }
    }

    /// Ids after a cursor, oldest first, copied in pages so that sends go on meanwhile.
    pub(crate) fn ids(&self, after: u64, limit: usize) -> Page<ReceivedId> {
        let mut items: Vec<ReceivedId> = Vec::new();
        let mut cursor = after;
        loop {
            let wanted = (limit - items.len()).min(ID_PAGE);
            let log = self.log();
            let copied = log.ids.copy_after(cursor, wanted, &mut items);
            cursor = items.last().map_or(after, |id| id.cursor);
            if copied < ID_PAGE || items.len() == limit {
                return Page { items, cursor, dropped: log.ids.dropped() };
            }
        }
    }

    /// Forgets everything but the cursor.
    pub(crate) fn clear(&self) {
        {
            let mut log = self.log();
            let last_cursor = log.last_cursor;
            let ids = Ids::starting_after(last_cursor);
            *log = Log { last_cursor, cleared_at: last_cursor, ids, ..Log::default() };
        }
        self.arrived.notify_waiters();
    }

    pub(crate) fn head(&self) -> Head {
        let log = self.log();
        Head { last_cursor: log.last_cursor, cleared_at: log.cleared_at }
    }

    /// Waits until the head is another than this one; says whether it is.
    pub(crate) async fn wait_beyond_head(&self, seen: Head, deadline: Duration) -> bool {
        self.wait_until(deadline, || self.head() != seen).await
    }

    /// Waits until something is after a cursor; says whether there is.
    pub(crate) async fn wait_beyond(&self, after: u64, deadline: Duration) -> bool {
        self.wait_until(deadline, || self.log().last_cursor > after).await
    }

    /// Waits until so many sends were accepted; says whether they were.
    pub(crate) async fn wait_for(&self, accepted: u64, deadline: Duration) -> bool {
        self.wait_until(deadline, || self.log().accepted >= accepted).await
    }

    async fn wait_until(&self, deadline: Duration, reached: impl Fn() -> bool) -> bool {
        let wait = async {
            loop {
                let arrived = self.arrived.notified(); // before the look, so that nothing arrives unseen between
                if reached() {
                    return;
                }
                arrived.await;
            }
        };
        tokio::time::timeout(deadline, wait).await.is_ok()
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Collapsing, Target, TargetKind};

    fn send(inbox: &Inbox, token: &str, pabal_id: &str) {
        let body = format!(r#"{{"message":{{"token":"{token}","data":{{"pabal_id":"{pabal_id}"}}}}}}"#);
        let target = Target { kind: TargetKind::Token, value: token };
        let collapsing = Collapsing::default();
        let outgoing = Outgoing { target, pabal_id, collapsing, validate_only: false };
        inbox.accept(0, outgoing, body.as_bytes(), None, false);
    }

    #[test]
    fn duplicates_are_listed_but_not_unique() {
        let inbox = Inbox::default();
        for (token, pabal_id) in [("a", "1"), ("a", "1"), ("a", "2"), ("b", "1")] {
            send(&inbox, token, pabal_id);
        }
        let counts = inbox.count();
        assert_eq!((counts.accepted, counts.unique), (4, 3));
        let page = inbox.ids(1, 2);
        let pairs: Vec<_> =
            page.items.iter().map(|id| (id.cursor, id.target.as_ref(), id.pabal_id.as_ref())).collect();
        assert_eq!(pairs, [(2, "a", "1"), (3, "a", "2")]);
        assert_eq!(page.cursor, 3);
        assert_eq!(inbox.messages(3, 10, &["p"]).items[0].target, "b");
    }

    #[test]
    fn the_cursor_survives_a_clear() {
        let inbox = Inbox::default();
        send(&inbox, "a", "1");
        inbox.clear();
        assert_eq!(inbox.count(), Counts::default());
        assert_eq!(inbox.ids(0, 10).items, []);
        send(&inbox, "b", "1");
        assert_eq!(inbox.ids(0, 10).items[0].cursor, 2);
        assert_eq!(inbox.messages(1, 10, &["p"]).items[0].cursor, 2);
        assert_eq!(inbox.messages(2, 10, &["p"]).cursor, 2);
    }

    #[test]
    fn long_lists_of_ids_are_copied_in_pages() {
        let inbox = Inbox::default();
        let sends = ID_PAGE * 2 + 1;
        for n in 0..sends {
            send(&inbox, "a", &n.to_string());
        }
        assert_eq!(inbox.ids(0, usize::MAX).items.len(), sends);
        assert_eq!(inbox.ids(0, ID_PAGE).items.len(), ID_PAGE);
        assert_eq!(inbox.ids(0, ID_PAGE + 1).cursor, ID_PAGE as u64 + 1);
    }

    #[tokio::test]
    async fn waiting_ends_on_arrival_or_at_the_deadline() {
        let inbox = std::sync::Arc::new(Inbox::default());
        assert!(!inbox.wait_for(1, Duration::ZERO).await);
        let waiting = {
            let inbox = inbox.clone();
            tokio::spawn(async move { inbox.wait_beyond(0, Duration::from_secs(30)).await })
        };
        send(&inbox, "a", "1");
        assert!(waiting.await.unwrap());
        assert!(inbox.wait_for(1, Duration::ZERO).await);
    }
}
