//! Routes that a process must hold because it heard that their credential is refused: it may probe them now and then,
//! and nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use pabal_core::outcome::{CredentialScope, Outcome};
use pabal_core::route::{Platform, Route, Way};

use super::{Boot, Moment, Witness};
use crate::sim::invariant::Invariant;

/// The routes that each process holds.
#[derive(Debug, Default)]
pub(crate) struct Holds(BTreeMap<(Boot, Route), Held>);

#[derive(Debug)]
struct Held {
    since: Duration,
    probes: u32,
}

impl Witness {
    /// A process heard what the provider said about a send on a route.
    pub(super) fn heard(&mut self, boot: Boot, route: &Route, outcome: &Outcome, moment: Moment) {
        match outcome {
            Outcome::CredentialInvalid { scope } if can_be_held(route, *scope) => {
                let held = Held { since: moment.at, probes: 0 };
                self.holds.0.entry((boot, route.clone())).or_insert(held);
            }
            // Proof that the credential is accepted: what it serves goes on.
            Outcome::Delivered | Outcome::Unregistered | Outcome::SenderMismatch => {
                self.holds.0.retain(|(holder, held), _| *holder != boot || !same_credential(held, route));
            }
            Outcome::CredentialInvalid { .. }
            | Outcome::NotSent
            | Outcome::Unknown
            | Outcome::Throttled { .. }
            | Outcome::Unavailable { .. }
            | Outcome::Rejected
            | Outcome::MalformedTarget => {}
        }
    }

    /// A process sends on a route: if it holds it, as a probe.
    pub(super) fn probes(&mut self, boot: Boot, route: &Route, name: &str, moment: Moment) {
        let Some(held) = self.holds.0.get_mut(&(boot, route.clone())) else { return };
        held.probes += 1;
        let for_ms = (moment.at - held.since).as_millis();
        // It may have been held before, with another route that the same credential serves.
        let due = 1 + for_ms / u128::from(self.limits.credential_probe_ms);
        let probes = held.probes;
        self.tally.check(Invariant::HeldRouteIsOnlyProbed, u128::from(probes) <= due, || {
            format!("{name} is send {probes} on {route}, which {boot} has held for {for_ms} ms")
        });
    }
}

/// On the platform `other` nobody knows whom a platform's credential serves: only the delivery itself waits.
fn can_be_held(route: &Route, scope: CredentialScope) -> bool {
    let is_other = matches!(route.way, Way::Channel { platform: Platform::Other, .. });
    scope == CredentialScope::Credential || !is_other
}

fn same_credential(one: &Route, other: &Route) -> bool {
    match (&one.way, &other.way) {
        (Way::Channel { credential, .. }, Way::Channel { credential: other, .. }) => credential == other,
        (Way::FanOut, _) | (_, Way::FanOut) => false,
    }
}
