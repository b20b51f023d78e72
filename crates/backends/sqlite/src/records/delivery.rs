//! A delivery as it stands, together with what its device is now: the address and the route come from there at each
//! attempt, so that a newer registration is used and a deleted one gets nothing.

use pabal_core::Result;
use pabal_core::clock::Timestamp;
use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::device::{MarkKind, Target};
use pabal_core::ids::{AppId, DeliveryId, ItemId, NotificationId};
use pabal_core::route::{ChannelKind, Credential, Platform, Route};
use pabal_core::seam::{Epoch, QueueItem, Then};
use rusqlite::{Row, params};

use super::counters::{Counted, Moves};
use super::messages::lane_of;
use crate::errors::corrupt;
use crate::rows::{state_code, state_of, target_of, word};
use crate::tx::Tx;

pub(super) const DELIVERY: &str = "
    SELECT d.app, d.notification, d.user IS NULL, d.device IS NULL, d.target_kind, d.target,
        s.state, s.reason, s.route, s.due_at, s.epoch, s.attempts, s.counted, s.cancel_requested, n.expires_at,
        v.channel, v.credential, v.platform, v.target_kind, v.target, v.mark
    FROM deliveries d CROSS JOIN delivery_states s ON s.id = d.id
        CROSS JOIN notification_states n ON n.id = d.notification
        LEFT JOIN devices v ON v.app = d.app AND v.user = d.user AND v.device = d.device
    WHERE d.id = ?1";

pub(super) const FINISH: &str = "
    UPDATE delivery_states SET state = ?2, reason = ?3, finished_at = ?4 WHERE id = ?1";

/// Of an open delivery, what can be read even where [`DELIVERY`] can't.
pub(super) const KEPT: &str = "SELECT route, due_at, epoch FROM delivery_states WHERE id = ?1 AND state < 2";
pub(super) const OPEN: &str = "
    SELECT d.app, d.notification, s.state FROM deliveries d CROSS JOIN delivery_states s ON s.id = d.id
    WHERE d.id = ?1 AND s.state < 2";

/// An open delivery, as far as ending it goes: no more, so that what can't be read whole can end.
pub(super) struct Open {
    id: DeliveryId,
    app: AppId,
    notification: NotificationId,
    state: DeliveryState,
}

/// A delivery, as it stands.
pub(super) struct Delivery {
    pub(super) id: DeliveryId,
    pub(super) app: AppId,
    pub(super) notification: NotificationId,
    pub(super) to: To,
    pub(super) state: DeliveryState,
    pub(super) reason: Option<Reason>,
    /// The number of its route; `None` where there was never a device.
    pub(super) route: Option<i64>,
    pub(super) due_at: Timestamp,
    pub(super) epoch: Epoch,
    pub(super) attempts: u32,
    pub(super) counted: u32,
    pub(super) cancel_requested: bool,
    pub(super) expires_at: Timestamp,
}

/// Where a delivery leads now.
pub(super) enum To {
    /// To a device, if it is (still) registered.
    Device(Option<Registered>),
    /// To an address that no device is kept for.
    Literal(Target),
    /// Nowhere: the user had no device.
    NoDevice,
}

/// What a device is now, as far as a delivery to it cares.
pub(super) struct Registered {
    pub(super) channel: ChannelKind,
    pub(super) credential: Credential,
    pub(super) platform: Platform,
    pub(super) target: Target,
    pub(super) retired: bool,
}

impl Delivery {
    /// The delivery with this id, if there is one.
    pub(super) fn read(tx: &Tx<'_>, id: DeliveryId) -> Result<Option<Self>> {
        let stored = tx.first("delivery", DELIVERY, [id.as_bytes()], Stored::read)?;
        stored.map(|stored| stored.delivery(id)).transpose()
    }

    /// What it counts as.
    pub(super) fn counted_as(&self) -> Counted {
        (self.state, self.reason)
    }

    /// The address it has now.
    pub(super) fn target(&self) -> Option<&Target> {
        match &self.to {
            To::Device(device) => device.as_ref().map(|device| &device.target),
            To::Literal(target) => Some(target),
            To::NoDevice => None,
        }
    }

    /// The route it has now: its device may have been registered anew elsewhere.
    pub(super) fn route_now(&self, tx: &Tx<'_>) -> Result<Option<Route>> {
        match (&self.to, self.route) {
            (To::Device(Some(now)), _) => {
                let lane = lane_of(tx, self.notification)?;
                Ok(Some(Route::channel(lane, now.channel, now.credential.clone(), now.platform)))
            }
            (_, Some(number)) => tx.routes.route(tx.connection, number).map(Some),
            (_, None) => Ok(None),
        }
    }

    /// What its queue entry is to do, as the record stands.
    pub(super) fn then(&self, tx: &Tx<'_>) -> Result<Then> {
        if !self.state.is_open() {
            return Ok(Then::Done);
        }
        let in_ms = tx.now.ms_until(self.due_at);
        Ok(self.route_now(tx)?.map_or(Then::Done, |route| Then::Retry { in_ms, route }))
    }

    /// How it is queued while it is open.
    pub(super) fn queue_item(&self, tx: &Tx<'_>) -> Result<Option<QueueItem>> {
        let item = |route| QueueItem {
            id: ItemId::Delivery(self.id),
            route,
            due_in_ms: tx.now.ms_until(self.due_at),
            epoch_floor: self.epoch,
        };
        Ok(self.route_now(tx)?.map(item))
    }

    /// How it is queued by its own row, on the route that it had when it was last worked on: where its device can't be
    /// read, whose route is the one to go by.
    pub(super) fn queue_item_as_kept(tx: &Tx<'_>, id: DeliveryId) -> Result<Option<QueueItem>> {
        let kept = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let Some((route, due_at, epoch)) = tx.first("delivery", KEPT, [id.as_bytes()], kept)? else {
            return Ok(None);
        };
        Ok(Some(QueueItem {
            id: ItemId::Delivery(id),
            route: tx.routes.route(tx.connection, route)?,
            due_in_ms: tx.now.ms_until(Timestamp::from_ms(due_at)),
            epoch_floor: Epoch(epoch),
        }))
    }

    /// Ends it, which is open, without an attempt.
    pub(super) fn finish(&mut self, tx: &Tx<'_>, moves: &mut Moves, reason: Reason) -> Result<()> {
        let &mut Self { id, app, notification, state, .. } = self;
        Open { id, app, notification, state }.finish(tx, moves, reason)?;
        (self.state, self.reason) = (reason.state(), Some(reason));
        Ok(())
    }
}

impl Open {
    /// The delivery with this id, if it is open.
    pub(super) fn read(tx: &Tx<'_>, id: DeliveryId) -> Result<Option<Self>> {
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let Some((app, notification, state)) = tx.first("delivery", OPEN, [id.as_bytes()], read)? else {
            return Ok(None);
        };
        let notification = NotificationId::from_bytes(notification);
        Ok(Some(Self { id, app: AppId(app), notification, state: state_of(state)? }))
    }

    /// Ends it without an attempt.
    pub(super) fn finish(&self, tx: &Tx<'_>, moves: &mut Moves, reason: Reason) -> Result<()> {
        let state = reason.state();
        let values = params![self.id.as_bytes(), state_code(state), reason.as_str(), tx.now.as_ms()];
        tx.run("finish", FINISH, values)?;
        moves.moved(self.app, self.notification, (self.state, None), (state, Some(reason)));
        Ok(())
    }
}

/// The columns of [`DELIVERY`], not yet checked.
struct Stored {
    app: u32,
    notification: [u8; 16],
    no_user: bool,
    no_device: bool,
    literal: Option<(i64, String)>,
    state: i64,
    reason: Option<String>,
    route: Option<i64>,
    due_at: i64,
    epoch: i64,
    attempts: u32,
    counted: u32,
    cancel_requested: bool,
    expires_at: i64,
    device: Option<StoredDevice>,
}

struct StoredDevice {
    channel: String,
    credential: String,
    platform: String,
    target: (i64, String),
    mark: Option<String>,
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            app: row.get(0)?,
            notification: row.get(1)?,
            no_user: row.get(2)?,
            no_device: row.get(3)?,
            literal: row.get::<_, Option<i64>>(4)?.zip(row.get(5)?),
            state: row.get(6)?,
            reason: row.get(7)?,
            route: row.get(8)?,
            due_at: row.get(9)?,
            epoch: row.get(10)?,
            attempts: row.get(11)?,
            counted: row.get(12)?,
            cancel_requested: row.get(13)?,
            expires_at: row.get(14)?,
            device: StoredDevice::read(row)?,
        })
    }

    fn delivery(self, id: DeliveryId) -> Result<Delivery> {
        let to = match (self.literal, self.no_user, self.no_device) {
            (Some((kind, address)), true, true) => To::Literal(target_of(kind, address)?),
            (None, false, true) => To::NoDevice,
            (None, false, false) => To::Device(self.device.map(StoredDevice::registered).transpose()?),
            _ => return Err(corrupt("delivery", "a recipient that is neither device, user nor address")),
        };
        Ok(Delivery {
            id,
            app: AppId(self.app),
            notification: NotificationId::from_bytes(self.notification),
            to,
            state: state_of(self.state)?,
            reason: self.reason.as_deref().map(word).transpose()?,
            route: self.route,
            due_at: Timestamp::from_ms(self.due_at),
            epoch: Epoch(self.epoch),
            attempts: self.attempts,
            counted: self.counted,
            cancel_requested: self.cancel_requested,
            expires_at: Timestamp::from_ms(self.expires_at),
        })
    }
}

impl StoredDevice {
    fn read(row: &Row<'_>) -> rusqlite::Result<Option<Self>> {
        let Some(channel) = row.get(15)? else { return Ok(None) };
        Ok(Some(Self {
            channel,
            credential: row.get(16)?,
            platform: row.get(17)?,
            target: (row.get(18)?, row.get(19)?),
            mark: row.get(20)?,
        }))
    }

    fn registered(self) -> Result<Registered> {
        let mark: Option<MarkKind> = self.mark.as_deref().map(word).transpose()?;
        Ok(Registered {
            channel: word(&self.channel)?,
            credential: Credential::new(&self.credential).map_err(|invalid| corrupt("delivery", invalid))?,
            platform: word(&self.platform)?,
            target: target_of(self.target.0, self.target.1)?,
            retired: mark == Some(MarkKind::Retired),
        })
    }
}
