//! What an answer of FCM means. Pure: status, two headers and the body → [`Report`].
//!
//! Sources: Firebase's documentation of the FCM error codes, the discovery document (revision 20261023), and
//! observed production answers. The rules that protect a user's devices:
//!
//! - `errorCode` counts only inside a detail of exactly [`FCM_ERROR`]; the order of details means nothing.
//! - Only UNREGISTERED and SENDER_ID_MISMATCH, so given, say anything final about a device. A 404 without it says
//!   nothing: a wrong URL or a gateway answers so too.
//! - A 400 about the token may be an outage that calls good tokens bad; it is reported as such, and no more.
//! - An answer that is not JSON is judged by its status alone.

use pabal_core::clock::Timestamp;
use pabal_core::device::Target;
use pabal_core::outcome::{CredentialScope, Outcome, Report, ThrottleScope};
use serde_json::Value;

use crate::detail::{html_text, scrubbed};
use crate::retry_after::{duration_ms, retry_after_ms, retry_sentence_ms};

/// The type of the detail that carries FCM's own error code.
const FCM_ERROR: &str = "type.googleapis.com/google.firebase.fcm.v1.FcmError";
/// The type of the detail that names the fields of a bad request.
const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";
/// The type of the detail that names the quota that is exhausted.
const QUOTA_FAILURE: &str = "type.googleapis.com/google.rpc.QuotaFailure";
/// The type of the detail by which Google's APIs ask for a delay.
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";
/// Characters of the longest error code that is kept.
const CODE_CHARS_MAX: usize = 64;

/// What of an answer matters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The text of `Retry-After`.
    pub(crate) retry_after: Option<String>,
    /// The text of `Date`.
    pub(crate) date: Option<String>,
    /// The body, as far as its limit.
    pub(crate) body: bytes::Bytes,
}

impl Answer {
    /// How long the provider asks to wait, wherever it says so.
    fn retry_after_ms(&self, said: &Said, now: Timestamp) -> Option<u64> {
        let header = self.retry_after.as_deref();
        header.and_then(|value| retry_after_ms(value, self.date.as_deref(), now)).or(said.retry_ms)
    }
}

/// The report of an answer about a message to `target`. `now` stands in for a missing `Date`.
pub(crate) fn classify(answer: &Answer, target: &Target, now: Timestamp) -> Report {
    let said = Said::read(&answer.body);
    let retry_after_ms = answer.retry_after_ms(&said, now);
    let outcome = match answer.status {
        200..=299 => return accepted(answer, &said, target),
        429 => Outcome::Throttled { retry_after_ms, scope: said.throttle_scope(target) },
        408 | 500.. => Outcome::Unavailable { retry_after_ms },
        status => said.refusal(status),
    };
    let report = Report::of(outcome).with_status(answer.status);
    let report = match said.code(answer.status) {
        Some(code) => report.with_code(code),
        None => report,
    };
    if said.message.is_empty() { report } else { report.with_detail(scrubbed(&said.message, target)) }
}

/// A 2xx answer: delivered if it names the message, as FCM does; else who knows who answered.
fn accepted(answer: &Answer, said: &Said, target: &Target) -> Report {
    let name = serde_json::from_slice::<Value>(&answer.body).ok();
    match name.as_ref().and_then(|body| body["name"].as_str()) {
        Some(name) => {
            Report::of(Outcome::Delivered).with_status(answer.status).with_detail(scrubbed(name, target))
        }
        None => Report::of(Outcome::Unknown)
            .with_status(answer.status)
            .with_detail(format!("success without the message's name: {}", scrubbed(&said.message, target))),
    }
}

/// What the body of an error says, in whatever shape it came.
#[derive(Debug, Default)]
struct Said {
    /// The text for people.
    message: String,
    /// `error.status`, as `NOT_FOUND`.
    status: String,
    /// `errorCode` of the detail [`FCM_ERROR`].
    fcm_code: Option<String>,
    /// The fields that [`BAD_REQUEST`] names.
    bad_fields: Vec<String>,
    /// What [`QUOTA_FAILURE`] says, subjects and descriptions.
    quota: String,
    /// The wait that the body itself asks for.
    retry_ms: Option<u64>,
}

impl Said {
    fn read(body: &[u8]) -> Said {
        let value: Option<Value> = serde_json::from_slice(body).ok();
        // Google's gateways wrap some errors into an array of one.
        let error =
            value.as_ref().map(|value| value.get(0).unwrap_or(value)).and_then(|value| value.get("error"));
        match error {
            Some(error @ Value::Object(_)) => Said::of_error(error),
            _ => Said::of_page(body),
        }
    }

    fn of_error(error: &Value) -> Said {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut said =
            Said { message: text(&error["message"]), status: text(&error["status"]), ..Said::default() };
        for detail in error["details"].as_array().into_iter().flatten() {
            said.add_detail(detail);
        }
        said
    }

    fn add_detail(&mut self, detail: &Value) {
        let violations = |list: &str| detail[list].as_array().cloned().unwrap_or_default();
        match detail["@type"].as_str() {
            Some(FCM_ERROR) => self.fcm_code = detail["errorCode"].as_str().map(str::to_owned),
            Some(BAD_REQUEST) => {
                let fields = violations("fieldViolations").into_iter();
                self.bad_fields
                    .extend(fields.filter_map(|violation| violation["field"].as_str().map(str::to_owned)));
            }
            Some(QUOTA_FAILURE) => {
                for violation in violations("violations") {
                    for text in [&violation["subject"], &violation["description"]] {
                        self.quota.push_str(text.as_str().unwrap_or_default());
                        self.quota.push(' ');
                    }
                }
            }
            Some(RETRY_INFO) => self.retry_ms = detail["retryDelay"].as_str().and_then(duration_ms),
            _ => {}
        }
    }

    fn of_page(body: &[u8]) -> Said {
        let message = html_text(&String::from_utf8_lossy(body));
        Said { retry_ms: retry_sentence_ms(&message), message, ..Said::default() }
    }

    /// The code for the timeline: FCM's own, else the canonical one. Nothing that is not shaped like a code.
    fn code(&self, status: u16) -> Option<&str> {
        let canonical = if status == 404 { "NOT_FOUND" } else { &self.status };
        let code = self.fcm_code.as_deref().unwrap_or(canonical);
        let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        (!code.is_empty() && code.len() <= CODE_CHARS_MAX && code.chars().all(fits)).then_some(code)
    }

    /// What a 3xx or 4xx means that is neither 408 nor 429.
    fn refusal(&self, status: u16) -> Outcome {
        match (status, self.fcm_code.as_deref()) {
            (_, Some("UNREGISTERED")) => Outcome::Unregistered,
            (_, Some("SENDER_ID_MISMATCH")) => Outcome::SenderMismatch,
            (_, Some("THIRD_PARTY_AUTH_ERROR")) => {
                Outcome::CredentialInvalid { scope: CredentialScope::Platform }
            }
            (401 | 403, _) => Outcome::CredentialInvalid { scope: CredentialScope::Credential },
            (400, _) if self.calls_the_address_malformed() => Outcome::MalformedTarget,
            _ => Outcome::Rejected,
        }
    }

    fn calls_the_address_malformed(&self) -> bool {
        let invalid = self.fcm_code.as_deref().unwrap_or(&self.status) == "INVALID_ARGUMENT";
        invalid && self.bad_fields.iter().any(|field| field == "message.token" || field == "message.fid")
    }

    /// What is too much: only what the answer names and the target allows. Else the project, which waits longest.
    fn throttle_scope(&self, target: &Target) -> ThrottleScope {
        let told = format!("{} {}", self.message, self.quota).to_ascii_lowercase();
        match target {
            Target::Token(_) | Target::Fid(_) if told.contains("device") => ThrottleScope::Device,
            Target::FcmTopic(_) | Target::FcmCondition(_) if told.contains("topic") => ThrottleScope::Topic,
            Target::Token(_) | Target::Fid(_) | Target::FcmTopic(_) | Target::FcmCondition(_) => {
                ThrottleScope::Project
            }
        }
    }
}

#[cfg(test)]
mod tests;
