//! A way out. A channel sends and says what came of it; it never writes to the store and never decides to retry.

use std::sync::Arc;

use async_trait::async_trait;

use crate::device::Target;
use crate::ids::{DeliveryId, NotificationId};
use crate::message::Message;
use crate::outcome::Report;
use crate::route::{Credential, Platform};

/// One attempt's worth of sending.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// Which delivery, for logs.
    pub delivery: DeliveryId,
    /// Of which notification: what keeps a second copy off the screen.
    pub notification: NotificationId,
    /// By which credential.
    pub credential: Credential,
    /// To which platform.
    pub platform: Platform,
    /// To which address.
    pub target: Target,
    /// What to say; shared by all deliveries of the notification, so that what is made from it can be cached.
    pub message: Arc<Message>,
    /// How long the provider is to keep it for a device that is away: what is left of the caller's time to live. 0 is
    /// "now or never".
    pub remaining_ms: u64,
}

/// A way out.
#[async_trait]
pub trait Channel: Send + Sync {
    /// Sends once. The caller sets the deadline by dropping the future; then the outcome is unknown.
    async fn send(&self, outbound: &Outbound) -> Report;

    /// How many attempts a credential can have in flight at once, all routes and those under way included. The caller
    /// keeps count of its own; 0 holds the credential's routes.
    fn capacity(&self, credential: &Credential) -> usize;
}
