//! How far the engine is on its way out, and a way to wait for it.
//!
//! Not a `tokio::sync::watch`: that wakes its waiters in a random order, and a simulated run has to replay exactly.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

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

/// The engine's phase: it only ever moves on.
pub(crate) struct PhaseGate {
    now: Mutex<Phase>,
    moved: Notify,
}

impl PhaseGate {
    /// An engine that runs.
    pub(crate) fn new() -> Self {
        Self { now: Mutex::new(Phase::Running), moved: Notify::new() }
    }

    /// The phase now.
    pub(crate) fn now(&self) -> Phase {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves on to `phase`; never back.
    pub(crate) fn advance_to(&self, phase: Phase) {
        {
            let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
            *now = phase.max(*now);
        }
        self.moved.notify_waiters();
    }

    /// Waits until the engine has come to `phase`.
    pub(crate) async fn reached(&self, phase: Phase) {
        loop {
            let moved = self.moved.notified();
            let mut moved = std::pin::pin!(moved);
            moved.as_mut().enable();
            if self.now() >= phase {
                return;
            }
            moved.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_phase_is_reached_once_and_for_all() {
        let gate = PhaseGate::new();
        gate.reached(Phase::Running).await;
        tokio::join!(gate.reached(Phase::Draining), async { gate.advance_to(Phase::Cutting) });
        gate.advance_to(Phase::Draining);
        assert_eq!(gate.now(), Phase::Cutting);
    }
}
