//! How strong the engine is, and how deliveries are retried.

use pabal_core::backoff::Backoff;
use pabal_core::verdict::RetryPolicy;
use pabal_engine::EngineConfig;
use serde::Deserialize;

use crate::shape::Misfit;

/// How strong the engine is. See [`EngineConfig`] for each number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "each field is that of the same name in EngineConfig, documented there")]
pub struct EngineSection {
    pub attempts_in_flight_max: usize,
    pub attempts_in_flight_per_route_max: usize,
    pub fan_outs_per_lane_max: usize,
    pub settle_batch_max: usize,
    pub visibility_ms: u64,
    pub attempt_deadline_ms: u64,
    pub drain_deadline_ms: u64,
    pub idle_poll_ms: u64,
}

impl Default for EngineSection {
    fn default() -> Self {
        Self {
            attempts_in_flight_max: 1000,
            attempts_in_flight_per_route_max: 500,
            fan_outs_per_lane_max: 2,
            settle_batch_max: 500,
            visibility_ms: 60_000,
            attempt_deadline_ms: 15_000,
            drain_deadline_ms: 20_000,
            idle_poll_ms: 30_000,
        }
    }
}

impl EngineSection {
    pub(super) fn with_retry(&self, retry_default: RetryPolicy) -> Result<EngineConfig, Misfit> {
        let within = |invalid: pabal_core::ids::Invalid| {
            Misfit::value(format!("engine.{}", invalid.what), invalid.problem)
        };
        let config = EngineConfig {
            attempts_in_flight_max: self.attempts_in_flight_max,
            attempts_in_flight_per_route_max: self.attempts_in_flight_per_route_max,
            fan_outs_per_lane_max: self.fan_outs_per_lane_max,
            settle_batch_max: self.settle_batch_max,
            visibility_ms: self.visibility_ms,
            attempt_deadline_ms: self.attempt_deadline_ms,
            drain_deadline_ms: self.drain_deadline_ms,
            idle_poll_ms: self.idle_poll_ms,
            retry_default,
            ..EngineConfig::standard().map_err(within)?
        };
        config.check().map_err(within)?;
        Ok(config)
    }
}

/// How deliveries are retried.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetrySection {
    /// Counted attempts after which a delivery is dead.
    pub attempts_max: u32,
    /// The longest wait after the first failure; it doubles with each further one.
    pub backoff_base_ms: u64,
    /// The longest wait of all, unless the provider asks for more.
    pub backoff_cap_ms: u64,
    /// The least wait after a throttling answer without `Retry-After`.
    pub throttled_floor_ms: u64,
    /// How often a refused credential is tried again.
    pub credential_probe_ms: u64,
}

impl Default for RetrySection {
    fn default() -> Self {
        Self {
            attempts_max: 40,
            backoff_base_ms: 1000,
            backoff_cap_ms: 3_600_000,
            throttled_floor_ms: 60_000,
            credential_probe_ms: 60_000,
        }
    }
}

impl RetrySection {
    pub(super) fn policy(&self) -> Result<RetryPolicy, Misfit> {
        let (path, problem) = match (self.backoff_base_ms, self.attempts_max) {
            (0, _) => ("retry.backoff_base_ms", "is zero"),
            (base, _) if self.backoff_cap_ms < base => ("retry.backoff_cap_ms", "is below backoff_base_ms"),
            (_, 0) => ("retry.attempts_max", "is zero"),
            _ if self.credential_probe_ms == 0 => ("retry.credential_probe_ms", "is zero"),
            _ => ("retry", "is refused"),
        };
        let policy = Backoff::new(self.backoff_base_ms, self.backoff_cap_ms)
            .and_then(|backoff| RetryPolicy::new(backoff, self.attempts_max, self.throttled_floor_ms));
        match policy {
            Ok(policy) if self.credential_probe_ms > 0 => {
                Ok(RetryPolicy { credential_probe_ms: self.credential_probe_ms, ..policy })
            }
            _ => Err(Misfit::value(path, problem)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_engines_own() {
        let standard = EngineConfig::standard().unwrap();
        let ours = EngineSection::default().with_retry(RetrySection::default().policy().unwrap()).unwrap();
        assert_eq!(ours, standard);
    }
}
