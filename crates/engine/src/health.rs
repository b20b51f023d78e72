//! Whether the store takes writes. After the first failed write no attempt begins, because its outcome could not be
//! recorded; what is in flight is kept in memory and settled once the store is back.
//!
//! ```text
//!   settle fails ──► failing ──► a settle succeeds and no outcome waits any more ──► good
//!   claim or accept fails ──► suspended for a second ──► a claim is the probe ──► good, or suspended again
//! ```
//!
//! Accepts alone can't hold delivery up: what is too big to be accepted fails as often as its caller likes, and a store
//! that claims and settles is good enough to deliver from.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long after a failed write no attempt begins; then a claim is the probe.
const SUSPENSION: Duration = Duration::from_secs(1);
/// How long after a probe that succeeded a failed accept suspends nothing.
const TRUST: Duration = Duration::from_secs(30);

/// Whether the store takes writes.
#[derive(Default)]
pub(crate) struct Health {
    settle_fails: AtomicBool,
    suspension: Mutex<Suspension>,
}

#[derive(Default)]
struct Suspension {
    /// Set until a claim has succeeded, also after the time has come.
    until: Option<Instant>,
    trusted_until: Option<Instant>,
}

impl Health {
    /// A settle failed, or one succeeded and no outcome waits. Only a settle ends what a settle began.
    pub(crate) fn settle_fails(&self, fails: bool) {
        self.settle_fails.store(fails, Ordering::SeqCst);
    }

    /// An accept failed. A suspension that is there already gets no longer by it.
    pub(crate) fn accept_failed(&self) {
        let mut suspension = self.suspension();
        let now = Instant::now();
        let trusted = suspension.trusted_until.is_some_and(|until| until > now);
        if suspension.until.is_none() && !trusted {
            suspension.until = Some(now + SUSPENSION);
        }
    }

    /// A claim failed.
    pub(crate) fn claim_failed(&self) {
        self.suspension().until = Some(Instant::now() + SUSPENSION);
    }

    /// A claim succeeded.
    pub(crate) fn claim_succeeded(&self) {
        let mut suspension = self.suspension();
        if suspension.until.take().is_some() {
            suspension.trusted_until = Some(Instant::now() + TRUST);
        }
    }

    /// Whether an attempt may begin.
    pub(crate) fn is_good(&self) -> bool {
        !self.is_settle_failing() && self.suspended_until().is_none()
    }

    /// Whether outcomes are waiting in memory for the store to come back.
    pub(crate) fn is_settle_failing(&self) -> bool {
        self.settle_fails.load(Ordering::SeqCst)
    }

    /// Until when no claim is made, if it is in the future.
    pub(crate) fn suspended_until(&self) -> Option<Instant> {
        self.suspension().until.filter(|until| *until > Instant::now())
    }

    fn suspension(&self) -> MutexGuard<'_, Suspension> {
        self.suspension.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
