//! What a channel reports about one attempt. There is no error path beside it: a failure *is* an outcome.

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::route::named;

/// What became of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The provider took it.
    Delivered,
    /// It never left: no connection, stream refused before it was processed.
    NotSent,
    /// It was sent, and no answer came: it may have arrived.
    Unknown,
    /// The provider says: too much.
    Throttled {
        /// The provider's `Retry-After`, in milliseconds.
        retry_after_ms: Option<u64>,
        /// What is too much.
        scope: ThrottleScope,
    },
    /// The provider is not well.
    Unavailable {
        /// The provider's `Retry-After`, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The provider refuses this message, and will refuse it again.
    Rejected,
    /// The provider says that the address is no address.
    MalformedTarget,
    /// The provider says that the registration is gone.
    Unregistered,
    /// The registration belongs to another sender.
    SenderMismatch,
    /// The credential is not accepted.
    CredentialInvalid {
        /// What the credential serves.
        scope: CredentialScope,
    },
}

/// What a throttling answer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThrottleScope {
    /// This one device gets too many.
    Device,
    /// This topic gets too many.
    Topic,
    /// The whole project sends too many, or the provider did not say.
    Project,
}

/// How far an invalid credential reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CredentialScope {
    /// Everything that this credential sends.
    Credential,
    /// What this credential sends to this platform (FCM's own credential for APNs or web push).
    Platform,
}

/// The word for an outcome, in timelines and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// See [`Outcome::Delivered`].
    Delivered,
    /// See [`Outcome::NotSent`].
    NotSent,
    /// See [`Outcome::Unknown`].
    Unknown,
    /// See [`Outcome::Throttled`].
    Throttled,
    /// See [`Outcome::Unavailable`].
    Unavailable,
    /// See [`Outcome::Rejected`].
    Rejected,
    /// See [`Outcome::MalformedTarget`].
    MalformedTarget,
    /// See [`Outcome::Unregistered`].
    Unregistered,
    /// See [`Outcome::SenderMismatch`].
    SenderMismatch,
    /// See [`Outcome::CredentialInvalid`].
    CredentialInvalid,
}

named!(
    OutcomeKind,
    "outcome",
    Delivered = "delivered",
    NotSent = "not_sent",
    Unknown = "unknown",
    Throttled = "throttled",
    Unavailable = "unavailable",
    Rejected = "rejected",
    MalformedTarget = "malformed_target",
    Unregistered = "unregistered",
    SenderMismatch = "sender_mismatch",
    CredentialInvalid = "credential_invalid"
);

impl Outcome {
    /// The word for it.
    pub const fn kind(&self) -> OutcomeKind {
        match self {
            Outcome::Delivered => OutcomeKind::Delivered,
            Outcome::NotSent => OutcomeKind::NotSent,
            Outcome::Unknown => OutcomeKind::Unknown,
            Outcome::Throttled { .. } => OutcomeKind::Throttled,
            Outcome::Unavailable { .. } => OutcomeKind::Unavailable,
            Outcome::Rejected => OutcomeKind::Rejected,
            Outcome::MalformedTarget => OutcomeKind::MalformedTarget,
            Outcome::Unregistered => OutcomeKind::Unregistered,
            Outcome::SenderMismatch => OutcomeKind::SenderMismatch,
            Outcome::CredentialInvalid { .. } => OutcomeKind::CredentialInvalid,
        }
    }
}

/// An outcome with what the provider said, for the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What it means.
    pub outcome: Outcome,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// The provider's code: `UNREGISTERED`, `QUOTA_EXCEEDED`. Never a token, never a payload.
    pub code: Option<String>,
    /// What the provider or the network said, cut to [`limits::DETAIL_CHARS_MAX`] characters. On success, the
    /// provider's name for the message.
    pub detail: Option<String>,
}

impl Report {
    /// A report of nothing but the outcome.
    pub const fn of(outcome: Outcome) -> Self {
        Self { outcome, status: None, code: None, detail: None }
    }

    /// With the HTTP status.
    #[must_use]
    pub const fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// With the provider's code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// With what was said, cut to its named limit.
    #[must_use]
    pub fn with_detail(mut self, detail: impl AsRef<str>) -> Self {
        self.detail = Some(detail.as_ref().chars().take(limits::DETAIL_CHARS_MAX).collect());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_cut_to_their_limit() {
        let report = Report::of(Outcome::Unknown).with_detail("발".repeat(limits::DETAIL_CHARS_MAX + 5));
        assert_eq!(report.detail.unwrap().chars().count(), limits::DETAIL_CHARS_MAX);
    }
}
