//! What the engine counts. Each fact is counted at the one place where it is known: an accept in the engine's front, a
//! lease where it is started, an attempt after its send, an end when the store has answered.
//!
//! Counting is neither a lock nor an allocation: series are looked up once per batch (`Handles`) or once at the start.
//! It draws nothing by chance and looks at no clock but the runtime's, so that a simulated run stays what it is.

mod catalogue;
mod family;
mod histogram;
mod observed;
mod outcomes;
mod routes;

use std::fmt;
use std::sync::Arc;

use pabal_core::delivery::Reason;
use pabal_core::route::Lane;
use pabal_core::seam::store::{Pause, Pruned, StoreSize};
use pabal_core::seam::{Accepted, Answer, Claimed, RouteCount};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;

use self::catalogue as its;
pub use self::catalogue::ENGINE;
pub use self::family::{Described, Family, Kind, Measured, Series};
pub use self::histogram::{BOUNDS_MAX, Buckets, Histogram, ITEMS, LATENCY, LATENESS, Snapshot};
pub use self::observed::Kept;
use self::observed::{Observed, route_labels};
use self::outcomes::Settlements;
use self::routes::RouteFamilies;
pub(crate) use self::routes::{Handles, RouteMeters};
use crate::engine::Status;

/// What the engine counts, and what was last read of queue and store.
pub struct Metrics {
    accepted: Family<Counter>,
    accepted_on: [[Counter; ANSWERS.len()]; Lane::ALL.len()],
    calls: Family<Histogram>,
    calls_failed: Family<Counter>,
    accept: Calls,
    claim: Calls,
    settle: Calls,
    claim_items: Histogram,
    claimed_abandoned: Counter,
    claimed_suspects: Counter,
    dropped: Counter,
    unreadable: Counter,
    routes: RouteFamilies,
    settlements: Settlements,
    ended_waiting: Family<Counter>,
    repaired: Counter,
    pruned: Family<Counter>,
    redriven: Counter,
    observed: Observed,
}

/// The words for what came of accepting, in the order of [`answer_index`].
const ANSWERS: [&str; 4] = ["accepted", "replayed", "key_reused", "failed"];

/// Calls of one kind to the ledger.
pub(crate) struct Calls {
    time: Histogram,
    failures: Counter,
}

impl Calls {
    /// A call has ended.
    pub(crate) fn ended<T>(&self, began: Instant, result: &pabal_core::Result<T>) {
        self.time.observe_time(began.elapsed());
        if result.is_err() {
            self.failures.inc();
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let (calls, calls_failed) = (Family::new(&its::CALL), Family::new(&its::CALL_FAILED));
        let calls_to = |call| Calls { time: calls.of(&[call]), failures: calls_failed.of(&[call]) };
        let (accept, claim, settle) = (calls_to("accept"), calls_to("claim"), calls_to("settle"));
        let accepted = Family::new(&its::ACCEPTED);
        let accepted_on = Lane::ALL.map(|lane| ANSWERS.map(|answer| accepted.of(&[lane.as_str(), answer])));
        let metrics = Self {
            accepted,
            accepted_on,
            calls,
            calls_failed,
            accept,
            claim,
            settle,
            claim_items: Histogram::new(&ITEMS),
            claimed_abandoned: Counter::default(),
            claimed_suspects: Counter::default(),
            dropped: Counter::default(),
            unreadable: Counter::default(),
            routes: RouteFamilies::default(),
            settlements: Settlements::default(),
            ended_waiting: Family::new(&its::ENDED_WAITING),
            repaired: Counter::default(),
            pruned: Family::new(&its::PRUNED),
            redriven: Counter::default(),
            observed: Observed::default(),
        };
        metrics.begin_at_zero();
        metrics
    }
}

impl Metrics {
    /// Makes the series that are known beforehand, so that a rate sees the first event too.
    fn begin_at_zero(&self) {
        for reason in [Reason::TtlEnded, Reason::CancelRequested] {
            self.ended_waiting.of(&[reason.as_str()]);
        }
        for kind in ["notifications", "deliveries"] {
            self.pruned.of(&[kind]);
        }
    }

    /// A batch was accepted, or was not: the lanes of its notifications, and the answers.
    pub(crate) fn accepted(&self, lanes: &[Lane], began: Instant, accepted: &pabal_core::Result<Accepted>) {
        self.accept.ended(began, accepted);
        for (index, lane) in lanes.iter().enumerate() {
            let item = accepted.as_ref().ok().and_then(|accepted| accepted.items.get(index));
            self.accepted_on[*lane as usize][answer_index(item.map(|item| &item.answer))].inc();
        }
    }

    /// A claim has ended.
    pub(crate) fn claimed(&self, began: Instant, claimed: &pabal_core::Result<Claimed>) {
        self.claim.ended(began, claimed);
        if let Ok(claimed) = claimed {
            self.claim_items.observe(claimed.work.len() as u64);
            self.dropped.inc_by(claimed.dropped);
            self.unreadable.inc_by(claimed.unreadable);
        }
    }

    /// Suspects were claimed, to be tried apart.
    pub(crate) fn claimed_suspects(&self, items: usize) {
        self.claimed_suspects.inc_by(items as u64);
    }

    /// Open work was ended while it waited.
    pub(crate) fn ended_waiting(&self, reason: Reason, items: u64) {
        self.ended_waiting.of(&[reason.as_str()]).inc_by(items);
    }

    /// The reconciler put items back.
    pub(crate) fn repaired(&self, items: u64) {
        self.repaired.inc_by(items);
    }

    /// The pruner forgot rows.
    pub(crate) fn pruned(&self, pruned: &Pruned) {
        self.pruned.of(&["notifications"]).inc_by(pruned.notifications);
        self.pruned.of(&["deliveries"]).inc_by(pruned.deliveries);
    }

    /// Dead letters were opened again.
    pub(crate) fn redriven(&self, items: usize) {
        self.redriven.inc_by(items as u64);
    }

    /// How much each route holds, as just read.
    pub fn observe_queue(&self, counts: Vec<RouteCount>) {
        self.observed.queue(counts);
    }

    /// How big the store is, as just read.
    pub fn observe_size(&self, size: StoreSize) {
        self.observed.size(size);
    }

    /// How many deliveries of each state and reason are kept, as just read.
    pub fn observe_kept(&self, kept: Vec<Kept>) {
        self.observed.kept(kept);
    }

    fn expose(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        self.accepted.expose(encoder)?;
        self.calls.expose(encoder)?;
        self.calls_failed.expose(encoder)?;
        its::CLAIM_ITEMS.expose(encoder, [(&[][..], &self.claim_items)])?;
        self.routes.expose_lateness(encoder)?;
        its::CLAIMED_ABANDONED.expose(encoder, [(&[][..], &self.claimed_abandoned)])?;
        its::CLAIMED_SUSPECTS.expose(encoder, [(&[][..], &self.claimed_suspects)])?;
        its::DROPPED.expose(encoder, [(&[][..], &self.dropped)])?;
        its::UNREADABLE.expose(encoder, [(&[][..], &self.unreadable)])?;
        self.routes.expose_attempts(encoder)?;
        self.settlements.expose(encoder, &self.routes)?;
        self.ended_waiting.expose(encoder)?;
        its::REPAIRED.expose(encoder, [(&[][..], &self.repaired)])?;
        self.pruned.expose(encoder)?;
        its::REDRIVEN.expose(encoder, [(&[][..], &self.redriven)])
    }
}

/// Everything that a scrape shows of an engine.
pub(crate) struct Exposed {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) in_flight_limit: usize,
    /// Asked at each scrape.
    pub(crate) status: Box<dyn Fn() -> Status + Send + Sync>,
}

impl Collector for Exposed {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let status = (self.status)();
        self.metrics.expose(encoder)?;
        its::IN_FLIGHT.expose_number(encoder, as_number(status.in_flight))?;
        its::IN_FLIGHT_LIMIT.expose_number(encoder, as_number(self.in_flight_limit))?;
        its::STORE_FAILING.expose_number(encoder, status.store_fails.into())?;
        its::BROKEN.expose_number(encoder, status.broken.into())?;
        observed::expose(&its::PAUSED, encoder, status.pauses.iter().map(paused_sample))?;
        self.metrics.observed.expose(encoder)
    }
}

/// What a pause says is in the provider's own words, of which there are too many for a label. There is one cause today.
fn paused_sample(pause: &Pause) -> (Vec<String>, f64) {
    let reason = "credential_refused".to_owned();
    (route_labels(&pause.route).into_iter().chain([reason]).collect(), 1.0)
}

fn answer_index(answer: Option<&Answer>) -> usize {
    match answer {
        Some(Answer::Accepted { .. }) => 0,
        Some(Answer::Replayed { .. }) => 1,
        Some(Answer::KeyReused) => 2,
        None => 3,
    }
}

fn as_number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl fmt::Debug for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exposed")
    }
}
