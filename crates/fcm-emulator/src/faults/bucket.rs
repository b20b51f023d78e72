//! The token bucket of a quota: refilled evenly, never above its burst.

use std::time::{Duration, Instant};

/// Tokens that may be taken at once, and how many come back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    pub(super) burst: u32,
    pub(super) per_second: f64,
}

impl Rate {
    /// So many in a window, all of which may come at once.
    pub(super) fn per(count: u32, window_s: u32) -> Rate {
        Rate { burst: count, per_second: f64::from(count) / f64::from(window_s) }
    }
}

#[derive(Debug)]
pub(super) struct Bucket {
    rate: Rate,
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn new(rate: Rate, now: Instant) -> Bucket {
        Bucket { rate, tokens: f64::from(rate.burst), filled_at: now }
    }

    /// Takes one token, or tells how long until there is one.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let wait = self.wait(now);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.spend();
        Ok(())
    }

    /// Takes a token that [`Bucket::wait`] said is there.
    pub(super) fn spend(&mut self) {
        self.tokens -= 1.0;
    }

    /// How long until there is a token; zero if there is one.
    pub(super) fn wait(&mut self, now: Instant) -> Duration {
        let elapsed_s = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + elapsed_s * self.rate.per_second).min(f64::from(self.rate.burst));
        self.filled_at = now;
        if self.tokens >= 1.0 {
            return Duration::ZERO;
        }
        // Never zero, however little is missing.
        Duration::from_secs_f64((1.0 - self.tokens) / self.rate.per_second).max(Duration::from_nanos(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Rate { burst: 2, per_second: 1.0 }, start);
        assert_eq!(bucket.take(start), Ok(()));
        assert_eq!(bucket.take(start), Ok(()));
        assert_eq!(bucket.take(start), Err(Duration::from_secs(1)));
        assert_eq!(bucket.take(start + Duration::from_secs(1)), Ok(()));
        let later = start + Duration::from_secs(3_600);
        assert_eq!((bucket.take(later), bucket.take(later)), (Ok(()), Ok(())));
        assert!(bucket.take(later).is_err(), "an idle hour saves no more than the burst");
    }
}
