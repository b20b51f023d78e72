//! Dead letters: what will not be retried by itself. Listed, purged, and redriven as a job that goes on after a restart.
//! The reopening itself is the ledger's ([`Ledger::redrive`](crate::seam::Ledger::redrive)).

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::Listed;
use super::history::{AttemptView, DeliveryView, NotificationView};
use crate::clock::Timestamp;
use crate::delivery::Reason;
use crate::error::Result;
use crate::ids::{AppId, DeliveryId, ItemId, NotificationId, RedriveId, UserId};
use crate::route::{ChannelKind, named};

/// Which dead work of an app; the empty filter is all of it. A fan-out (a dead notification) has no user, channel or
/// delivery id: filters on these leave it out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeadFilter {
    /// That died for this reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// On this channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelKind>,
    /// Of this user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Of this notification, its own fan-out included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification: Option<NotificationId>,
    /// This one delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryId>,
    /// That died at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// That died before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl DeadFilter {
    /// All dead work of an app.
    pub fn all() -> Self {
        Self::default()
    }

    /// What is dead of one notification.
    pub fn of_notification(id: NotificationId) -> Self {
        Self { notification: Some(id), ..Self::default() }
    }

    /// What is dead of one user.
    pub fn of_user(user: UserId) -> Self {
        Self { user: Some(user), ..Self::default() }
    }

    /// One delivery, if it is dead.
    pub fn of_delivery(id: DeliveryId) -> Self {
        Self { delivery: Some(id), ..Self::default() }
    }

    /// The same, without what dies after `now`: what a new job goes by. What died in this very millisecond is still found,
    /// for its caller may just have seen it.
    #[must_use]
    pub fn dead_by(self, now: Timestamp) -> Self {
        let end = now.plus_ms(1);
        Self { until: Some(self.until.map_or(end, |until| until.min(end))), ..self }
    }

    /// Whether fan-outs can be among what it finds.
    pub const fn finds_fan_outs(&self) -> bool {
        self.channel.is_none() && self.user.is_none() && self.delivery.is_none()
    }
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq)]
pub enum DeadLetter {
    /// A delivery.
    Delivery {
        /// How it stands.
        view: DeliveryView,
        /// The last attempt; `None` where it died without one.
        last_attempt: Option<AttemptView>,
    },
    /// A notification whose fan-out is dead.
    FanOut {
        /// How it stands.
        view: NotificationView,
        /// Why.
        reason: Reason,
        /// Since when.
        died_at: Timestamp,
    },
}

/// The state of a redrive job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedriveState {
    /// It goes on, also after a restart.
    Running,
    /// It has looked at everything.
    Done,
    /// Somebody stopped it; what it reopened stays open.
    Stopped,
}

named!(RedriveState, "redrive state", Running = "running", Done = "done", Stopped = "stopped");

/// A redrive that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRedrive {
    /// Its id.
    pub id: RedriveId,
    /// Whose dead letters.
    pub app: AppId,
    /// Which of them; what dies after the job was made is left out ([`DeadFilter::dead_by`]), so that a job ends.
    pub filter: DeadFilter,
    /// How many it reopens a second, 1 to [`crate::limits::REDRIVE_RATE_MAX`].
    pub rate_per_s: u32,
}

/// A redrive job, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedriveJob {
    /// Its id. Ids sort by the time they were made.
    pub id: RedriveId,
    /// Whose dead letters.
    pub app: AppId,
    /// Which of them; `until` is at the latest the end of the millisecond in which the job was made.
    pub filter: DeadFilter,
    /// How many it reopens a second.
    pub rate_per_s: u32,
    /// Its state.
    pub state: RedriveState,
    /// How far it has come: the last id that it looked at.
    pub after: Option<ItemId>,
    /// How many it found to do when it was made; `None` where that were too many to count.
    pub total: Option<u64>,
    /// How many it has reopened: at least so many, for a crash may come between a step and its count.
    pub reopened: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was done or stopped.
    pub finished_at: Option<Timestamp>,
}

/// Dead letters, and the jobs that redrive them.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Dead letters of an app, newest first, below `before`, at most `max`: deliveries and fan-outs mixed, by the bytes of
    /// their ids.
    async fn list_dead(
        &self,
        app: AppId,
        filter: &DeadFilter,
        before: Option<ItemId>,
        max: usize,
    ) -> Result<Listed<DeadLetter, ItemId>>;

    /// Removes up to `max` dead letters of an app, with their attempts, after the id `after`, deliveries first; counters
    /// follow. A notification whose fan-out is dead goes where it has no deliveries; else it becomes `cancelled`, and its
    /// deliveries stay as they are. Answers how many, and where the next step begins.
    async fn purge_dead(
        &self,
        app: AppId,
        filter: &DeadFilter,
        after: Option<ItemId>,
        max: usize,
    ) -> Result<Purged>;

    /// Keeps a new job, counts what there is to do (as far as [`crate::limits::LIST_SCAN_MAX`] rows show it).
    ///
    /// # Errors
    /// [`LimitReached`](crate::ErrorKind::LimitReached) where [`crate::limits::REDRIVES_RUNNING_MAX`] of the app run.
    async fn put_redrive(&self, new: &NewRedrive) -> Result<RedriveJob>;

    /// One job of an app.
    async fn redrive(&self, app: AppId, id: RedriveId) -> Result<Option<RedriveJob>>;

    /// Jobs of an app, newest first, below the id `before`, at most `max`.
    async fn list_redrives(
        &self,
        app: AppId,
        before: Option<RedriveId>,
        max: usize,
    ) -> Result<Listed<RedriveJob, RedriveId>>;

    /// All jobs that run, of all apps, oldest first.
    async fn running_redrives(&self) -> Result<Vec<RedriveJob>>;

    /// Writes how far a running job has come; without `next` it is done. Answers whether it still runs: one that was
    /// stopped meanwhile counts what it reopened and stays stopped.
    async fn advance_redrive(&self, id: RedriveId, reopened: u64, next: Option<ItemId>) -> Result<bool>;

    /// Stops a job that runs. `None` where the app has no such job.
    async fn stop_redrive(&self, app: AppId, id: RedriveId) -> Result<Option<RedriveJob>>;
}

/// What a step of purging removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Purged {
    /// How many.
    pub purged: u64,
    /// Where the next step begins; `None` when all is done.
    pub next: Option<ItemId>,
}
