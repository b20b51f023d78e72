//! Apps, and the API keys that open them.

use async_trait::async_trait;

use super::Listed;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::{AppId, AppName, KeyId};

/// A namespace of users, devices, keys and notifications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Its number, the first column of every key of a row.
    pub id: AppId,
    /// What people call it.
    pub name: AppName,
}

/// Apps.
#[async_trait]
pub trait Apps: Send + Sync {
    /// Makes an app; `None` where there is one of this name.
    ///
    /// # Errors
    /// [`LimitReached`](crate::ErrorKind::LimitReached) beyond [`crate::limits::APPS_MAX`].
    async fn put_app(&self, name: &AppName) -> Result<Option<App>>;

    /// All apps, by name.
    async fn apps(&self) -> Result<Vec<App>>;
}

/// An API key, as it is kept: the secret itself is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// What it is listed and revoked by. Ids sort by the time they were made.
    pub id: KeyId,
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
    /// From when on it opens nothing.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, as far as that was written.
    pub last_used_at: Option<Timestamp>,
}

/// API keys.
#[async_trait]
pub trait Keys: Send + Sync {
    /// Keeps a key that is new.
    ///
    /// # Errors
    /// [`LimitReached`](crate::ErrorKind::LimitReached) beyond [`crate::limits::KEYS_PER_APP_MAX`] that are not revoked.
    async fn put_key(&self, key: &KeyRecord) -> Result<()>;

    /// The key with this hash, revoked or expired ones included.
    async fn key(&self, hash: &[u8; 32]) -> Result<Option<KeyRecord>>;

    /// Keys of an app, newest first, below the id `before`, at most `max`.
    async fn list_keys(
        &self,
        app: AppId,
        with_revoked: bool,
        before: Option<KeyId>,
        max: usize,
    ) -> Result<Listed<KeyRecord, KeyId>>;

    /// Revokes a key for good; one that is revoked already keeps its time. `None` where the app has no such key.
    async fn revoke_key(&self, app: AppId, id: KeyId) -> Result<Option<KeyRecord>>;

    /// Writes when keys were last used; never sets a time back.
    async fn touch_keys(&self, used: &[(KeyId, Timestamp)]) -> Result<()>;

    /// How many keys there are, over all apps, revoked ones included.
    async fn keys(&self) -> Result<u64>;
}
