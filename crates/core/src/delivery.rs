//! Deliveries: one notification × one target, and the states it can be in.
//!
//! ```text
//!                    ┌────────────┐   retry    ┌──────────┐ ─┐
//!   accept, page ──► │ scheduled  │ ─────────► │ retrying │  │ retry
//!                    └────────────┘            └──────────┘ ◄┘
//!                          │  attempt, expiry, cancel │
//!                          ▼                          ▼
//!     delivered · dead · expired · cancelled · undeliverable     (final)
//!        ▲          │ redrive → scheduled
//!        └──────────┴── a later attempt that arrived after all
//! ```
//!
//! *Leased* is not a state: who works on a delivery is the queue's business and never written to the store.
//! Nothing leaves `delivered`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::device::Target;
use crate::ids::{DeliveryId, DeviceId, Invalid, NotificationId, UserId};
use crate::route::named;

/// The state of a delivery, as the store keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// Waits for its first attempt.
    Scheduled,
    /// Has failed at least once and waits for its next attempt.
    Retrying,
    /// The provider took it.
    Delivered,
    /// Will not be tried again by itself; can be redriven.
    Dead,
    /// Its time to live ended first.
    Expired,
    /// The caller took it back first.
    Cancelled,
    /// There was nobody to send it to.
    Undeliverable,
}

named!(
    DeliveryState,
    "state",
    Scheduled = "scheduled",
    Retrying = "retrying",
    Delivered = "delivered",
    Dead = "dead",
    Expired = "expired",
    Cancelled = "cancelled",
    Undeliverable = "undeliverable"
);

impl DeliveryState {
    /// All states, open ones first.
    pub const ALL: [DeliveryState; 7] = [
        Self::Scheduled,
        Self::Retrying,
        Self::Delivered,
        Self::Dead,
        Self::Expired,
        Self::Cancelled,
        Self::Undeliverable,
    ];

    /// Whether the delivery still waits for an attempt.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Scheduled | Self::Retrying)
    }

    /// Whether an attempt, an expiry or a cancel may take a delivery from this state to `next`. A redrive is not
    /// among them: see [`DeliveryState::can_be_redriven`].
    pub const fn may_become(self, next: DeliveryState) -> bool {
        match self {
            Self::Scheduled | Self::Retrying => !matches!(next, Self::Scheduled),
            Self::Delivered => false,
            Self::Dead | Self::Expired | Self::Cancelled | Self::Undeliverable => {
                matches!(next, Self::Delivered)
            }
        }
    }

    /// Whether a redrive may make it `scheduled` again.
    pub const fn can_be_redriven(self) -> bool {
        matches!(self, Self::Dead)
    }
}

/// Why a delivery ended otherwise than delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Dead: all attempts were used.
    AttemptsExhausted,
    /// Dead: the provider refuses this message.
    Rejected,
    /// Dead: the provider says that the registration is gone.
    Unregistered,
    /// Dead: the registration belongs to another sender.
    SenderMismatch,
    /// Dead: the provider says that the address is malformed.
    MalformedTarget,
    /// Dead: each process that tried it died.
    Abandoned,
    /// Expired: the time to live ended, or would end before the next attempt.
    TtlEnded,
    /// Cancelled by the caller.
    CancelRequested,
    /// Undeliverable: the user had no device when it was due.
    NoDevice,
    /// Undeliverable: the device was deleted, or its token moved to another, before the attempt.
    DeviceGone,
    /// Undeliverable: the device was retired before the attempt.
    DeviceRetired,
}

named!(
    Reason,
    "reason",
    AttemptsExhausted = "attempts_exhausted",
    Rejected = "rejected",
    Unregistered = "unregistered",
    SenderMismatch = "sender_mismatch",
    MalformedTarget = "malformed_target",
    Abandoned = "abandoned",
    TtlEnded = "ttl_ended",
    CancelRequested = "cancel_requested",
    NoDevice = "no_device",
    DeviceGone = "device_gone",
    DeviceRetired = "device_retired"
);

impl Reason {
    /// The state that a delivery ends in for this reason.
    pub const fn state(self) -> DeliveryState {
        match self {
            Self::AttemptsExhausted
            | Self::Rejected
            | Self::Unregistered
            | Self::SenderMismatch
            | Self::MalformedTarget
            | Self::Abandoned => DeliveryState::Dead,
            Self::TtlEnded => DeliveryState::Expired,
            Self::CancelRequested => DeliveryState::Cancelled,
            Self::NoDevice | Self::DeviceGone | Self::DeviceRetired => DeliveryState::Undeliverable,
        }
    }
}

/// Whom a delivery is for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Recipient {
    /// A registered device. Its token is looked up at each attempt.
    Device {
        /// Whose.
        user: UserId,
        /// Which.
        device: DeviceId,
    },
    /// An address that Pabal keeps no device for.
    Literal(Target),
    /// A user without a device: kept so that nobody is left out silently.
    NoDevice {
        /// Who.
        user: UserId,
    },
}

impl Recipient {
    /// What names this recipient within its notification. The parts are separated by a character that checked
    /// identifiers can't hold, so two recipients never share a key.
    pub fn key(&self) -> String {
        match self {
            Recipient::Device { user, device } => format!("device\n{user}\n{device}"),
            Recipient::Literal(target) => format!("{}\n{}", target.kind(), target.address()),
            Recipient::NoDevice { user } => format!("no_device\n{user}"),
        }
    }

    /// The id of the delivery of `notification` to this recipient.
    pub fn delivery_id(&self, notification: NotificationId) -> DeliveryId {
        DeliveryId::derive(notification, &self.key())
    }

    /// The user, where there is one.
    pub fn user(&self) -> Option<&UserId> {
        match self {
            Recipient::Device { user, .. } | Recipient::NoDevice { user } => Some(user),
            Recipient::Literal(_) => None,
        }
    }

    /// From the columns in which stores keep a recipient: user, device, and kind and address of a literal target.
    ///
    /// # Errors
    /// If they are no combination that [`Recipient`] can have.
    pub fn from_parts(
        user: Option<UserId>,
        device: Option<DeviceId>,
        target: Option<Target>,
    ) -> Result<Self, Invalid> {
        match (user, device, target) {
            (Some(user), Some(device), None) => Ok(Recipient::Device { user, device }),
            (Some(user), None, None) => Ok(Recipient::NoDevice { user }),
            (None, None, Some(target)) => Ok(Recipient::Literal(target)),
            _ => Err(Invalid::new("recipient", "is neither a device, a user nor an address")),
        }
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Recipient::Device { .. } => f.write_str("Device(…)"),
            Recipient::Literal(target) => target.fmt(f),
            Recipient::NoDevice { .. } => f.write_str("NoDevice(…)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_delivered() {
        for next in DeliveryState::ALL {
            assert!(!DeliveryState::Delivered.may_become(next));
        }
        assert!(!DeliveryState::Delivered.can_be_redriven());
    }

    #[test]
    fn a_final_state_can_only_become_delivered() {
        for from in DeliveryState::ALL.into_iter().filter(|state| !state.is_open()) {
            for next in DeliveryState::ALL.into_iter().filter(|next| *next != DeliveryState::Delivered) {
                assert!(!from.may_become(next), "{from} → {next}");
            }
        }
    }

    #[test]
    fn open_states_reach_everything_but_scheduled() {
        for from in [DeliveryState::Scheduled, DeliveryState::Retrying] {
            for next in DeliveryState::ALL {
                assert_eq!(from.may_become(next), next != DeliveryState::Scheduled, "{from} → {next}");
            }
        }
    }

    #[test]
    fn recipients_never_share_a_key() {
        let user = |name| UserId::new(name).unwrap();
        let device = |name| DeviceId::new(name).unwrap();
        let keys = [
            Recipient::Device { user: user("a"), device: device("b/c") }.key(),
            Recipient::Device { user: user("a/b"), device: device("c") }.key(),
            Recipient::NoDevice { user: user("a") }.key(),
            Recipient::Literal(Target::Token("a".into())).key(),
            Recipient::Literal(Target::Fid("a".into())).key(),
        ];
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }

    #[test]
    fn debug_output_shows_no_person_and_no_token() {
        let shown = format!("{:?}", Recipient::Literal(Target::Token("secret".into())));
        assert_eq!(shown, "token(…)");
    }
}
