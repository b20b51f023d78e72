//! What the policy makes of an outcome. Pure: outcome + history + policy + remaining time + a draw → verdict.

use crate::backoff::Backoff;
use crate::delivery::Reason;
use crate::device::MarkKind;
use crate::ids::Invalid;
use crate::outcome::{CredentialScope, Outcome, ThrottleScope};

/// How a channel's deliveries are retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How long to wait.
    pub backoff: Backoff,
    /// Counted attempts after which a delivery is dead.
    pub attempts_max: u32,
    /// The least wait after a throttling answer about a message or topic rate that gives no `Retry-After`.
    pub throttled_floor_ms: u64,
    /// The wait before a delivery whose credential was refused is tried again.
    pub credential_probe_ms: u64,
}

impl RetryPolicy {
    /// The policy, checked.
    ///
    /// # Errors
    /// If `attempts_max` is 0.
    pub fn new(backoff: Backoff, attempts_max: u32, throttled_floor_ms: u64) -> Result<Self, Invalid> {
        if attempts_max == 0 {
            return Err(Invalid::new("attempts_max", "is zero"));
        }
        Ok(Self { backoff, attempts_max, throttled_floor_ms, credential_probe_ms: 60_000 })
    }
}

/// What has happened to the delivery before this outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// Attempts made: what backoff grows with.
    pub attempts: u32,
    /// Those that count against [`RetryPolicy::attempts_max`].
    pub counted: u32,
    /// Milliseconds until its time to live ends.
    pub remaining_ms: u64,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What becomes of the delivery.
    pub next: Next,
    /// The mark its device gets, if the token that was sent is still the device's.
    pub mark: Option<MarkKind>,
    /// What is paused because its credential was refused.
    pub pause: Option<CredentialScope>,
}

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is delivered.
    Complete,
    /// It is tried again.
    Retry {
        /// After this long.
        delay_ms: u64,
        /// Whether this attempt counts against the budget.
        counted: bool,
    },
    /// It is dead.
    Dead(Reason),
    /// Its time to live ends before it could be tried again.
    Expire,
}

/// Judges an outcome. `unit` is a draw from `[0, 1)`.
pub fn judge(outcome: &Outcome, history: History, policy: &RetryPolicy, unit: f64) -> Verdict {
    let plain = |next| Verdict { next, mark: None, pause: None };
    let retry = |floor_ms| plain(retry_or_end(history, policy, floor_ms, unit));
    let dead = |reason, mark| Verdict { next: Next::Dead(reason), mark, pause: None };
    match *outcome {
        Outcome::Delivered => plain(Next::Complete),
        // What never left says nothing about the delivery: an outage of the line burns no attempts.
        Outcome::NotSent => plain(wait_or_expire(history, backoff_ms(history, policy, 0, unit), false)),
        Outcome::Unknown => retry(0),
        Outcome::Unavailable { retry_after_ms } => retry(retry_after_ms.unwrap_or(0)),
        Outcome::Throttled { retry_after_ms, scope } => retry(retry_after_ms.unwrap_or(match scope {
            ThrottleScope::Device => 0,
            ThrottleScope::Topic | ThrottleScope::Project => policy.throttled_floor_ms,
        })),
        Outcome::Rejected => dead(Reason::Rejected, None),
        Outcome::MalformedTarget => dead(Reason::MalformedTarget, Some(MarkKind::Quarantined)),
        Outcome::Unregistered => dead(Reason::Unregistered, Some(MarkKind::Retired)),
        Outcome::SenderMismatch => dead(Reason::SenderMismatch, Some(MarkKind::Retired)),
        Outcome::CredentialInvalid { scope } => {
            let next = wait_or_expire(history, policy.credential_probe_ms, false);
            Verdict { next, mark: None, pause: Some(scope) }
        }
    }
}

fn retry_or_end(history: History, policy: &RetryPolicy, floor_ms: u64, unit: f64) -> Next {
    let failures = history.counted.saturating_add(1);
    if failures >= policy.attempts_max {
        return Next::Dead(Reason::AttemptsExhausted);
    }
    wait_or_expire(history, backoff_ms(history, policy, floor_ms, unit), true)
}

fn backoff_ms(history: History, policy: &RetryPolicy, floor_ms: u64, unit: f64) -> u64 {
    policy.backoff.delay_ms(history.attempts.saturating_add(1), floor_ms, unit)
}

fn wait_or_expire(history: History, delay_ms: u64, counted: bool) -> Next {
    if delay_ms >= history.remaining_ms { Next::Expire } else { Next::Retry { delay_ms, counted } }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy::new(Backoff::new(1000, 60_000).unwrap(), 5, 60_000).unwrap()
    }

    fn check(outcome: Outcome, counted: u32, expect: Next) {
        let history = History { attempts: counted, counted, remaining_ms: 3_600_000 };
        assert_eq!(judge(&outcome, history, &policy(), 0.5).next, expect, "{outcome:?}");
    }

    #[test]
    fn each_outcome_has_its_verdict() {
        let retry = |delay_ms| Next::Retry { delay_ms, counted: true };
        check(Outcome::Delivered, 0, Next::Complete);
        check(Outcome::NotSent, 0, Next::Retry { delay_ms: 500, counted: false });
        check(Outcome::NotSent, 4, Next::Retry { delay_ms: 8000, counted: false });
        check(Outcome::Unknown, 1, retry(1000));
        check(Outcome::Unavailable { retry_after_ms: None }, 2, retry(2000));
        check(Outcome::Unavailable { retry_after_ms: Some(9000) }, 0, retry(9000));
        let throttled = |retry_after_ms, scope| Outcome::Throttled { retry_after_ms, scope };
        check(throttled(Some(3000), ThrottleScope::Project), 0, retry(3000));
        check(throttled(None, ThrottleScope::Project), 0, retry(60_000));
        check(throttled(None, ThrottleScope::Device), 0, retry(500));
        check(Outcome::Rejected, 0, Next::Dead(Reason::Rejected));
        check(Outcome::Unregistered, 0, Next::Dead(Reason::Unregistered));
        check(Outcome::Unknown, 4, Next::Dead(Reason::AttemptsExhausted));
    }

    #[test]
    fn only_the_providers_word_marks_a_device() {
        let mark = |outcome| {
            judge(&outcome, History { attempts: 0, counted: 0, remaining_ms: 1 << 40 }, &policy(), 0.0).mark
        };
        assert_eq!(mark(Outcome::Unregistered), Some(MarkKind::Retired));
        assert_eq!(mark(Outcome::SenderMismatch), Some(MarkKind::Retired));
        assert_eq!(mark(Outcome::MalformedTarget), Some(MarkKind::Quarantined));
        assert_eq!(mark(Outcome::Rejected), None);
        assert_eq!(mark(Outcome::Unavailable { retry_after_ms: None }), None);
    }

    #[test]
    fn a_refused_credential_burns_no_attempt_and_kills_nothing() {
        let outcome = Outcome::CredentialInvalid { scope: CredentialScope::Platform };
        let verdict =
            judge(&outcome, History { attempts: 4, counted: 4, remaining_ms: 1 << 40 }, &policy(), 0.9);
        assert_eq!(verdict.next, Next::Retry { delay_ms: 60_000, counted: false });
        assert_eq!(verdict.pause, Some(CredentialScope::Platform));
    }

    proptest! {
        #[test]
        fn retry_after_is_never_clamped_down(after in 0u64..1 << 40, counted in 0u32..4, unit in 0f64..1.0) {
            let outcome = Outcome::Unavailable { retry_after_ms: Some(after) };
            let history = History { attempts: counted, counted, remaining_ms: u64::MAX };
            match judge(&outcome, history, &policy(), unit).next {
                Next::Retry { delay_ms, .. } => prop_assert!(delay_ms >= after),
                other => prop_assert!(false, "{other:?}"),
            }
        }

        #[test]
        fn no_retry_lies_at_or_beyond_the_expiry(after in 0u64..1 << 20, remaining in 0u64..1 << 20, unit in 0f64..1.0) {
            let outcome = Outcome::Unavailable { retry_after_ms: Some(after) };
            match judge(&outcome, History { attempts: 0, counted: 0, remaining_ms: remaining }, &policy(), unit).next {
                Next::Retry { delay_ms, .. } => prop_assert!(delay_ms < remaining),
                next => prop_assert_eq!(next, Next::Expire),
            }
        }

        #[test]
        fn the_budget_is_finite(unit in 0f64..1.0) {
            let history = |counted| History { attempts: counted, counted, remaining_ms: u64::MAX };
            let retries = (0..100).take_while(|counted| matches!(
                judge(&Outcome::Unknown, history(*counted), &policy(), unit).next, Next::Retry { .. }
            )).count();
            prop_assert_eq!(retries as u32, policy().attempts_max - 1);
        }
    }
}
