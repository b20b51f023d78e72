//! Accepting notifications, and resolving their recipients into deliveries: at once for what is due now, page by page
//! for what is due later.

use pabal_core::clock::Timestamp;
use pabal_core::delivery::{DeliveryState, Reason, Recipient};
use pabal_core::device::{Device, MarkKind};
use pabal_core::ids::{DeviceId, NotificationId, UserId};
use pabal_core::limits;
use pabal_core::notification::{Notification, NotificationState};
use pabal_core::route::{Platform, Route};
use pabal_core::seam::{Acceptance, Answer, Epoch, Idempotency, QueueItem};

use crate::recipients::{Unit, units_of};
use crate::rows::{DeliveryRow, KeptAnswer, NotificationRow, State, expiry};

impl State {
    pub(crate) fn accept(&mut self, acceptance: &Acceptance, now: Timestamp) -> (Answer, Vec<QueueItem>) {
        let notification = &acceptance.notification;
        if let Some(answer) = self.earlier_answer(notification, acceptance.idempotency.as_ref(), now) {
            return (answer, Vec::new());
        }
        let (deliveries, work) = self.insert(notification, now);
        if let Some(Idempotency { key, body_hash }) = &acceptance.idempotency {
            let kept = KeptAnswer { body_hash: *body_hash, id: notification.id, deliveries, at: now };
            self.answers.insert((notification.app, key.clone()), kept);
        }
        (Answer::Accepted { id: notification.id, deliveries }, work)
    }

    fn earlier_answer(
        &self,
        notification: &Notification,
        idempotency: Option<&Idempotency>,
        now: Timestamp,
    ) -> Option<Answer> {
        let kept = idempotency
            .and_then(|asked| self.answers.get(&(notification.app, asked.key.clone())))
            .filter(|kept| now < kept.at.plus_ms(limits::IDEMPOTENCY_KEPT_MS));
        match (kept, idempotency) {
            (Some(kept), Some(asked)) if kept.body_hash != asked.body_hash => Some(Answer::KeyReused),
            // Kept apart from the notification: it may be pruned before its key is forgotten.
            (Some(kept), _) => Some(Answer::Replayed { id: kept.id, deliveries: kept.deliveries }),
            // The same id again is the same notification: accepting it twice accepts it once.
            (None, _) => self.replay(notification.id),
        }
    }

    fn replay(&self, id: NotificationId) -> Option<Answer> {
        let row = self.notifications.get(&id)?;
        Some(Answer::Replayed { id, deliveries: row.answered })
    }

    fn insert(&mut self, notification: &Notification, now: Timestamp) -> (Option<u32>, Vec<QueueItem>) {
        let due_at = notification.send_at.unwrap_or(now);
        let id = notification.id;
        let row = NotificationRow {
            notification: notification.clone(),
            units: units_of(&notification.recipients),
            state: NotificationState::Scheduled,
            reason: None,
            created_at: now,
            finished_at: None,
            expires_at: expiry(notification, due_at),
            due_at,
            answered: None,
            resolved: 0,
            failures: 0,
            cancel_requested: false,
            settled: Epoch::NONE,
            paged: Epoch::NONE,
            deliveries: Default::default(),
        };
        if due_at > now {
            let item = State::fan_out_item(&row, now);
            self.notifications.insert(id, row);
            return (None, vec![item]);
        }
        self.notifications.insert(id, row);
        let work = self.expand(id, usize::MAX, now);
        let deliveries = self.notifications.get_mut(&id).map(|row| {
            let deliveries = u32::try_from(row.deliveries.len()).unwrap_or(u32::MAX);
            row.answered = Some(deliveries);
            deliveries
        });
        (deliveries, work)
    }

    /// Resolves up to `units_max` more users (or the one device or address) of a notification into deliveries, and
    /// answers what is to be enqueued. After the last one the notification is `expanded`.
    pub(crate) fn expand(&mut self, id: NotificationId, units_max: usize, now: Timestamp) -> Vec<QueueItem> {
        let Some(row) = self.notifications.get(&id) else { return Vec::new() };
        let until = row.resolved.saturating_add(units_max).min(row.units.len());
        let units = &row.units[row.resolved..until];
        let drafts: Vec<Draft> =
            units.iter().flat_map(|unit| self.resolve(&row.notification, unit)).collect();
        let made: Vec<DeliveryRow> = drafts.into_iter().map(|draft| draft.into_row(row, now)).collect();
        let work = made
            .iter()
            .filter(|made| made.state.is_open() && !self.deliveries.contains_key(&made.id))
            .filter_map(|made| self.queue_item(made, now))
            .collect();
        if let Some(row) = self.notifications.get_mut(&id) {
            row.resolved = until;
            if until == row.units.len() {
                row.finish(NotificationState::Expanded, None, now);
            } else {
                row.state = NotificationState::Expanding;
            }
            row.deliveries.extend(made.iter().map(|made| made.id));
        }
        for made in made {
            self.deliveries.entry(made.id).or_insert(made);
        }
        work
    }

    fn resolve(&self, notification: &Notification, unit: &Unit) -> Vec<Draft> {
        let lane = notification.lane;
        match unit {
            Unit::Erased => Vec::new(),
            Unit::User(user) => self.resolve_user(notification, user),
            Unit::Device { user, device } => {
                let recipient = device_of(user, device);
                vec![match self.devices.get(notification.app, user, device) {
                    Some(found) => Draft::open(recipient, found.registration.route(lane)),
                    None => Draft::ended(recipient, Reason::DeviceGone),
                }]
            }
            Unit::Literal { channel, credential, target } => {
                let route = Route::channel(lane, *channel, credential.clone(), Platform::Other);
                vec![Draft::open(Recipient::Literal(target.clone()), route)]
            }
        }
    }

    fn resolve_user(&self, notification: &Notification, user: &UserId) -> Vec<Draft> {
        let drafts: Vec<Draft> = self
            .devices
            .of(notification.app, user)
            .filter(|device| {
                let retired = device.mark.as_ref().is_some_and(|mark| mark.kind == MarkKind::Retired);
                let channel = device.registration.channel;
                !retired && notification.channels.as_ref().is_none_or(|wanted| wanted.contains(&channel))
            })
            .map(|device: &Device| {
                Draft::open(device_of(user, &device.id), device.registration.route(notification.lane))
            })
            .collect();
        if drafts.is_empty() {
            return vec![Draft::ended(Recipient::NoDevice { user: user.clone() }, Reason::NoDevice)];
        }
        drafts
    }
}

fn device_of(user: &UserId, device: &DeviceId) -> Recipient {
    Recipient::Device { user: user.clone(), device: device.clone() }
}

/// A delivery to be made.
struct Draft {
    recipient: Recipient,
    route: Option<Route>,
    ended: Option<Reason>,
}

impl Draft {
    fn open(recipient: Recipient, route: Route) -> Self {
        Self { recipient, route: Some(route), ended: None }
    }

    fn ended(recipient: Recipient, reason: Reason) -> Self {
        Self { recipient, route: None, ended: Some(reason) }
    }

    fn into_row(self, of: &NotificationRow, now: Timestamp) -> DeliveryRow {
        let mut row = DeliveryRow {
            id: self.recipient.delivery_id(of.notification.id),
            app: of.notification.app,
            notification: of.notification.id,
            recipient: Some(self.recipient),
            route: self.route,
            state: DeliveryState::Scheduled,
            reason: None,
            created_at: now,
            due_at: now,
            finished_at: None,
            timeline: Vec::new(),
            counted: 0,
            cancel_requested: false,
            settled: Epoch::NONE,
        };
        if let Some(reason) = self.ended {
            row.finish_for(reason, now);
        }
        row
    }
}
