//! Whether the store takes writes. After the first failed write no attempt begins, because its outcome could not be
//! recorded; what is in flight is kept in memory and settled once the store is back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long after a failed accept or claim no attempt begins: the next claim is then the probe.
const SUSPENSION: Duration = Duration::from_secs(1);

/// Whether the store takes writes.
#[derive(Default)]
pub(crate) struct Health {
    settle_fails: AtomicBool,
    suspended_until: Mutex<Option<Instant>>,
}

impl Health {
    /// A settle failed, or one succeeded again. Only a settle ends what a settle began.
    pub(crate) fn settle_fails(&self, fails: bool) {
        self.settle_fails.store(fails, Ordering::SeqCst);
    }

    /// An accept or a claim failed.
    pub(crate) fn suspend(&self) {
        *self.suspended_until.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Instant::now() + SUSPENSION);
    }

    /// A claim succeeded.
    pub(crate) fn resume(&self) {
        *self.suspended_until.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether an attempt may begin.
    pub(crate) fn is_good(&self) -> bool {
        !self.settle_fails.load(Ordering::SeqCst) && self.suspended_until().is_none()
    }

    /// Whether outcomes are waiting in memory for the store to come back.
    pub(crate) fn is_settle_failing(&self) -> bool {
        self.settle_fails.load(Ordering::SeqCst)
    }

    /// Until when no claim is made, if it is in the future.
    pub(crate) fn suspended_until(&self) -> Option<Instant> {
        let until = *self.suspended_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.filter(|until| *until > Instant::now())
    }
}
