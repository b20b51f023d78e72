//! Accepting notifications: the key, the notification and, for what is due now, its deliveries, all or nothing.
//!
//! Accepting is idempotent twice over: by the caller's key, and by the notification's id, which a caller of the store
//! uses again when it could not learn what came of a call.

use pabal_core::clock::Timestamp;
use pabal_core::ids::{ItemId, NotificationId};
use pabal_core::message::Message;
use pabal_core::notification::{Notification, NotificationState};
use pabal_core::route::Route;
use pabal_core::seam::{Acceptance, Answer, Epoch, QueueItem};
use pabal_core::{Error, ErrorKind, Result};
use rusqlite::params;

use super::counters::{Moves, counting};
use super::fan_out::expiry;
use super::keys;
use super::resolve::{Audience, units_of};
use crate::cache::Kept;
use crate::rows::{notification_state_code, signed};
use crate::tx::Tx;

const NOTIFICATION: &str = "
    INSERT INTO notifications (id, app, lane, ttl_ms, send_at, channels, recipients, message, created_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
    ON CONFLICT (id) DO NOTHING";

const STATE: &str = "
    INSERT INTO notification_states (id, state, due_at, expires_at, cursor,
        scheduled, retrying, delivered, dead, expired, cancelled, undeliverable, finished_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

/// What was due at its accept was answered with the number of its deliveries, which nothing changes while somebody may
/// still ask again for not having learnt it.
pub(super) const ANSWERED: &str = "
    SELECT iif(coalesce(m.send_at, m.created_at) > m.created_at, NULL,
        n.scheduled + n.retrying + n.delivered + n.dead + n.expired + n.cancelled + n.undeliverable)
    FROM notifications m CROSS JOIN notification_states n ON n.id = m.id WHERE m.id = ?1";

/// Accepts a batch.
pub(super) fn accept(tx: &Tx<'_>, batch: &[Acceptance]) -> Result<Vec<(Answer, Vec<QueueItem>)>> {
    let new_keys = batch.iter().filter(|acceptance| acceptance.idempotency.is_some()).count();
    keys::forget_some(tx, new_keys)?;
    counting(tx, |moves| batch.iter().map(|acceptance| accept_one(tx, moves, acceptance)).collect())
}

fn accept_one(tx: &Tx<'_>, moves: &mut Moves, acceptance: &Acceptance) -> Result<(Answer, Vec<QueueItem>)> {
    let Acceptance { notification, idempotency } = acceptance;
    let (id, app) = (notification.id, notification.app);
    if let Some(asked) = idempotency
        && let Some(answer) = keys::earlier_answer(tx, app, asked)?
    {
        return Ok((answer, Vec::new()));
    }
    if !insert(tx, notification)? {
        return Ok((Answer::Replayed { id, deliveries: answered(tx, id)? }, Vec::new()));
    }
    let (deliveries, work) = match notification.send_at.filter(|send_at| *send_at > tx.now) {
        Some(due_at) => (None, schedule(tx, moves, notification, due_at)?),
        None => {
            let (deliveries, work) = expand(tx, moves, notification)?;
            (Some(deliveries), work)
        }
    };
    if let Some(asked) = idempotency {
        keys::keep(tx, app, asked, id, deliveries)?;
    }
    Ok((Answer::Accepted { id, deliveries }, work))
}

/// Stores what was asked for. Answers whether it is new.
fn insert(tx: &Tx<'_>, notification: &Notification) -> Result<bool> {
    let channels = notification.channels.as_ref().map(serde_json::to_string);
    let message: &Message = &notification.message;
    let values = params![
        notification.id.as_bytes(),
        notification.app.0,
        notification.lane.as_str(),
        notification.ttl_ms,
        notification.send_at.map(Timestamp::as_ms),
        channels.transpose().map_err(unwritable)?,
        serde_json::to_string(&notification.recipients).map_err(unwritable)?,
        serde_json::to_string(message).map_err(unwritable)?,
        tx.now.as_ms(),
    ];
    Ok(tx.run("accept", NOTIFICATION, values)? > 0)
}

/// For later: it becomes work of its own.
fn schedule(
    tx: &Tx<'_>,
    moves: &mut Moves,
    notification: &Notification,
    due_at: Timestamp,
) -> Result<Vec<QueueItem>> {
    insert_state(tx, moves, notification, NotificationState::Scheduled, due_at, 0)?;
    Ok(vec![QueueItem {
        id: ItemId::FanOut(notification.id),
        route: Route::fan_out(notification.lane),
        due_in_ms: tx.now.ms_until(due_at),
        epoch_floor: Epoch::NONE,
    }])
}

/// For now: its recipients are resolved, and its message, which somebody is about to ask for, is kept at hand.
fn expand(tx: &Tx<'_>, moves: &mut Moves, notification: &Notification) -> Result<(u32, Vec<QueueItem>)> {
    let audience = Audience {
        app: notification.app,
        notification: notification.id,
        lane: notification.lane,
        channels: notification.channels.as_deref(),
        recipients: &notification.recipients,
    };
    let units = units_of(&notification.recipients);
    let made = audience.deliver(tx, moves, 0..units)?;
    let due_at = notification.send_at.unwrap_or(tx.now);
    insert_state(tx, moves, notification, NotificationState::Expanded, due_at, units)?;
    let Notification { lane, ttl_ms, message, .. } = notification;
    let kept = Kept { lane: *lane, ttl_ms: *ttl_ms, message: message.clone() };
    tx.messages.keep(notification.id, kept);
    Ok((made.count, made.work))
}

fn insert_state(
    tx: &Tx<'_>,
    moves: &mut Moves,
    notification: &Notification,
    state: NotificationState,
    due_at: Timestamp,
    resolved: usize,
) -> Result<()> {
    let [scheduled, retrying, delivered, dead, expired, cancelled, undeliverable] =
        moves.take(notification.id);
    let values = params![
        notification.id.as_bytes(),
        notification_state_code(state),
        due_at.as_ms(),
        expiry(notification.ttl_ms, due_at).as_ms(),
        signed(resolved as u64),
        scheduled,
        retrying,
        delivered,
        dead,
        expired,
        cancelled,
        undeliverable,
        if state.is_open() { None } else { Some(tx.now.as_ms()) },
    ];
    tx.run("accept", STATE, values).map(drop)
}

/// What the accept of a notification answered.
fn answered(tx: &Tx<'_>, id: NotificationId) -> Result<Option<u32>> {
    Ok(tx.first("accept", ANSWERED, [id.as_bytes()], |row| row.get(0))?.flatten())
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Unexpected, "accept", "a notification can't be written as JSON").with_source(error)
}
