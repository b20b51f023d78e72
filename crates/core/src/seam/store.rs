//! The rest of a store: what the API reads and writes beside the ledger. One small trait per concern.

use async_trait::async_trait;

use super::records::Records;
use crate::clock::Timestamp;
use crate::delivery::{DeliveryState, Reason, Recipient};
use crate::device::{Device, Registration};
use crate::error::Result;
use crate::ids::{AppId, DeliveryId, DeviceId, NotificationId, UserId};
use crate::notification::{Notification, NotificationState};
use crate::outcome::OutcomeKind;
use crate::route::Route;

/// Users and their devices.
#[async_trait]
pub trait Directory: Send + Sync {
    /// Registers a device or registers it anew; clears its mark where the address is another, or where the
    /// app reports the same address again. A token or FID that belonged to another device moves here: the other device
    /// is gone, and what waited for it ends.
    ///
    /// # Errors
    /// [`LimitReached`](crate::ErrorKind::LimitReached) beyond [`crate::limits::DEVICES_PER_USER_MAX`].
    async fn put_device(
        &self,
        app: AppId,
        user: &UserId,
        device: &DeviceId,
        registration: &Registration,
    ) -> Result<Device>;

    /// Registers many at once, for imports and demos: one commit.
    async fn put_devices(&self, app: AppId, devices: &[(UserId, DeviceId, Registration)]) -> Result<()>;

    /// One device.
    async fn device(&self, app: AppId, user: &UserId, device: &DeviceId) -> Result<Option<Device>>;

    /// All devices of a user, by name.
    async fn devices(&self, app: AppId, user: &UserId) -> Result<Vec<Device>>;

    /// Removes a device; what waits for it ends undeliverable. Answers whether it was there.
    async fn delete_device(&self, app: AppId, user: &UserId, device: &DeviceId) -> Result<bool>;
}

/// A notification, as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct NotificationView {
    /// What was asked for.
    pub notification: Notification,
    /// Its state.
    pub state: NotificationState,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its time to live ends.
    pub expires_at: Timestamp,
    /// How many of its deliveries are in each state that any is in.
    pub counts: Vec<(DeliveryState, u64)>,
}

/// A delivery, as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliveryView {
    /// Its id.
    pub id: DeliveryId,
    /// Of which notification.
    pub notification: NotificationId,
    /// For whom.
    pub recipient: Recipient,
    /// Its route; `None` where there is no device.
    pub route: Option<Route>,
    /// Its state.
    pub state: DeliveryState,
    /// Why it ended, if otherwise than delivered.
    pub reason: Option<Reason>,
    /// Attempts made.
    pub attempts: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its next attempt is due, while it is open.
    pub due_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// One attempt, as the timeline shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptView {
    /// 1 for the first.
    pub number: u32,
    /// When it began.
    pub at: Timestamp,
    /// What became of it.
    pub outcome: OutcomeKind,
    /// The HTTP status.
    pub status: Option<u16>,
    /// The provider's code.
    pub code: Option<String>,
    /// What was said.
    pub detail: Option<String>,
    /// How long it took, in milliseconds.
    pub latency_ms: u64,
}

/// What happened: read by the API, never by the engine.
#[async_trait]
pub trait History: Send + Sync {
    /// One notification of an app.
    async fn notification(&self, app: AppId, id: NotificationId) -> Result<Option<NotificationView>>;

    /// Its deliveries by id, after `after`, at most `max`.
    async fn deliveries(
        &self,
        app: AppId,
        id: NotificationId,
        after: Option<DeliveryId>,
        max: usize,
    ) -> Result<Vec<DeliveryView>>;

    /// One delivery of an app, with its attempts, oldest first. Complete also for one delivered at its first attempt.
    async fn delivery(&self, app: AppId, id: DeliveryId) -> Result<Option<(DeliveryView, Vec<AttemptView>)>>;

    /// How many deliveries of an app are in each state with each reason, from counters.
    async fn totals(&self, app: AppId) -> Result<Vec<(DeliveryState, Option<Reason>, u64)>>;
}

/// An API key, as it is kept: the secret itself is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// BLAKE3 of the secret.
    pub hash: [u8; 32],
    /// Whose namespace it opens.
    pub app: AppId,
    /// What it is called.
    pub name: String,
    /// What it may do, by the words of the API, `admin` for everything.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// API keys.
#[async_trait]
pub trait Keys: Send + Sync {
    /// Keeps a key.
    async fn put_key(&self, key: &KeyRecord) -> Result<()>;

    /// The key with this hash.
    async fn key(&self, hash: &[u8; 32]) -> Result<Option<KeyRecord>>;

    /// How many keys there are.
    async fn keys(&self) -> Result<u64>;
}

/// A pause of routes, as it is kept: it survives a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Which route.
    pub route: Route,
    /// Why, in words for the operator.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// Pauses.
#[async_trait]
pub trait Pauses: Send + Sync {
    /// Keeps a pause; one that is there already stays as it is.
    async fn put_pause(&self, pause: &Pause) -> Result<()>;

    /// Ends the pause of a route. Answers whether there was one.
    async fn clear_pause(&self, route: &Route) -> Result<bool>;

    /// All pauses.
    async fn pauses(&self) -> Result<Vec<Pause>>;
}

/// Everything a store is.
pub trait Store: Records + Directory + History + Keys + Pauses {}

impl<S: Records + Directory + History + Keys + Pauses> Store for S {}
