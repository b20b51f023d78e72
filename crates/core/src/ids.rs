//! Identifiers. Those that callers choose are checked text; those that Pabal makes are 16 bytes, written as a UUID.
//!
//! A delivery's id is *derived*: the time prefix of its notification's id, then a hash of (notification,
//! recipient). Making a delivery twice therefore makes one, which is what lets a page of a fan-out, a reconciler
//! or a retried request run again without harm.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::limits;

/// Why a piece of text is not the identifier or value it was given as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {problem}")]
pub struct Invalid {
    /// The word for what was being made, as the API and the docs use it: `user`, `delivery id`.
    pub what: &'static str,
    /// What is wrong with it, as the end of a sentence: `is empty`, `is longer than 128 characters`.
    pub problem: String,
}

impl Invalid {
    /// `what` is the thing's word, `problem` the end of the sentence that says why it is refused.
    pub fn new(what: &'static str, problem: impl Into<String>) -> Self {
        Self { what, problem: problem.into() }
    }
}

/// The number of an app, the namespace of users, devices, keys and notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AppId(pub u32);

impl AppId {
    /// The app `default`, which exists in every store from its first migration.
    pub const DEFAULT: AppId = AppId(1);
}

macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and takes the text.
            ///
            /// # Errors
            /// If it is empty, longer than its named limit in bytes, or holds a control character.
            pub fn new(text: impl AsRef<str>) -> Result<Self, Invalid> {
                let text = text.as_ref();
                if text.is_empty() {
                    return Err(Invalid::new($what, "is empty"));
                }
                if text.len() > $max {
                    return Err(Invalid::new($what, format!("is longer than {} bytes", $max)));
                }
                if text.chars().any(char::is_control) {
                    return Err(Invalid::new($what, "holds a control character"));
                }
                Ok(Self(text.into()))
            }

            /// The text as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;
            fn try_from(text: String) -> Result<Self, Invalid> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0.as_ref().to_owned()
            }
        }

        impl FromStr for $name {
            type Err = Invalid;
            fn from_str(text: &str) -> Result<Self, Invalid> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), &*self.0)
            }
        }
    };
}

checked_text!(
    /// A user of the calling team's product, by the name that team gives.
    UserId, "user", limits::USER_ID_BYTES_MAX
);
checked_text!(
    /// A device of a user, by the name that the calling team gives; unique within its user.
    DeviceId, "device", limits::DEVICE_ID_BYTES_MAX
);
checked_text!(
    /// What people call an app: `default`, `billing-staging`.
    AppName, "app", limits::APP_NAME_BYTES_MAX
);
checked_text!(
    /// The caller's `Idempotency-Key`.
    IdempotencyKey, "Idempotency-Key", limits::IDEMPOTENCY_KEY_BYTES_MAX
);

macro_rules! sixteen_bytes {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The id with exactly these bytes, big end first; ids sort by time.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes, big end first.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl FromStr for $name {
            type Err = Invalid;
            fn from_str(text: &str) -> Result<Self, Invalid> {
                Uuid::try_parse(text).map(Self).map_err(|_| Invalid::new($what, "is not a UUID"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    };
}

sixteen_bytes!(
    /// A notification: a UUID of version 7 (RFC 9562), so that ids sort by the time they were made.
    NotificationId, "notification id"
);
sixteen_bytes!(
    /// A delivery: one notification × one target; a UUID of version 8 that shares its notification's time prefix.
    DeliveryId, "delivery id"
);
sixteen_bytes!(
    /// What makes a store *this* store: drawn at its first migration, checked by every queue bound to it.
    StoreId, "store id"
);
sixteen_bytes!(
    /// An API key: a UUID of version 7. It is no secret.
    KeyId, "key id"
);
sixteen_bytes!(
    /// A job that redrives dead letters: a UUID of version 7.
    RedriveId, "redrive id"
);

macro_rules! timed {
    ($name:ident) => {
        impl $name {
            /// A new id from a time and ten random bytes (six of their bits give way to version and variant).
            pub fn new(at: Timestamp, random: [u8; 10]) -> Self {
                let ms = u64::try_from(at.as_ms()).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid())
            }
        }
    };
}

timed!(NotificationId);
timed!(KeyId);
timed!(RedriveId);

impl DeliveryId {
    /// The one id that (notification, recipient) can have. `recipient_key` comes from
    /// [`Recipient::key`](crate::delivery::Recipient::key): it names the *device*, never its token.
    pub fn derive(notification: NotificationId, recipient_key: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(notification.as_bytes());
        hasher.update(recipient_key.as_bytes());
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&notification.as_bytes()[..6]);
        bytes[6..].copy_from_slice(&hasher.finalize().as_bytes()[..10]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}

/// What a queue holds: the id of a delivery, or that of a notification that waits to be fanned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ItemId {
    /// A delivery that waits for its next attempt.
    Delivery(DeliveryId),
    /// A notification that waits to be paged into deliveries.
    FanOut(NotificationId),
}

impl ItemId {
    /// The 16 bytes of either id. Deliveries (version 8) and notifications (version 7) never share one.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        match self {
            ItemId::Delivery(id) => id.as_bytes(),
            ItemId::FanOut(id) => id.as_bytes(),
        }
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ItemId::Delivery(id) => write!(f, "delivery {id}"),
            ItemId::FanOut(id) => write!(f, "fan-out {id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notification() -> NotificationId {
        NotificationId::new(Timestamp::from_ms(1_700_000_000_000), [7; 10])
    }

    #[test]
    fn a_delivery_made_twice_is_one() {
        let id = notification();
        assert_eq!(DeliveryId::derive(id, "device/u/d"), DeliveryId::derive(id, "device/u/d"));
        assert_ne!(DeliveryId::derive(id, "device/u/d"), DeliveryId::derive(id, "device/u/e"));
    }

    #[test]
    fn a_delivery_shares_the_time_prefix_of_its_notification() {
        let id = notification();
        assert_eq!(DeliveryId::derive(id, "x").as_bytes()[..6], id.as_bytes()[..6]);
    }

    #[test]
    fn ids_round_trip_as_text() {
        let id = notification();
        assert_eq!(id.to_string().parse::<NotificationId>(), Ok(id));
        assert_eq!(
            "nonsense".parse::<NotificationId>().unwrap_err().to_string(),
            "notification id is not a UUID"
        );
    }

    #[test]
    fn text_ids_name_their_limit() {
        let long = "x".repeat(limits::USER_ID_BYTES_MAX + 1);
        assert_eq!(UserId::new(long).unwrap_err().to_string(), "user is longer than 128 bytes");
        assert_eq!(UserId::new("").unwrap_err().to_string(), "user is empty");
        assert_eq!(UserId::new("a\nb").unwrap_err().to_string(), "user holds a control character");
    }
}
