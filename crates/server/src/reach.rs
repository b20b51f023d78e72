//! Says in the log when a provider gives no answer any more, and when it does again: every attempt has its outcome in
//! the timeline, but nobody reads timelines before they know that something is wrong.
//!
//! ```text
//!   answers ── several attempts without one ──► silent (a warning, repeated each minute) ── an answer ──► answers
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pabal_core::outcome::{Outcome, Report};
use pabal_core::route::{ChannelKind, Credential};
use pabal_core::seam::{Channel, channel::Outbound};
use tokio::time::Instant;

/// Attempts without an answer, one after another, that are no accident any more.
const SILENT_AFTER: u64 = 3;
/// How long it has to last: a connection that breaks fails many attempts at once and is replaced at once.
const SILENT_FOR: Duration = Duration::from_secs(1);
/// How often it is said again.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// A channel whose silences are logged.
pub(crate) struct Watched {
    kind: ChannelKind,
    inner: Arc<dyn Channel>,
    silences: Mutex<BTreeMap<Credential, Silence>>,
}

/// Attempts without an answer since the last answer.
#[derive(Debug, Clone, Copy)]
struct Silence {
    since: Instant,
    attempts: u64,
    said_at: Option<Instant>,
}

impl Watched {
    pub(crate) fn new(kind: ChannelKind, inner: Arc<dyn Channel>) -> Self {
        Self { kind, inner, silences: Mutex::default() }
    }

    /// What there is to say after an attempt.
    fn note(&self, credential: &Credential, answered: bool, now: Instant) -> Say {
        let mut silences = self.silences.lock().unwrap_or_else(PoisonError::into_inner);
        if answered {
            let ended = silences.remove(credential);
            return match ended.filter(|silence| silence.said_at.is_some()) {
                Some(silence) => Say::Again(now - silence.since),
                None => Say::Nothing,
            };
        }
        let new = Silence { since: now, attempts: 0, said_at: None };
        let silence = silences.entry(credential.clone()).or_insert(new);
        silence.attempts += 1;
        let lasts = silence.attempts >= SILENT_AFTER && now - silence.since >= SILENT_FOR;
        if !lasts || silence.said_at.is_some_and(|said| now - said < SAY_EVERY) {
            return Say::Nothing;
        }
        silence.said_at = Some(now);
        Say::Silent(silence.attempts)
    }

    fn say(&self, credential: &Credential, answered: bool, detail: &str) {
        let channel = self.kind;
        match self.note(credential, answered, Instant::now()) {
            Say::Nothing => {}
            Say::Silent(attempts) => tracing::warn!(
                %channel, project = %credential, attempts, last = detail,
                "the provider does not answer; deliveries wait and are tried again"
            ),
            Say::Again(silent) => tracing::info!(
                %channel, project = %credential, silent_s = silent.as_secs(), "the provider answers again"
            ),
        }
    }
}

/// What there is to say.
#[derive(Debug, PartialEq, Eq)]
enum Say {
    Nothing,
    /// After so many attempts.
    Silent(u64),
    /// After so long.
    Again(Duration),
}

#[async_trait]
impl Channel for Watched {
    async fn send(&self, outbound: &Outbound) -> Report {
        let mut cut = Cut { watched: self, outbound, ended: false };
        let report = self.inner.send(outbound).await;
        cut.ended = true;
        let answered = !matches!(report.outcome, Outcome::NotSent | Outcome::Unknown);
        let detail = report.detail.as_deref().unwrap_or_default();
        self.say(&outbound.credential, answered, detail);
        report
    }

    fn capacity(&self, credential: &Credential) -> usize {
        self.inner.capacity(credential)
    }
}

/// An attempt that is dropped at its deadline had no answer either.
struct Cut<'a> {
    watched: &'a Watched,
    outbound: &'a Outbound,
    ended: bool,
}

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.watched.say(&self.outbound.credential, false, "no answer within the attempt's deadline");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Never;

    #[async_trait]
    impl Channel for Never {
        async fn send(&self, _: &Outbound) -> Report {
            Report::of(Outcome::NotSent)
        }

        fn capacity(&self, _: &Credential) -> usize {
            1
        }
    }

    #[test]
    fn a_silence_is_said_once_a_minute_and_its_end_once() {
        let watched = Watched::new(ChannelKind::Fcm, Arc::new(Never));
        let project = Credential::new("demo").unwrap();
        let start = Instant::now();
        let at = |ms: u64, answered| watched.note(&project, answered, start + Duration::from_millis(ms));
        assert_eq!([at(0, false), at(1, false), at(2, false)], [Say::Nothing, Say::Nothing, Say::Nothing]);
        assert_eq!(at(1500, false), Say::Silent(4));
        assert_eq!(at(2000, false), Say::Nothing);
        assert_eq!(at(61_500, false), Say::Silent(6));
        assert_eq!(at(70_000, true), Say::Again(Duration::from_secs(70)));
        assert_eq!(at(70_001, true), Say::Nothing);
        assert_eq!([at(80_000, false), at(80_001, true)], [Say::Nothing, Say::Nothing], "one is an accident");
    }
}
