//! For whom a notification is, as it is kept. Who is erased leaves an empty place, so that a cursor into the places means
//! the same before and after.

use std::ops::Range;

use pabal_core::device::Target;
use pabal_core::ids::{DeviceId, Invalid, UserId};
use pabal_core::notification::Recipients;
use pabal_core::route::{ChannelKind, Credential};
use pabal_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::errors::corrupt;

/// What stands where a user or a device of theirs was, before they were erased. No name is empty.
pub(crate) const ERASED: &str = "";

/// The same words as those of [`Recipients`], with places for users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeptRecipients {
    Users(Vec<Place>),
    Device { user: UserId, device: DeviceId },
    Literal { channel: ChannelKind, credential: Credential, target: Target },
}

/// A user, or nobody any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Place(Option<UserId>);

impl KeptRecipients {
    /// From a column. What is in it stays out of the error: it is about people.
    pub(crate) fn read(operation: &'static str, column: &str) -> Result<Self> {
        serde_json::from_str(column).map_err(|error| {
            corrupt(operation, format!("column recipients: {:?} error in its JSON", error.classify()))
        })
    }

    /// As a column.
    pub(crate) fn written(&self, operation: &'static str) -> Result<String> {
        serde_json::to_string(self).map_err(|error| {
            let message = "recipients can't be written as JSON";
            Error::new(ErrorKind::Unexpected, operation, message).with_source(error)
        })
    }

    /// How many steps it takes to resolve them.
    pub(crate) fn places(&self) -> usize {
        match self {
            Self::Users(places) => places.len(),
            Self::Device { .. } | Self::Literal { .. } => 1,
        }
    }

    /// Who is left of these places; no users where nobody is.
    pub(crate) fn living(&self, places: Range<usize>) -> Recipients {
        match self {
            Self::Users(all) => {
                let of = all.get(places).unwrap_or_default();
                Recipients::Users(of.iter().filter_map(|place| place.0.clone()).collect())
            }
            Self::Device { .. } | Self::Literal { .. } if places.is_empty() => Recipients::Users(Vec::new()),
            Self::Device { user, device } => {
                Recipients::Device { user: user.clone(), device: device.clone() }
            }
            Self::Literal { channel, credential, target } => Recipients::Literal {
                channel: *channel,
                credential: credential.clone(),
                target: target.clone(),
            },
        }
    }

    /// Who is left of all.
    pub(crate) fn all(&self) -> Recipients {
        self.living(0..self.places())
    }

    /// Empties a user's places. Answers whether there were any.
    pub(crate) fn erase(&mut self, user: &UserId) -> bool {
        match self {
            Self::Users(places) => {
                let theirs = places.iter_mut().filter(|place| place.0.as_ref() == Some(user));
                theirs.map(|place| place.0 = None).count() > 0
            }
            Self::Device { user: whose, .. } if whose == user => {
                *self = Self::Users(vec![Place(None)]);
                true
            }
            Self::Device { .. } | Self::Literal { .. } => false,
        }
    }

    /// Whether it was for nobody but who is erased.
    pub(crate) fn is_for_nobody(&self) -> bool {
        match self {
            Self::Users(places) => places.iter().all(|place| place.0.is_none()),
            Self::Device { .. } | Self::Literal { .. } => false,
        }
    }
}

impl TryFrom<String> for Place {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        if text == ERASED { Ok(Self(None)) } else { UserId::try_from(text).map(|user| Self(Some(user))) }
    }
}

impl From<Place> for String {
    fn from(place: Place) -> String {
        place.0.map_or_else(|| ERASED.to_owned(), String::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    fn kept(recipients: &Recipients) -> KeptRecipients {
        KeptRecipients::read("test", &serde_json::to_string(recipients).unwrap()).unwrap()
    }

    fn users(names: &[&str]) -> Recipients {
        Recipients::Users(names.iter().map(|name| user(name)).collect())
    }

    #[test]
    fn recipients_read_back_as_they_were_accepted() {
        let literal = Recipients::Literal {
            channel: ChannelKind::Fcm,
            credential: Credential::new("main").unwrap(),
            target: Target::Token("t".into()),
        };
        let device = Recipients::Device { user: user("ann"), device: DeviceId::new("phone").unwrap() };
        for given in [users(&["ann", "bob"]), device, literal] {
            let kept = kept(&given);
            assert_eq!(kept.all(), given);
            assert_eq!(kept.written("test").unwrap(), serde_json::to_string(&given).unwrap());
            assert!(!kept.is_for_nobody());
        }
    }

    #[test]
    fn who_is_erased_leaves_an_empty_place() {
        let mut kept = kept(&users(&["ann", "bob", "cal"]));
        assert!(kept.erase(&user("bob")));
        assert!(!kept.erase(&user("bob")), "there is nobody any more");
        let kept = KeptRecipients::read("test", &kept.written("test").unwrap()).unwrap();
        assert_eq!(kept.places(), 3);
        assert_eq!((kept.living(0..2), kept.living(2..3)), (users(&["ann"]), users(&["cal"])));
        assert_eq!(kept.all(), users(&["ann", "cal"]));
    }

    #[test]
    fn a_device_goes_with_its_user_and_keeps_the_place() {
        let device = Recipients::Device { user: user("ann"), device: DeviceId::new("ann").unwrap() };
        let mut kept = kept(&device);
        assert!(!kept.erase(&user("bob")));
        assert!(kept.erase(&user("ann")));
        assert!(kept.is_for_nobody());
        assert_eq!((kept.places(), kept.all()), (1, users(&[])));
        assert!(!kept.written("test").unwrap().contains("ann"));
    }
}
