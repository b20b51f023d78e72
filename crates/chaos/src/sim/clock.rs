//! The clocks of a simulated world. All follow Tokio's paused time; each can be set forward or back by itself, as an
//! operator or a bad time server does it.

use std::sync::atomic::{AtomicI64, Ordering};

use pabal_core::clock::{Clock, Timestamp};
use tokio::time::Instant;

/// When every simulation begins: 2026-01-01T00:00:00Z.
const START: Timestamp = Timestamp::from_ms(1_767_225_600_000);

/// One machine's clock.
#[derive(Debug)]
pub(crate) struct SimClock {
    began: Instant,
    set_by_ms: AtomicI64,
}

impl SimClock {
    /// A clock that shows the start of the simulation now.
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), set_by_ms: AtomicI64::new(0) }
    }

    /// Sets it forward, or back with a negative number. No time passes.
    pub(crate) fn set_by(&self, ms: i64) {
        self.set_by_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        START.plus_ms(passed).plus_ms(self.set_by_ms.load(Ordering::SeqCst))
    }
}
