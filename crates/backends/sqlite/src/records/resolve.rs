//! Recipients become deliveries: at once for what is due at its accept, page by page for what is due later.
//!
//! A delivery's id is derived from its recipient, so resolving a user twice makes nothing twice; only what is new
//! counts and is queued.

use std::ops::Range;

use pabal_core::Result;
use pabal_core::delivery::{DeliveryState, Reason, Recipient};
use pabal_core::device::{MarkKind, Target};
use pabal_core::ids::{AppId, DeviceId, ItemId, NotificationId, UserId};
use pabal_core::notification::Recipients;
use pabal_core::route::{ChannelKind, Credential, Lane, Platform, Route};
use pabal_core::seam::{Epoch, QueueItem};
use rusqlite::{Row, params};

use super::counters::Moves;
use crate::errors::corrupt;
use crate::rows::{state_code, target_code, word};
use crate::tx::Tx;

pub(super) const DEVICES: &str = "
    SELECT device, channel, credential, platform, mark FROM devices WHERE app = ?1 AND user = ?2 ORDER BY device";
pub(super) const DEVICE: &str = "
    SELECT device, channel, credential, platform, mark FROM devices WHERE app = ?1 AND user = ?2 AND device = ?3";

const DELIVERY: &str = "
    INSERT INTO deliveries (id, app, notification, user, device, target_kind, target, created_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT (id) DO NOTHING";
const DELIVERY_STATE: &str = "
    INSERT INTO delivery_states (id, state, reason, route, due_at, finished_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// Whom a notification is for, with what it takes to reach them.
pub(super) struct Audience<'a> {
    pub(super) app: AppId,
    pub(super) notification: NotificationId,
    pub(super) lane: Lane,
    pub(super) channels: Option<&'a [ChannelKind]>,
    pub(super) recipients: &'a Recipients,
}

/// New deliveries.
#[derive(Default)]
pub(super) struct Made {
    /// How many.
    pub(super) count: u32,
    /// What of them is to be enqueued.
    pub(super) work: Vec<QueueItem>,
}

/// A delivery to be made: with a route if it is open, else with the reason why not.
struct Draft {
    recipient: Recipient,
    leads: Result<Route, Reason>,
}

/// How many steps it takes to resolve these recipients.
pub(super) fn units_of(recipients: &Recipients) -> usize {
    match recipients {
        Recipients::Users(users) => users.len(),
        Recipients::Device { .. } | Recipients::Literal { .. } => 1,
    }
}

impl Audience<'_> {
    /// Makes the deliveries of these units, which lie within [`units_of`].
    pub(super) fn deliver(&self, tx: &Tx<'_>, moves: &mut Moves, units: Range<usize>) -> Result<Made> {
        let mut made = Made::default();
        match self.recipients {
            _ if units.is_empty() => {}
            Recipients::Users(users) => {
                for user in users.get(units).unwrap_or_default() {
                    for draft in self.to_user(tx, user)? {
                        self.make(tx, moves, draft, &mut made)?;
                    }
                }
            }
            Recipients::Device { user, device } => {
                let draft = self.to_device(tx, user, device)?;
                self.make(tx, moves, draft, &mut made)?;
            }
            Recipients::Literal { channel, credential, target } => {
                let route = Route::channel(self.lane, *channel, credential.clone(), Platform::Other);
                let draft = Draft { recipient: Recipient::Literal(target.clone()), leads: Ok(route) };
                self.make(tx, moves, draft, &mut made)?;
            }
        }
        Ok(made)
    }

    fn to_user(&self, tx: &Tx<'_>, user: &UserId) -> Result<Vec<Draft>> {
        let mut drafts = Vec::new();
        for stored in tx.all("resolve", DEVICES, params![self.app.0, user.as_str()], Stored::read)? {
            let found = stored.found()?;
            let wanted = self.channels.is_none_or(|wanted| wanted.contains(&found.channel));
            if wanted && !found.retired {
                drafts.push(Draft {
                    leads: Ok(found.route(self.lane)),
                    recipient: Recipient::Device { user: user.clone(), device: found.device },
                });
            }
        }
        if drafts.is_empty() {
            let recipient = Recipient::NoDevice { user: user.clone() };
            drafts.push(Draft { recipient, leads: Err(Reason::NoDevice) });
        }
        Ok(drafts)
    }

    fn to_device(&self, tx: &Tx<'_>, user: &UserId, device: &DeviceId) -> Result<Draft> {
        let find = params![self.app.0, user.as_str(), device.as_str()];
        let found = tx.first("resolve", DEVICE, find, Stored::read)?.map(Stored::found).transpose()?;
        let recipient = Recipient::Device { user: user.clone(), device: device.clone() };
        let leads = found.map(|found| found.route(self.lane)).ok_or(Reason::DeviceGone);
        Ok(Draft { recipient, leads })
    }

    /// Makes one delivery, if it is not there already.
    fn make(&self, tx: &Tx<'_>, moves: &mut Moves, draft: Draft, made: &mut Made) -> Result<()> {
        let Draft { recipient, leads } = draft;
        let id = recipient.delivery_id(self.notification);
        let (user, device, target) = columns(&recipient);
        let values = params![
            id.as_bytes(),
            self.app.0,
            self.notification.as_bytes(),
            user,
            device,
            target.map(target_code),
            target.map(Target::address),
            tx.now.as_ms(),
        ];
        if tx.run("resolve", DELIVERY, values)? == 0 {
            return Ok(());
        }
        let (state, reason) = match &leads {
            Ok(_) => (DeliveryState::Scheduled, None),
            Err(reason) => (reason.state(), Some(*reason)),
        };
        let number = leads.as_ref().ok().map(|route| tx.routes.number(tx.connection, route)).transpose()?;
        let now = tx.now.as_ms();
        let finished_at = reason.map(|_| now);
        let values =
            params![id.as_bytes(), state_code(state), reason.map(Reason::as_str), number, now, finished_at];
        tx.run("resolve", DELIVERY_STATE, values)?;
        moves.made(self.app, self.notification, (state, reason));
        made.count += 1;
        made.work.extend(leads.ok().map(|route| QueueItem {
            id: ItemId::Delivery(id),
            route,
            due_in_ms: 0,
            epoch_floor: Epoch::NONE,
        }));
        Ok(())
    }
}

/// The columns in which a recipient is kept: user, device, and the address of a literal.
fn columns(recipient: &Recipient) -> (Option<&str>, Option<&str>, Option<&Target>) {
    match recipient {
        Recipient::Device { user, device } => (Some(user.as_str()), Some(device.as_str()), None),
        Recipient::Literal(target) => (None, None, Some(target)),
        Recipient::NoDevice { user } => (Some(user.as_str()), None, None),
    }
}

/// A device that was found.
struct Found {
    device: DeviceId,
    channel: ChannelKind,
    credential: Credential,
    platform: Platform,
    retired: bool,
}

impl Found {
    fn route(&self, lane: Lane) -> Route {
        Route::channel(lane, self.channel, self.credential.clone(), self.platform)
    }
}

/// The columns of [`DEVICES`], not yet checked.
struct Stored {
    device: String,
    channel: String,
    credential: String,
    platform: String,
    mark: Option<String>,
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            device: row.get(0)?,
            channel: row.get(1)?,
            credential: row.get(2)?,
            platform: row.get(3)?,
            mark: row.get(4)?,
        })
    }

    fn found(self) -> Result<Found> {
        let mark: Option<MarkKind> = self.mark.as_deref().map(word).transpose()?;
        Ok(Found {
            device: word(&self.device)?,
            channel: word(&self.channel)?,
            credential: Credential::new(&self.credential).map_err(|invalid| corrupt("resolve", invalid))?,
            platform: word(&self.platform)?,
            retired: mark == Some(MarkKind::Retired),
        })
    }
}
