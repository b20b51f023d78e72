//! What the store knows: rows by id, and the few questions that several flows ask of them.

use std::collections::{BTreeMap, BTreeSet};

use pabal_core::clock::Timestamp;
use pabal_core::delivery::{DeliveryState, Reason, Recipient};
use pabal_core::device::Device;
use pabal_core::ids::{
    AppId, AppName, DeliveryId, IdempotencyKey, ItemId, KeyId, NotificationId, RedriveId, StoreId, UserId,
};
use pabal_core::limits;
use pabal_core::notification::{Notification, NotificationState};
use pabal_core::route::{ChannelKind, Route, Way};
use pabal_core::seam::store::{AttemptView, KeyRecord, Pause, RedriveJob};
use pabal_core::seam::{Epoch, QueueItem, Selection, Then};

use crate::directory::Devices;
use crate::recipients::Unit;

pub(crate) struct State {
    pub(crate) store_id: StoreId,
    pub(crate) notifications: BTreeMap<NotificationId, NotificationRow>,
    pub(crate) deliveries: BTreeMap<DeliveryId, DeliveryRow>,
    pub(crate) devices: Devices,
    pub(crate) answers: BTreeMap<(AppId, IdempotencyKey), KeptAnswer>,
    pub(crate) apps: BTreeMap<AppName, AppId>,
    pub(crate) keys: BTreeMap<KeyId, KeyRecord>,
    pub(crate) redrives: BTreeMap<RedriveId, RedriveJob>,
    pub(crate) pauses: BTreeMap<Route, Pause>,
}

/// The first answer that was given under an `Idempotency-Key`.
#[derive(Debug, Clone)]
pub(crate) struct KeptAnswer {
    pub(crate) body_hash: [u8; 32],
    pub(crate) id: NotificationId,
    pub(crate) deliveries: Option<u32>,
    pub(crate) at: Timestamp,
}

#[derive(Debug, Clone)]
pub(crate) struct NotificationRow {
    /// What was asked for, without the users who were erased since.
    pub(crate) notification: Notification,
    /// For whom it was accepted, step by step of resolving it: who is erased keeps the place.
    pub(crate) units: Vec<Unit>,
    pub(crate) state: NotificationState,
    /// Why its fan-out ended, if otherwise than expanded.
    pub(crate) reason: Option<Reason>,
    pub(crate) created_at: Timestamp,
    /// When its fan-out ended.
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) expires_at: Timestamp,
    /// When its fan-out is next due, while it is open.
    pub(crate) due_at: Timestamp,
    /// What the accept answered.
    pub(crate) answered: Option<u32>,
    /// How many of its units are resolved into deliveries.
    pub(crate) resolved: usize,
    pub(crate) failures: u32,
    pub(crate) cancel_requested: bool,
    /// The last settlement's.
    pub(crate) settled: Epoch,
    /// The last page's.
    pub(crate) paged: Epoch,
    pub(crate) deliveries: BTreeSet<DeliveryId>,
}

#[derive(Debug, Clone)]
pub(crate) struct DeliveryRow {
    pub(crate) id: DeliveryId,
    pub(crate) app: AppId,
    pub(crate) notification: NotificationId,
    /// `None` where the person was erased.
    pub(crate) recipient: Option<Recipient>,
    pub(crate) route: Option<Route>,
    pub(crate) state: DeliveryState,
    pub(crate) reason: Option<Reason>,
    pub(crate) created_at: Timestamp,
    pub(crate) due_at: Timestamp,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) timeline: Vec<AttemptView>,
    /// How many attempts count against the budget.
    pub(crate) counted: u32,
    pub(crate) cancel_requested: bool,
    /// The last settlement's.
    pub(crate) settled: Epoch,
}

impl NotificationRow {
    pub(crate) fn route(&self) -> Route {
        Route::fan_out(self.notification.lane)
    }

    /// What every later claim must exceed: also the last page's epoch, or its own pages would be refused.
    pub(crate) fn epoch_floor(&self) -> Epoch {
        self.settled.max(self.paged)
    }

    /// Ends its fan-out.
    pub(crate) fn finish(&mut self, state: NotificationState, reason: Option<Reason>, now: Timestamp) {
        assert!(self.state.is_open() && !state.is_open(), "a fan-out {} may not become {state}", self.state);
        self.state = state;
        self.reason = reason;
        self.finished_at = Some(now);
    }

    /// Past its expiry, gives the time to live again from now.
    pub(crate) fn live_again(&mut self, now: Timestamp) {
        if self.expires_at <= now {
            self.expires_at = expiry(&self.notification, now);
        }
    }
}

/// The time at which a notification's life that begins at `from` ends.
pub(crate) fn expiry(notification: &Notification, from: Timestamp) -> Timestamp {
    from.plus_ms(notification.ttl_ms.max(limits::TTL_GRACE_MS))
}

impl DeliveryRow {
    pub(crate) fn attempts(&self) -> u32 {
        u32::try_from(self.timeline.len()).unwrap_or(u32::MAX)
    }

    /// Ends it. The state machine is asserted here, for every flow.
    pub(crate) fn finish(&mut self, state: DeliveryState, reason: Option<Reason>, now: Timestamp) {
        assert!(self.state.may_become(state) && !state.is_open(), "{} may not become {state}", self.state);
        self.state = state;
        self.reason = reason;
        self.finished_at = Some(now);
    }

    /// Whose it is, where it is a user's who was not erased.
    pub(crate) fn user(&self) -> Option<&UserId> {
        self.recipient.as_ref().and_then(Recipient::user)
    }

    /// The channel that it goes out through; `None` where there is no device.
    pub(crate) fn channel(&self) -> Option<ChannelKind> {
        match &self.route.as_ref()?.way {
            Way::Channel { channel, .. } => Some(*channel),
            Way::FanOut => None,
        }
    }

    pub(crate) fn finish_for(&mut self, reason: Reason, now: Timestamp) {
        self.finish(reason.state(), Some(reason), now);
    }
}

impl State {
    pub(crate) fn new(store_id: StoreId) -> Self {
        Self {
            store_id,
            notifications: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            devices: Devices::default(),
            answers: BTreeMap::new(),
            apps: AppName::new("default").map(|name| (name, AppId::DEFAULT)).into_iter().collect(),
            keys: BTreeMap::new(),
            redrives: BTreeMap::new(),
            pauses: BTreeMap::new(),
        }
    }

    /// The device that a delivery is for, if it is (still) registered.
    pub(crate) fn device_of(&self, row: &DeliveryRow) -> Option<&Device> {
        match &row.recipient {
            Some(Recipient::Device { user, device }) => self.devices.get(row.app, user, device),
            Some(Recipient::Literal(_) | Recipient::NoDevice { .. }) | None => None,
        }
    }

    /// When a delivery's time to live ends: its notification's.
    pub(crate) fn expiry_of(&self, row: &DeliveryRow) -> Timestamp {
        self.notifications.get(&row.notification).map_or(row.created_at, |of| of.expires_at)
    }

    /// The route that a delivery has now: its device may have been registered anew elsewhere.
    pub(crate) fn route_of(&self, row: &DeliveryRow) -> Option<Route> {
        let lane = self.notifications.get(&row.notification)?.notification.lane;
        self.device_of(row).map(|device| device.registration.route(lane)).or_else(|| row.route.clone())
    }

    /// What a delivery's queue entry is to do, as the record stands.
    pub(crate) fn then_of(&self, row: &DeliveryRow, now: Timestamp) -> Then {
        match self.route_of(row) {
            Some(route) if row.state.is_open() => Then::Retry { in_ms: now.ms_until(row.due_at), route },
            _ => Then::Done,
        }
    }

    /// What a notification's queue entry is to do, as the record stands.
    pub(crate) fn then_of_fan_out(row: &NotificationRow, now: Timestamp) -> Then {
        if row.state.is_open() {
            Then::Retry { in_ms: now.ms_until(row.due_at), route: row.route() }
        } else {
            Then::Done
        }
    }

    /// How an open delivery is queued, by the record.
    pub(crate) fn queue_item(&self, row: &DeliveryRow, now: Timestamp) -> Option<QueueItem> {
        Some(QueueItem {
            id: ItemId::Delivery(row.id),
            route: self.route_of(row)?,
            due_in_ms: now.ms_until(row.due_at),
            epoch_floor: row.settled,
        })
    }

    /// How an open notification is queued, by the record.
    pub(crate) fn fan_out_item(row: &NotificationRow, now: Timestamp) -> QueueItem {
        QueueItem {
            id: ItemId::FanOut(row.notification.id),
            route: row.route(),
            due_in_ms: now.ms_until(row.due_at),
            epoch_floor: row.epoch_floor(),
        }
    }

    /// Whether a selection names this delivery.
    pub(crate) fn selects(&self, selection: &Selection, row: &DeliveryRow, now: Timestamp) -> bool {
        match selection {
            Selection::Notification(app, id) => row.app == *app && row.notification == *id,
            Selection::User(app, user) => row.app == *app && row.user() == Some(user),
            Selection::Delivery(app, id) => row.app == *app && row.id == *id,
            Selection::PastExpiry => self.expiry_of(row) <= now,
            Selection::App(app) => row.app == *app,
        }
    }
}

/// Whether a selection names this notification's own fan-out. A user's or a delivery's never does: the others that
/// the notification is for keep it.
pub(crate) fn selects_fan_out(selection: &Selection, row: &NotificationRow, now: Timestamp) -> bool {
    match selection {
        Selection::Notification(app, id) => row.notification.app == *app && row.notification.id == *id,
        Selection::User(..) | Selection::Delivery(..) => false,
        Selection::PastExpiry => row.expires_at <= now,
        Selection::App(app) => row.notification.app == *app,
    }
}
