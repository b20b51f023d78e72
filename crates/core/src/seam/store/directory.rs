//! Users and their devices: what is registered, what a provider said of it, and how a person is forgotten.

use async_trait::async_trait;

use super::Listed;
use crate::clock::Timestamp;
use crate::device::{Device, MarkKind, Registration};
use crate::error::Result;
use crate::ids::{AppId, DeviceId, UserId};

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

    /// The devices of an app that bear a mark, by the time of their mark, oldest first, after `after`, at most `max`:
    /// whoever polls goes on where the last answer ended. `since` and `until` bound the time of the mark (the second
    /// one is not included).
    async fn marked_devices(
        &self,
        app: AppId,
        filter: &MarkFilter,
        after: Option<&MarkedAt>,
        max: usize,
    ) -> Result<Listed<Device, MarkedAt>>;

    /// Takes the marks off these devices. Answers how many bore one.
    async fn restore_devices(&self, app: AppId, devices: &[(UserId, DeviceId)]) -> Result<u64>;

    /// Takes the marks off up to `max` devices that a filter finds. Answers how many; 0 where none is left.
    async fn restore_marked(&self, app: AppId, filter: &MarkFilter, max: usize) -> Result<u64>;
}

/// Which marked devices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MarkFilter {
    /// Of which kind; `None` is both.
    pub kind: Option<MarkKind>,
    /// With which reason: the provider's code, as it was kept.
    pub reason: Option<String>,
    /// Marked at this time or later.
    pub since: Option<Timestamp>,
    /// Marked before this time.
    pub until: Option<Timestamp>,
}

/// Where a listing of marked devices goes on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MarkedAt {
    /// When the last one was marked.
    pub at: Timestamp,
    /// Whose it is.
    pub user: UserId,
    /// Its name.
    pub device: DeviceId,
}

/// Forgetting a person.
#[async_trait]
pub trait Erasure: Send + Sync {
    /// One step of erasing a user: the devices, the user in deliveries (which stay, counted and without a recipient), in
    /// lists of recipients, and the messages that were meant for that user alone. What is still open is not ended here:
    /// cancel first. Looks at a bounded number of rows; repeat with [`Erased::next`] until it is `None`. Safe to repeat.
    ///
    /// An erased user keeps the place in a list of recipients, so that the cursor of a fan-out still means the same.
    async fn erase_user(&self, app: AppId, user: &UserId, after: Option<String>) -> Result<Erased>;
}

/// What a step of erasing did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Erased {
    /// Devices removed.
    pub devices: u64,
    /// Deliveries that no longer say whom they were for.
    pub deliveries: u64,
    /// Notifications from whose recipients the user was taken.
    pub notifications: u64,
    /// Where the next step begins; opaque. `None` when all is done.
    pub next: Option<String>,
}
