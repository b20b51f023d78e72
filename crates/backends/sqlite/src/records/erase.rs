//! Forgetting a person. What was counted stays counted: deliveries keep their rows and lose whom they were for.
//!
//! ```text
//!   devices ──► notifications that may name people to whom no delivery leads ──► deliveries, and what they lead to
//! ```
//!
//! In this order, because a notification that is still being paged makes deliveries: once its recipients don't name the
//! person any more, no later page can.

use pabal_core::ids::{AppId, DeliveryId, NotificationId, UserId};
use pabal_core::seam::store::Erased;
use pabal_core::{Error, ErrorKind, Result};
use rusqlite::{Connection, Row, params};

use crate::errors::corrupt;
use crate::recipients::{ERASED, KeptRecipients};
use crate::rows::signed;
use crate::tx::Tx;
use crate::walk::{Bounds, Walked, walk};

/// Rows that one step erases somebody from: lists of recipients may be long, and are written anew.
pub(crate) const ERASED_PER_STEP: usize = 500;

const DELETE_DEVICES: &str = "DELETE FROM devices WHERE app = ?1 AND user = ?2";
const DELETE_REDRIVES: &str = "
    DELETE FROM redrives WHERE app = ?1 AND json_extract(filter, '$.user') = ?2";

/// The notifications that may name people to whom no delivery leads, after ?1, and of each whether it may name this one:
/// whether their name, as JSON, is in it.
pub(super) const NAMED: &str = "
    SELECT n.id, m.app = ?2 AND instr(m.recipients, ?3) > 0
    FROM notification_states n INDEXED BY notification_states_unled CROSS JOIN notifications m ON m.id = n.id
    WHERE (n.state <> 2 OR n.thinned = 1) AND n.id > ?1
    ORDER BY n.id";

pub(super) const DELIVERIES: &str = "
    SELECT id, notification FROM deliveries INDEXED BY deliveries_of_user WHERE app = ?1 AND user = ?2 LIMIT ?3";
const ERASE_DELIVERY: &str = "
    UPDATE deliveries SET user = ?2, device = iif(device IS NULL, NULL, ?2) WHERE id = ?1";

const RECIPIENTS: &str = "SELECT recipients FROM notifications WHERE id = ?1";
const ERASE_RECIPIENT: &str = "UPDATE notifications SET recipients = ?2 WHERE id = ?1";
const ERASE_NOTIFICATION: &str = "UPDATE notifications SET recipients = ?2, message = '{}' WHERE id = ?1";

/// Where erasing stands; as text, what its caller brings back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// At its beginning.
    Devices,
    /// Among the notifications that may name the person, after this one.
    Named(NotificationId),
    /// Among the deliveries. Those that are done are not found again.
    Deliveries,
}

impl Place {
    /// As it was given to the caller.
    pub(crate) fn read(text: Option<&str>) -> Result<Self> {
        let unknown = |_| Error::new(ErrorKind::Conflict, "erase_user", "no step of erasing ended there");
        match text {
            None => Ok(Self::Devices),
            Some("deliveries") => Ok(Self::Deliveries),
            Some(after) => after.parse().map(Self::Named).map_err(unknown),
        }
    }

    /// For the caller.
    pub(crate) fn written(self) -> Option<String> {
        match self {
            Self::Devices => None,
            Self::Named(after) => Some(after.to_string()),
            Self::Deliveries => Some("deliveries".to_owned()),
        }
    }
}

/// Removes the devices of a user, and the redrive jobs that were asked for that user alone.
pub(crate) fn erase_devices(tx: &Tx<'_>, app: AppId, user: &UserId) -> Result<Erased> {
    tx.run("erase_user", DELETE_REDRIVES, params![app.0, user.as_str()])?;
    let devices = tx.run("erase_user", DELETE_DEVICES, params![app.0, user.as_str()])?;
    Ok(Erased { devices: devices as u64, ..Erased::default() })
}

/// The notifications after one that may name a user, though no delivery leads to them.
pub(crate) fn find_named(
    connection: &Connection,
    app: AppId,
    user: &UserId,
    after: Option<NotificationId>,
) -> Result<Walked<NotificationId>> {
    // The empty blob sorts before every id.
    let after: &[u8] = after.as_ref().map_or(&[], |after| after.as_bytes());
    let name = serde_json::Value::from(user.as_str()).to_string();
    let read = |row: &Row<'_>| Ok((NotificationId::from_bytes(row.get(0)?), row.get(1)?));
    let bounds = Bounds { max: ERASED_PER_STEP, ..Bounds::of_page(0) };
    walk(connection, "erase_user", (NAMED, params![after, app.0, name]), bounds, read)
}

/// Takes a user out of notifications.
pub(crate) fn erase_named(tx: &Tx<'_>, user: &UserId, ids: &[NotificationId]) -> Result<Erased> {
    let mut erased = Erased::default();
    for id in ids {
        erased.notifications += u64::from(erase_recipient(tx, *id, user)?);
    }
    Ok(erased)
}

/// Takes a user out of deliveries, and out of what they are deliveries of. Answers with [`Erased::next`] whether others
/// may be left.
pub(crate) fn erase_deliveries(tx: &Tx<'_>, app: AppId, user: &UserId) -> Result<Erased> {
    let find = params![app.0, user.as_str(), signed(ERASED_PER_STEP as u64)];
    let read =
        |row: &Row<'_>| Ok((DeliveryId::from_bytes(row.get(0)?), NotificationId::from_bytes(row.get(1)?)));
    let found = tx.all("erase_user", DELIVERIES, find, read)?;
    let mut erased = Erased::default();
    let mut last = None;
    for (id, notification) in &found {
        tx.run("erase_user", ERASE_DELIVERY, params![id.as_bytes(), ERASED])?;
        erased.deliveries += 1;
        if last.replace(*notification) != Some(*notification) {
            erased.notifications += u64::from(erase_recipient(tx, *notification, user)?);
        }
    }
    let goes_on = found.len() == ERASED_PER_STEP;
    Ok(Erased { next: Place::Deliveries.written().filter(|_| goes_on), ..erased })
}

/// Takes a user out of a notification's recipients, and the message where nobody else is to read it. Answers whether they
/// were among them. A list that can't be read keeps nobody from being forgotten elsewhere.
fn erase_recipient(tx: &Tx<'_>, id: NotificationId, user: &UserId) -> Result<bool> {
    let column: Option<String> = tx.first("erase_user", RECIPIENTS, [id.as_bytes()], |row| row.get(0))?;
    let column = column.ok_or_else(|| corrupt("erase_user", format!("notification {id} is not there")));
    let mut recipients = match column.and_then(|column| KeptRecipients::read("erase_user", &column)) {
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            tracing::error!(notification = %id, %error, "nobody can be taken out of it");
            return Ok(false);
        }
        read => read?,
    };
    if !recipients.erase(user) {
        return Ok(false);
    }
    let for_nobody = recipients.is_for_nobody();
    let sql = if for_nobody { ERASE_NOTIFICATION } else { ERASE_RECIPIENT };
    tx.run("erase_user", sql, params![id.as_bytes(), recipients.written("erase_user")?])?;
    if for_nobody {
        tx.messages.evict(id);
    }
    Ok(true)
}
