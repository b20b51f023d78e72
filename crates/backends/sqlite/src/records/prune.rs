//! Forgetting what ended long ago, the oldest notifications first. Whether one may go is told by its own row, nearly: its
//! counters say whether anything of it is open or dead, and when its last delivery ended moves with them.
//!
//! What may go is found beside the writer, where its deliveries are asked too, and its row is looked at again where it is
//! removed.

use pabal_core::clock::Timestamp;
use pabal_core::ids::NotificationId;
use pabal_core::limits;
use pabal_core::seam::store::{Prune, Pruned};
use pabal_core::{ErrorKind, Result};
use rusqlite::{Connection, Row, named_params, params};

use super::counters::{Moves, counting};
use super::keys;
use super::remove::{self, Removable, Stored};
use crate::rows::{signed, unsigned};
use crate::tx::Tx;
use crate::walk::{Bounds, Ids, Walked, walk};

/// How much earlier than by its id a notification may have been made, by the store's clock. Ids are made by others', and
/// any clock may be set back.
const CLOCKS_DIFFER_MS: i64 = 24 * 60 * 60 * 1000;

/// Before when what a notification is made of must have ended, so that it may go.
macro_rules! cutoff {
    () => {
        "iif(n.state = 5 OR n.dead > 0, :dead_before, :ended_before)"
    };
}

/// Whether a notification may go, as far as its own row tells. Something of it may have ended later than its row says,
/// where a clock was set back or the row is older than what it would say.
macro_rules! may_go {
    () => {
        concat!(
            "n.state >= 2 AND n.scheduled = 0 AND n.retrying = 0
                AND max(coalesce(n.ended_at, 0), coalesce(n.finished_at, n.due_at)) <= ",
            cutoff!()
        )
    };
}

/// The notifications between two ids, of each whether it may go, and how many deliveries it has.
pub(super) const ENDED: &str = concat!(
    "SELECT n.id, CASE WHEN ",
    may_go!(),
    " THEN NOT EXISTS (
            SELECT 1 FROM deliveries d INDEXED BY deliveries_of_notification
                CROSS JOIN delivery_states s ON s.id = d.id
            WHERE d.notification = n.id AND s.finished_at > ",
    cutoff!(),
    ") ELSE FALSE END,
        n.delivered + n.dead + n.expired + n.cancelled + n.undeliverable
    FROM notification_states n WHERE n.id > :from AND n.id < :below ORDER BY n.id"
);
pub(super) const MAY_GO: &str =
    concat!("SELECT 1 FROM notification_states n WHERE n.id = :id AND ", may_go!());

pub(super) const DELIVERIES: &str = "
    SELECT d.id, d.app, d.notification, s.state, s.reason
    FROM deliveries d INDEXED BY deliveries_of_notification CROSS JOIN delivery_states s ON s.id = d.id
    WHERE d.notification = ?1 ORDER BY d.id LIMIT ?2";

pub(super) const REDRIVES: &str = "
    DELETE FROM redrives WHERE id IN (
        SELECT id FROM redrives INDEXED BY redrives_finished WHERE state <> 0 AND finished_at <= ?1 LIMIT ?2)";

/// Before when something must have ended to go.
#[derive(Debug, Clone, Copy)]
struct Before {
    ended: Timestamp,
    dead: Timestamp,
}

impl Before {
    fn of(prune: &Prune, now: Timestamp) -> Self {
        let ago = |ms| now.plus_ms(-signed(ms));
        Self { ended: ago(prune.ended_ms_ago), dead: ago(prune.dead_ms_ago) }
    }
}

/// What may go.
pub(crate) struct Ended {
    ids: Vec<NotificationId>,
    /// Where to go on once these are gone.
    next: Option<NotificationId>,
}

/// The notifications that may go, as many as one step can remove.
pub(crate) fn find_ended(connection: &Connection, prune: &Prune, now: Timestamp) -> Result<Ended> {
    let before = Before::of(prune, now);
    let (mut ended, mut after) = (Ended { ids: Vec::new(), next: None }, prune.after);
    let mut bounds = Bounds { max: 1, ..Bounds::of_page(1) };
    let mut rows = 0;
    loop {
        // One by one: how many rows it has is known of one that was found.
        let walked = next_ended(connection, before, after, bounds)?;
        bounds.looks -= walked.looked;
        ended.next = walked.next.map(|(id, _)| id);
        after = ended.next;
        for (id, deliveries) in walked.found {
            ended.ids.push(id);
            rows += 1 + deliveries;
        }
        if ended.next.is_none() || bounds.is_spent() || rows >= prune.rows_max {
            return Ok(ended);
        }
    }
}

/// The next notification after one that may go, with the number of its deliveries.
fn next_ended(
    connection: &Connection,
    before: Before,
    after: Option<NotificationId>,
    bounds: Bounds,
) -> Result<Walked<(NotificationId, usize)>> {
    let made_before = before.ended.max(before.dead).plus_ms(CLOCKS_DIFFER_MS);
    let mut ids = Ids::made(None, Some(made_before));
    if let Some(after) = &after {
        ids.from = after.as_bytes().to_vec();
    }
    let values = named_params! {
        ":from": ids.from,
        ":below": ids.below,
        ":ended_before": before.ended.as_ms(),
        ":dead_before": before.dead.as_ms(),
    };
    let read = |row: &Row<'_>| {
        let deliveries = usize::try_from(unsigned(row.get(2)?)).unwrap_or(usize::MAX);
        Ok(((NotificationId::from_bytes(row.get(0)?), deliveries), row.get(1)?))
    };
    walk(connection, "prune", (ENDED, values), bounds, read)
}

/// Removes what was found, as far as one step's rows go.
pub(crate) fn prune(tx: &Tx<'_>, prune: &Prune, found: &Ended) -> Result<Pruned> {
    let before = Before::of(prune, tx.now);
    let rows_max = signed(prune.rows_max.max(1) as u64);
    let jobs = tx.now.plus_ms(-signed(prune.ended_ms_ago.max(limits::REDRIVE_KEPT_MS)));
    tx.run("prune", REDRIVES, params![jobs.as_ms(), rows_max])?;
    keys::forget(tx, prune.rows_max)?;
    counting(tx, |moves| {
        let mut step = Step { tx, moves, rows_left: prune.rows_max.max(1), pruned: Pruned::default() };
        let mut done = prune.after;
        for id in &found.ids {
            match step.remove(*id, before) {
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::error!(notification = %id, %error, "what is stored of it can't be read, and it stays");
                }
                Ok(true) => {}
                Ok(false) => {
                    let next = done.unwrap_or(NotificationId::from_bytes([0; 16]));
                    return Ok(Pruned { next: Some(next), ..step.pruned });
                }
                Err(error) => return Err(error),
            }
            done = Some(*id);
        }
        Ok(Pruned { next: found.next, ..step.pruned })
    })
}

struct Step<'a> {
    tx: &'a Tx<'a>,
    moves: &'a mut Moves,
    rows_left: usize,
    pruned: Pruned,
}

impl Step<'_> {
    /// Removes a notification, its deliveries first. Answers whether it is done with: gone, or to stay.
    fn remove(&mut self, id: NotificationId, before: Before) -> Result<bool> {
        let tx = self.tx;
        let may_go = named_params! {
            ":id": id.as_bytes(),
            ":ended_before": before.ended.as_ms(),
            ":dead_before": before.dead.as_ms(),
        };
        if tx.first("prune", MAY_GO, may_go, |_| Ok(()))?.is_none() {
            return Ok(true);
        }
        let find = params![id.as_bytes(), signed(self.rows_left as u64)];
        let stored = tx.all("prune", DELIVERIES, find, Stored::read)?;
        // Those that can't be read keep the others, which are shown with them.
        let rows: Vec<Removable> = stored.into_iter().map(Stored::row).collect::<Result<_>>()?;
        for row in rows {
            row.remove(tx, self.moves)?;
            self.rows_left -= 1;
            self.pruned.deliveries += 1;
        }
        if self.rows_left == 0 {
            return Ok(false);
        }
        remove::remove_notification(tx, id)?;
        self.rows_left -= 1;
        self.pruned.notifications += 1;
        Ok(true)
    }
}
