//! Devices: one registration of a user on a channel. A token or FID belongs to one device at a time.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{DeviceId, Invalid, UserId};
use crate::limits;
use crate::route::{ChannelKind, Credential, Lane, Platform, Route};

/// What FCM addresses: exactly one of these. Sources: discovery document, `Message.token|fid|topic|condition`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A registration token.
    Token(String),
    /// A Firebase installation id.
    Fid(String),
    /// A topic of FCM's own, without `/topics/`.
    FcmTopic(String),
    /// A condition over FCM's own topics.
    FcmCondition(String),
}

impl Target {
    /// The address itself. Never log it: a token is a capability to reach a person.
    pub fn address(&self) -> &str {
        match self {
            Target::Token(text) | Target::Fid(text) | Target::FcmTopic(text) | Target::FcmCondition(text) => {
                text
            }
        }
    }

    /// The word for the kind of address, as in the API's `to`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Target::Token(_) => "token",
            Target::Fid(_) => "fid",
            Target::FcmTopic(_) => "fcm_topic",
            Target::FcmCondition(_) => "fcm_condition",
        }
    }

    /// From the word for the kind and the address.
    ///
    /// # Errors
    /// If the kind is unknown, or the address is empty, has white space at an end, a control character, or is
    /// longer than [`limits::TARGET_BYTES_MAX`].
    pub fn new(kind: &str, address: impl Into<String>) -> Result<Self, Invalid> {
        let address = address.into();
        let (what, make): (&'static str, fn(String) -> Target) = match kind {
            "token" => ("token", Target::Token),
            "fid" => ("fid", Target::Fid),
            "fcm_topic" => ("fcm_topic", Target::FcmTopic),
            "fcm_condition" => ("fcm_condition", Target::FcmCondition),
            _ => return Err(Invalid::new("target", "is none of token, fid, fcm_topic, fcm_condition")),
        };
        if address.is_empty() {
            return Err(Invalid::new(what, "is empty"));
        }
        if address.len() > limits::TARGET_BYTES_MAX {
            return Err(Invalid::new(what, format!("is longer than {} bytes", limits::TARGET_BYTES_MAX)));
        }
        if address.trim() != address || address.chars().any(char::is_control) {
            return Err(Invalid::new(what, "has white space at an end or a control character"));
        }
        Ok(make(address))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(…)", self.kind())
    }
}

/// How a device can be reached: what the calling team registers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The channel.
    pub channel: ChannelKind,
    /// The credential it belongs to (for FCM the project), fixed when it was registered.
    pub credential: Credential,
    /// What it runs.
    pub platform: Platform,
    /// Its address: a token or a FID.
    pub target: Target,
    /// BCP 47 language tag, as the app reported it.
    pub locale: Option<String>,
    /// IANA time zone, as the app reported it.
    pub time_zone: Option<String>,
}

impl Registration {
    /// The route of a delivery to this registration.
    pub fn route(&self, lane: Lane) -> Route {
        Route::channel(lane, self.channel, self.credential.clone(), self.platform)
    }
}

/// A mark on a device, made by what a provider said. It can be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Retired: gets nothing more. Quarantined: marked as suspicious, and still tried.
    pub kind: MarkKind,
    /// What the provider said, as its code: `UNREGISTERED`, `SENDER_ID_MISMATCH`, `INVALID_ARGUMENT`.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// How a device is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MarkKind {
    /// The provider says that the registration is gone: nothing more is sent to it.
    Retired,
    /// The provider says that the address is malformed: shown to the operator, nothing else.
    Quarantined,
}

crate::route::named!(MarkKind, "mark", Retired = "retired", Quarantined = "quarantined");

/// A registered device, as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Whose it is.
    pub user: UserId,
    /// Its name within the user.
    pub id: DeviceId,
    /// How it is reached.
    pub registration: Registration,
    /// The mark on it, if any.
    pub mark: Option<Mark>,
    /// When it was first registered.
    pub created_at: Timestamp,
    /// When it was last registered: apps do so at each start.
    pub seen_at: Timestamp,
}
