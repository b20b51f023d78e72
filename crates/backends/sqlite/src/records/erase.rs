//! Forgetting a person. What was counted stays counted: deliveries keep their rows and lose whom they were for.
//!
//! ```text
//!   devices ──► notifications that may name people to whom no delivery leads ──► deliveries, and what they lead to
//!                          ▲                                                                 │
//!                          └────────────────────────── once more ────────────────────────────┘
//! ```
//!
//! In this order, because a notification that is still being paged makes deliveries: once its recipients don't name the
//! person any more, no later page can. And once more, because a delivery that is purged or pruned meanwhile leads to its
//! notification no longer. What a step is to erase is found beside the writer, and looked at again where it is written.

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
pub(super) const ERASED_PER_STEP: usize = 500;

const DELETE_DEVICES: &str = "DELETE FROM devices WHERE app = ?1 AND user = ?2";
pub(super) const DELETE_REDRIVES: &str =
    "DELETE FROM redrives INDEXED BY redrives_of_user WHERE app = ?1 AND user = ?2";

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
    /// Among the same notifications once more, after this one.
    Again(Option<NotificationId>),
}

impl Place {
    /// As it was given to the caller.
    pub(crate) fn read(text: Option<&str>) -> Result<Self> {
        let id = |text: &str| {
            let unknown = |_| Error::new(ErrorKind::Conflict, "erase_user", "no step of erasing ended there");
            text.parse().map_err(unknown)
        };
        match text {
            None => Ok(Self::Devices),
            Some("deliveries") => Ok(Self::Deliveries),
            Some("again") => Ok(Self::Again(None)),
            Some(text) => match text.strip_prefix("again after ") {
                Some(after) => id(after).map(|after| Self::Again(Some(after))),
                None => id(text).map(Self::Named),
            },
        }
    }

    /// For the caller.
    fn written(self) -> Option<String> {
        match self {
            Self::Devices => None,
            Self::Named(after) => Some(after.to_string()),
            Self::Deliveries => Some("deliveries".to_owned()),
            Self::Again(None) => Some("again".to_owned()),
            Self::Again(Some(after)) => Some(format!("again after {after}")),
        }
    }
}

/// One step, whose notifications are found.
pub(crate) struct Step {
    place: Place,
    named: Walked<NotificationId>,
}

impl Step {
    /// Finds what a step is about.
    pub(crate) fn find(connection: &Connection, app: AppId, user: &UserId, place: Place) -> Result<Self> {
        let named = match place {
            Place::Devices => find_named(connection, app, user, None)?,
            Place::Named(after) => find_named(connection, app, user, Some(after))?,
            Place::Deliveries => Walked::nothing(),
            Place::Again(after) => find_named(connection, app, user, after)?,
        };
        Ok(Self { place, named })
    }

    /// Erases it. Answers with [`Erased::next`] whether others may be left.
    pub(crate) fn erase(&self, tx: &Tx<'_>, app: AppId, user: &UserId) -> Result<Erased> {
        let mut erased = match self.place {
            Place::Devices => erase_devices(tx, app, user)?,
            Place::Named(_) | Place::Again(_) => Erased::default(),
            Place::Deliveries => return erase_deliveries(tx, app, user),
        };
        for id in &self.named.found {
            erased.notifications += u64::from(erase_recipient(tx, *id, user)?);
        }
        erased.next = self.next().and_then(Place::written);
        Ok(erased)
    }

    /// Where the next step begins, unless this one is among the deliveries.
    fn next(&self) -> Option<Place> {
        match (self.place, self.named.next) {
            (Place::Again(_), after) => after.map(|after| Place::Again(Some(after))),
            (_, Some(after)) => Some(Place::Named(after)),
            (_, None) => Some(Place::Deliveries),
        }
    }
}

/// Removes the devices of a user, and the redrive jobs that were asked for that user alone.
fn erase_devices(tx: &Tx<'_>, app: AppId, user: &UserId) -> Result<Erased> {
    tx.run("erase_user", DELETE_REDRIVES, params![app.0, user.as_str()])?;
    let devices = tx.run("erase_user", DELETE_DEVICES, params![app.0, user.as_str()])?;
    Ok(Erased { devices: devices as u64, ..Erased::default() })
}

/// The notifications after one that may name a user, though no delivery leads to them.
fn find_named(
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

/// Takes a user out of deliveries, and out of what they are deliveries of.
fn erase_deliveries(tx: &Tx<'_>, app: AppId, user: &UserId) -> Result<Erased> {
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
    let next = if found.len() == ERASED_PER_STEP { Place::Deliveries } else { Place::Again(None) };
    Ok(Erased { next: next.written(), ..erased })
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
