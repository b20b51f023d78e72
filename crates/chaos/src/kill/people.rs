//! Who is written to: users with several devices each, and what the fault script does to some of their tokens for ever.
//!
//! A token is all that decides how the emulator treats a device, and all that the books are compared by; so each belongs
//! to one device or to one notification, never to two.

use std::collections::HashMap;
use std::sync::Arc;

use fcm_emulator::{FaultKind, TokenRule};
use pabal_core::delivery::{DeliveryState, Reason};
use rand::Rng;
use rand::rngs::SmallRng;

/// How many users there are: more than one page of a fan-out resolves.
pub(crate) const USERS: usize = 1000;
/// Devices of one user.
const DEVICES: std::ops::RangeInclusive<usize> = 1..=4;
const PLATFORMS: [&str; 3] = ["android", "ios", "web"];
/// How often a device (but for a user's first) or a literal token is bad for ever, in a hundred.
const BAD_IN_A_HUNDRED: u32 = 4;

/// What sends to a token come to in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// They arrive, however often they fail first.
    Good,
    /// 404 UNREGISTERED, always.
    Gone,
    /// 400 INVALID_ARGUMENT for the token, always.
    Malformed,
    /// 403 SENDER_ID_MISMATCH, always.
    Foreign,
}

impl Fate {
    const BAD: [Fate; 3] = [Fate::Gone, Fate::Malformed, Fate::Foreign];

    /// The rules by which the emulator lets it happen.
    pub(crate) fn rules() -> Vec<TokenRule> {
        let rule = |fate: Fate| {
            let answer = match fate {
                Fate::Good => return None,
                Fate::Gone => FaultKind::Unregistered,
                Fate::Malformed => FaultKind::InvalidToken,
                Fate::Foreign => FaultKind::SenderMismatch,
            };
            Some(TokenRule { prefix: fate.prefix().to_owned(), answer, first: None, status: None })
        };
        Fate::BAD.into_iter().filter_map(rule).collect()
    }

    /// Whether a delivery that ended so was bound to, by the fault script alone.
    pub(crate) fn explains(self, state: DeliveryState, reason: Option<Reason>) -> bool {
        let dead = |why| state == DeliveryState::Dead && reason == Some(why);
        let retired = || {
            state == DeliveryState::Undeliverable && reason == Some(Reason::DeviceRetired) && self.retires()
        };
        match self {
            Fate::Good => false,
            Fate::Gone => dead(Reason::Unregistered) || retired(),
            Fate::Malformed => dead(Reason::MalformedTarget),
            Fate::Foreign => dead(Reason::SenderMismatch) || retired(),
        }
    }

    /// Whether a device is retired for it, and left out of what is sent to its user from then on.
    pub(crate) fn retires(self) -> bool {
        matches!(self, Fate::Gone | Fate::Foreign)
    }

    const fn prefix(self) -> &'static str {
        match self {
            Fate::Good => "good-",
            Fate::Gone => "gone-",
            Fate::Malformed => "malformed-",
            Fate::Foreign => "foreign-",
        }
    }

    fn draw(rng: &mut SmallRng) -> Fate {
        match rng.random_range(0..100) < BAD_IN_A_HUNDRED {
            true => Fate::BAD[rng.random_range(0..Fate::BAD.len())],
            false => Fate::Good,
        }
    }
}

/// A token and what becomes of sends to it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) token: Arc<str>,
    pub(crate) fate: Fate,
}

impl Target {
    /// A token of about the length of a real one, that no device has.
    pub(crate) fn literal(rng: &mut SmallRng, number: usize) -> Target {
        Target::new(Fate::draw(rng), &format!("literal-{number:07}"))
    }

    pub(crate) fn new(fate: Fate, name: &str) -> Target {
        Target { token: format!("{}{name}:APA91b{}", fate.prefix(), "x".repeat(100)).into(), fate }
    }
}

/// One device of a user.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) platform: &'static str,
    pub(crate) target: Target,
}

/// A user.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) user: String,
    pub(crate) devices: Vec<Device>,
}

/// Everybody.
#[derive(Debug)]
pub(crate) struct People {
    pub(crate) all: Vec<Person>,
    by_name: HashMap<(String, String), Arc<str>>,
}

impl People {
    pub(crate) fn draw(rng: &mut SmallRng) -> People {
        let all: Vec<Person> = (0..USERS).map(|number| Person::draw(rng, number)).collect();
        let named = all.iter().flat_map(|person| {
            person
                .devices
                .iter()
                .map(|device| ((person.user.clone(), device.name.clone()), Arc::clone(&device.target.token)))
        });
        People { by_name: named.collect(), all }
    }

    /// The token that a device was registered with.
    pub(crate) fn token_of(&self, user: String, device: String) -> Option<Arc<str>> {
        self.by_name.get(&(user, device)).cloned()
    }
}

impl Person {
    /// The first device is always good: a user whose devices are all retired has none.
    fn draw(rng: &mut SmallRng, number: usize) -> Person {
        let user = format!("user-{number:04}");
        let device = |place: usize| {
            let fate = if place == 0 { Fate::Good } else { Fate::draw(rng) };
            let target = Target::new(fate, &format!("{number:04}-{place}"));
            let platform = PLATFORMS[(number + place) % PLATFORMS.len()];
            Device { name: format!("device-{place}"), platform, target }
        };
        let count = DEVICES.start() + number % (DEVICES.end() - DEVICES.start() + 1);
        Person { user, devices: (0..count).map(device).collect() }
    }
}
