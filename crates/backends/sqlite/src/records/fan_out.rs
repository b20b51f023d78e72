//! A notification as it stands, as far as its own work goes: being paged into deliveries.

use pabal_core::clock::Timestamp;
use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::ids::{AppId, ItemId, NotificationId};
use pabal_core::notification::NotificationState;
use pabal_core::route::{Lane, Route};
use pabal_core::seam::{Cursor, Epoch, QueueItem, Then};
use pabal_core::{Result, limits};
use rusqlite::{Row, params};

use crate::rows::{notification_state_code, notification_state_of, unsigned, word};
use crate::tx::Tx;

pub(super) const FAN_OUT: &str = "
    SELECT m.app, m.lane, m.ttl_ms, n.state, n.due_at, n.expires_at, n.cursor, n.failures, n.epoch, n.page_epoch,
        n.cancel_requested
    FROM notification_states n CROSS JOIN notifications m ON m.id = n.id
    WHERE n.id = ?1";

const FINISH: &str = "
    UPDATE notification_states SET state = ?2, reason = ?3, finished_at = ?4 WHERE id = ?1";

/// A notification's fan-out, as it stands.
pub(super) struct FanOut {
    pub(super) id: NotificationId,
    pub(super) app: AppId,
    pub(super) lane: Lane,
    pub(super) ttl_ms: i64,
    pub(super) state: NotificationState,
    pub(super) due_at: Timestamp,
    pub(super) expires_at: Timestamp,
    /// How many of its units (users, or its one device or address) are resolved into deliveries.
    pub(super) resolved: usize,
    pub(super) failures: u32,
    pub(super) epoch: Epoch,
    pub(super) page_epoch: Epoch,
    pub(super) cancel_requested: bool,
}

/// The time at which a life that begins at `from` ends.
pub(super) fn expiry(ttl_ms: i64, from: Timestamp) -> Timestamp {
    from.plus_ms(ttl_ms.max(limits::TTL_GRACE_MS))
}

/// The cursor after so many resolved units; the empty text is the beginning.
pub(super) fn cursor_at(resolved: usize) -> Cursor {
    Cursor(if resolved == 0 { String::new() } else { resolved.to_string() })
}

impl FanOut {
    /// The fan-out of the notification with this id, if there is one.
    pub(super) fn read(tx: &Tx<'_>, id: NotificationId) -> Result<Option<Self>> {
        let stored = tx.first("fan_out", FAN_OUT, [id.as_bytes()], Stored::read)?;
        stored.map(|stored| stored.fan_out(id)).transpose()
    }

    /// Where it goes on.
    pub(super) fn cursor(&self) -> Cursor {
        cursor_at(self.resolved)
    }

    /// What its queue entry is to do, as the record stands.
    pub(super) fn then(&self, now: Timestamp) -> Then {
        if self.state.is_open() {
            Then::Retry { in_ms: now.ms_until(self.due_at), route: Route::fan_out(self.lane) }
        } else {
            Then::Done
        }
    }

    /// How it is queued while it is open. The floor is also the last page's epoch, or the next claim's own pages
    /// would be refused.
    pub(super) fn queue_item(&self, now: Timestamp) -> QueueItem {
        QueueItem {
            id: ItemId::FanOut(self.id),
            route: Route::fan_out(self.lane),
            due_in_ms: now.ms_until(self.due_at),
            epoch_floor: self.epoch.max(self.page_epoch),
        }
    }

    /// Whether the record takes what comes of a lease of this epoch. A page under a newer lease shows that it was
    /// overtaken, though nothing is settled yet.
    pub(super) fn admits(&self, epoch: Epoch) -> bool {
        epoch > self.epoch && epoch >= self.page_epoch
    }

    /// Ends it if it is open and was cancelled or has expired.
    pub(super) fn end_if_over(&mut self, tx: &Tx<'_>) -> Result<()> {
        match self.state.is_open() {
            true if self.cancel_requested => self.finish(tx, Reason::CancelRequested),
            true if self.expires_at <= tx.now => self.finish(tx, Reason::TtlEnded),
            _ => Ok(()),
        }
    }

    /// Ends it without an attempt.
    pub(super) fn finish(&mut self, tx: &Tx<'_>, reason: Reason) -> Result<()> {
        self.state = ended_state(reason);
        let code = notification_state_code(self.state);
        let values = params![self.id.as_bytes(), code, death(self.state, reason), tx.now.as_ms()];
        tx.run("fan_out", FINISH, values).map(drop)
    }
}

/// The final state of a notification that a reason belongs to.
const fn ended_state(reason: Reason) -> NotificationState {
    match reason.state() {
        DeliveryState::Expired => NotificationState::Expired,
        DeliveryState::Dead => NotificationState::Dead,
        DeliveryState::Scheduled
        | DeliveryState::Retrying
        | DeliveryState::Delivered
        | DeliveryState::Cancelled
        | DeliveryState::Undeliverable => NotificationState::Cancelled,
    }
}

/// The reason as it is kept: of dead fan-outs, which are listed with it.
pub(super) fn death(state: NotificationState, reason: Reason) -> Option<&'static str> {
    (state == NotificationState::Dead).then_some(reason.as_str())
}

/// The columns of [`FAN_OUT`], not yet checked.
struct Stored {
    app: u32,
    lane: String,
    ttl_ms: i64,
    state: i64,
    due_at: i64,
    expires_at: i64,
    cursor: i64,
    failures: u32,
    epoch: i64,
    page_epoch: i64,
    cancel_requested: bool,
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            app: row.get(0)?,
            lane: row.get(1)?,
            ttl_ms: row.get(2)?,
            state: row.get(3)?,
            due_at: row.get(4)?,
            expires_at: row.get(5)?,
            cursor: row.get(6)?,
            failures: row.get(7)?,
            epoch: row.get(8)?,
            page_epoch: row.get(9)?,
            cancel_requested: row.get(10)?,
        })
    }

    fn fan_out(self, id: NotificationId) -> Result<FanOut> {
        Ok(FanOut {
            id,
            app: AppId(self.app),
            lane: word(&self.lane)?,
            ttl_ms: self.ttl_ms,
            state: notification_state_of(self.state)?,
            due_at: Timestamp::from_ms(self.due_at),
            expires_at: Timestamp::from_ms(self.expires_at),
            resolved: usize::try_from(unsigned(self.cursor)).unwrap_or(usize::MAX),
            failures: self.failures,
            epoch: Epoch(self.epoch),
            page_epoch: Epoch(self.page_epoch),
            cancel_requested: self.cancel_requested,
        })
    }
}
