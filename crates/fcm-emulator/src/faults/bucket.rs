//! The token bucket of a quota: refilled evenly, never above its burst.

use std::time::{Duration, Instant};

use super::Quota;

#[derive(Debug)]
pub(super) struct Bucket {
    quota: Quota,
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn new(quota: Quota, now: Instant) -> Bucket {
        Bucket { quota, tokens: f64::from(quota.burst), filled_at: now }
    }

    /// Takes one token, or tells how long until there is one.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let per_second = f64::from(self.quota.per_minute) / 60.0;
        let elapsed_s = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + elapsed_s * per_second).min(f64::from(self.quota.burst));
        self.filled_at = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.tokens) / per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Quota { per_minute: 60, burst: 2 }, start);
        assert_eq!(bucket.take(start), Ok(()));
        assert_eq!(bucket.take(start), Ok(()));
        assert_eq!(bucket.take(start), Err(Duration::from_secs(1)));
        assert_eq!(bucket.take(start + Duration::from_secs(1)), Ok(()));
        let later = start + Duration::from_secs(3_600);
        assert_eq!((bucket.take(later), bucket.take(later)), (Ok(()), Ok(())));
        assert!(bucket.take(later).is_err(), "an idle hour saves no more than the burst");
    }
}
