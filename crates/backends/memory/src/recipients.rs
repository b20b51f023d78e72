//! For whom a notification is, as steps of resolving it. A user who is erased leaves an empty place, so that a cursor
//! into the steps means the same before and after.

use pabal_core::device::Target;
use pabal_core::ids::{DeviceId, UserId};
use pabal_core::notification::Recipients;
use pabal_core::route::{ChannelKind, Credential};

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unit {
    User(UserId),
    Device { user: UserId, device: DeviceId },
    Literal { channel: ChannelKind, credential: Credential, target: Target },
    Erased,
}

impl Unit {
    pub(crate) fn user(&self) -> Option<&UserId> {
        match self {
            Unit::User(user) | Unit::Device { user, .. } => Some(user),
            Unit::Literal { .. } | Unit::Erased => None,
        }
    }
}

/// The steps that it takes to resolve these recipients.
pub(crate) fn units_of(recipients: &Recipients) -> Vec<Unit> {
    match recipients.clone() {
        Recipients::Users(users) => users.into_iter().map(Unit::User).collect(),
        Recipients::Device { user, device } => vec![Unit::Device { user, device }],
        Recipients::Literal { channel, credential, target } => {
            vec![Unit::Literal { channel, credential, target }]
        }
    }
}

/// Who is left of these recipients; no users where nobody is.
pub(crate) fn recipients_of(units: &[Unit]) -> Recipients {
    match units {
        [Unit::Device { user, device }] => Recipients::Device { user: user.clone(), device: device.clone() },
        [Unit::Literal { channel, credential, target }] => {
            let (credential, target) = (credential.clone(), target.clone());
            Recipients::Literal { channel: *channel, credential, target }
        }
        units => Recipients::Users(units.iter().filter_map(Unit::user).cloned().collect()),
    }
}
