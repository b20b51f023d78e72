//! Notifications: what a caller asked for. The message is stored once, here.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::device::Target;
use crate::ids::{AppId, DeviceId, Invalid, NotificationId, UserId};
use crate::limits;
use crate::message::Message;
use crate::route::{ChannelKind, Credential, Lane, named};

/// For whom a notification is meant. Resolved into deliveries when the notification is *due*.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipients {
    /// All devices of these users, 1 to [`limits::USERS_MAX`] of them.
    Users(Vec<UserId>),
    /// One device of one user.
    Device {
        /// Whose.
        user: UserId,
        /// Which.
        device: DeviceId,
    },
    /// An address that Pabal keeps no device for.
    Literal {
        /// The way out.
        channel: ChannelKind,
        /// By which credential.
        credential: Credential,
        /// The address.
        target: Target,
    },
}

impl Recipients {
    /// Several users, checked.
    ///
    /// # Errors
    /// If there are none, too many, or one twice.
    pub fn users(users: Vec<UserId>) -> Result<Self, Invalid> {
        if users.is_empty() {
            return Err(Invalid::new("to.users", "is empty"));
        }
        if users.len() > limits::USERS_MAX {
            return Err(Invalid::new("to.users", format!("has more than {} users", limits::USERS_MAX)));
        }
        let mut seen = std::collections::BTreeSet::new();
        if let Some(twice) = users.iter().position(|user| !seen.insert(user)) {
            return Err(Invalid::new("to.users", format!("names the same user again at position {twice}")));
        }
        Ok(Recipients::Users(users))
    }
}

/// The state of a notification. `Scheduled` and `Expanding` are open work; the others are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotificationState {
    /// Waits for its time.
    Scheduled,
    /// Is being paged into deliveries.
    Expanding,
    /// All its deliveries exist.
    Expanded,
    /// Was cancelled before it was expanded.
    Cancelled,
    /// Its time to live ended before it was expanded.
    Expired,
    /// Its fan-out kept being abandoned.
    Dead,
}

named!(
    NotificationState,
    "notification state",
    Scheduled = "scheduled",
    Expanding = "expanding",
    Expanded = "expanded",
    Cancelled = "cancelled",
    Expired = "expired",
    Dead = "dead"
);

impl NotificationState {
    /// Whether there is still fan-out work to do.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Scheduled | Self::Expanding)
    }
}

/// A notification as it is accepted: checked, with its id, and without any time of the store's.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// Its id.
    pub id: NotificationId,
    /// Whose namespace.
    pub app: AppId,
    /// For whom.
    pub recipients: Recipients,
    /// What it says.
    pub message: Arc<Message>,
    /// How urgent it is among the others.
    pub lane: Lane,
    /// The channels it may use; `None` means all that a user has.
    pub channels: Option<Vec<ChannelKind>>,
    /// How long it is worth delivering, counted from `send_at` or else from the accept.
    pub ttl_ms: i64,
    /// Not before this time.
    pub send_at: Option<Timestamp>,
}

/// A `ttl` in seconds as milliseconds.
///
/// # Errors
/// If it is over [`limits::TTL_S_MAX`].
pub fn ttl_ms(ttl_s: u64) -> Result<i64, Invalid> {
    match i64::try_from(ttl_s) {
        Ok(s) if ttl_s <= limits::TTL_S_MAX => Ok(s * 1000),
        _ => Err(Invalid::new("ttl", format!("is over {} seconds (four weeks)", limits::TTL_S_MAX))),
    }
}

/// How long a provider is to keep a message, of which a delivery still has `remaining_ms`: the grace that a short
/// time to live is given is Pabal's own and not passed on.
pub fn provider_ttl_ms(ttl_ms: i64, remaining_ms: u64) -> u64 {
    let grace_ms = (limits::TTL_GRACE_MS - ttl_ms).max(0);
    remaining_ms.saturating_sub(u64::try_from(grace_ms).unwrap_or(0))
}

/// Checks a `send_at` against the time now: not in the past (but for the small change that clocks cost), nor
/// further ahead than [`limits::SEND_AT_AHEAD_MS_MAX`].
///
/// # Errors
/// If it is one of these.
pub fn check_send_at(send_at: Timestamp, now: Timestamp) -> Result<(), Invalid> {
    if send_at.as_ms() < now.as_ms() - limits::SEND_AT_PAST_MS_MAX {
        return Err(Invalid::new("send_at", "lies in the past"));
    }
    if send_at.as_ms() > now.as_ms() + limits::SEND_AT_AHEAD_MS_MAX {
        return Err(Invalid::new("send_at", "lies more than 366 days ahead"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: usize) -> UserId {
        UserId::new(format!("u{n}")).unwrap()
    }

    #[test]
    fn recipients_are_bounded_and_distinct() {
        assert_eq!(Recipients::users(vec![]).unwrap_err().to_string(), "to.users is empty");
        let many = (0..=limits::USERS_MAX).map(user).collect();
        assert_eq!(Recipients::users(many).unwrap_err().to_string(), "to.users has more than 1000 users");
        let twice = Recipients::users(vec![user(1), user(2), user(1)]);
        assert_eq!(twice.unwrap_err().to_string(), "to.users names the same user again at position 2");
    }

    #[test]
    fn the_grace_is_not_passed_on() {
        assert_eq!(provider_ttl_ms(0, 10_000), 0);
        assert_eq!(provider_ttl_ms(4_000, 9_000), 3_000);
        assert_eq!(provider_ttl_ms(60_000, 58_000), 58_000);
    }

    #[test]
    fn ttl_and_send_at_have_ranges() {
        assert_eq!(ttl_ms(0), Ok(0));
        assert_eq!(ttl_ms(limits::TTL_S_MAX), Ok(2_419_200_000));
        assert!(ttl_ms(limits::TTL_S_MAX + 1).is_err());
        let now = Timestamp::from_ms(1_000_000_000_000);
        assert_eq!(check_send_at(now.plus_ms(-limits::SEND_AT_PAST_MS_MAX), now), Ok(()));
        assert!(check_send_at(now.plus_ms(-limits::SEND_AT_PAST_MS_MAX - 1), now).is_err());
        assert!(check_send_at(now.plus_ms(limits::SEND_AT_AHEAD_MS_MAX + 1), now).is_err());
    }
}
