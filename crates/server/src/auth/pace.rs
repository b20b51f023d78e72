//! How many requests in a second one key may send: a bucket that fills evenly and holds one second's worth, so that a
//! burst within the second is nobody's harm.

use std::time::Duration;

use pabal_core::clock::Timestamp;

/// A request costs this many drops; the bucket fills by `rate` drops in a millisecond.
const DROPS_PER_REQUEST: u64 = 1000;

/// One key's bucket. It begins full.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: u64,
    drops: u64,
    filled_at: Timestamp,
}

impl Bucket {
    /// For `rate` requests in a second; 0 is no bound.
    pub(super) fn new(rate: u32) -> Self {
        let rate = u64::from(rate);
        Self { rate, drops: rate * DROPS_PER_REQUEST, filled_at: Timestamp::default() }
    }

    /// Takes one request out of the bucket, or says how long until there is one in it.
    pub(super) fn take(&mut self, now: Timestamp) -> Result<(), Duration> {
        if self.rate == 0 {
            return Ok(());
        }
        // A clock that is set back fills nothing, and holds nothing up either.
        let poured = self.filled_at.ms_until(now).saturating_mul(self.rate);
        self.drops = self.drops.saturating_add(poured).min(self.rate * DROPS_PER_REQUEST);
        self.filled_at = now;
        match self.drops.checked_sub(DROPS_PER_REQUEST) {
            Some(left) => {
                self.drops = left;
                Ok(())
            }
            None => Err(Duration::from_millis((DROPS_PER_REQUEST - self.drops).div_ceil(self.rate))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms(1_700_000_000_000 + ms)
    }

    #[test]
    fn a_second_has_so_many_requests_and_no_more() {
        let mut bucket = Bucket::new(3);
        for _ in 0..3 {
            assert_eq!(bucket.take(at(0)), Ok(()));
        }
        assert_eq!(bucket.take(at(0)), Err(Duration::from_millis(334)));
        assert_eq!(bucket.take(at(333)), Err(Duration::from_millis(1)));
        assert_eq!(bucket.take(at(334)), Ok(()));
        let taken = (335..10_335).filter(|ms| bucket.take(at(*ms)).is_ok()).count();
        assert_eq!(taken, 30, "and so in the long run");
    }

    #[test]
    fn what_is_not_used_is_not_saved_up() {
        let mut bucket = Bucket::new(2);
        assert_eq!(bucket.take(at(0)), Ok(()));
        let taken = (0..10).filter(|_| bucket.take(at(3_600_000)).is_ok()).count();
        assert_eq!(taken, 2);
    }

    #[test]
    fn a_clock_set_back_holds_nothing_up() {
        let mut bucket = Bucket::new(1);
        assert_eq!(bucket.take(at(0)), Ok(()));
        assert!(bucket.take(at(-3_600_000)).is_err());
        assert_eq!(bucket.take(at(-3_599_000)), Ok(()));
    }

    #[test]
    fn zero_is_no_bound() {
        let mut bucket = Bucket::new(0);
        assert!((0..100_000).all(|_| bucket.take(at(0)).is_ok()));
    }
}
