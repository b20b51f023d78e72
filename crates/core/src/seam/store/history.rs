//! What happened: read by the API, never by the engine.

use async_trait::async_trait;

use super::Listed;
use crate::clock::Timestamp;
use crate::delivery::{DeliveryState, Reason, Recipient};
use crate::error::Result;
use crate::ids::{AppId, DeliveryId, NotificationId, UserId};
use crate::notification::{Notification, NotificationState};
use crate::outcome::OutcomeKind;
use crate::route::{ChannelKind, Route};

/// A notification, as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct NotificationView {
    /// What was asked for. Users who were erased are not among its recipients; where nobody is left, it has none, and
    /// its message may be empty.
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
    /// For whom; `None` where the person was erased.
    pub recipient: Option<Recipient>,
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

    /// Notifications of an app, newest first, below the id `before`, at most `max`.
    async fn list_notifications(
        &self,
        app: AppId,
        filter: &NotificationFilter,
        before: Option<NotificationId>,
        max: usize,
    ) -> Result<Listed<NotificationView, NotificationId>>;

    /// Deliveries of an app, newest first, below the id `before`, at most `max`.
    async fn list_deliveries(
        &self,
        app: AppId,
        filter: &DeliveryFilter,
        before: Option<DeliveryId>,
        max: usize,
    ) -> Result<Listed<DeliveryView, DeliveryId>>;
}

/// Which notifications. Times are those in their ids: when they were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NotificationFilter {
    /// In this state.
    pub state: Option<NotificationState>,
    /// Asked for at this time or later.
    pub since: Option<Timestamp>,
    /// Asked for before this time.
    pub until: Option<Timestamp>,
}

/// Which deliveries. Times are those in their ids: when their notification was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliveryFilter {
    /// Of this user.
    pub user: Option<UserId>,
    /// Of this notification.
    pub notification: Option<NotificationId>,
    /// In this state.
    pub state: Option<DeliveryState>,
    /// That ended for this reason.
    pub reason: Option<Reason>,
    /// On this channel.
    pub channel: Option<ChannelKind>,
    /// Asked for at this time or later.
    pub since: Option<Timestamp>,
    /// Asked for before this time.
    pub until: Option<Timestamp>,
}
