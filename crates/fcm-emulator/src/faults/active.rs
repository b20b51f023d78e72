//! Faults in force: one decision per valid send.
//!
//! The quota comes first (it is the project's), then the rules of single tokens, then one roll against the rates.
//! What would be accepted then meets the limits of devices and fan-outs.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::SmallRng;

use super::bucket::{Bucket, Rate};
use super::exceeded::{Exceeded, ToDevice, Used};
use super::first::FirstSends;
use super::{FaultKind, Faults, Range, TokenRule};
use crate::hash::Hasher128;
use crate::message::{Outgoing, Target, TargetKind};

/// What is to happen to a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Deliver,
    Fail { kind: FaultKind, status: Option<u16>, retry_after_s: Option<u32> },
}

impl Decision {
    /// Whether the send will be in the inbox, answered or not.
    pub(crate) fn accepts(self) -> bool {
        match self {
            Decision::Deliver => true,
            Decision::Fail { kind, .. } => matches!(kind, FaultKind::Goaway | FaultKind::ResetAfter),
        }
    }
}

#[derive(Debug)]
pub(crate) struct ActiveFaults {
    faults: Faults,
    /// Upper ends of the rates' slices of 0..1, without those of rate 0.
    slices: Vec<(f64, FaultKind)>,
    /// By index of the project.
    buckets: Mutex<HashMap<usize, Bucket>>,
    first: Mutex<FirstSends>,
    used: Mutex<Used>,
}

impl ActiveFaults {
    pub(crate) fn new(faults: Faults) -> ActiveFaults {
        let mut end = 0.0;
        let mut slices = Vec::new();
        for (kind, _, rate) in faults.rates.entries() {
            end += rate;
            if rate > 0.0 {
                slices.push((end, kind));
            }
        }
        let used = Mutex::new(Used::new(faults.limits));
        ActiveFaults { faults, slices, buckets: Mutex::default(), first: Mutex::default(), used }
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// How long a send waits before it is decided.
    pub(crate) fn latency(&self, rng: &Mutex<SmallRng>) -> Option<Duration> {
        let range = self.faults.latency_ms?;
        Some(Duration::from_millis(u64::from(draw(range, rng))))
    }

    /// Takes a request that was refused off the quota, as production does; its own refusal stands.
    pub(crate) fn count_refused(&self, project: usize, now: Instant) {
        self.quota_wait(project, now);
    }

    pub(crate) fn decide(
        &self,
        project: usize,
        target: Target<'_>,
        rng: &Mutex<SmallRng>,
        hasher: &Hasher128,
        now: Instant,
    ) -> Decision {
        if let Some(wait) = self.quota_wait(project, now) {
            let wait_s = wait.as_secs_f64().ceil().max(1.0) as u32;
            return Decision::Fail { kind: FaultKind::Quota, status: None, retry_after_s: Some(wait_s) };
        }
        if let Some(rule) = self.rule_of(target, hasher) {
            return self.fail(rule.answer, rule.status, rng);
        }
        match self.roll(rng) {
            Some(kind) => self.fail(kind, None, rng),
            None => Decision::Deliver,
        }
    }

    /// Takes a send that would be accepted off the limits of its device or, with the devices it reaches, of its
    /// project's fan-outs. A validation takes nothing.
    pub(crate) fn admit(
        &self,
        project: usize,
        outgoing: Outgoing<'_>,
        reaches: Option<u64>,
        hasher: &Hasher128,
        now: Instant,
    ) -> Result<(), Exceeded> {
        if outgoing.validate_only {
            return Ok(());
        }
        match reaches {
            Some(devices) if self.faults.limits.fanouts.is_some() => {
                self.used().fan_out(project, devices, now)
            }
            None if self.faults.limits.concern_devices() => {
                let Outgoing { target, collapsing, .. } = outgoing;
                let message = ToDevice {
                    device: hasher.of(&(project, target.value)),
                    is_collapsible: collapsing.is_collapsible,
                    key: collapsing.key.map(|key| (hasher.of(&key), collapsing.key_in_use)),
                };
                self.used().send_to_device(message, now)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Takes the change of one subscription off the project's rate.
    pub(crate) fn admit_subscription(&self, project: usize, now: Instant) -> Result<(), Exceeded> {
        match self.faults.limits.subscriptions_per_s {
            Some(_) => self.used().subscription(project, now),
            None => Ok(()),
        }
    }

    /// The error, and its HTTP status if it is another than its own, that the rule of a registration has for the
    /// management of its topics. Other answers than FCM's own errors are for sends.
    pub(crate) fn of_registration(
        &self,
        registration: &str,
        hasher: &Hasher128,
    ) -> Option<(FaultKind, Option<u16>)> {
        let target = Target { kind: TargetKind::Token, value: registration };
        let rule = self.rule_of(target, hasher)?;
        let is_fcms = rule.answer.is_error_answer() && rule.answer != FaultKind::Html502;
        is_fcms.then_some((rule.answer, rule.status))
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one request off the quota; if it is used up, says how long until there is one.
    fn quota_wait(&self, project: usize, now: Instant) -> Option<Duration> {
        let quota = self.faults.quota?;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = Rate { burst: quota.burst, per_second: f64::from(quota.per_minute) / 60.0 };
        buckets.entry(project).or_insert_with(|| Bucket::new(rate, now)).take(now).err()
    }

    /// The first rule that fits and isn't used up for this token.
    fn rule_of(&self, target: Target<'_>, hasher: &Hasher128) -> Option<&TokenRule> {
        if !target.kind.is_device() {
            return None;
        }
        let mut rules = self.faults.tokens.iter().enumerate();
        let (_, rule) = rules.find(|(index, rule)| {
            rule.fits(target.value)
                && rule.first.is_none_or(|first| self.is_among_first(*index, first, target, hasher))
        })?;
        Some(rule)
    }

    fn is_among_first(&self, rule: usize, first: u32, target: Target<'_>, hasher: &Hasher128) -> bool {
        let token = hasher.of(&target.value);
        self.first.lock().unwrap_or_else(PoisonError::into_inner).is_among(first, rule, token)
    }

    fn roll(&self, rng: &Mutex<SmallRng>) -> Option<FaultKind> {
        if self.slices.is_empty() {
            return None;
        }
        let roll: f64 = rng.lock().unwrap_or_else(PoisonError::into_inner).random();
        self.slices.iter().find(|(end, _)| roll < *end).map(|(_, kind)| *kind)
    }

    fn fail(&self, kind: FaultKind, status: Option<u16>, rng: &Mutex<SmallRng>) -> Decision {
        let throttles = matches!(kind, FaultKind::Quota | FaultKind::Unavailable);
        let retry_after_s = self.faults.retry_after_s.filter(|_| throttles).map(|range| draw(range, rng));
        Decision::Fail { kind, status, retry_after_s }
    }
}

fn draw(range: Range, rng: &Mutex<SmallRng>) -> u32 {
    rng.lock().unwrap_or_else(PoisonError::into_inner).random_range(range.min..=range.max)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::faults::{Quota, Rates};

    struct Rig {
        active: ActiveFaults,
        rng: Mutex<SmallRng>,
        hasher: Hasher128,
        now: Instant,
    }

    impl Rig {
        fn new(faults: Faults) -> Rig {
            faults.validate().unwrap();
            Rig {
                active: ActiveFaults::new(faults),
                rng: Mutex::new(SmallRng::seed_from_u64(7)),
                hasher: Hasher128::default(),
                now: Instant::now(),
            }
        }

        fn send(&self, token: &str) -> Option<FaultKind> {
            let target = Target { kind: TargetKind::Token, value: token };
            match self.active.decide(0, target, &self.rng, &self.hasher, self.now) {
                Decision::Deliver => None,
                Decision::Fail { kind, .. } => Some(kind),
            }
        }
    }

    #[test]
    fn rates_are_met_and_the_same_seed_replays() {
        let rates = Rates { unavailable: 0.25, internal: 0.25, ..Rates::default() };
        let run = || {
            let rig = Rig::new(Faults { rates, ..Faults::default() });
            (0..4_000).map(|_| rig.send("t")).collect::<Vec<_>>()
        };
        let first = run();
        assert_eq!(first, run());
        let count = |kind| first.iter().filter(|outcome| **outcome == kind).count();
        for kind in [Some(FaultKind::Unavailable), Some(FaultKind::Internal)] {
            assert!((850..1_150).contains(&count(kind)), "{kind:?}: {}", count(kind));
        }
    }

    #[test]
    fn a_rate_of_one_always_hits() {
        let rates = Rates { refused_stream: 1.0, ..Rates::default() };
        let rig = Rig::new(Faults { rates, ..Faults::default() });
        assert!((0..1_000).all(|_| rig.send("t") == Some(FaultKind::RefusedStream)));
    }

    #[test]
    fn first_counts_each_token_by_itself_and_then_steps_aside() {
        let rule = |answer, first| TokenRule { prefix: "f".to_owned(), answer, first, status: None };
        let tokens = vec![rule(FaultKind::Internal, Some(2)), rule(FaultKind::Unavailable, Some(1))];
        let rig = Rig::new(Faults { tokens, ..Faults::default() });
        for token in ["fa", "fb"] {
            let outcomes: Vec<_> = (0..4).map(|_| rig.send(token)).collect();
            let expected =
                [Some(FaultKind::Internal), Some(FaultKind::Internal), Some(FaultKind::Unavailable), None];
            assert_eq!(outcomes, expected);
        }
        assert_eq!(rig.send("other"), None);
    }

    #[test]
    fn the_quota_says_when_to_come_back_and_counts_refused_requests() {
        let rig = Rig::new(Faults { quota: Some(Quota { per_minute: 6, burst: 2 }), ..Faults::default() });
        rig.active.count_refused(0, rig.now);
        assert_eq!(rig.send("t"), None);
        let target = Target { kind: TargetKind::Token, value: "t" };
        let decision = rig.active.decide(0, target, &rig.rng, &rig.hasher, rig.now);
        let expected = Decision::Fail { kind: FaultKind::Quota, status: None, retry_after_s: Some(10) };
        assert_eq!(decision, expected);
        assert_eq!(
            rig.active.decide(1, target, &rig.rng, &rig.hasher, rig.now),
            Decision::Deliver,
            "another project has its own"
        );
    }

    #[test]
    fn throttling_answers_carry_retry_after() {
        let retry_after_s = Some(Range { min: 5, max: 6 });
        let rates = Rates { unavailable: 1.0, ..Rates::default() };
        let rig = Rig::new(Faults { rates, retry_after_s, ..Faults::default() });
        let target = Target { kind: TargetKind::Topic, value: "t" };
        let Decision::Fail { retry_after_s, .. } =
            rig.active.decide(0, target, &rig.rng, &rig.hasher, rig.now)
        else {
            panic!("a rate of one")
        };
        assert!(matches!(retry_after_s, Some(5..=6)));
    }
}
