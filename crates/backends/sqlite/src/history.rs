//! What happened, as the API reads it. A notification's counts and an app's totals come from counters that are moved
//! with the states they count; nothing is scanned for them. Lists are in `lists`.

pub(crate) mod lists;

pub(crate) use lists::{list_deliveries, list_notifications};

use std::sync::Arc;

use pabal_core::clock::Timestamp;
use pabal_core::delivery::{DeliveryState, Reason, Recipient};
use pabal_core::device::Target;
use pabal_core::ids::{AppId, DeliveryId, NotificationId};
use pabal_core::notification::Notification;
use pabal_core::outcome::OutcomeKind;
use pabal_core::seam::store::{AttemptView, DeliveryView, NotificationView};
use pabal_core::{Error, Result};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::errors::{corrupt, from_sqlite};
use crate::reads::at_one_moment;
use crate::recipients::{ERASED, KeptRecipients};
use crate::rows::{notification_state_of, state_of, target_of, unsigned, word};

/// The counters come last, in the order of [`DeliveryState::ALL`].
const NOTIFICATION: &str = "
    SELECT n.lane, n.ttl_ms, n.send_at, n.channels, n.recipients, n.message, n.created_at, s.state, s.expires_at,
        s.scheduled, s.retrying, s.delivered, s.dead, s.expired, s.cancelled, s.undeliverable
    FROM notifications n JOIN notification_states s ON s.id = n.id
    WHERE n.id = ?1 AND n.app = ?2";

/// Where the counters of [`NOTIFICATION`] begin.
const COUNTERS: usize = 9;

/// `SELECT` of the columns that [`Stored`] is read from.
macro_rules! select_deliveries {
    ($rest:literal) => {
        concat!(
            "SELECT d.id, d.notification, d.user, d.device, d.target_kind, d.target, d.created_at,
                r.name, s.state, s.reason, s.attempts, s.due_at, s.finished_at,
                s.first_at, s.first_latency_ms, s.first_status, s.first_detail
            FROM deliveries d JOIN delivery_states s ON s.id = d.id LEFT JOIN routes r ON r.route = s.route ",
            $rest
        )
    };
}

const DELIVERY: &str = select_deliveries!("WHERE d.id = ?1 AND d.app = ?2");
const DELIVERIES: &str =
    select_deliveries!("WHERE d.notification = ?1 AND d.id > ?2 AND d.app = ?3 ORDER BY d.id LIMIT ?4");

const ATTEMPTS: &str = "SELECT number, at, outcome, status, code, detail, latency_ms FROM attempts
    WHERE delivery = ?1 ORDER BY number";

const LAST_ATTEMPT: &str = "SELECT number, at, outcome, status, code, detail, latency_ms FROM attempts
    WHERE delivery = ?1 ORDER BY number DESC LIMIT 1";

const TOTALS: &str = "SELECT state, reason, count FROM totals WHERE app = ?1 AND count > 0";

/// One notification of an app.
pub(crate) fn notification(
    connection: &Connection,
    app: AppId,
    id: NotificationId,
) -> Result<Option<NotificationView>> {
    let found = connection.prepare_cached(NOTIFICATION).and_then(|mut find| {
        find.query_row(params![id.as_bytes(), app.0], StoredNotification::read).optional()
    });
    let found = found.map_err(|error| from_sqlite("notification", error))?;
    found.map(|stored| stored.view(app, id)).transpose()
}

/// Its deliveries by id, after `after`, at most `max`.
pub(crate) fn deliveries(
    connection: &Connection,
    app: AppId,
    id: NotificationId,
    after: Option<DeliveryId>,
    max: usize,
) -> Result<Vec<DeliveryView>> {
    // The empty blob sorts before every id.
    let after: &[u8] = after.as_ref().map_or(&[], |after| after.as_bytes());
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let found = connection.prepare_cached(DELIVERIES).and_then(|mut find| {
        let rows = find.query_map(params![id.as_bytes(), after, app.0, max], Stored::read)?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    });
    found.map_err(|error| from_sqlite("deliveries", error))?.into_iter().map(Stored::view).collect()
}

/// One delivery of an app, with its attempts, oldest first: both as they were at one moment.
pub(crate) fn delivery(
    connection: &Connection,
    app: AppId,
    id: DeliveryId,
) -> Result<Option<(DeliveryView, Vec<AttemptView>)>> {
    at_one_moment(connection, "delivery", || delivery_now(connection, app, id))
}

/// One delivery of an app, without its attempts.
pub(crate) fn delivery_view(
    connection: &Connection,
    app: AppId,
    id: DeliveryId,
) -> Result<Option<DeliveryView>> {
    stored(connection, app, id)?.map(Stored::view).transpose()
}

/// The last attempt of a delivery that was not delivered at once.
pub(crate) fn last_attempt(connection: &Connection, id: DeliveryId) -> Result<Option<AttemptView>> {
    let found = connection
        .prepare_cached(LAST_ATTEMPT)
        .and_then(|mut find| find.query_row([id.as_bytes()], StoredAttempt::read).optional());
    found.map_err(|error| from_sqlite("delivery", error))?.map(StoredAttempt::view).transpose()
}

fn stored(connection: &Connection, app: AppId, id: DeliveryId) -> Result<Option<Stored>> {
    let found = connection
        .prepare_cached(DELIVERY)
        .and_then(|mut find| find.query_row(params![id.as_bytes(), app.0], Stored::read).optional());
    found.map_err(|error| from_sqlite("delivery", error))
}

fn delivery_now(
    connection: &Connection,
    app: AppId,
    id: DeliveryId,
) -> Result<Option<(DeliveryView, Vec<AttemptView>)>> {
    let Some(mut stored) = stored(connection, app, id)? else { return Ok(None) };
    let mut timeline = Vec::new();
    timeline.extend(stored.first.take().map(StoredAttempt::view).transpose()?);
    timeline.extend(attempts(connection, id)?);
    Ok(Some((stored.view()?, timeline)))
}

/// How many deliveries of an app are in each state with each reason.
pub(crate) fn totals(
    connection: &Connection,
    app: AppId,
) -> Result<Vec<(DeliveryState, Option<Reason>, u64)>> {
    let found = connection.prepare_cached(TOTALS).and_then(|mut find| {
        let rows = find.query_map([app.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect::<rusqlite::Result<Vec<(i64, String, i64)>>>()
    });
    let mut totals = Vec::new();
    for (state, reason, count) in found.map_err(|error| from_sqlite("totals", error))? {
        let reason = if reason.is_empty() { None } else { Some(word(&reason)?) };
        totals.push((state_of(state)?, reason, unsigned(count)));
    }
    totals.sort_unstable();
    Ok(totals)
}

/// The attempts that have rows of their own.
fn attempts(connection: &Connection, id: DeliveryId) -> Result<Vec<AttemptView>> {
    let found = connection.prepare_cached(ATTEMPTS).and_then(|mut find| {
        find.query_map([id.as_bytes()], StoredAttempt::read)?.collect::<rusqlite::Result<Vec<_>>>()
    });
    found.map_err(|error| from_sqlite("delivery", error))?.into_iter().map(StoredAttempt::view).collect()
}

/// The columns of a notification, not yet checked.
struct StoredNotification {
    lane: String,
    ttl_ms: i64,
    send_at: Option<i64>,
    channels: Option<String>,
    recipients: String,
    message: String,
    created_at: i64,
    state: i64,
    expires_at: i64,
    counts: Vec<(DeliveryState, u64)>,
}

impl StoredNotification {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let mut counts = Vec::new();
        for (n, state) in DeliveryState::ALL.into_iter().enumerate() {
            match unsigned(row.get(COUNTERS + n)?) {
                0 => {}
                count => counts.push((state, count)),
            }
        }
        Ok(Self {
            lane: row.get(0)?,
            ttl_ms: row.get(1)?,
            send_at: row.get(2)?,
            channels: row.get(3)?,
            recipients: row.get(4)?,
            message: row.get(5)?,
            created_at: row.get(6)?,
            state: row.get(7)?,
            expires_at: row.get(8)?,
            counts,
        })
    }

    fn view(self, app: AppId, id: NotificationId) -> Result<NotificationView> {
        let channels = self.channels.as_deref().map(serde_json::from_str);
        Ok(NotificationView {
            notification: Notification {
                id,
                app,
                recipients: KeptRecipients::read("notification", &self.recipients)?.all(),
                message: serde_json::from_str(&self.message).map(Arc::new).map_err(unreadable("message"))?,
                lane: word(&self.lane)?,
                channels: channels.transpose().map_err(unreadable("channels"))?,
                ttl_ms: self.ttl_ms,
                send_at: self.send_at.map(Timestamp::from_ms),
            },
            state: notification_state_of(self.state)?,
            created_at: Timestamp::from_ms(self.created_at),
            expires_at: Timestamp::from_ms(self.expires_at),
            counts: self.counts,
        })
    }
}

/// A column of JSON that can't be read. What is in it stays out of the error: it is about people.
fn unreadable(column: &'static str) -> impl Fn(serde_json::Error) -> Error {
    move |error| corrupt("notification", format!("column {column}: {:?} error in its JSON", error.classify()))
}

/// The columns of a delivery, not yet checked.
struct Stored {
    id: [u8; 16],
    notification: [u8; 16],
    user: Option<String>,
    device: Option<String>,
    target_kind: Option<i64>,
    target: Option<String>,
    created_at: i64,
    route: Option<String>,
    state: i64,
    reason: Option<String>,
    attempts: u32,
    due_at: i64,
    finished_at: Option<i64>,
    /// Its first attempt, where that one delivered it.
    first: Option<StoredAttempt>,
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            notification: row.get(1)?,
            user: row.get(2)?,
            device: row.get(3)?,
            target_kind: row.get(4)?,
            target: row.get(5)?,
            created_at: row.get(6)?,
            route: row.get(7)?,
            state: row.get(8)?,
            reason: row.get(9)?,
            attempts: row.get(10)?,
            due_at: row.get(11)?,
            finished_at: row.get(12)?,
            first: StoredAttempt::read_first(row)?,
        })
    }

    fn view(self) -> Result<DeliveryView> {
        let state = state_of(self.state)?;
        Ok(DeliveryView {
            id: DeliveryId::from_bytes(self.id),
            notification: NotificationId::from_bytes(self.notification),
            recipient: recipient((self.user, self.device), self.target_kind.zip(self.target))?,
            route: self.route.as_deref().map(word).transpose()?,
            state,
            reason: self.reason.as_deref().map(word).transpose()?,
            attempts: self.attempts,
            created_at: Timestamp::from_ms(self.created_at),
            due_at: state.is_open().then_some(Timestamp::from_ms(self.due_at)),
            finished_at: self.finished_at.map(Timestamp::from_ms),
        })
    }
}

/// Whom a delivery is for; `None` where the person was erased, whose place is empty.
fn recipient(
    (user, device): (Option<String>, Option<String>),
    literal: Option<(i64, String)>,
) -> Result<Option<Recipient>> {
    if user.as_deref() == Some(ERASED) {
        return Ok(None);
    }
    let target: Option<Target> = literal.map(|(kind, address)| target_of(kind, address)).transpose()?;
    let user = user.as_deref().map(word).transpose()?;
    let device = device.as_deref().map(word).transpose()?;
    Recipient::from_parts(user, device, target).map(Some).map_err(|invalid| corrupt("delivery", invalid))
}

/// The columns of an attempt, not yet checked.
struct StoredAttempt {
    number: u32,
    at: i64,
    outcome: String,
    status: Option<u16>,
    code: Option<String>,
    detail: Option<String>,
    latency_ms: i64,
}

impl StoredAttempt {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            number: row.get(0)?,
            at: row.get(1)?,
            outcome: row.get(2)?,
            status: row.get(3)?,
            code: row.get(4)?,
            detail: row.get(5)?,
            latency_ms: row.get(6)?,
        })
    }

    /// The one that has no row in `attempts`, because it delivered at once. A success has no code.
    fn read_first(row: &Row<'_>) -> rusqlite::Result<Option<Self>> {
        let Some(at) = row.get(13)? else { return Ok(None) };
        Ok(Some(Self {
            number: 1,
            at,
            outcome: OutcomeKind::Delivered.as_str().to_owned(),
            status: row.get(15)?,
            code: None,
            detail: row.get(16)?,
            latency_ms: row.get::<_, Option<i64>>(14)?.unwrap_or(0),
        }))
    }

    fn view(self) -> Result<AttemptView> {
        Ok(AttemptView {
            number: self.number,
            at: Timestamp::from_ms(self.at),
            outcome: word(&self.outcome)?,
            status: self.status,
            code: self.code,
            detail: self.detail,
            latency_ms: unsigned(self.latency_ms),
        })
    }
}

#[cfg(test)]
mod tests;
