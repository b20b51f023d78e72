//! Permits: who may be in flight. A delivery is claimed only against a permit, and gives it back once it is settled,
//! so that "in flight" bounds what a crash can send twice.
//!
//! Neither lane takes the last tenth of the permits: a transactional delivery finds one free, and bulk never starves. A
//! credential has no more than its channel can carry, and, where there are several, never all: a provider that hangs
//! holds nobody else up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pabal_core::route::{ChannelKind, Credential, Route, Way};
use tokio::sync::Notify;

/// All permits of an engine.
pub(crate) struct Permits {
    limits: Limits,
    held: Mutex<Held>,
    /// Signalled whenever a permit comes back.
    returned: Notify,
}

/// The limits that permits keep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) all: usize,
    pub(crate) per_route: usize,
    pub(crate) fan_outs_per_lane: usize,
}

/// What is held. Fan-outs are counted on their route alone.
#[derive(Default)]
struct Held {
    by_route: BTreeMap<Route, usize>,
    by_credential: BTreeMap<(ChannelKind, Credential), usize>,
    by_lane: [usize; 2],
    /// Work that has no route yet.
    unrouted: usize,
}

/// What a route's channel can carry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Carries {
    /// Attempts in flight that the credential can have.
    pub(crate) credential_max: usize,
    /// Whether other credentials share the permits.
    pub(crate) shared: bool,
}

impl Permits {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, held: Mutex::default(), returned: Notify::new() })
    }

    /// Takes up to `max` permits of a route. `is_probe` marks them as those of a held route's probe.
    pub(crate) fn take(
        self: &Arc<Self>,
        route: &Route,
        max: usize,
        carries: Carries,
        is_probe: bool,
    ) -> Vec<Permit> {
        let count = {
            let mut held = self.lock();
            let count = self.free(&held, route, carries).min(max);
            held.move_by(route, |held| *held += count);
            count
        };
        (0..count)
            .map(|_| Permit { route: Some(route.clone()), is_probe, permits: Arc::clone(self) })
            .collect()
    }

    /// A permit for work whose route is not known yet: nobody is idle while it is held.
    pub(crate) fn take_unrouted(self: &Arc<Self>) -> Permit {
        self.lock().unrouted += 1;
        Permit { route: None, is_probe: false, permits: Arc::clone(self) }
    }

    /// Whether a route has a permit left.
    pub(crate) fn any_free(&self, route: &Route, carries: Carries) -> bool {
        self.free(&self.lock(), route, carries) > 0
    }

    /// Permits that are held, fan-outs included.
    pub(crate) fn in_flight(&self) -> usize {
        let held = self.lock();
        held.by_route.values().sum::<usize>() + held.unrouted
    }

    /// Waits for the next permit to come back. Make the future before the check that it guards.
    pub(crate) fn returned(&self) -> tokio::sync::futures::Notified<'_> {
        self.returned.notified()
    }

    /// Waits until no permit is held.
    pub(crate) async fn idle(&self) {
        loop {
            let returned = self.returned();
            let mut returned = std::pin::pin!(returned);
            returned.as_mut().enable();
            if self.in_flight() == 0 {
                return;
            }
            returned.await;
        }
    }

    fn free(&self, held: &Held, route: &Route, carries: Carries) -> usize {
        let on_route = held.by_route.get(route).copied().unwrap_or(0);
        let Way::Channel { channel, credential, .. } = &route.way else {
            return self.limits.fan_outs_per_lane.saturating_sub(on_route);
        };
        let all = self.limits.all;
        let on_credential = held.by_credential.get(&(*channel, credential.clone())).copied().unwrap_or(0);
        let credential_max =
            if carries.shared { carries.credential_max.min(share(all, 7)) } else { carries.credential_max };
        let room = [
            all.saturating_sub(held.by_lane.iter().sum()),
            share(all, 9).saturating_sub(held.by_lane[route.lane as usize]),
            self.limits.per_route.saturating_sub(on_route),
            credential_max.saturating_sub(on_credential),
        ];
        room.into_iter().min().unwrap_or(0)
    }

    fn give_back(&self, route: Option<&Route>) {
        {
            let mut held = self.lock();
            match route {
                Some(route) => held.move_by(route, |held| *held = held.saturating_sub(1)),
                None => held.unrouted = held.unrouted.saturating_sub(1),
            }
        }
        self.returned.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Changes every count that a route's permits are part of.
    fn move_by(&mut self, route: &Route, change: impl Fn(&mut usize)) {
        change(self.by_route.entry(route.clone()).or_default());
        if let Way::Channel { channel, credential, .. } = &route.way {
            change(self.by_credential.entry((*channel, credential.clone())).or_default());
            change(&mut self.by_lane[route.lane as usize]);
        }
    }
}

/// So many tenths of `all`, and one at least.
fn share(all: usize, tenths: usize) -> usize {
    (all * tenths / 10).max(1)
}

/// The right to have one item in flight; given back when dropped.
pub(crate) struct Permit {
    route: Option<Route>,
    is_probe: bool,
    permits: Arc<Permits>,
}

impl Permit {
    /// Whether it lets one delivery out on a route that is held.
    pub(crate) fn is_probe(&self) -> bool {
        self.is_probe
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.give_back(self.route.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: Carries = Carries { credential_max: usize::MAX, shared: false };

    fn permits(per_route: usize) -> Arc<Permits> {
        Permits::new(Limits { all: 10, per_route, fan_outs_per_lane: 2 })
    }

    fn take(permits: &Arc<Permits>, route: &str, carries: Carries) -> Vec<Permit> {
        permits.take(&route.parse().unwrap(), 99, carries, false)
    }

    #[test]
    fn a_route_and_all_routes_together_are_bounded() {
        let permits = permits(5);
        let first = take(&permits, "transactional/fcm/a/ios", ALONE);
        assert_eq!(first.len(), 5);
        assert_eq!(take(&permits, "transactional/fcm/a/web", ALONE).len(), 4);
        drop(first);
        assert_eq!(permits.in_flight(), 0);
    }

    #[test]
    fn neither_lane_takes_the_last_tenth() {
        for (busy, other) in [("bulk", "transactional"), ("transactional", "bulk")] {
            let permits = permits(10);
            let held = take(&permits, &format!("{busy}/fcm/a/ios"), ALONE);
            assert_eq!(held.len(), 9);
            assert_eq!(take(&permits, &format!("{other}/fcm/a/ios"), ALONE).len(), 1);
        }
    }

    #[test]
    fn a_credential_has_no_more_than_its_channel_carries_and_never_all() {
        let permits = permits(10);
        let narrow = Carries { credential_max: 3, shared: false };
        let held = take(&permits, "bulk/fcm/a/ios", narrow);
        assert_eq!((held.len(), take(&permits, "bulk/fcm/a/web", narrow).len()), (3, 0));
        let shared = Carries { credential_max: usize::MAX, shared: true };
        assert_eq!(take(&permits, "transactional/fcm/b/ios", shared).len(), 7);
    }

    #[test]
    fn fan_outs_have_permits_of_their_own() {
        let permits = permits(8);
        let held = take(&permits, "bulk/fanout", ALONE);
        assert_eq!(held.len(), 2);
        assert!(permits.any_free(&"transactional/fcm/a/ios".parse().unwrap(), ALONE));
    }

    #[test]
    fn unrouted_work_counts_as_in_flight() {
        let permits = permits(8);
        let held = permits.take_unrouted();
        assert_eq!(permits.in_flight(), 1);
        drop(held);
        assert_eq!(permits.in_flight(), 0);
    }
}
