//! How strong the engine is. Every number has a unit in its name, and a default that suits one small machine.

use std::collections::BTreeMap;

use pabal_core::backoff::Backoff;
use pabal_core::ids::Invalid;
use pabal_core::route::ChannelKind;
use pabal_core::verdict::RetryPolicy;

/// How strong the engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// Deliveries between claim and settled, over all routes: what a crash can send twice at most.
    pub attempts_in_flight_max: usize,
    /// The same for one route.
    pub attempts_in_flight_per_route_max: usize,
    /// Fan-outs under way on one lane.
    pub fan_outs_per_lane_max: usize,
    /// Settlements written in one step.
    pub settle_batch_max: usize,
    /// How long a lease lasts.
    pub visibility_ms: u64,
    /// How long an attempt may take; then its outcome is unknown.
    pub attempt_deadline_ms: u64,
    /// How long a shutdown waits for attempts in flight.
    pub drain_deadline_ms: u64,
    /// The longest sleep of a worker that knows of nothing due: what another node enqueued is found after it.
    pub idle_poll_ms: u64,
    /// How often the queue is held against the store.
    pub reconcile_every_ms: u64,
    /// Items that one step of the reconciler looks at.
    pub reconcile_batch_max: usize,
    /// How often what is past its expiry is looked for.
    pub expire_every_ms: u64,
    /// How often redrive jobs that another node made are looked for.
    pub redrive_poll_ms: u64,
    /// How often what ended long ago is looked for.
    pub prune_every_ms: u64,
    /// How long what has ended is kept.
    pub retention: RetentionPolicy,
    /// How deliveries of a channel are retried; channels that are missing use [`EngineConfig::retry_default`].
    pub retry: BTreeMap<ChannelKind, RetryPolicy>,
    /// How deliveries are retried where the channel has no policy of its own.
    pub retry_default: RetryPolicy,
}

/// How long what has ended is kept. What is open is kept whatever these say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// How long a notification is kept after the last of its deliveries ended.
    pub ended_ms: u64,
    /// The same where one of them is dead: dead letters can be redriven for so long.
    pub dead_ms: u64,
    /// How big the store may become before what ended first is forgotten early.
    pub size_bytes_max: Option<u64>,
}

impl Default for RetentionPolicy {
    fn default() -> Self {
        const DAY_MS: u64 = 24 * 60 * 60 * 1000;
        Self { ended_ms: 30 * DAY_MS, dead_ms: 90 * DAY_MS, size_bytes_max: None }
    }
}

impl EngineConfig {
    /// The defaults.
    ///
    /// # Errors
    /// Never, as a test shows: the numbers below are checked like anybody's.
    pub fn standard() -> Result<Self, Invalid> {
        let config = Self {
            attempts_in_flight_max: 1000,
            attempts_in_flight_per_route_max: 500,
            fan_outs_per_lane_max: 2,
            settle_batch_max: 500,
            visibility_ms: 60_000,
            attempt_deadline_ms: 15_000,
            drain_deadline_ms: 20_000,
            idle_poll_ms: 30_000,
            reconcile_every_ms: 1000,
            reconcile_batch_max: 1000,
            expire_every_ms: 1000,
            redrive_poll_ms: 1000,
            prune_every_ms: 60_000,
            retention: RetentionPolicy::default(),
            retry: BTreeMap::new(),
            retry_default: RetryPolicy::new(Backoff::new(1000, 3_600_000)?, 40, 60_000)?,
        };
        config.check()?;
        Ok(config)
    }

    /// Checks what the numbers must have in common.
    ///
    /// # Errors
    /// The first that does not fit, by its name.
    pub fn check(&self) -> Result<(), Invalid> {
        let positive = [
            ("attempts_in_flight_max", self.attempts_in_flight_max),
            ("attempts_in_flight_per_route_max", self.attempts_in_flight_per_route_max),
            ("fan_outs_per_lane_max", self.fan_outs_per_lane_max),
            ("settle_batch_max", self.settle_batch_max),
            ("reconcile_batch_max", self.reconcile_batch_max),
        ];
        if let Some((name, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err(Invalid::new(name, "is zero"));
        }
        let periods = [
            ("attempt_deadline_ms", self.attempt_deadline_ms),
            ("idle_poll_ms", self.idle_poll_ms),
            ("reconcile_every_ms", self.reconcile_every_ms),
            ("expire_every_ms", self.expire_every_ms),
            ("redrive_poll_ms", self.redrive_poll_ms),
            ("prune_every_ms", self.prune_every_ms),
        ];
        if let Some((name, _)) = periods.into_iter().find(|(_, value)| *value == 0) {
            return Err(Invalid::new(name, "is zero"));
        }
        if self.visibility_ms < 2 * self.attempt_deadline_ms {
            return Err(Invalid::new(
                "visibility_ms",
                "is under twice attempt_deadline_ms: leases would end under way",
            ));
        }
        Ok(())
    }

    /// How deliveries of a channel are retried.
    pub fn retry_of(&self, channel: ChannelKind) -> &RetryPolicy {
        self.retry.get(&channel).unwrap_or(&self.retry_default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_is_sound() {
        assert!(EngineConfig::standard().is_ok());
    }

    #[test]
    fn nonsense_is_named() {
        let check = |change: fn(&mut EngineConfig)| {
            let mut config = EngineConfig::standard().unwrap();
            change(&mut config);
            config.check().unwrap_err().what
        };
        assert_eq!(check(|config| config.attempts_in_flight_max = 0), "attempts_in_flight_max");
        assert_eq!(check(|config| config.idle_poll_ms = 0), "idle_poll_ms");
        assert_eq!(check(|config| config.visibility_ms = 20_000), "visibility_ms");
    }
}
