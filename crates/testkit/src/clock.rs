//! A clock that stands still until a test moves it, and that can be set back as an operator's can.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use pabal_core::clock::{Clock, Timestamp};

/// When every test begins: 2026-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp::from_ms(1_767_225_600_000);

/// One server's clock. Clones are the same clock; a [`twin`](TestClock::twin) is another server's, which time moves
/// on as well, and which can be set apart.
#[derive(Debug, Clone)]
pub struct TestClock {
    world_ms: Arc<AtomicI64>,
    set_by_ms: Arc<AtomicI64>,
}

impl TestClock {
    /// A clock at [`START`].
    #[expect(clippy::new_without_default, reason = "START is no default that anyone would guess")]
    pub fn new() -> Self {
        Self { world_ms: Arc::new(AtomicI64::new(START.as_ms())), set_by_ms: Arc::default() }
    }

    /// Another server's clock in the same world.
    #[must_use]
    pub fn twin(&self) -> Self {
        Self { world_ms: Arc::clone(&self.world_ms), set_by_ms: Arc::default() }
    }

    /// Lets time pass, for all twins.
    pub fn advance(&self, ms: u64) {
        self.world_ms.fetch_add(i64::try_from(ms).expect("a test's time"), Ordering::SeqCst);
    }

    /// Sets this clock forward or, with a negative number, back. No time passes, and twins keep theirs.
    pub fn set_by(&self, ms: i64) {
        self.set_by_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let world_ms = self.world_ms.load(Ordering::SeqCst);
        Timestamp::from_ms(world_ms + self.set_by_ms.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_for_all_twins_and_a_step_is_one_servers_own() {
        let clock = TestClock::new();
        let twin = clock.twin();
        clock.advance(5);
        twin.set_by(-3_600_000);
        assert_eq!(clock.now(), START.plus_ms(5));
        assert_eq!(twin.now(), START.plus_ms(5 - 3_600_000));
    }
}
