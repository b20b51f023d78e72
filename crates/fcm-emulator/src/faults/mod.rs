//! What goes wrong on purpose: outages, refusals, losses and delays, by script or at run time.
//!
//! A [`Faults`] is what a user writes; [`active::ActiveFaults`] is the same while it is in force, with the counters
//! and buckets it needs. Faults meet valid requests only: a bad request is a 400 whatever the rates.

pub(crate) mod active;
mod bucket;
mod exceeded;
mod first;
mod limits;

pub(crate) use exceeded::Exceeded;
pub use limits::{Collapsible, Fanouts, Limits};

use serde::{Deserialize, Serialize};

use crate::limits::{
    FCM_MESSAGES_PER_MINUTE, MAX_LATENCY_MS, MAX_QUOTA, MAX_RETRY_AFTER_S, MAX_TOKEN_CHARS, MAX_TOKEN_RULES,
};

/// What goes wrong. The default is nothing.
///
/// ```json
/// {
///   "rates": {"unavailable": 0.01, "reset_after": 0.001},
///   "retry_after_s": {"min": 1, "max": 5},
///   "latency_ms": {"min": 5, "max": 20},
///   "quota": {"per_minute": 600000, "burst": 10000},
///   "limits": "fcm",
///   "tokens": [{"prefix": "dead-", "answer": "unregistered"},
///              {"prefix": "flaky-", "answer": "unavailable", "first": 2}]
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// How often each thing goes wrong. One roll per send, so the sum is at most 1.
    pub rates: Rates,
    /// Seconds that 429 and 503 answers give as Retry-After; none if absent. An empty quota bucket tells its own.
    pub retry_after_s: Option<Range>,
    /// Milliseconds that every valid send waits before it is decided.
    pub latency_ms: Option<Range>,
    /// A real token bucket per project; requests beyond it are answered 429. Refused requests count too, as they
    /// do in production.
    pub quota: Option<Quota>,
    /// FCM's limits per device and project, or others; `"fcm"` for FCM's own numbers.
    pub limits: Limits,
    /// Errors of sends come without `details`.
    pub missing_details: bool,
    /// The outage of September 2026: what should be 404 UNREGISTERED is 400 INVALID_ARGUMENT.
    pub dead_tokens_as_400: bool,
    /// A bad access token is answered with Google's HTML page rather than JSON.
    pub html_401: bool,
    /// Behaviour of single devices. The first rule whose prefix fits decides, before any rate.
    pub tokens: Vec<TokenRule>,
}

/// Probability of each fault, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "each field is the rate of the FaultKind of the same name, documented there")]
pub struct Rates {
    pub unavailable: f64,
    pub internal: f64,
    pub quota: f64,
    pub html_502: f64,
    pub unregistered: f64,
    pub invalid_token: f64,
    pub sender_mismatch: f64,
    pub third_party_auth: f64,
    pub goaway: f64,
    pub reset_before: f64,
    pub reset_after: f64,
    pub refused_stream: f64,
}

/// One way in which a send goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// 503 UNAVAILABLE.
    Unavailable,
    /// 500 INTERNAL.
    Internal,
    /// 429 RESOURCE_EXHAUSTED, QUOTA_EXCEEDED.
    Quota,
    /// 502 with an HTML page, as a gateway answers.
    #[serde(rename = "html_502")]
    Html502,
    /// 404 NOT_FOUND, UNREGISTERED.
    Unregistered,
    /// 400 INVALID_ARGUMENT, as for a malformed registration token.
    InvalidToken,
    /// 403 PERMISSION_DENIED, SENDER_ID_MISMATCH.
    SenderMismatch,
    /// 401 UNAUTHENTICATED, THIRD_PARTY_AUTH_ERROR.
    ThirdPartyAuth,
    /// Accepted and answered; then the connection is closed gracefully (GOAWAY, or `connection: close` on HTTP/1.1).
    Goaway,
    /// Not accepted; the stream is reset (on HTTP/1.1 the connection is closed).
    ResetBefore,
    /// Accepted, but the stream is reset instead of an answer; counted in `answers_lost`.
    ResetAfter,
    /// Not accepted; the stream is reset with REFUSED_STREAM, which promises that nothing was done.
    RefusedStream,
}

impl FaultKind {
    /// Whether it is an HTTP answer that refuses the send.
    fn is_error_answer(self) -> bool {
        match self {
            FaultKind::Unavailable
            | FaultKind::Internal
            | FaultKind::Quota
            | FaultKind::Html502
            | FaultKind::Unregistered
            | FaultKind::InvalidToken
            | FaultKind::SenderMismatch
            | FaultKind::ThirdPartyAuth => true,
            FaultKind::Goaway | FaultKind::ResetBefore | FaultKind::ResetAfter | FaultKind::RefusedStream => {
                false
            }
        }
    }
}

impl Rates {
    fn entries(&self) -> [(FaultKind, &'static str, f64); 12] {
        [
            (FaultKind::Unavailable, "unavailable", self.unavailable),
            (FaultKind::Internal, "internal", self.internal),
            (FaultKind::Quota, "quota", self.quota),
            (FaultKind::Html502, "html_502", self.html_502),
            (FaultKind::Unregistered, "unregistered", self.unregistered),
            (FaultKind::InvalidToken, "invalid_token", self.invalid_token),
            (FaultKind::SenderMismatch, "sender_mismatch", self.sender_mismatch),
            (FaultKind::ThirdPartyAuth, "third_party_auth", self.third_party_auth),
            (FaultKind::Goaway, "goaway", self.goaway),
            (FaultKind::ResetBefore, "reset_before", self.reset_before),
            (FaultKind::ResetAfter, "reset_after", self.reset_after),
            (FaultKind::RefusedStream, "refused_stream", self.refused_stream),
        ]
    }
}

/// A range to draw from, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The least.
    pub min: u32,
    /// The most.
    pub max: u32,
}

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Requests that come back per minute, evenly. FCM's own is 600,000 (Firebase documentation).
    pub per_minute: u32,
    /// Requests that may come at once when the bucket is full, as it is at first.
    pub burst: u32,
}

impl Quota {
    /// FCM's own (Firebase documentation).
    pub const FCM: Quota = Quota { per_minute: FCM_MESSAGES_PER_MINUTE, burst: FCM_MESSAGES_PER_MINUTE };
}

/// How sends to some tokens and installation ids are answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRule {
    /// What the token starts with; empty fits every token. With `$` at the end, which no token has, it is the whole
    /// token.
    pub prefix: String,
    /// What happens to them.
    pub answer: FaultKind,
    /// Only the first so many sends to each token; later ones pass this rule by. All sends if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u32>,
    /// Another HTTP status than the answer's own, 400 to 599.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// Faults that can't be: the path of the key, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct FaultsError {
    path: String,
    problem: String,
}

impl FaultsError {
    fn new(path: impl Into<String>, problem: impl Into<String>) -> FaultsError {
        FaultsError { path: path.into(), problem: problem.into() }
    }
}

impl Faults {
    /// Reads and validates the JSON of a faults file or of `PUT /emulator/v1/faults`.
    pub fn from_json(json: &[u8]) -> Result<Faults, FaultsError> {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let faults: Faults = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let path = match error.path().to_string().as_str() {
                "." => "faults".to_owned(),
                path => path.to_owned(),
            };
            FaultsError::new(path, error.into_inner().to_string())
        })?;
        deserializer.end().map_err(|error| FaultsError::new("faults", error.to_string()))?;
        faults.validate()?;
        Ok(faults)
    }

    /// Whether every value is in its range.
    pub fn validate(&self) -> Result<(), FaultsError> {
        self.rates.validate()?;
        if let Some(range) = self.retry_after_s {
            range.validate("retry_after_s", MAX_RETRY_AFTER_S)?;
        }
        if let Some(range) = self.latency_ms {
            range.validate("latency_ms", MAX_LATENCY_MS)?;
        }
        if let Some(Quota { per_minute, burst }) = self.quota {
            within("quota.per_minute", per_minute, 1, MAX_QUOTA)?;
            within("quota.burst", burst, 1, MAX_QUOTA)?;
        }
        self.limits.validate()?;
        if self.tokens.len() > MAX_TOKEN_RULES {
            return Err(FaultsError::new("tokens", format!("has more than {MAX_TOKEN_RULES} rules")));
        }
        self.tokens.iter().enumerate().try_for_each(|(index, rule)| rule.validate(index))
    }
}

impl Rates {
    fn validate(&self) -> Result<(), FaultsError> {
        /// Ten rates of 0.1 add up to a little more than 1 in binary.
        const ROUNDING: f64 = 1e-9;
        let mut sum = 0.0;
        for (_, name, rate) in self.entries() {
            if !(0.0..=1.0).contains(&rate) {
                return Err(FaultsError::new(
                    format!("rates.{name}"),
                    format!("{rate} is not between 0 and 1"),
                ));
            }
            sum += rate;
        }
        if sum > 1.0 + ROUNDING {
            return Err(FaultsError::new("rates", format!("add up to {sum}; at most 1 is possible")));
        }
        Ok(())
    }
}

impl Range {
    fn validate(self, path: &str, most: u32) -> Result<(), FaultsError> {
        if self.min > self.max {
            return Err(FaultsError::new(path, format!("min {} is more than max {}", self.min, self.max)));
        }
        within(&format!("{path}.max"), self.max, 0, most)
    }
}

impl TokenRule {
    fn fits(&self, token: &str) -> bool {
        match self.prefix.strip_suffix('$') {
            Some(whole) => token == whole,
            None => token.starts_with(&self.prefix),
        }
    }

    fn validate(&self, index: usize) -> Result<(), FaultsError> {
        let path = |key: &str| format!("tokens[{index}].{key}");
        if self.prefix.trim_end_matches('$').len() > MAX_TOKEN_CHARS {
            return Err(FaultsError::new(path("prefix"), "is longer than any token"));
        }
        if let Some(first) = self.first {
            within(&path("first"), first, 1, u32::MAX)?;
        }
        if let Some(status) = self.status {
            within(&path("status"), u32::from(status), 400, 599)?;
            if !self.answer.is_error_answer() {
                return Err(FaultsError::new(
                    path("status"),
                    "is of no use: this answer is not an HTTP error",
                ));
            }
        }
        Ok(())
    }
}

fn within(path: &str, value: u32, least: u32, most: u32) -> Result<(), FaultsError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(FaultsError::new(path, format!("{value} is not between {least} and {most}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str, expected: &str) {
        let error = Faults::from_json(json.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{json}: {error}");
    }

    #[test]
    fn nothing_goes_wrong_by_default() {
        assert_eq!(Faults::from_json(b"{}").unwrap(), Faults::default());
    }

    #[test]
    fn a_whole_script_reads_back_as_written() {
        let json = br#"{
            "rates": {"unavailable": 0.5, "html_502": 0.5},
            "retry_after_s": {"min": 1, "max": 2}, "latency_ms": null,
            "quota": {"per_minute": 60, "burst": 1}, "limits": {"device_per_minute": 1},
            "missing_details": true, "dead_tokens_as_400": true, "html_401": true,
            "tokens": [{"prefix": "dead-", "answer": "unregistered", "first": 3, "status": 400}]
        }"#;
        let faults = Faults::from_json(json).unwrap();
        let again = serde_json::to_vec(&faults).unwrap();
        assert_eq!(Faults::from_json(&again).unwrap(), faults);
    }

    #[test]
    fn every_rate_is_listed_once() {
        let json = serde_json::to_value(Rates::default()).unwrap();
        let names: std::collections::BTreeSet<&str> =
            Rates::default().entries().into_iter().map(|(_, name, _)| name).collect();
        assert_eq!(names, json.as_object().unwrap().keys().map(String::as_str).collect());
        for (kind, name, _) in Rates::default().entries() {
            assert_eq!(serde_json::to_value(kind).unwrap(), name);
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_path() {
        refused(r#"{"rate": {}}"#, "rate: unknown field `rate`");
        refused(r#"{"rates": {"unavailabel": 0.1}}"#, "rates.unavailabel: unknown field `unavailabel`");
        refused(r#"{"rates": {"internal": "x"}}"#, "rates.internal: invalid type");
        refused(r#"{"rates": {"internal": 1.5}}"#, "rates.internal: 1.5 is not between 0 and 1");
        refused(r#"{"rates": {"internal": -0.1}}"#, "rates.internal: -0.1 is not between 0 and 1");
        refused(r#"{"rates": {"internal": 0.6, "unavailable": 0.5}}"#, "rates: add up to 1.1");
        refused(r#"{"retry_after_s": {"min": 3, "max": 2}}"#, "retry_after_s: min 3 is more than max 2");
        refused(r#"{"retry_after_s": {"min": 3, "max": 86401}}"#, "retry_after_s.max: 86401 is not between");
        refused(r#"{"latency_ms": {"min": 0, "max": 600001}}"#, "latency_ms.max: 600001 is not between");
        refused(r#"{"quota": {"per_minute": 0, "burst": 1}}"#, "quota.per_minute: 0 is not between");
        refused(r#"{"quota": {"per_minute": 1, "burst": 0}}"#, "quota.burst: 0 is not between");
        refused(
            r#"{"tokens": [{"prefix": "a", "answer": "nope"}]}"#,
            "tokens[0].answer: unknown variant `nope`",
        );
        refused(
            r#"{"tokens": [{"prefix": "a", "answer": "internal", "first": 0}]}"#,
            "tokens[0].first: 0 is not",
        );
        refused(
            r#"{"tokens": [{"prefix": "a", "answer": "internal", "status": 200}]}"#,
            "tokens[0].status: 200 is not",
        );
        refused(
            r#"{"tokens": [{"prefix": "a", "answer": "goaway", "status": 500}]}"#,
            "tokens[0].status: is of no use",
        );
        refused("{} {}", "faults: trailing characters");
        refused("nope", "faults: expected");
    }

    #[test]
    fn a_rule_is_for_what_begins_so_or_for_the_whole_token() {
        let rule = |prefix: &str| TokenRule {
            prefix: prefix.to_owned(),
            answer: FaultKind::Internal,
            first: None,
            status: None,
        };
        assert!(
            rule("phone-1").fits("phone-1") && rule("phone-1").fits("phone-10") && rule("").fits("phone-1")
        );
        assert!(rule("phone-1$").fits("phone-1") && !rule("phone-1$").fits("phone-10"));
        let longest = "x".repeat(MAX_TOKEN_CHARS) + "$";
        assert_eq!(rule(&longest).validate(0), Ok(()));
        assert!(rule(&format!("x{longest}")).validate(0).is_err());
    }

    #[test]
    fn rules_are_bounded() {
        let rule =
            TokenRule { prefix: String::new(), answer: FaultKind::Internal, first: None, status: None };
        let faults = |rules| Faults { tokens: vec![rule.clone(); rules], ..Faults::default() };
        assert_eq!(faults(MAX_TOKEN_RULES).validate(), Ok(()));
        assert!(faults(MAX_TOKEN_RULES + 1).validate().is_err());
    }
}
