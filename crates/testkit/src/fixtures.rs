//! What tests are about: notifications, devices and settlements, each in one line that says what matters.

use std::sync::Arc;

use pabal_core::clock::Timestamp;
use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::device::{MarkKind, Registration, Target};
use pabal_core::ids::{AppId, DeliveryId, DeviceId, IdempotencyKey, ItemId, NotificationId, UserId};
use pabal_core::message::Message;
use pabal_core::notification::{Notification, Recipients, ttl_ms};
use pabal_core::outcome::{Outcome, Report};
use pabal_core::route::{ChannelKind, Credential, Lane, Platform, Route};
use pabal_core::seam::{
    Acceptance, AttemptRecord, Change, Content, DeliveryContent, EndAs, FanOutContent, Idempotency,
    Settlement, Work,
};
use pabal_core::verdict::Next;

use crate::clock::START;

/// The app of all fixtures.
pub const APP: AppId = AppId::DEFAULT;
/// An app that holds nothing.
pub const OTHER_APP: AppId = AppId(2);
/// How long leases last in tests.
pub const VISIBILITY_MS: u64 = 60_000;
/// An hour.
pub const HOUR_MS: u64 = 3_600_000;

/// The user of this name.
pub fn user(name: &str) -> UserId {
    UserId::new(name).expect("a user's name")
}

/// The device of this name.
pub fn device(name: &str) -> DeviceId {
    DeviceId::new(name).expect("a device's name")
}

/// The project `main`, which all fixtures belong to.
pub fn project() -> Credential {
    Credential::new("main").expect("a project's name")
}

/// A registration token.
pub fn token(text: &str) -> Target {
    Target::new("token", text).expect("a token")
}

/// The registration of an Android device with this token.
pub fn android(text: &str) -> Registration {
    on(Platform::Android, text)
}

/// The registration of an iPhone with this token.
pub fn ios(text: &str) -> Registration {
    on(Platform::Ios, text)
}

fn on(platform: Platform, text: &str) -> Registration {
    Registration {
        channel: ChannelKind::Fcm,
        credential: project(),
        platform,
        target: token(text),
        locale: None,
        time_zone: None,
    }
}

/// The route of fixtures to a platform.
pub fn route(lane: Lane, platform: Platform) -> Route {
    Route::channel(lane, ChannelKind::Fcm, project(), platform)
}

/// The transactional route to Android devices.
pub fn android_route() -> Route {
    route(Lane::Transactional, Platform::Android)
}

/// Every route that fixtures can come to lie on.
pub fn all_routes() -> Vec<Route> {
    let lanes = [Lane::Transactional, Lane::Bulk];
    let platforms = [Platform::Android, Platform::Ios, Platform::Web, Platform::Other];
    let lane_routes = |lane| {
        let ways = platforms.into_iter().map(move |platform| route(lane, platform));
        std::iter::once(Route::fan_out(lane)).chain(ways)
    };
    lanes.into_iter().flat_map(lane_routes).collect()
}

/// The id of the notification number `n`. Ids sort as their numbers.
pub fn notification_id(n: u64) -> NotificationId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&n.to_be_bytes());
    NotificationId::new(START.plus_ms(i64::try_from(n).expect("a small number")), random)
}

/// The delivery number `n`, as a queue knows it: an id that no store has to know.
pub fn delivery_id(n: u64) -> DeliveryId {
    DeliveryId::derive(notification_id(n), "a test's")
}

/// A notification in the making.
#[derive(Debug, Clone)]
pub struct Draft {
    recipients: Recipients,
    lane: Lane,
    ttl_s: u64,
    send_at: Option<Timestamp>,
    channels: Option<Vec<ChannelKind>>,
    title: String,
    idempotency: Option<Idempotency>,
}

/// A transactional notification to all devices of these users.
pub fn to_users(users: &[&str]) -> Draft {
    Draft::to(Recipients::users(users.iter().map(|name| user(name)).collect()).expect("users"))
}

/// A transactional notification to one device.
pub fn to_device(of: &str, name: &str) -> Draft {
    Draft::to(Recipients::Device { user: user(of), device: device(name) })
}

/// A transactional notification to a bare token.
pub fn to_token(text: &str) -> Draft {
    Draft::to(Recipients::Literal { channel: ChannelKind::Fcm, credential: project(), target: token(text) })
}

impl Draft {
    fn to(recipients: Recipients) -> Self {
        Self {
            recipients,
            lane: Lane::Transactional,
            ttl_s: 24 * 3600,
            send_at: None,
            channels: None,
            title: "Prove your day".to_owned(),
            idempotency: None,
        }
    }

    /// On the bulk lane.
    #[must_use]
    pub fn bulk(mut self) -> Self {
        self.lane = Lane::Bulk;
        self
    }

    /// Worth delivering for so many seconds.
    #[must_use]
    pub fn ttl_s(mut self, ttl_s: u64) -> Self {
        self.ttl_s = ttl_s;
        self
    }

    /// Not before this time.
    #[must_use]
    pub fn send_at(mut self, send_at: Timestamp) -> Self {
        self.send_at = Some(send_at);
        self
    }

    /// Over these channels only.
    #[must_use]
    pub fn channels(mut self, channels: &[ChannelKind]) -> Self {
        self.channels = Some(channels.to_vec());
        self
    }

    /// With another title.
    #[must_use]
    pub fn titled(mut self, title: &str) -> Self {
        self.title = title.to_owned();
        self
    }

    /// With an `Idempotency-Key`, and something that stands for the request's body.
    #[must_use]
    pub fn key(mut self, key: &str, body: u8) -> Self {
        let key = IdempotencyKey::new(format!("notifications:{key}")).expect("a key");
        self.idempotency = Some(Idempotency { key, body_hash: [body; 32] });
        self
    }

    /// As the notification with this id.
    pub fn build(self, id: NotificationId) -> Acceptance {
        let message = Message { title: Some(self.title), ..Message::default() };
        let notification = Notification {
            id,
            app: APP,
            recipients: self.recipients,
            message: Arc::new(message),
            lane: self.lane,
            channels: self.channels,
            ttl_ms: ttl_ms(self.ttl_s).expect("a time to live"),
            send_at: self.send_at,
        };
        Acceptance { notification, idempotency: self.idempotency }
    }
}

/// What an attempt is to be made of.
///
/// # Panics
/// If the work is a fan-out.
pub fn content(work: &Work) -> &DeliveryContent {
    match &work.content {
        Content::Delivery(content) => content,
        Content::FanOut(_) => panic!("{} is no delivery", work.lease.id),
    }
}

/// What is to be paged.
///
/// # Panics
/// If the work is a delivery.
pub fn fan_out(work: &Work) -> &FanOutContent {
    match &work.content {
        Content::FanOut(content) => content,
        Content::Delivery(_) => panic!("{} is no fan-out", work.lease.id),
    }
}

/// The ids of leased work, in order.
pub fn ids(work: &[Work]) -> Vec<ItemId> {
    work.iter().map(|work| work.lease.id).collect()
}

/// The settlement of an attempt with this outcome and what follows from it; the mark goes with the outcome.
pub fn attempted(work: &Work, outcome: Outcome, next: Next) -> Settlement {
    let mark = match outcome {
        Outcome::Unregistered | Outcome::SenderMismatch => Some(MarkKind::Retired),
        Outcome::MalformedTarget => Some(MarkKind::Quarantined),
        Outcome::Delivered
        | Outcome::NotSent
        | Outcome::Unknown
        | Outcome::Throttled { .. }
        | Outcome::Unavailable { .. }
        | Outcome::Rejected
        | Outcome::CredentialInvalid { .. } => None,
    };
    let change = Change::Attempt(AttemptRecord {
        report: Report::of(outcome).with_detail("as the test has it"),
        latency_ms: 7,
        began_ms_ago: 9,
        target: content(work).target.clone(),
        next,
        mark,
    });
    Settlement { lease: work.lease.clone(), change }
}

/// An attempt that the provider took.
pub fn delivered(work: &Work) -> Settlement {
    attempted(work, Outcome::Delivered, Next::Complete)
}

/// A failed attempt that counts, to be tried again after `delay_ms`.
pub fn retried(work: &Work, delay_ms: u64) -> Settlement {
    let outcome = Outcome::Unavailable { retry_after_ms: None };
    attempted(work, outcome, Next::Retry { delay_ms, counted: true })
}

/// An attempt that the provider refused for good.
pub fn rejected(work: &Work) -> Settlement {
    attempted(work, Outcome::Rejected, Next::Dead(Reason::Rejected))
}

/// An attempt after which the provider says that the registration is gone.
pub fn unregistered(work: &Work) -> Settlement {
    attempted(work, Outcome::Unregistered, Next::Dead(Reason::Unregistered))
}

/// What the engine settles when every process that tried the work died.
pub fn abandoned(work: &Work) -> Settlement {
    let end = EndAs { state: DeliveryState::Dead, reason: Reason::Abandoned };
    Settlement { lease: work.lease.clone(), change: Change::End(end) }
}

/// What the engine settles when a fan-out failed.
pub fn postponed(work: &Work, delay_ms: u64) -> Settlement {
    Settlement { lease: work.lease.clone(), change: Change::Postpone { delay_ms } }
}
