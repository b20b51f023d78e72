//! What the policy makes of what channels report: `docs/specs/channel.md`, through core's public functions.

use pabal_core::backoff::Backoff;
use pabal_core::delivery::Reason;
use pabal_core::device::MarkKind;
use pabal_core::limits;
use pabal_core::outcome::{CredentialScope, Outcome, Report, ThrottleScope};
use pabal_core::verdict::{History, Next, RetryPolicy, Verdict, judge};
use pabal_testkit::fixtures::token;

const ATTEMPTS_MAX: u32 = 4;

fn judged(outcome: Outcome, counted: u32, remaining_ms: u64) -> Verdict {
    let backoff = Backoff::new(1000, 60_000).expect("a backoff");
    let policy = RetryPolicy::new(backoff, ATTEMPTS_MAX, 30_000).expect("a policy");
    judge(&outcome, History { attempts: counted, counted, remaining_ms }, &policy, 0.5)
}

fn temporary() -> [Outcome; 5] {
    let (retry_after_ms, scope) = (None, ThrottleScope::Project);
    [
        Outcome::NotSent,
        Outcome::Unknown,
        Outcome::Unavailable { retry_after_ms },
        Outcome::Throttled { retry_after_ms, scope },
        Outcome::Throttled { retry_after_ms, scope: ThrottleScope::Device },
    ]
}

// channel.md C6
#[test]
fn a_retry_after_is_waited_in_full() {
    for after_ms in [1, 999, 3_600_000, 86_400_000] {
        let retry_after_ms = Some(after_ms);
        let scopes = [ThrottleScope::Device, ThrottleScope::Topic, ThrottleScope::Project];
        let throttled = scopes.map(|scope| Outcome::Throttled { retry_after_ms, scope });
        for outcome in throttled.into_iter().chain([Outcome::Unavailable { retry_after_ms }]) {
            let next = judged(outcome, 0, u64::MAX).next;
            let Next::Retry { delay_ms, counted: true } = next else { panic!("{outcome:?}: {next:?}") };
            assert!(delay_ms >= after_ms, "{outcome:?} waits {delay_ms}");
        }
    }
}

// channel.md C7
#[test]
fn only_the_providers_word_marks_a_device() {
    let mark = |outcome| judged(outcome, 0, u64::MAX).mark;
    assert_eq!(mark(Outcome::Unregistered), Some(MarkKind::Retired));
    assert_eq!(mark(Outcome::SenderMismatch), Some(MarkKind::Retired));
    assert_eq!(mark(Outcome::MalformedTarget), Some(MarkKind::Quarantined));
    let credential = Outcome::CredentialInvalid { scope: CredentialScope::Credential };
    for outcome in temporary().into_iter().chain([Outcome::Delivered, Outcome::Rejected, credential]) {
        assert_eq!(mark(outcome), None, "{outcome:?}");
    }
}

// channel.md C8
#[test]
fn a_refused_credential_pauses_what_it_serves_and_costs_nothing() {
    for scope in [CredentialScope::Credential, CredentialScope::Platform] {
        let verdict = judged(Outcome::CredentialInvalid { scope }, ATTEMPTS_MAX, u64::MAX);
        assert_eq!(verdict.pause, Some(scope));
        assert!(matches!(verdict.next, Next::Retry { counted: false, .. }), "{verdict:?}");
    }
    for outcome in temporary() {
        assert_eq!(judged(outcome, 0, u64::MAX).pause, None, "{outcome:?}");
    }
}

// channel.md C9
#[test]
fn reports_are_bounded_and_show_no_address() {
    let said = "토큰 ".repeat(limits::DETAIL_CHARS_MAX);
    let report = Report::of(Outcome::Rejected).with_status(400).with_code("INVALID").with_detail(said);
    assert_eq!(report.detail.map(|detail| detail.chars().count()), Some(limits::DETAIL_CHARS_MAX));
    assert!(!format!("{:?}", token("secret")).contains("secret"));
}

// channel.md C10
#[test]
fn retries_end_with_the_budget_or_the_time_to_live() {
    for outcome in temporary() {
        let counts = outcome != Outcome::NotSent;
        for spent in 0..ATTEMPTS_MAX - 1 {
            let next = judged(outcome, spent, u64::MAX).next;
            assert!(
                matches!(next, Next::Retry { counted, .. } if counted == counts),
                "{outcome:?}: {next:?}"
            );
        }
        let last = judged(outcome, ATTEMPTS_MAX - 1, u64::MAX).next;
        assert_eq!(last == Next::Dead(Reason::AttemptsExhausted), counts, "{outcome:?}: {last:?}");
        assert_eq!(judged(outcome, 0, 1).next, Next::Expire, "{outcome:?} would come too late");
    }
}
