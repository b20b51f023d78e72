//! Pauses: routes that are held because their credential was refused. A held route is not claimed, so nothing is
//! leased, burnt or in another route's way; once a minute one delivery goes out as a probe.
//!
//! A pause is a row in the store, so that it survives a restart.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pabal_core::Result;
use pabal_core::clock::{Clock, Timestamp};
use pabal_core::outcome::CredentialScope;
use pabal_core::route::{Platform, Route, Way};
use pabal_core::seam::Pauses;
use pabal_core::seam::store::Pause;
use tokio::time::Instant;

/// The book of pauses of this process, written through to the store.
pub(crate) struct PauseBook {
    store: Arc<dyn Pauses>,
    held: Mutex<BTreeMap<Route, Held>>,
    probe_every: Duration,
}

#[derive(Debug, Clone)]
struct Held {
    scope: CredentialScope,
    reason: String,
    since: Timestamp,
    next_probe: Instant,
}

impl PauseBook {
    /// The pauses that the store remembers; each is probed at once.
    pub(crate) async fn load(store: Arc<dyn Pauses>, probe_every: Duration) -> Result<Self> {
        let held = store.pauses().await?.into_iter().map(|pause| {
            let scope = CredentialScope::Platform;
            let held = Held { scope, reason: pause.reason, since: pause.since, next_probe: Instant::now() };
            (pause.route, held)
        });
        let held = Mutex::new(held.collect());
        Ok(Self { store, held, probe_every })
    }

    /// Whether a route is held.
    pub(crate) fn is_held(&self, route: &Route) -> bool {
        self.lock().contains_key(route)
    }

    /// How many may be claimed of a route: all, or, of a held one, one probe when it is time and none otherwise.
    pub(crate) fn allowance(&self, route: &Route) -> Allowance {
        match self.lock().get(route) {
            None => Allowance::All,
            Some(held) if held.next_probe <= Instant::now() => Allowance::Probe,
            Some(held) => Allowance::NoneUntil(held.next_probe),
        }
    }

    /// A probe is under way: the next one is due a period later.
    pub(crate) fn probing(&self, route: &Route) {
        if let Some(held) = self.lock().get_mut(route) {
            held.next_probe = Instant::now() + self.probe_every;
        }
    }

    /// A credential was refused on `route`: holds what it serves among the `known` routes. On the platform `other`
    /// nobody knows whom a platform's credential serves, so only that delivery waits.
    pub(crate) async fn hold(
        &self,
        route: &Route,
        scope: CredentialScope,
        reason: &str,
        known: &[Route],
        clock: &dyn Clock,
    ) -> Result<()> {
        if scope == CredentialScope::Platform
            && matches!(route.way, Way::Channel { platform: Platform::Other, .. })
        {
            return Ok(());
        }
        let served = known.iter().chain([route]).filter(|other| is_served_alike(route, other, scope));
        let since = clock.now();
        let new: Vec<&Route> = served.filter(|held| self.note(held, scope, reason, since)).collect();
        let mut written = Ok(());
        for held in new {
            tracing::error!(route = %held, reason, "the credential was refused: the route is paused and probed");
            let pause = Pause { route: held.clone(), reason: reason.to_owned(), since };
            written = written.and(self.store.put_pause(&pause).await);
        }
        written
    }

    /// A delivery went through on `route`: ends its pause, and those of the same cause. Answers which, and whether the
    /// store knows; if it does not, they are held and probed again after a restart.
    pub(crate) async fn release(&self, route: &Route) -> (Vec<Route>, Result<()>) {
        let freed: Vec<Route> = {
            let mut held = self.lock();
            let Some(scope) = held.get(route).map(|held| held.scope) else { return (Vec::new(), Ok(())) };
            let freed =
                held.keys().filter(|other| is_served_alike(route, other, scope)).cloned().collect::<Vec<_>>();
            held.retain(|other, _| !freed.contains(other));
            freed
        };
        let mut written = Ok(());
        for route in &freed {
            tracing::info!(%route, "the credential is accepted again: the route goes on");
            written = written.and(self.store.clear_pause(route).await.map(drop));
        }
        (freed, written)
    }

    /// All pauses.
    pub(crate) fn list(&self) -> Vec<Pause> {
        let pause = |(route, held): (&Route, &Held)| Pause {
            route: route.clone(),
            reason: held.reason.clone(),
            since: held.since,
        };
        self.lock().iter().map(pause).collect()
    }

    fn note(&self, route: &Route, scope: CredentialScope, reason: &str, since: Timestamp) -> bool {
        let next_probe = Instant::now() + self.probe_every;
        let mut held = self.lock();
        if held.contains_key(route) {
            return false;
        }
        held.insert(route.clone(), Held { scope, reason: reason.to_owned(), since, next_probe });
        true
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Route, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many may be claimed of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// As many as there are permits.
    All,
    /// One.
    Probe,
    /// None before this time.
    NoneUntil(Instant),
}

fn is_served_alike(route: &Route, other: &Route, scope: CredentialScope) -> bool {
    match (&route.way, &other.way) {
        (
            Way::Channel { channel, credential, platform },
            Way::Channel { channel: other_channel, credential: other_credential, platform: other_platform },
        ) => {
            let same_credential = channel == other_channel && credential == other_credential;
            same_credential && (scope == CredentialScope::Credential || platform == other_platform)
        }
        _ => false,
    }
}
