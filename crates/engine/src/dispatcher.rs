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
use pabal_core::route::Route;
use pabal_core::seam::{Claim, Claimed, Content, Lease, Want, Work};
use tokio::time::Instant;

use crate::admission::{self, Permitted};
use crate::attempt::{self, Attempt};
use crate::fanout::{self, FanOut};
use crate::metrics::Handles;
use crate::pauses::Allowance;
use crate::shared::{Phase, Shared};

/// How much longer than a round of suspects the others have to themselves.
const OTHERS_TO_SUSPECTS: u32 = 9;
/// The least time between two rounds of suspects: one in which all had to be given back takes no time at all.
const SUSPECTS_APART_LEAST: Duration = Duration::from_millis(100);

/// Dispatches until the engine drains.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut next_suspects: Option<Instant> = None;
    let mut turn = 0usize;
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
        turn = turn.wrapping_add(1);
        let permits = if shared.health.is_good() { admission::due(&shared, turn) } else { Permitted::new() };
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

fn idle_poll(shared: &Shared) -> Duration {
    Duration::from_millis(shared.config.idle_poll_ms)
}

fn sleep_until(shared: &Shared, next_suspects: Option<Instant>, next_look: Instant) -> Instant {
    let due = shared.wakes.next_due(|route| admission::may_claim(shared, route));
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
            shared.health.claim_succeeded();
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
            shared.health.claim_failed();
            permits.keys().for_each(|route| shared.wakes.wake(route, 0));
            false
        }
    }
}

/// One round of suspects: what is in flight finishes, then suspects run alone. Answers when the next may begin: at most
/// a tenth of the time is theirs, waiting for the others included.
async fn suspects(shared: &Arc<Shared>) -> Option<Instant> {
    let began = Instant::now();
    let quiet = Quiet::new(shared);
    let another =
        |waited: Duration| Some(Instant::now() + (waited * OTHERS_TO_SUSPECTS).max(SUSPECTS_APART_LEAST));
    if !all_settled(shared).await {
        tracing::warn!("suspects wait: what is in flight does not come to an end");
        return another(began.elapsed());
    }
    let claiming = shared.permits.take_unrouted();
    if shared.phase() != Phase::Running {
        return None;
    }
    let routes: Vec<Route> =
        shared.wakes.known().into_iter().filter(|route| admission::may_claim(shared, route)).collect();
    let claim_began = Instant::now();
    let claimed = match claim(shared, Want::Suspects(routes)).await {
        Ok(claimed) => claimed,
        Err(error) => {
            tracing::error!(%error, "suspects could not be claimed");
            shared.health.claim_failed();
            return Some(Instant::now() + Duration::from_secs(1));
        }
    };
    if claimed.work.is_empty() {
        return None;
    }
    shared.metrics.claimed_suspects(claimed.work.len());
    tracing::warn!(items = claimed.work.len(), "trying work apart whose processes kept dying");
    let mut counts = BTreeMap::<&Route, usize>::new();
    for work in &claimed.work {
        *counts.entry(&work.lease.route).or_default() += 1;
    }
    // All of a route at once: of a held one, a single permit is the probe's.
    let permits: Permitted = counts
        .into_iter()
        .map(|(route, count)| (route.clone(), admission::suspects(shared, route, count)))
        .collect();
    start(shared, claimed.work, permits, claim_began);
    drop(claiming);
    all_settled(shared).await;
    drop(quiet);
    shared.wakes.wake_known();
    another(began.elapsed())
}

/// While it lives, nothing but suspects begins, and what takes long stops where it can.
struct Quiet<'a>(&'a Shared);

impl<'a> Quiet<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.quiet.store(true, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        self.0.quiet.store(false, Ordering::SeqCst);
    }
}

/// Waits until everything in flight is settled; gives up after the time that two attempts may take.
async fn all_settled(shared: &Shared) -> bool {
    let deadline = Duration::from_millis(shared.config.attempt_deadline_ms * 2);
    tokio::time::timeout(deadline, shared.permits.idle()).await.is_ok()
}

async fn claim(shared: &Shared, want: Want) -> Result<Claimed> {
    let claim = Claim { want, worker: shared.worker, visibility_ms: shared.config.visibility_ms };
    let began = Instant::now();
    let claimed = shared.ledger.claim(claim).await;
    shared.metrics.claimed(began, &claimed);
    let claimed = claimed?;
    shared.wakes.wake_all(&claimed.waiting);
    if claimed.unreadable > 0 {
        tracing::error!(
            items = claimed.unreadable,
            "stored deliveries can't be read; they are looked at again later"
        );
    }
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
    let mut handles = Handles::new(&shared.metrics);
    for Work { lease, content } in work {
        let meters = handles.leased(&lease);
        let Some(permit) = permits.get_mut(&lease.route).and_then(Vec::pop) else {
            unpermitted.push(lease);
            continue;
        };
        match content {
            Content::Delivery(content) => {
                if permit.is_probe() {
                    shared.pauses.probing(&content.route);
                }
                let attempt = Attempt { lease, content, permit, lease_ends, loaded: claimed_at, meters };
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
