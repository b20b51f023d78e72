//! Google's error envelope: `{"error":{"code","message","status","details":[…]}}`.
//!
//! One constructor per refusal, so that the texts, which clients do match on, stand in one place. Texts are those
//! observed in production (July 2026) unless a constructor says otherwise. The order of details is no contract.

use std::borrow::Cow;

use http::StatusCode;
use serde::Serialize;

use crate::faults::Exceeded;
use crate::message::TargetKind;

/// A refusal, ready to be answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    http: StatusCode,
    status: &'static str,
    message: Cow<'static, str>,
    details: Vec<Detail>,
}

/// One entry of `fieldViolations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Violation {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
    pub(crate) description: String,
}

impl Violation {
    pub(crate) fn of(field: impl Into<String>, description: impl Into<String>) -> Violation {
        Violation { field: Some(field.into()), description: description.into() }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "@type")]
enum Detail {
    #[serde(rename = "type.googleapis.com/google.firebase.fcm.v1.FcmError", rename_all = "camelCase")]
    Fcm { error_code: &'static str },
    #[serde(rename = "type.googleapis.com/google.rpc.BadRequest", rename_all = "camelCase")]
    BadRequest {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        field_violations: Vec<Violation>,
    },
    #[serde(rename = "type.googleapis.com/google.rpc.QuotaFailure")]
    QuotaFailure { violations: Vec<QuotaViolation> },
    #[serde(rename = "type.googleapis.com/google.rpc.ErrorInfo")]
    ErrorInfo {
        reason: &'static str,
        domain: &'static str,
        metadata: serde_json::Map<String, serde_json::Value>,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct QuotaViolation {
    subject: String,
    description: String,
}

#[derive(Serialize)]
struct Envelope<'e> {
    error: Body<'e>,
}

#[derive(Serialize)]
struct Body<'e> {
    code: u16,
    message: &'e str,
    status: &'e str,
    #[serde(skip_serializing_if = "<[Detail]>::is_empty")]
    details: &'e [Detail],
}

const INVALID_ARGUMENT: &str = "INVALID_ARGUMENT";
const MALFORMED_TOKEN: &str = "The registration token is not a valid FCM registration token";

/// What is asked for, as the details of 401 and 403 answers name it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    method: &'static str,
    permission: &'static str,
}

impl Operation {
    pub(crate) const SEND: Operation = Operation {
        method: "google.firebase.fcm.v1.FcmService.SendMessage",
        permission: "cloudmessaging.messages.create",
    };
    /// Both names are made after those of sends; production's aren't known.
    pub(crate) const TOPICS: Operation = Operation {
        method: "google.firebase.fcm.v1.TopicSubscriptionService",
        permission: "cloudmessaging.topicSubscriptions.update",
    };
}

/// 400: what a sender must not repeat.
impl ApiError {
    fn invalid_argument(message: impl Into<Cow<'static, str>>, details: Vec<Detail>) -> ApiError {
        ApiError { http: StatusCode::BAD_REQUEST, status: INVALID_ARGUMENT, message: message.into(), details }
    }

    /// Violations that Google's JSON front end finds before FCM sees the request: no FcmError.
    pub(crate) fn bad_json(field_violations: Vec<Violation>) -> ApiError {
        let texts: Vec<&str> =
            field_violations.iter().map(|violation| violation.description.as_str()).collect();
        ApiError::invalid_argument(texts.join("\n"), vec![Detail::BadRequest { field_violations }])
    }

    /// One text, both as the message and as the violation of a field.
    pub(crate) fn invalid(field: impl Into<String>, text: impl Into<String>) -> ApiError {
        let text = text.into();
        let violation = Violation::of(field, text.clone());
        ApiError::invalid_argument(
            text,
            vec![bad_request(vec![violation]), Detail::Fcm { error_code: INVALID_ARGUMENT }],
        )
    }

    /// The general text with the reason in the violation: for refusals whose exact text isn't known.
    pub(crate) fn invalid_field(field: &str, description: impl Into<String>) -> ApiError {
        ApiError::invalid_argument(
            "Request contains an invalid argument.",
            vec![
                bad_request(vec![Violation::of(field, description)]),
                Detail::Fcm { error_code: INVALID_ARGUMENT },
            ],
        )
    }

    pub(crate) fn no_recipient() -> ApiError {
        ApiError::invalid("message", "Recipient of the message is not set.")
    }

    pub(crate) fn malformed_token(kind: TargetKind) -> ApiError {
        let violation = Violation::of(format!("message.{}", kind.as_str()), MALFORMED_TOKEN);
        ApiError::invalid_argument(
            MALFORMED_TOKEN,
            vec![Detail::Fcm { error_code: INVALID_ARGUMENT }, bad_request(vec![violation])],
        )
    }

    /// Of a path rather than a message; the text is that of sends.
    pub(crate) fn malformed_registration(field: &'static str) -> ApiError {
        ApiError::invalid(field, MALFORMED_TOKEN)
    }

    /// Of a path or query rather than a message; the text is that of sends.
    pub(crate) fn topic_name(field: &'static str) -> ApiError {
        ApiError::invalid(field, "Topic name contains invalid characters.")
    }

    pub(crate) fn topic_characters() -> ApiError {
        ApiError::invalid("message", "Topic name contains invalid characters.")
    }

    pub(crate) fn bare_invalid_argument() -> ApiError {
        ApiError::invalid_argument("Request contains an invalid argument.", Vec::new())
    }

    pub(crate) fn too_large() -> ApiError {
        ApiError::invalid_argument(
            "Message is too large. The maximum is 4K (4096 bytes).",
            vec![bad_request(Vec::new()), Detail::Fcm { error_code: INVALID_ARGUMENT }],
        )
    }

    /// The front end's own limit on bodies; the text is Google's for its other APIs.
    pub(crate) fn body_too_large(most: usize) -> ApiError {
        ApiError::invalid_argument(
            format!("Request payload size exceeds the limit: {most} bytes."),
            Vec::new(),
        )
    }
}

fn bad_request(field_violations: Vec<Violation>) -> Detail {
    Detail::BadRequest { field_violations }
}

/// 401 and 403: who is asking.
impl ApiError {
    /// No bearer token. Text and reason are those of Google's API front end.
    pub(crate) fn credentials_missing(operation: Operation) -> ApiError {
        ApiError::unauthenticated(
            operation,
            "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie \
             or other valid authentication credential. See \
             https://developers.google.com/identity/sign-in/web/devconsole-project.",
            "CREDENTIALS_MISSING",
        )
    }

    /// A token the emulator never gave out.
    pub(crate) fn credentials_unknown(operation: Operation) -> ApiError {
        ApiError::unauthenticated(operation, INVALID_CREDENTIALS, "ACCESS_TOKEN_TYPE_UNSUPPORTED")
    }

    /// A token whose time is over.
    pub(crate) fn credentials_expired(operation: Operation) -> ApiError {
        ApiError::unauthenticated(operation, INVALID_CREDENTIALS, "ACCESS_TOKEN_EXPIRED")
    }

    fn unauthenticated(operation: Operation, message: &'static str, reason: &'static str) -> ApiError {
        let metadata = metadata([("method", operation.method), ("service", "fcm.googleapis.com")]);
        ApiError {
            http: StatusCode::UNAUTHORIZED,
            status: "UNAUTHENTICATED",
            message: message.into(),
            details: vec![Detail::ErrorInfo { reason, domain: "googleapis.com", metadata }],
        }
    }

    /// A token of another Google API.
    pub(crate) fn insufficient_scopes(operation: Operation) -> ApiError {
        let metadata = metadata([("method", operation.method), ("service", "fcm.googleapis.com")]);
        ApiError::permission_denied(
            "Request had insufficient authentication scopes.",
            vec![Detail::ErrorInfo {
                reason: "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
                domain: "googleapis.com",
                metadata,
            }],
        )
    }

    /// The account may not do this for this project, or there is no such project (text second-hand).
    pub(crate) fn no_permission(operation: Operation, project: &str) -> ApiError {
        let permission = operation.permission;
        let resource = format!("projects/{project}");
        let message = format!(
            "Permission '{permission}' denied on resource '//cloudresourcemanager.googleapis.com/{resource}' \
             (or it may not exist)."
        );
        let metadata = metadata([("permission", permission), ("resource", &resource)]);
        ApiError::permission_denied(
            message,
            vec![Detail::ErrorInfo {
                reason: "IAM_PERMISSION_DENIED",
                domain: "cloudresourcemanager.googleapis.com",
                metadata,
            }],
        )
    }

    fn permission_denied(message: impl Into<Cow<'static, str>>, details: Vec<Detail>) -> ApiError {
        ApiError {
            http: StatusCode::FORBIDDEN,
            status: "PERMISSION_DENIED",
            message: message.into(),
            details,
        }
    }
}

const INVALID_CREDENTIALS: &str = "Request had invalid authentication credentials. Expected OAuth 2 access token, \
     login cookie or other valid authentication credential. See \
     https://developers.google.com/identity/sign-in/web/devconsole-project.";

fn metadata<const N: usize>(pairs: [(&str, &str); N]) -> serde_json::Map<String, serde_json::Value> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect()
}

/// What FCM itself answers about a device, a credential, or its own state.
impl ApiError {
    fn fcm(
        http: StatusCode,
        status: &'static str,
        message: &'static str,
        error_code: &'static str,
    ) -> ApiError {
        ApiError { http, status, message: message.into(), details: vec![Detail::Fcm { error_code }] }
    }

    pub(crate) fn unregistered() -> ApiError {
        ApiError::fcm(StatusCode::NOT_FOUND, "NOT_FOUND", "Requested entity was not found.", "UNREGISTERED")
    }

    /// Text second-hand.
    pub(crate) fn sender_mismatch() -> ApiError {
        ApiError::fcm(StatusCode::FORBIDDEN, "PERMISSION_DENIED", "SenderId mismatch", "SENDER_ID_MISMATCH")
    }

    /// Text second-hand.
    pub(crate) fn third_party_auth() -> ApiError {
        ApiError::fcm(
            StatusCode::UNAUTHORIZED,
            "UNAUTHENTICATED",
            "Auth error from APNS or Web Push Service",
            "THIRD_PARTY_AUTH_ERROR",
        )
    }

    /// Text second-hand.
    pub(crate) fn internal() -> ApiError {
        ApiError::fcm(
            StatusCode::INTERNAL_SERVER_ERROR,
            "INTERNAL",
            "Internal error encountered.",
            "INTERNAL",
        )
    }

    /// Text second-hand.
    pub(crate) fn unavailable() -> ApiError {
        ApiError::fcm(
            StatusCode::SERVICE_UNAVAILABLE,
            "UNAVAILABLE",
            "The service is currently unavailable.",
            "UNAVAILABLE",
        )
    }

    pub(crate) fn quota(project_number: u64) -> ApiError {
        ApiError::quota_exceeded(
            "Quota exceeded for quota metric 'Send requests' and limit 'Send requests per minute' of service \
             'fcm.googleapis.com'.",
            of_project(project_number),
            "Message rate exceeded for the project.",
        )
    }

    /// A limit of a device or project. `device` is whom the send is for.
    pub(crate) fn exceeded(exceeded: Exceeded, project_number: u64, device: &str) -> ApiError {
        let project = || of_project(project_number);
        match exceeded {
            Exceeded::Device(_) => ApiError::quota_exceeded(
                "Device message rate exceeded.",
                format!("registration:{device}"),
                "The rate of messages to this device is too high.",
            ),
            Exceeded::Collapsible(_) => ApiError::quota_exceeded(
                "Device message rate exceeded.",
                format!("registration:{device}"),
                "The rate of collapsible messages to this device is too high.",
            ),
            Exceeded::CollapseKeys(most) => ApiError::invalid_field(
                "message.android.collapse_key",
                format!("More than {most} different collapse keys are in use for this device."),
            ),
            Exceeded::Fanouts(_) => ApiError::quota_exceeded(
                "Topic message rate exceeded.",
                project(),
                "Too many fan-outs of the project are under way.",
            ),
            Exceeded::Subscriptions(_) => ApiError::exhausted(
                "Quota exceeded for topic subscriptions.",
                vec![quota_failure(project(), "The rate of subscriptions of the project is too high.")],
            ),
        }
    }

    /// The details are documented by Firebase; the exact bodies of 429 answers aren't known.
    fn quota_exceeded(message: &'static str, subject: String, description: &str) -> ApiError {
        let details = vec![Detail::Fcm { error_code: "QUOTA_EXCEEDED" }, quota_failure(subject, description)];
        ApiError::exhausted(message, details)
    }

    fn exhausted(message: &'static str, details: Vec<Detail>) -> ApiError {
        ApiError {
            http: StatusCode::TOO_MANY_REQUESTS,
            status: "RESOURCE_EXHAUSTED",
            message: message.into(),
            details,
        }
    }
}

fn of_project(project_number: u64) -> String {
    format!("project_number:{project_number}")
}

fn quota_failure(subject: String, description: &str) -> Detail {
    let description = description.to_owned();
    Detail::QuotaFailure { violations: vec![QuotaViolation { subject, description }] }
}

/// What topic management answers.
impl ApiError {
    /// No such subscription, or the registration is gone. Text of Google's APIs.
    pub(crate) fn not_found() -> ApiError {
        ApiError::unregistered().without_details()
    }

    /// Text of Google's APIs.
    pub(crate) fn already_exists() -> ApiError {
        ApiError {
            http: StatusCode::CONFLICT,
            status: "ALREADY_EXISTS",
            message: "Requested entity already exists".into(),
            details: Vec::new(),
        }
    }

    /// The code is the old API's, which SDKs know; status and text aren't known.
    pub(crate) fn too_many_topics() -> ApiError {
        ApiError::fcm(
            StatusCode::BAD_REQUEST,
            "FAILED_PRECONDITION",
            "The registration is subscribed to the maximum number of topics.",
            "TOO_MANY_TOPICS",
        )
    }

    /// The emulator's own bound on memory.
    pub(crate) fn subscriptions_full() -> ApiError {
        ApiError::exhausted("The emulator keeps no more topic subscriptions; delete some.", Vec::new())
    }
}

impl ApiError {
    /// The same error under another HTTP status, with the canonical code that belongs to that.
    #[must_use]
    pub(crate) fn with_http(mut self, http: StatusCode) -> ApiError {
        self.http = http;
        self.status = match http.as_u16() {
            400 => INVALID_ARGUMENT,
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            409 => "ALREADY_EXISTS",
            429 => "RESOURCE_EXHAUSTED",
            500 => "INTERNAL",
            501 => "UNIMPLEMENTED",
            503 => "UNAVAILABLE",
            504 => "DEADLINE_EXCEEDED",
            _ => "UNKNOWN",
        };
        self
    }

    /// The same error with nothing but code, message and status, as production sometimes answers.
    #[must_use]
    pub(crate) fn without_details(mut self) -> ApiError {
        self.details.clear();
        self
    }

    pub(crate) fn http(&self) -> StatusCode {
        self.http
    }

    #[cfg(test)]
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The body, indented as Google does.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let error = Body {
            code: self.http.as_u16(),
            message: &self.message,
            status: self.status,
            details: &self.details,
        };
        let mut json = serde_json::to_vec_pretty(&Envelope { error }).unwrap_or_default();
        json.push(b'\n');
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(error: &ApiError) -> serde_json::Value {
        serde_json::from_slice(&error.to_json()).unwrap()
    }

    #[test]
    fn envelopes_have_googles_shape() {
        assert_eq!(
            body(&ApiError::unregistered()),
            json!({"error": {
                "code": 404, "message": "Requested entity was not found.", "status": "NOT_FOUND",
                "details": [{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "UNREGISTERED"}]
            }})
        );
        assert_eq!(
            body(&ApiError::unregistered().without_details()),
            json!({"error": {"code": 404, "message": "Requested entity was not found.", "status": "NOT_FOUND"}})
        );
        let moved = ApiError::unregistered().with_http(StatusCode::BAD_REQUEST);
        assert_eq!(body(&moved)["error"]["status"], "INVALID_ARGUMENT");
        assert_eq!(body(&moved)["error"]["code"], 400);
    }
}
