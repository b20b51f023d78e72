//! What is due when, as far as this process knows: per route the next due time. It replaces polling: whoever accepts
//! or retries something earlier moves the route's time and wakes the dispatcher.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pabal_core::route::Route;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The next due time of each known route.
#[derive(Default)]
pub(crate) struct Wakes {
    due: Mutex<BTreeMap<Route, Option<Instant>>>,
    earlier: Notify,
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
        let mut taken = Vec::new();
        for (route, due) in self.lock().iter_mut() {
            if due.is_some_and(|at| at <= now) && fits(route) {
                *due = None;
                taken.push(route.clone());
            }
        }
        taken
    }

    /// All known routes.
    pub(crate) fn known(&self) -> Vec<Route> {
        self.lock().keys().cloned().collect()
    }

    /// When the next of the routes that `fits` falls due.
    pub(crate) fn next_due(&self, fits: impl Fn(&Route) -> bool) -> Option<Instant> {
        self.lock().iter().filter(|(route, _)| fits(route)).filter_map(|(_, due)| *due).min()
    }

    /// Waits until some route's time moves earlier.
    pub(crate) async fn earlier(&self) {
        self.earlier.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Route, Option<Instant>>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
