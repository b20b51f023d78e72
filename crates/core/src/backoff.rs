//! How long to wait after a failure: exponential, with full jitter, between a floor that is never clamped down
//! and a cap that holds for our own growth only.
//!
//! Full jitter (a uniform draw from zero to the exponential ceiling) spreads a herd best: an outage that failed
//! 300,000 deliveries at once does not bring them back at once.

use crate::ids::Invalid;

/// An exponential backoff, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    base_ms: u64,
    cap_ms: u64,
}

impl Backoff {
    /// Ceilings `base_ms`, twice that, four times that, … up to `cap_ms`.
    ///
    /// # Errors
    /// If `base_ms` is 0 or `cap_ms` is below `base_ms`.
    pub fn new(base_ms: u64, cap_ms: u64) -> Result<Self, Invalid> {
        if base_ms == 0 {
            return Err(Invalid::new("backoff base", "is zero, which would retry at once for ever"));
        }
        if cap_ms < base_ms {
            return Err(Invalid::new("backoff cap", "is below the base"));
        }
        Ok(Self { base_ms, cap_ms })
    }

    /// The longest wait that may follow the failure number `failures` (1 for the first).
    pub fn ceiling_ms(&self, failures: u32) -> u64 {
        let doublings = failures.saturating_sub(1).min(63);
        self.base_ms.saturating_mul(1 << doublings).min(self.cap_ms)
    }

    /// The wait after failure number `failures`: max(`unit` × ceiling, `floor_ms`), at least a millisecond.
    /// `unit` is a draw from `[0, 1)`.
    pub fn delay_ms(&self, failures: u32, floor_ms: u64, unit: f64) -> u64 {
        let jittered = (self.ceiling_ms(failures) as f64 * unit.clamp(0.0, 1.0)) as u64;
        jittered.max(floor_ms).max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nonsense_is_rejected() {
        assert!(Backoff::new(0, 10).is_err());
        assert!(Backoff::new(10, 9).is_err());
        assert!(Backoff::new(10, 10).is_ok());
    }

    #[test]
    fn ceilings_double_up_to_the_cap() {
        let backoff = Backoff::new(1000, 10_000).unwrap();
        let ceilings: Vec<u64> = (1..=6).map(|failures| backoff.ceiling_ms(failures)).collect();
        assert_eq!(ceilings, [1000, 2000, 4000, 8000, 10_000, 10_000]);
        assert_eq!(backoff.ceiling_ms(u32::MAX), 10_000);
    }

    proptest! {
        #[test]
        fn never_below_the_floor(base in 1u64..1 << 40, extra in 0u64..1 << 40, failures in 0u32..100, floor in 0u64..1 << 50, unit in 0f64..1.0) {
            let backoff = Backoff::new(base, base + extra).unwrap();
            prop_assert!(backoff.delay_ms(failures, floor, unit) >= floor);
        }

        #[test]
        fn without_a_floor_never_above_the_ceiling(base in 1u64..1 << 40, extra in 0u64..1 << 40, failures in 0u32..100, unit in 0f64..1.0) {
            let backoff = Backoff::new(base, base + extra).unwrap();
            prop_assert!(backoff.delay_ms(failures, 0, unit) <= backoff.ceiling_ms(failures).max(1));
        }

        #[test]
        fn ceilings_never_fall(base in 1u64..1 << 40, extra in 0u64..1 << 40, failures in 1u32..200) {
            let backoff = Backoff::new(base, base + extra).unwrap();
            prop_assert!(backoff.ceiling_ms(failures) <= backoff.ceiling_ms(failures + 1));
        }
    }
}
