//! One attempt, from lease to outcome: may it begin? → send → judge → record. Each step is a value that flows on;
//! a failure is an outcome like any other.

use std::sync::Arc;
use std::time::Duration;

use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::limits;
use pabal_core::notification::provider_ttl_ms;
use pabal_core::outcome::{Outcome, Report};
use pabal_core::route::Way;
use pabal_core::seam::{AttemptRecord, Change, Channel, DeliveryContent, EndAs, Lease, Outbound, Settlement};
use pabal_core::verdict::{History, Verdict, judge};
use tokio::time::Instant;

use crate::metrics::RouteMeters;
use crate::permits::Permit;
use crate::settler;
use crate::shared::{Phase, Shared};

/// A leased delivery with the permit to send it.
pub(crate) struct Attempt {
    pub(crate) lease: Lease,
    pub(crate) content: DeliveryContent,
    pub(crate) permit: Permit,
    /// When the lease ends at the latest, by this process's clock.
    pub(crate) lease_ends: Instant,
    /// When the content was read: `remaining_ms` counts from here.
    pub(crate) loaded: Instant,
    /// Where it is counted.
    pub(crate) meters: Arc<RouteMeters>,
}

/// What is to be done with a leased delivery.
enum Start {
    /// It is sent.
    Send(Arc<dyn Channel>, Box<Outbound>),
    /// It goes back unused: nothing is counted.
    Release,
    /// It ends without an attempt.
    End(EndAs),
}

/// Runs an attempt and hands what came of it to the settler.
pub(crate) async fn run(shared: Arc<Shared>, attempt: Attempt) {
    let outcome = match start(&shared, &attempt) {
        Start::Send(channel, outbound) => {
            let change = Change::Attempt(perform(&shared, &attempt, channel, *outbound).await);
            settler::Outcome::Settle(Box::new(Settlement { lease: attempt.lease, change }))
        }
        Start::Release => settler::Outcome::Release(attempt.lease),
        Start::End(end) => {
            settler::Outcome::Settle(Box::new(Settlement { lease: attempt.lease, change: Change::End(end) }))
        }
    };
    shared.settler.hand_over(outcome, attempt.permit);
}

fn start(shared: &Shared, attempt: &Attempt) -> Start {
    let content = &attempt.content;
    let deadline = Duration::from_millis(shared.config.attempt_deadline_ms);
    if attempt.lease.abandoned >= limits::ABANDONED_MAX {
        return Start::End(EndAs { state: DeliveryState::Dead, reason: Reason::Abandoned });
    }
    let held = shared.pauses.is_held(&content.route) && !attempt.permit.is_probe();
    let lease_is_short = Instant::now() + deadline > attempt.lease_ends;
    if held || lease_is_short || !shared.health.is_good() || shared.phase() != Phase::Running {
        return Start::Release;
    }
    let remaining_ms = remaining_ms(attempt);
    if remaining_ms == 0 {
        return Start::End(EndAs { state: DeliveryState::Expired, reason: Reason::TtlEnded });
    }
    let Way::Channel { channel, credential, platform } = &content.route.way else { return Start::Release };
    let Some(way_out) = shared.channels.get(channel) else { return Start::Release };
    let outbound = Outbound {
        delivery: content.id,
        notification: content.notification,
        credential: credential.clone(),
        platform: *platform,
        target: content.target.clone(),
        message: Arc::clone(&content.message),
        remaining_ms: provider_ttl_ms(content.ttl_ms, remaining_ms),
    };
    Start::Send(Arc::clone(way_out), Box::new(outbound))
}

async fn perform(
    shared: &Shared,
    attempt: &Attempt,
    channel: Arc<dyn Channel>,
    outbound: Outbound,
) -> AttemptRecord {
    let began = Instant::now();
    let report = send(shared, &*channel, &outbound).await;
    let latency_ms = as_ms(began.elapsed());
    attempt.meters.attempted(began, report.outcome.kind());
    let verdict = judge_attempt(shared, attempt, &report);
    follow(shared, attempt, &report, &verdict).await;
    AttemptRecord {
        report,
        latency_ms,
        began_ms_ago: as_ms(began.elapsed()),
        target: outbound.target,
        next: verdict.next,
        mark: verdict.mark,
    }
}

/// Sends with the attempt's deadline. What was under way when it ends, or when the engine must stop, may have
/// arrived: its outcome is unknown.
async fn send(shared: &Shared, channel: &dyn Channel, outbound: &Outbound) -> Report {
    let deadline = Duration::from_millis(shared.config.attempt_deadline_ms);
    tokio::select! {
        biased;
        report = channel.send(outbound) => report,
        () = tokio::time::sleep(deadline) => {
            Report::of(Outcome::Unknown).with_code("DEADLINE").with_detail("no answer within the attempt's deadline")
        }
        () = shared.reached(Phase::Cutting) => {
            Report::of(Outcome::Unknown).with_code("SHUTDOWN").with_detail("the server stopped before the answer")
        }
    }
}

fn judge_attempt(shared: &Shared, attempt: &Attempt, report: &Report) -> Verdict {
    let policy = match &attempt.content.route.way {
        Way::Channel { channel, .. } => shared.config.retry_of(*channel),
        Way::FanOut => &shared.config.retry_default,
    };
    let history = History {
        attempts: attempt.content.attempts,
        counted: attempt.content.counted,
        remaining_ms: remaining_ms(attempt),
    };
    judge(&report.outcome, history, policy, shared.chance.unit())
}

/// Holds or frees what the answer says about the credential. A pause that can't be stored holds in memory.
async fn follow(shared: &Shared, attempt: &Attempt, report: &Report, verdict: &Verdict) {
    let route = &attempt.content.route;
    let followed = match verdict.pause {
        Some(scope) => {
            let reason = report.detail.as_deref().or(report.code.as_deref()).unwrap_or("credential refused");
            shared.pauses.hold(route, scope, reason, &shared.wakes.known(), &*shared.clock).await
        }
        None if proves_the_credential(&report.outcome) => {
            let (freed, written) = shared.pauses.release(route).await;
            freed.iter().for_each(|route| shared.wakes.wake(route, 0));
            written
        }
        None => Ok(()),
    };
    if let Err(error) = followed {
        tracing::warn!(%error, %route, "a pause could not be stored; it holds for this process");
    }
}

/// Whether the provider can only have answered so after it accepted the credential.
fn proves_the_credential(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Delivered | Outcome::Unregistered | Outcome::SenderMismatch => true,
        Outcome::NotSent
        | Outcome::Unknown
        | Outcome::Throttled { .. }
        | Outcome::Unavailable { .. }
        | Outcome::Rejected
        | Outcome::MalformedTarget
        | Outcome::CredentialInvalid { .. } => false,
    }
}

fn remaining_ms(attempt: &Attempt) -> u64 {
    attempt.content.remaining_ms.saturating_sub(as_ms(attempt.loaded.elapsed()))
}

fn as_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
