//! What the engine's tasks share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pabal_core::chance::Chance;
use pabal_core::clock::Clock;
use pabal_core::route::ChannelKind;
use pabal_core::seam::{Channel, Ledger, Worker};

use crate::config::EngineConfig;
use crate::health::Health;
use crate::pauses::PauseBook;
use crate::permits::Permits;
pub(crate) use crate::phase::Phase;
use crate::phase::PhaseGate;
use crate::settler::SettlerHandle;
use crate::wakes::Wakes;

/// What the engine's tasks share. Made once at the start.
pub(crate) struct Shared {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) channels: BTreeMap<ChannelKind, Arc<dyn Channel>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Arc<dyn Chance>,
    pub(crate) config: EngineConfig,
    /// Who claims: drawn at random at each start, so that a restarted process is somebody else.
    pub(crate) worker: Worker,
    pub(crate) permits: Arc<Permits>,
    pub(crate) wakes: Wakes,
    pub(crate) health: Health,
    pub(crate) pauses: PauseBook,
    pub(crate) settler: SettlerHandle,
    pub(crate) phases: PhaseGate,
    /// Set while everything else finishes so that suspects can run apart: a fan-out stops at its next page.
    pub(crate) quiet: AtomicBool,
    /// Set when one of the engine's tasks ended that should have gone on.
    pub(crate) broken: AtomicBool,
}

impl Shared {
    /// The phase now.
    pub(crate) fn phase(&self) -> Phase {
        self.phases.now()
    }

    /// Whether what takes long should stop where it can and go on later.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::SeqCst)
    }

    /// Waits until the engine has come to `phase`.
    pub(crate) async fn reached(&self, phase: Phase) {
        self.phases.reached(phase).await;
    }
}
