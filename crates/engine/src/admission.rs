//! Admission: for which routes may how much be claimed now? What is due, not held, and has permits that its channel can
//! carry. The dispatcher asks for everything that is due; an accept asks for what it leads to, so that it can lease what
//! it inserts in the same commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pabal_core::limits;
use pabal_core::notification::{Notification, Recipients};
use pabal_core::route::{Platform, Route, Way};
use pabal_core::seam::Acceptance;

use crate::pauses::Allowance;
use crate::permits::{Carries, Permit};
use crate::shared::{Phase, Shared};

/// Permits of a route that one accept takes at most.
const ACCEPT_PER_ROUTE_MAX: usize = 16;
/// Routes that one accept takes permits of at most.
const ACCEPT_ROUTES_MAX: usize = 8;

/// The permits of each route.
pub(crate) type Permitted = BTreeMap<Route, Vec<Permit>>;

/// Takes what permits there are for the routes that are due now: the more urgent lane first, and within it another route
/// first at each `turn`, so that no backlog stands before another's for good.
pub(crate) fn due(shared: &Arc<Shared>, turn: usize) -> Permitted {
    let mut permitted = Permitted::new();
    let mut left = limits::CLAIM_MAX;
    for route in in_turn(shared.wakes.take_due(|route| may_claim(shared, route)), turn) {
        let permits = take(shared, &route, left);
        if permits.is_empty() {
            shared.wakes.wake(&route, 0);
            continue;
        }
        left -= permits.len();
        permitted.insert(route, permits);
    }
    permitted
}

/// Takes some permits for what an accept leads to, while the engine is idle enough. Once much is in flight, the
/// dispatcher's own claims are the better batches; while suspects run apart, nobody else begins.
pub(crate) fn for_accept(shared: &Arc<Shared>, batch: &[Acceptance]) -> Permitted {
    let busy = shared.permits.in_flight() > shared.config.attempts_in_flight_max / 4;
    if busy || shared.is_quiet() || shared.phase() != Phase::Running || !shared.health.is_good() {
        return Permitted::new();
    }
    let led_to = |route: &Route| batch.iter().any(|acceptance| leads_to(&acceptance.notification, route));
    let routes =
        shared.wakes.known().into_iter().filter(|route| led_to(route) && !shared.pauses.is_held(route));
    let taken = routes.take(ACCEPT_ROUTES_MAX).map(|route| {
        let permits = take(shared, &route, ACCEPT_PER_ROUTE_MAX);
        (route, permits)
    });
    taken.filter(|(_, permits)| !permits.is_empty()).collect()
}

/// Takes a permit for each of `count` suspects of a route that nobody else holds up.
pub(crate) fn suspects(shared: &Arc<Shared>, route: &Route, count: usize) -> Vec<Permit> {
    take(shared, route, count)
}

/// Whether something of a route may be claimed now.
pub(crate) fn may_claim(shared: &Shared, route: &Route) -> bool {
    let allowed = !matches!(shared.pauses.allowance(route), Allowance::NoneUntil(_));
    allowed && shared.permits.any_free(route, carries(shared, route))
}

fn take(shared: &Arc<Shared>, route: &Route, max: usize) -> Vec<Permit> {
    let (max, is_probe) = match shared.pauses.allowance(route) {
        Allowance::All => (max, false),
        Allowance::Probe => (max.min(1), true),
        Allowance::NoneUntil(_) => (0, false),
    };
    shared.permits.take(route, max, carries(shared, route), is_probe)
}

/// What a route's channel can carry; fan-outs need no channel.
fn carries(shared: &Shared, route: &Route) -> Carries {
    match &route.way {
        Way::FanOut => Carries { credential_max: usize::MAX, shared: false },
        Way::Channel { channel, credential, .. } => Carries {
            credential_max: shared.channels.get(channel).map_or(0, |channel| channel.capacity(credential)),
            shared: shared.wakes.has_several_credentials(),
        },
    }
}

fn leads_to(notification: &Notification, route: &Route) -> bool {
    if route.lane != notification.lane {
        return false;
    }
    match (&notification.recipients, &route.way) {
        (_, Way::FanOut) => false,
        (
            Recipients::Literal { channel, credential, .. },
            Way::Channel { channel: on, credential: by, platform },
        ) => channel == on && credential == by && *platform == Platform::Other,
        (Recipients::Users(_) | Recipients::Device { .. }, Way::Channel { platform, .. }) => {
            *platform != Platform::Other
        }
    }
}

/// The routes of each lane, beginning with another one at each turn; lanes stay in their order.
fn in_turn(routes: Vec<Route>, turn: usize) -> Vec<Route> {
    let lanes: BTreeSet<_> = routes.iter().map(|route| route.lane).collect();
    let of_lane = |lane| {
        let mut routes: Vec<Route> = routes.iter().filter(|route| route.lane == lane).cloned().collect();
        let by = turn % routes.len().max(1);
        routes.rotate_left(by);
        routes
    };
    lanes.into_iter().flat_map(of_lane).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_take_turns_within_their_lane() {
        let routes = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Route>>();
        let due = routes(&["transactional/fcm/a/ios", "transactional/fcm/b/ios", "bulk/fcm/a/ios"]);
        assert_eq!(in_turn(due.clone(), 0), due);
        let turned = routes(&["transactional/fcm/b/ios", "transactional/fcm/a/ios", "bulk/fcm/a/ios"]);
        assert_eq!(in_turn(due, 1), turned);
    }
}
