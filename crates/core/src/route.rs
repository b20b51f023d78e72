//! Routes: what can be claimed, paused and counted on its own. A route is lane × channel × credential × platform,
//! or lane × `fanout`; as text `transactional/fcm/my-project/android` and `bulk/fanout`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::Invalid;
use crate::limits;

/// A priority class. Transactional work never waits behind bulk work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// What a person waits for: a reward, a code, a reply.
    #[default]
    Transactional,
    /// What many people get at once: a reminder, a campaign.
    Bulk,
}

impl Lane {
    /// All lanes, the most urgent first.
    pub const ALL: [Lane; 2] = [Lane::Transactional, Lane::Bulk];
}

/// A way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelKind {
    /// Firebase Cloud Messaging.
    Fcm,
}

/// What a device runs, as far as pausing and pacing care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// An Android device.
    Android,
    /// An iPhone or iPad, reached through APNs.
    Ios,
    /// A browser.
    Web,
    /// Not known: bare tokens and FIDs, topics, conditions.
    Other,
}

macro_rules! named {
    ($type:ident, $what:literal, $($variant:ident = $name:literal),+) => {
        impl $type {
            /// Every word that there is, in the order of the variants.
            pub const WORDS: &'static [&'static str] = &[$($name),+];

            /// The word used in the API, in metrics and in storage.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
        impl std::str::FromStr for $type {
            type Err = $crate::ids::Invalid;
            fn from_str(text: &str) -> Result<Self, $crate::ids::Invalid> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err($crate::ids::Invalid::new($what, concat!("is none of", $(" ", $name),+))),
                }
            }
        }
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(crate) use named;

named!(Lane, "lane", Transactional = "transactional", Bulk = "bulk");
named!(ChannelKind, "channel", Fcm = "fcm");
named!(Platform, "platform", Android = "android", Ios = "ios", Web = "web", Other = "other");

/// The name of a credential in the configuration, for FCM that of a project: letters, digits, `-`, `_`, `.`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Credential(Arc<str>);

impl Credential {
    /// Checks and takes the name.
    ///
    /// # Errors
    /// If it is empty, too long, or holds another character than those.
    pub fn new(name: impl AsRef<str>) -> Result<Self, Invalid> {
        let name = name.as_ref();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > limits::CREDENTIAL_BYTES_MAX {
            let max = limits::CREDENTIAL_BYTES_MAX;
            return Err(Invalid::new("project", format!("must have 1 to {max} characters")));
        }
        if !name.chars().all(fits) {
            return Err(Invalid::new("project", "may hold letters, digits, '-', '_' and '.' only"));
        }
        Ok(Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Credential {
    type Error = Invalid;
    fn try_from(name: String) -> Result<Self, Invalid> {
        Self::new(name)
    }
}

impl From<Credential> for String {
    fn from(value: Credential) -> String {
        value.0.as_ref().to_owned()
    }
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({})", self.0)
    }
}

/// One route. Sorts by lane first, so that transactional routes come before bulk ones.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// The priority class.
    pub lane: Lane,
    /// Where it leads.
    pub way: Way,
}

/// Where a route leads.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// Paging a notification into deliveries.
    FanOut,
    /// Out through a channel.
    Channel {
        /// Which channel.
        channel: ChannelKind,
        /// By which credential.
        credential: Credential,
        /// To which platform.
        platform: Platform,
    },
}

impl Route {
    /// The route of a lane's fan-out work.
    pub const fn fan_out(lane: Lane) -> Self {
        Self { lane, way: Way::FanOut }
    }

    /// The route of deliveries through a channel.
    pub const fn channel(
        lane: Lane,
        channel: ChannelKind,
        credential: Credential,
        platform: Platform,
    ) -> Self {
        Self { lane, way: Way::Channel { channel, credential, platform } }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.way {
            Way::FanOut => write!(f, "{}/fanout", self.lane),
            Way::Channel { channel, credential, platform } => {
                write!(f, "{}/{channel}/{credential}/{platform}", self.lane)
            }
        }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Route({self})")
    }
}

impl FromStr for Route {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let mut parts = text.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(lane), Some("fanout"), None, None, None) => Ok(Route::fan_out(lane.parse()?)),
            (Some(lane), Some(channel), Some(credential), Some(platform), None) => Ok(Route::channel(
                lane.parse()?,
                channel.parse()?,
                Credential::new(credential)?,
                platform.parse()?,
            )),
            _ => Err(Invalid::new("route", "is not lane/fanout or lane/channel/credential/platform")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_round_trip_as_text() {
        for text in ["transactional/fanout", "bulk/fanout", "bulk/fcm/my-app.1/ios"] {
            assert_eq!(text.parse::<Route>().unwrap().to_string(), text);
        }
        for text in ["", "bulk", "bulk/fcm", "loud/fanout", "bulk/fcm/a b/ios", "bulk/fcm/a/ios/x"] {
            assert!(text.parse::<Route>().is_err(), "{text}");
        }
    }

    #[test]
    fn transactional_routes_sort_first() {
        let bulk = Route::channel(Lane::Bulk, ChannelKind::Fcm, Credential::new("a").unwrap(), Platform::Web);
        assert!(Route::fan_out(Lane::Transactional) < bulk);
    }
}
