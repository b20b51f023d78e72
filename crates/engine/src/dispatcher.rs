//! The dispatcher: asks which routes have something due and how many permits are free, claims just that, and starts
//! an attempt for each. It sleeps until the next due time and is woken by whoever knows of an earlier one.
//!
//! Suspects (work whose processes kept dying) run apart: the other attempts finish first, then suspects alone, for at
//! most a tenth of the time, so that one poison message takes nobody with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pabal_core::Result;
use pabal_core::limits;
use pabal_core::route::{Route, Way};
use pabal_core::seam::{Claim, Claimed, Content, Lease, Want, Work};
use tokio::time::Instant;

use crate::attempt::{self, Attempt};
use crate::fanout::{self, FanOut};
use crate::pauses::Allowance;
use crate::permits::Permit;
use crate::shared::{Phase, Shared};

/// How much longer than a round of suspects the others have to themselves.
const OTHERS_TO_SUSPECTS: u32 = 9;

/// Dispatches until the engine drains.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut next_suspects: Option<Instant> = None;
    let mut next_look = Instant::now() + idle_poll(&shared);
    loop {
        if shared.phase() != Phase::Running {
            return;
        }
        if next_look <= Instant::now() && shared.health.is_good() {
            look_around(&shared).await;
            next_look = Instant::now() + idle_poll(&shared);
        }
        if next_suspects.is_some_and(|at| at <= Instant::now()) && shared.health.is_good() {
            next_suspects = suspects(&shared).await;
            continue;
        }
        // Made before the look at routes and permits, so that nothing between look and sleep is missed.
        let returned = shared.permits.returned();
        let mut returned = std::pin::pin!(returned);
        returned.as_mut().enable();
        let permits = if shared.health.is_good() { take_permits(&shared) } else { Permitted::new() };
        if permits.is_empty() {
            if let Some(suspended) = shared.health.suspended_until() {
                next_look = next_look.min(suspended);
            }
            let until = sleep_until(&shared, next_suspects, next_look);
            tokio::select! {
                biased;
                () = shared.reached(Phase::Draining) => return,
                () = shared.wakes.earlier() => {}
                () = returned => {}
                () = tokio::time::sleep_until(until) => {}
            }
            continue;
        }
        let suspects_waiting = ordinary(&shared, permits).await;
        if suspects_waiting && next_suspects.is_none() {
            next_suspects = Some(Instant::now());
        }
    }
}

/// The permits of each route that is due.
pub(crate) type Permitted = BTreeMap<Route, Vec<Permit>>;

/// Takes what permits there are for the routes that are due now; a held route gets one, when its probe is.
fn take_permits(shared: &Arc<Shared>) -> Permitted {
    let fits = |route: &Route| may_claim(shared, route);
    let mut permitted = Permitted::new();
    let mut left = limits::CLAIM_MAX;
    for route in shared.wakes.take_due(fits) {
        let max = match shared.pauses.allowance(&route) {
            Allowance::All => left,
            Allowance::Probe => left.min(1),
            Allowance::NoneUntil(_) => 0,
        };
        let permits = shared.permits.take(&route, max.min(capacity(shared, &route)));
        if permits.is_empty() {
            shared.wakes.wake(&route, 0);
            continue;
        }
        left -= permits.len();
        permitted.insert(route, permits);
    }
    permitted
}

fn may_claim(shared: &Shared, route: &Route) -> bool {
    let allowed = !matches!(shared.pauses.allowance(route), Allowance::NoneUntil(_));
    allowed && shared.permits.any_free(route) && capacity(shared, route) > 0
}

/// How many a route's channel can take; fan-outs need no channel.
pub(crate) fn capacity(shared: &Shared, route: &Route) -> usize {
    match &route.way {
        Way::FanOut => usize::MAX,
        Way::Channel { channel, credential, .. } => {
            shared.channels.get(channel).map_or(0, |channel| channel.capacity(credential))
        }
    }
}

fn idle_poll(shared: &Shared) -> Duration {
    Duration::from_millis(shared.config.idle_poll_ms)
}

fn sleep_until(shared: &Shared, next_suspects: Option<Instant>, next_look: Instant) -> Instant {
    let due = shared.wakes.next_due(|route| may_claim(shared, route));
    let known = shared.wakes.known();
    let probe = known.iter().filter_map(|route| match shared.pauses.allowance(route) {
        Allowance::NoneUntil(at) => Some(at),
        Allowance::All | Allowance::Probe => None,
    });
    if let Some(suspended) = shared.health.suspended_until() {
        return suspended;
    }
    if shared.health.is_settle_failing() {
        return Instant::now() + idle_poll(shared);
    }
    probe.chain(due).chain(next_suspects).chain([next_look]).min().unwrap_or(next_look)
}

/// Now and then, and after a suspension, everything is looked at: what another node enqueued, or an accept whose answer
/// was lost, may wait on a route that this process has never seen.
async fn look_around(shared: &Shared) {
    shared.wakes.wake_known();
    match shared.ledger.counts().await {
        Ok(counts) => counts.iter().for_each(|count| shared.wakes.wake(&count.route, 0)),
        Err(error) => tracing::warn!(%error, "routes that are new could not be looked for"),
    }
}

/// Claims ordinary work and starts it. Answers whether suspects wait.
async fn ordinary(shared: &Arc<Shared>, permits: Permitted) -> bool {
    let want = permits.iter().map(|(route, permits)| (route.clone(), permits.len())).collect();
    let began = Instant::now();
    match claim(shared, Want::Ordinary(want)).await {
        Ok(claimed) => {
            shared.health.resume();
            for route in permits.keys() {
                if let Some(in_ms) = claimed.next_due_in_ms {
                    shared.wakes.wake(route, in_ms);
                }
            }
            let suspects_waiting = claimed.suspects_waiting;
            start(shared, claimed.work, permits, began);
            suspects_waiting
        }
        Err(error) => {
            tracing::error!(%error, "nothing could be claimed; the next claim is a probe");
            shared.health.suspend();
            permits.keys().for_each(|route| shared.wakes.wake(route, 0));
            false
        }
    }
}

/// One round of suspects: what is in flight finishes, then suspects run alone. Answers when the next may begin.
async fn suspects(shared: &Arc<Shared>) -> Option<Instant> {
    let began = Instant::now();
    shared.quiet.store(true, Ordering::SeqCst);
    shared.permits.idle().await;
    shared.quiet.store(false, Ordering::SeqCst);
    let routes: Vec<Route> =
        shared.wakes.known().into_iter().filter(|route| may_claim(shared, route)).collect();
    let claim_began = Instant::now();
    let claimed = match claim(shared, Want::Suspects(routes)).await {
        Ok(claimed) => claimed,
        Err(error) => {
            tracing::error!(%error, "suspects could not be claimed");
            shared.health.suspend();
            return Some(Instant::now() + Duration::from_secs(1));
        }
    };
    if claimed.work.is_empty() {
        return None;
    }
    tracing::warn!(items = claimed.work.len(), "trying work apart whose processes kept dying");
    let mut permits = Permitted::new();
    for work in &claimed.work {
        permits
            .entry(work.lease.route.clone())
            .or_default()
            .extend(shared.permits.take(&work.lease.route, 1));
    }
    start(shared, claimed.work, permits, claim_began);
    shared.permits.idle().await;
    shared.wakes.wake_known();
    Some(Instant::now() + began.elapsed() * OTHERS_TO_SUSPECTS)
}

async fn claim(shared: &Shared, want: Want) -> Result<Claimed> {
    let claim = Claim { want, worker: shared.worker, visibility_ms: shared.config.visibility_ms };
    let claimed = shared.ledger.claim(claim).await?;
    if claimed.dropped > 0 {
        tracing::warn!(
            dropped = claimed.dropped,
            "the queue held ids that the store does not know; they are dropped"
        );
    }
    Ok(claimed)
}

/// Starts an attempt or a fan-out for each piece of work, with a permit of the route it was claimed on. `claimed_at`
/// is a time before the claim: leases are reckoned to end no later than they do.
pub(crate) fn start(shared: &Arc<Shared>, work: Vec<Work>, mut permits: Permitted, claimed_at: Instant) {
    let lease_ends = claimed_at + Duration::from_millis(shared.config.visibility_ms);
    let mut unpermitted = Vec::new();
    for Work { lease, content } in work {
        let Some(permit) = permits.get_mut(&lease.route).and_then(Vec::pop) else {
            unpermitted.push(lease);
            continue;
        };
        match content {
            Content::Delivery(content) => {
                let is_probe = shared.pauses.is_held(&content.route);
                if is_probe {
                    shared.pauses.probing(&content.route);
                }
                let attempt = Attempt { lease, content, permit, lease_ends, loaded: claimed_at, is_probe };
                tokio::spawn(attempt::run(Arc::clone(shared), attempt));
            }
            Content::FanOut(content) => {
                tokio::spawn(fanout::run(Arc::clone(shared), FanOut { lease, content, permit, lease_ends }));
            }
        }
    }
    if !unpermitted.is_empty() {
        tokio::spawn(give_back(Arc::clone(shared), unpermitted));
    }
}

/// Gives back what was leased beyond the permits, so that nothing counts as abandoned.
async fn give_back(shared: Arc<Shared>, leases: Vec<Lease>) {
    if let Err(error) = shared.ledger.release(leases.clone()).await {
        tracing::warn!(%error, leases = leases.len(), "leases were not released; they will end");
    }
    leases.iter().for_each(|lease| shared.wakes.wake(&lease.route, 0));
}
