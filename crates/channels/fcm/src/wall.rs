//! The wall clock, corrected by what a provider's answers say about it.
//!
//! Two things that are sent are absolute times: `iat`/`exp` of an OAuth assertion, which Google refuses when the
//! clock is far off, and `apns-expiration`, where a clock that is behind makes APNs drop messages without a word.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use pabal_core::clock::{Clock, Timestamp};

use crate::retry_after::http_date;

/// What clocks, networks and the whole seconds of `Date` may differ by without anything being wrong.
const TOLERATED_MS: i64 = 60_000;

/// A clock with a correction.
pub(crate) struct Wall {
    clock: Arc<dyn Clock>,
    offset_ms: AtomicI64,
}

impl Wall {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, offset_ms: AtomicI64::new(0) }
    }

    /// The time now, corrected.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now().plus_ms(self.offset_ms.load(Ordering::Relaxed))
    }

    /// Takes the `Date` of an answer that was just received. Returns whether the correction changed.
    pub(crate) fn learn(&self, date: &str) -> bool {
        let Some(theirs) = http_date(date) else { return false };
        let off_ms = theirs.as_ms().saturating_sub(self.clock.now().as_ms());
        let offset_ms = if off_ms.abs() > TOLERATED_MS { off_ms } else { 0 };
        let before_ms = self.offset_ms.load(Ordering::Relaxed);
        if (offset_ms - before_ms).abs() <= TOLERATED_MS {
            return false;
        }
        self.offset_ms.store(offset_ms, Ordering::Relaxed);
        tracing::warn!(offset_ms, "this machine's clock is off; what is sent is corrected");
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(i64);

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::from_ms(self.0)
        }
    }

    #[test]
    fn a_clock_that_is_off_is_corrected_and_one_that_is_right_left_alone() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let date_ms = 784_111_777_000;
        let behind = Wall::new(Arc::new(Fixed(date_ms - 3_600_000)));
        assert!(behind.learn(date));
        assert_eq!(behind.now().as_ms(), date_ms);
        assert!(!behind.learn(date), "nothing new");
        assert!(!behind.learn("yesterday"));
        let right = Wall::new(Arc::new(Fixed(date_ms + 59_000)));
        assert!(!right.learn(date));
        assert_eq!(right.now().as_ms(), date_ms + 59_000);
    }
}
