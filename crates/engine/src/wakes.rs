//! What is due when, as far as this process knows: per route the next due time. It replaces polling: whoever accepts
//! or retries something earlier moves the route's time and wakes the dispatcher.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pabal_core::route::{Route, Way};
use tokio::sync::Notify;
use tokio::time::Instant;

/// The next due time of each known route.
#[derive(Default)]
pub(crate) struct Wakes {
    due: Mutex<BTreeMap<Route, Option<Instant>>>,
    earlier: Notify,
    /// Kept apart from the map, so that it can be asked while the map is looked through.
    several_credentials: AtomicBool,
}

impl Wakes {
    /// Something of this route falls due after `in_ms`, or at once.
    pub(crate) fn wake(&self, route: &Route, in_ms: u64) {
        let at = Instant::now() + Duration::from_millis(in_ms);
        let moved = {
            let mut due = self.lock();
            match due.get_mut(route) {
                Some(Some(known)) if *known <= at => false,
                Some(known) => {
                    *known = Some(at);
                    true
                }
                None => {
                    due.insert(route.clone(), Some(at));
                    self.several_credentials.store(has_several_credentials(&due), Ordering::SeqCst);
                    true
                }
            }
        };
        if moved {
            self.earlier.notify_one();
        }
    }

    /// The same for several routes.
    pub(crate) fn wake_all<'a>(&self, waiting: impl IntoIterator<Item = &'a (Route, u64)>) {
        for (route, in_ms) in waiting {
            self.wake(route, *in_ms);
        }
    }

    /// Everything known may be due: after a start, a failed claim, an idle poll.
    pub(crate) fn wake_known(&self) {
        for due in self.lock().values_mut() {
            *due = Some(Instant::now());
        }
        self.earlier.notify_one();
    }

    /// The routes that are due now, transactional ones first, marked as being looked at: what falls due from here on
    /// is told anew.
    pub(crate) fn take_due(&self, fits: impl Fn(&Route) -> bool) -> Vec<Route> {
        let now = Instant::now();
        // `fits` may ask for the known routes: nothing is locked meanwhile.
        let mut taken = self.due_by(|at| at <= now);
        taken.retain(|(route, _)| fits(route));
        let mut due = self.lock();
        for (route, _) in &taken {
            due.insert(route.clone(), None);
        }
        taken.into_iter().map(|(route, _)| route).collect()
    }

    /// All known routes.
    pub(crate) fn known(&self) -> Vec<Route> {
        self.lock().keys().cloned().collect()
    }

    /// Whether the known routes belong to more than one credential.
    pub(crate) fn has_several_credentials(&self) -> bool {
        self.several_credentials.load(Ordering::SeqCst)
    }

    /// When the next of the routes that `fits` falls due.
    pub(crate) fn next_due(&self, fits: impl Fn(&Route) -> bool) -> Option<Instant> {
        self.due_by(|_| true).into_iter().filter(|(route, _)| fits(route)).map(|(_, at)| at).min()
    }

    fn due_by(&self, wanted: impl Fn(Instant) -> bool) -> Vec<(Route, Instant)> {
        let due = self.lock();
        let known = due.iter().filter_map(|(route, at)| Some((route, (*at)?)));
        known.filter(|(_, at)| wanted(*at)).map(|(route, at)| (route.clone(), at)).collect()
    }

    /// Waits until some route's time moves earlier.
    pub(crate) async fn earlier(&self) {
        self.earlier.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Route, Option<Instant>>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn has_several_credentials(routes: &BTreeMap<Route, Option<Instant>>) -> bool {
    let mut credentials = routes.keys().filter_map(|route| match &route.way {
        Way::Channel { channel, credential, .. } => Some((channel, credential)),
        Way::FanOut => None,
    });
    let first = credentials.next();
    credentials.any(|other| Some(other) != first)
}
