//! The names of things in a simulated world. A token says by its name what the provider makes of it.

use std::fmt::Write;

use pabal_core::device::{Registration, Target};
use pabal_core::ids::{DeviceId, UserId};
use pabal_core::route::{ChannelKind, Credential};

use super::script::{NewDevice, TokenKind};

/// The projects that exist.
pub(crate) const PROJECTS: [&str; 2] = ["main", "other"];
/// The one topic.
pub(crate) const TOPIC: &str = "news";

const KINDS: [(TokenKind, &str); 7] = [
    (TokenKind::Good, "good"),
    (TokenKind::Gone, "gone"),
    (TokenKind::Foreign, "foreign"),
    (TokenKind::Malformed, "malformed"),
    (TokenKind::Refused, "refused"),
    (TokenKind::Broken, "broken"),
    (TokenKind::Poison, "poison"),
];

pub(crate) fn user(number: usize) -> UserId {
    UserId::new(format!("user-{number}")).expect("a short name")
}

pub(crate) fn device(number: usize) -> DeviceId {
    DeviceId::new(format!("device-{number}")).expect("a short name")
}

pub(crate) fn project(number: usize) -> Credential {
    Credential::new(PROJECTS[number % PROJECTS.len()]).expect("a sound name")
}

/// A token that the provider treats so; `path` tells it from the others of its kind.
pub(crate) fn token(kind: TokenKind, path: &[usize]) -> Target {
    let name = KINDS.iter().find(|(of, _)| *of == kind).map_or("good", |(_, name)| *name);
    let mut text = name.to_owned();
    for part in path {
        write!(text, "-{part}").expect("a string takes everything");
    }
    Target::Token(text)
}

/// What the provider makes of an address; `None` for what is no token.
pub(crate) fn token_kind(address: &str) -> Option<TokenKind> {
    let name = address.split('-').next()?;
    KINDS.iter().find(|(_, of)| *of == name).map(|(kind, _)| *kind)
}

/// The registration number `number` of a world.
pub(crate) fn registration(new: NewDevice, number: usize) -> Registration {
    Registration {
        channel: ChannelKind::Fcm,
        credential: project(new.project),
        platform: new.platform,
        target: token(new.token, &[number]),
        locale: None,
        time_zone: None,
    }
}
