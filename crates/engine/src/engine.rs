//! The engine's front: start, accept, end, redrive, drain.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use pabal_core::chance::Chance;
use pabal_core::clock::{Clock, Timestamp};
use pabal_core::delivery::Reason;
use pabal_core::ids::{AppId, ItemId};
use pabal_core::limits;
use pabal_core::route::{ChannelKind, Lane};
use pabal_core::seam::store::Pause;
use pabal_core::seam::{
    Acceptance, Answer, Channel, Claim, DeadFilter, DeadLetters, EndSummary, Ledger, Pauses, Redriven,
    Retention, RouteCount, Selection, Want, Worker,
};
use pabal_core::{Error, ErrorKind, Result};
use prometheus_client::collector::Collector;
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::Instrument;

use crate::admission;
use crate::config::EngineConfig;
use crate::dispatcher;
use crate::health::Health;
use crate::maintenance::{expirer, pruner, reconciler, redriver};
use crate::metrics::{Exposed, Metrics};
use crate::pauses::PauseBook;
use crate::permits::{Limits, Permits};
use crate::phase::PhaseGate;
use crate::settler;
use crate::shared::{Phase, Shared};
use crate::wakes::Wakes;

/// What an engine is made of.
pub struct Parts {
    /// Where work is accepted, claimed and settled.
    pub ledger: Arc<dyn Ledger>,
    /// Where pauses are kept.
    pub pauses: Arc<dyn Pauses>,
    /// Where redrive jobs are kept.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// What forgets.
    pub retention: Arc<dyn Retention>,
    /// The ways out.
    pub channels: BTreeMap<ChannelKind, Arc<dyn Channel>>,
    /// For what is shown to people; decides nothing.
    pub clock: Arc<dyn Clock>,
    /// For jitter and for the worker's name.
    pub chance: Arc<dyn Chance>,
}

/// How the engine is.
#[derive(Debug, Clone)]
pub struct Status {
    /// Deliveries and fan-outs between claim and settled.
    pub in_flight: usize,
    /// Whether the store takes no writes at the moment.
    pub store_fails: bool,
    /// Whether a part of the engine has failed for good: nothing more is sent, and only a restart helps.
    pub broken: bool,
    /// The routes that are held, and why.
    pub pauses: Vec<Pause>,
}

/// A running engine. Ends with [`Engine::drain`]; dropped without it, it stops where it is, as in a crash.
pub struct Engine {
    shared: Arc<Shared>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Engine {
    /// Starts an engine: it begins at once with what is due.
    ///
    /// # Errors
    /// If the configuration is not sound, or the ledger can't be read.
    pub async fn start(parts: Parts, config: EngineConfig) -> Result<Self> {
        config.check().map_err(|error| Error::new(ErrorKind::Conflict, "start", error.to_string()))?;
        let (settler, inbox) = settler::channel();
        let probe_every = Duration::from_millis(config.retry_default.credential_probe_ms);
        let shared = Arc::new(Shared {
            worker: Worker(parts.chance.next_u64()),
            permits: Permits::new(Limits {
                all: config.attempts_in_flight_max,
                per_route: config.attempts_in_flight_per_route_max,
                fan_outs_per_lane: config.fan_outs_per_lane_max,
            }),
            wakes: Wakes::default(),
            health: Health::default(),
            metrics: Arc::default(),
            pauses: PauseBook::load(parts.pauses, probe_every).await?,
            ledger: parts.ledger,
            dead_letters: parts.dead_letters,
            retention: parts.retention,
            redrives: Notify::new(),
            channels: parts.channels,
            clock: parts.clock,
            chance: parts.chance,
            config,
            settler,
            phases: PhaseGate::new(),
            quiet: AtomicBool::new(false),
            broken: AtomicBool::new(false),
        });
        for count in shared.ledger.counts().await? {
            shared.wakes.wake(&count.route, 0);
        }
        let tasks = vec![
            supervised("settler", &shared, settler::run(Arc::clone(&shared), inbox)),
            supervised("dispatcher", &shared, dispatcher::run(Arc::clone(&shared))),
            supervised("reconciler", &shared, reconciler::run(Arc::clone(&shared))),
            supervised("expirer", &shared, expirer::run(Arc::clone(&shared))),
            supervised("redriver", &shared, redriver::run(Arc::clone(&shared))),
            supervised("pruner", &shared, pruner::run(Arc::clone(&shared))),
        ];
        Ok(Self { shared, tasks: Mutex::new(tasks) })
    }

    /// Accepts notifications, durably, before it answers. Once begun it runs to its end even if the caller goes away: what
    /// it leases on the way may be anybody's.
    ///
    /// # Errors
    /// If the store can't take them; then none of the batch is accepted.
    pub async fn accept(&self, batch: Vec<Acceptance>) -> Result<Vec<Answer>> {
        // What it says in the log belongs to the caller's request.
        let accepting = tokio::spawn(accept(Arc::clone(&self.shared), batch).in_current_span());
        accepting.await.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Unexpected, "accept", "the accept was cut off").with_source(error))
        })
    }

    /// Ends all open work of a selection, a bounded step at a time. What is under way is marked: it may still end
    /// delivered, and is not tried again.
    ///
    /// # Errors
    /// If the ledger fails; what was ended until then stays ended, and the call may be repeated.
    pub async fn end(&self, selection: Selection, reason: Reason) -> Result<EndSummary> {
        let mut sum = EndSummary::default();
        loop {
            let step = self.end_step(selection.clone(), reason, sum.next).await?;
            sum = EndSummary {
                ended: sum.ended + step.ended,
                in_flight: sum.in_flight + step.in_flight,
                next: step.next,
            };
            if sum.next.is_none() {
                return Ok(sum);
            }
        }
    }

    /// One step of that, for callers with little time: it begins where the last one ended.
    ///
    /// # Errors
    /// If the ledger fails; the step may be repeated.
    pub async fn end_step(
        &self,
        selection: Selection,
        reason: Reason,
        after: Option<(Timestamp, ItemId)>,
    ) -> Result<EndSummary> {
        let step = self.shared.ledger.end(selection, reason, after, limits::QUEUE_BATCH_MAX).await?;
        self.shared.metrics.ended_waiting(reason, step.ended);
        Ok(step)
    }

    /// Makes up to `max` dead items of an app open again.
    ///
    /// # Errors
    /// If the ledger fails.
    pub async fn redrive(
        &self,
        app: AppId,
        filter: DeadFilter,
        after: Option<ItemId>,
        max: usize,
    ) -> Result<Redriven> {
        self.shared.redrive(app, filter, after, max).await
    }

    /// Tells that a redrive job is new: it begins at once instead of at the next poll.
    pub fn redrives_changed(&self) {
        self.shared.redrives.notify_one();
    }

    /// How much each route holds, for who looks at it.
    ///
    /// # Errors
    /// If the ledger fails.
    pub async fn counts(&self) -> Result<Vec<RouteCount>> {
        self.shared.ledger.counts().await
    }

    /// How the engine is.
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// What it counts, and where to put what was read in the background.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.shared.metrics
    }

    /// All that a scrape shows of this engine, as [`metrics::ENGINE`](crate::metrics::ENGINE) describes it. Holds the
    /// engine's parts for as long as it lives.
    pub fn collector(&self) -> Box<dyn Collector> {
        let shared = Arc::clone(&self.shared);
        Box::new(Exposed {
            metrics: Arc::clone(&shared.metrics),
            in_flight_limit: shared.config.attempts_in_flight_max,
            status: Box::new(move || shared.status()),
        })
    }

    /// Stops: nothing more is claimed, attempts in flight finish up to the drain deadline, then end with an unknown
    /// outcome; everything is settled, and what had not begun is released. Safe to call twice.
    pub async fn drain(&self) {
        self.shared.phases.advance_to(Phase::Draining);
        let deadline = Duration::from_millis(self.shared.config.drain_deadline_ms);
        if tokio::time::timeout(deadline, self.shared.permits.idle()).await.is_err() {
            tracing::warn!(
                in_flight = self.shared.permits.in_flight(),
                "attempts are cut off, their outcome unknown"
            );
            self.shared.phases.advance_to(Phase::Cutting);
            if tokio::time::timeout(deadline, self.shared.permits.idle()).await.is_err() {
                tracing::error!("outcomes could not be settled before the stop; their leases will end");
            }
        }
        for task in self.tasks.lock().await.drain(..) {
            task.abort();
            // Awaited, so that nothing of the engine holds the store any longer. It was cancelled: that is no failure.
            drop(task.await);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shared.phases.advance_to(Phase::Cutting);
        for task in self.tasks.get_mut().drain(..) {
            task.abort();
        }
    }
}

/// Runs one of the engine's tasks. One that ends while the engine runs has failed: what is in flight ends too, instead of
/// going out again with every lease that ends.
fn supervised(
    name: &'static str,
    shared: &Arc<Shared>,
    task: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let ended = AssertUnwindSafe(task).catch_unwind().await;
        if ended.is_err() || shared.phase() == Phase::Running {
            tracing::error!(task = name, "a part of the engine has failed; restart the server");
            shared.broken.store(true, Ordering::SeqCst);
            shared.phases.advance_to(Phase::Cutting);
        }
    })
}

async fn accept(shared: Arc<Shared>, batch: Vec<Acceptance>) -> Result<Vec<Answer>> {
    let permits = admission::for_accept(&shared, &batch);
    let take = (!permits.is_empty()).then(|| Claim {
        want: Want::Ordinary(permits.iter().map(|(route, permits)| (route.clone(), permits.len())).collect()),
        worker: shared.worker,
        visibility_ms: shared.config.visibility_ms,
    });
    let lanes: Vec<Lane> = batch.iter().map(|acceptance| acceptance.notification.lane).collect();
    let began = Instant::now();
    let accepted = shared.ledger.accept(batch, take).await;
    shared.metrics.accepted(&lanes, began, &accepted);
    let accepted = accepted.inspect_err(|error| {
        if error.is_temporary() {
            shared.health.accept_failed();
        }
    })?;
    dispatcher::start(&shared, accepted.taken, permits, began);
    shared.wakes.wake_all(&accepted.waiting);
    for item in &accepted.items {
        shared.wakes.wake_all(&item.waiting);
    }
    Ok(accepted.items.into_iter().map(|item| item.answer).collect())
}
