//! What the engine's tasks share.

use std::collections::BTreeMap;
use std::sync::Arc;

use pabal_core::chance::Chance;
use pabal_core::clock::Clock;
use pabal_core::route::ChannelKind;
use pabal_core::seam::{Channel, Ledger, Worker};
use tokio::sync::watch;

use crate::config::EngineConfig;
use crate::health::Health;
use crate::pauses::PauseBook;
use crate::permits::Permits;
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
    pub(crate) phase: watch::Receiver<Phase>,
}

/// How far the engine is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Everything goes on.
    Running,
    /// Nothing is claimed any more; what is in flight goes on.
    Draining,
    /// What is still in flight ends now, its outcome unknown.
    Cutting,
}

impl Shared {
    /// The phase now.
    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Waits until the engine has come to `phase`.
    pub(crate) async fn reached(&self, phase: Phase) {
        let mut watched = self.phase.clone();
        // The sender lives as long as the engine; once it is gone there is nothing left to wait for.
        if watched.wait_for(|now| *now >= phase).await.is_err() {
            tracing::debug!("the engine is gone");
        }
    }
}
