//! What the engine's tasks share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pabal_core::Result;
use pabal_core::chance::Chance;
use pabal_core::clock::Clock;
use pabal_core::ids::{AppId, ItemId};
use pabal_core::route::ChannelKind;
use pabal_core::seam::{Channel, DeadFilter, DeadLetters, Ledger, Redriven, Retention, Worker};
use tokio::sync::Notify;

use crate::config::EngineConfig;
use crate::engine::Status;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::pauses::PauseBook;
use crate::permits::Permits;
pub(crate) use crate::phase::Phase;
use crate::phase::PhaseGate;
use crate::settler::SettlerHandle;
use crate::wakes::Wakes;

/// What the engine's tasks share. Made once at the start.
pub(crate) struct Shared {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) dead_letters: Arc<dyn DeadLetters>,
    pub(crate) retention: Arc<dyn Retention>,
    pub(crate) channels: BTreeMap<ChannelKind, Arc<dyn Channel>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Arc<dyn Chance>,
    pub(crate) config: EngineConfig,
    /// Who claims: drawn at random at each start, so that a restarted process is somebody else.
    pub(crate) worker: Worker,
    pub(crate) permits: Arc<Permits>,
    pub(crate) wakes: Wakes,
    /// Told when a redrive job is new.
    pub(crate) redrives: Notify,
    pub(crate) health: Health,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) pauses: PauseBook,
    pub(crate) settler: SettlerHandle,
    pub(crate) phases: PhaseGate,
    /// Set while everything else finishes so that suspects can run apart: a fan-out stops at its next page.
    pub(crate) quiet: AtomicBool,
    /// Set when one of the engine's tasks ended that should have gone on.
    pub(crate) broken: AtomicBool,
}

impl Shared {
    /// How the engine is.
    pub(crate) fn status(&self) -> Status {
        Status {
            in_flight: self.permits.in_flight(),
            store_fails: !self.health.is_good(),
            broken: self.broken.load(Ordering::SeqCst),
            pauses: self.pauses.list(),
        }
    }

    /// The phase now.
    pub(crate) fn phase(&self) -> Phase {
        self.phases.now()
    }

    /// Whether what takes long should stop where it can and go on later.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::SeqCst)
    }

    /// Makes up to `max` dead items of an app open again, and wakes whom they wait for.
    pub(crate) async fn redrive(
        &self,
        app: AppId,
        filter: DeadFilter,
        after: Option<ItemId>,
        max: usize,
    ) -> Result<Redriven> {
        let redriven = self.ledger.redrive(app, filter, after, max).await?;
        self.metrics.redriven(redriven.reopened.len());
        self.wakes.wake_all(&redriven.waiting);
        Ok(redriven)
    }

    /// Waits until the engine has come to `phase`.
    pub(crate) async fn reached(&self, phase: Phase) {
        self.phases.reached(phase).await;
    }
}
