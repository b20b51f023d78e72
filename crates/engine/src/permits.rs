//! Permits: who may be in flight. A delivery is claimed only against a permit, and gives it back once it is settled,
//! so that "in flight" bounds what a crash can send twice.
//!
//! Bulk work never takes the last tenth of the permits: a transactional delivery finds one free.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pabal_core::route::{Lane, Route, Way};
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

#[derive(Default)]
struct Held {
    /// Deliveries over all routes; fan-outs are counted on their route alone.
    deliveries: usize,
    by_route: BTreeMap<Route, usize>,
}

impl Permits {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, held: Mutex::default(), returned: Notify::new() })
    }

    /// Takes up to `max` permits of a route.
    pub(crate) fn take(self: &Arc<Self>, route: &Route, max: usize) -> Vec<Permit> {
        let count = {
            let mut held = self.lock();
            let count = self.free(&held, route).min(max);
            if count > 0 {
                *held.by_route.entry(route.clone()).or_insert(0) += count;
                held.deliveries += if is_fan_out(route) { 0 } else { count };
            }
            count
        };
        (0..count).map(|_| Permit { route: route.clone(), permits: Arc::clone(self) }).collect()
    }

    /// Whether a route has a permit left.
    pub(crate) fn any_free(&self, route: &Route) -> bool {
        self.free(&self.lock(), route) > 0
    }

    /// Permits that are held, fan-outs included.
    pub(crate) fn in_flight(&self) -> usize {
        self.lock().by_route.values().sum()
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

    fn free(&self, held: &Held, route: &Route) -> usize {
        let on_route = held.by_route.get(route).copied().unwrap_or(0);
        if is_fan_out(route) {
            return self.limits.fan_outs_per_lane.saturating_sub(on_route);
        }
        let all = match route.lane {
            Lane::Transactional => self.limits.all,
            Lane::Bulk => (self.limits.all * 9 / 10).max(1),
        };
        all.saturating_sub(held.deliveries).min(self.limits.per_route.saturating_sub(on_route))
    }

    fn give_back(&self, route: &Route) {
        {
            let mut held = self.lock();
            if let Some(count) = held.by_route.get_mut(route) {
                *count = count.saturating_sub(1);
            }
            held.deliveries = held.deliveries.saturating_sub(usize::from(!is_fan_out(route)));
        }
        self.returned.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_fan_out(route: &Route) -> bool {
    matches!(route.way, Way::FanOut)
}

/// The right to have one item in flight on a route; given back when dropped.
pub(crate) struct Permit {
    route: Route,
    permits: Arc<Permits>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.give_back(&self.route);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits() -> Arc<Permits> {
        Permits::new(Limits { all: 10, per_route: 8, fan_outs_per_lane: 2 })
    }

    fn route(text: &str) -> Route {
        text.parse().unwrap()
    }

    #[test]
    fn a_route_and_all_routes_together_are_bounded() {
        let permits = permits();
        let first = permits.take(&route("transactional/fcm/a/ios"), 99);
        assert_eq!(first.len(), 8);
        assert_eq!(permits.take(&route("transactional/fcm/a/web"), 99).len(), 2);
        drop(first);
        assert_eq!(permits.in_flight(), 0);
    }

    #[test]
    fn bulk_never_takes_the_last_tenth() {
        let permits = permits();
        let held = [permits.take(&route("bulk/fcm/a/ios"), 99), permits.take(&route("bulk/fcm/a/web"), 99)];
        assert_eq!(held.iter().map(Vec::len).sum::<usize>(), 9);
        assert_eq!(permits.take(&route("transactional/fcm/a/ios"), 99).len(), 1);
    }

    #[test]
    fn fan_outs_have_permits_of_their_own() {
        let permits = permits();
        let held = permits.take(&route("bulk/fanout"), 99);
        assert_eq!(held.len(), 2);
        assert!(permits.any_free(&route("transactional/fcm/a/ios")));
    }
}
