//! Problems: the one shape of every error that a caller sees (RFC 9457), and the one place where errors of the
//! seams become HTTP statuses.
//!
//! A problem never quotes what the caller sent, beyond the names of fields.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use pabal_core::ids::Invalid;
use pabal_core::{Error, ErrorKind};
use serde::Serialize;
use utoipa::ToSchema;

use super::document::schema;
use crate::shape::{Fault, Misfit};

/// What every problem is written as.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// What went wrong, for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    kind: ProblemKind,
    detail: String,
    field: Option<String>,
    cursor: Option<String>,
    retry_after: Option<Duration>,
    /// For the log alone: what the caller need not know.
    cause: Option<String>,
}

/// Every kind of problem. Each has a stable word, a status and a title; docs/guide/errors.md lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProblemKind {
    MalformedJson,
    InvalidRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    BodyTimeout,
    Conflict,
    LimitReached,
    BodyTooLarge,
    UnsupportedMediaType,
    InvalidValue,
    IdempotencyKeyReused,
    TooManyRequests,
    Internal,
    StoreUnavailable,
    Overloaded,
    Timeout,
    Unfinished,
}

/// What went wrong (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    #[serde(rename = "type")]
    #[schema(value_type = schema::ProblemType)]
    kind: String,
    /// The same for every problem of a type.
    title: &'static str,
    status: u16,
    /// For people; it may change.
    detail: String,
    /// The field, header or query parameter that is to blame, as `to.users[1]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    field: Option<String>,
    /// Where work goes on that was `unfinished`: repeat the request with it as `?cursor=`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cursor: Option<String>,
    /// Missing in what is said of an item of a batch: the request is the batch's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    request_id: Option<String>,
}

impl ProblemKind {
    pub(crate) const ALL: [ProblemKind; 19] = [
        Self::MalformedJson,
        Self::InvalidRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::BodyTimeout,
        Self::Conflict,
        Self::LimitReached,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::InvalidValue,
        Self::IdempotencyKeyReused,
        Self::TooManyRequests,
        Self::Internal,
        Self::StoreUnavailable,
        Self::Overloaded,
        Self::Timeout,
        Self::Unfinished,
    ];

    /// The last part of the problem's `type`.
    pub(crate) const fn word(self) -> &'static str {
        self.parts().0
    }

    /// The HTTP status.
    pub(crate) const fn status(self) -> StatusCode {
        self.parts().1
    }

    /// The problem's `type`.
    pub(crate) fn urn(self) -> String {
        format!("urn:pabal:problem:{}", self.word())
    }

    /// The same for every problem of this kind.
    pub(crate) const fn title(self) -> &'static str {
        self.parts().2
    }

    const fn parts(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::MalformedJson => ("malformed_json", S::BAD_REQUEST, "The body is not JSON"),
            Self::InvalidRequest => ("invalid_request", S::BAD_REQUEST, "The request has another shape"),
            Self::Unauthorized => ("unauthorized", S::UNAUTHORIZED, "No valid API key"),
            Self::Forbidden => ("forbidden", S::FORBIDDEN, "The API key may not do this"),
            Self::NotFound => ("not_found", S::NOT_FOUND, "There is no such thing"),
            Self::MethodNotAllowed => {
                ("method_not_allowed", S::METHOD_NOT_ALLOWED, "The path has no such method")
            }
            Self::BodyTimeout => ("body_timeout", S::REQUEST_TIMEOUT, "The body did not arrive in time"),
            Self::Conflict => ("conflict", S::CONFLICT, "The request contradicts what is stored"),
            Self::LimitReached => ("limit_reached", S::CONFLICT, "A limit would be passed"),
            Self::BodyTooLarge => ("body_too_large", S::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::UnsupportedMediaType => {
                ("unsupported_media_type", S::UNSUPPORTED_MEDIA_TYPE, "The body is of another type")
            }
            Self::InvalidValue => ("invalid_value", S::UNPROCESSABLE_ENTITY, "A value is refused"),
            Self::IdempotencyKeyReused => {
                ("idempotency_key_reused", S::UNPROCESSABLE_ENTITY, "The key was used with another body")
            }
            Self::TooManyRequests => {
                ("too_many_requests", S::TOO_MANY_REQUESTS, "This key sends too many requests")
            }
            Self::Internal => ("internal", S::INTERNAL_SERVER_ERROR, "Something failed that should not"),
            Self::StoreUnavailable => {
                ("store_unavailable", S::SERVICE_UNAVAILABLE, "The store can't be used at the moment")
            }
            Self::Overloaded => ("overloaded", S::SERVICE_UNAVAILABLE, "Too many requests are open"),
            Self::Timeout => ("timeout", S::SERVICE_UNAVAILABLE, "The request took too long"),
            Self::Unfinished => ("unfinished", S::SERVICE_UNAVAILABLE, "There was no time for all of it"),
        }
    }
}

impl Problem {
    /// A problem of a kind; `detail` is for people.
    pub(crate) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), field: None, cursor: None, retry_after: None, cause: None }
    }

    /// A field's value is refused; `problem` ends the sentence that begins with the field.
    pub(crate) fn value(field: impl Into<String>, problem: impl std::fmt::Display) -> Self {
        let field = field.into();
        Self::new(ProblemKind::InvalidValue, format!("{field} {problem}")).at(field)
    }

    /// What a checked constructor refused, where its own word for the thing is not the path of the field.
    pub(crate) fn invalid_at(field: impl Into<String>, invalid: &Invalid) -> Self {
        Self::value(field, &invalid.problem)
    }

    /// There is no such thing for this app.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(ProblemKind::NotFound, format!("there is no such {what}"))
    }

    /// Names the field.
    #[must_use]
    pub(crate) fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says where the work goes on.
    #[must_use]
    pub(crate) fn going_on_at(mut self, cursor: String) -> Self {
        self.cursor = Some(cursor);
        self
    }

    /// Says when to try again.
    #[must_use]
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Tells the log why.
    #[must_use]
    fn because(mut self, cause: &Error) -> Self {
        self.cause = Some(format!("{:?}: {cause}", cause.kind()));
        self
    }

    /// Why, for the log.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// The document, with the id under which the logs know the request.
    pub(crate) fn document(&self, request_id: Option<&str>) -> ProblemBody {
        ProblemBody {
            kind: self.kind.urn(),
            title: self.kind.title(),
            status: self.status().as_u16(),
            detail: self.detail.clone(),
            field: self.field.clone(),
            cursor: self.cursor.clone(),
            request_id: request_id.map(str::to_owned),
        }
    }

    /// The answer.
    pub(crate) fn render(&self, request_id: &str) -> Response {
        let (status, document) = (self.status(), self.document(Some(request_id)));
        let mut response = (status, serde_json::to_string(&document).unwrap_or_default()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if self.kind == ProblemKind::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}

/// Leaves the rendering to the outermost layer, which knows the request's id.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Misfit> for Problem {
    fn from(misfit: Misfit) -> Self {
        let kind = match misfit.fault {
            Fault::Unknown(_) | Fault::Missing | Fault::Type { .. } => ProblemKind::InvalidRequest,
            Fault::Value(_) => ProblemKind::InvalidValue,
        };
        let problem = Problem::new(kind, misfit.to_string());
        if misfit.path.is_empty() { problem } else { problem.at(misfit.path) }
    }
}

/// What a checked constructor of the core refused: its word for the thing is the field's name in the API.
impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::invalid_at(invalid.what, &invalid)
    }
}

/// What a seam could not do. Its words are for the log; the caller learns what follows for him.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let problem = match error.kind() {
            ErrorKind::LimitReached => Problem::new(ProblemKind::LimitReached, words(&error)),
            ErrorKind::Conflict => Problem::new(ProblemKind::Conflict, words(&error)),
            _ if error.is_temporary() => {
                let detail =
                    "nothing was changed; repeat the request, with the same Idempotency-Key if it has one";
                Problem::new(ProblemKind::StoreUnavailable, detail).retry_after(Duration::from_secs(1))
            }
            _ => Problem::new(ProblemKind::Internal, "the log has more under this request_id"),
        };
        problem.because(&error)
    }
}

/// An error's text without the operation, which is a name of the code's.
fn words(error: &Error) -> String {
    let text = error.to_string();
    let prefix = format!("{}: ", error.operation());
    text.strip_prefix(&prefix).unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_distinct_and_documented() {
        let documented = include_str!("../../../../docs/guide/errors.md");
        let mut words = std::collections::BTreeSet::new();
        for kind in ProblemKind::ALL {
            assert!(words.insert(kind.word()), "{kind:?}");
            let row = format!("| {} | `{}` |", kind.status().as_u16(), kind.word());
            assert!(documented.contains(&row), "docs/guide/errors.md misses the row that begins {row}");
        }
    }

    #[test]
    fn temporary_errors_ask_to_come_back() {
        let problem = Problem::from(Error::new(ErrorKind::Full, "accept", "disk full at /var/lib"));
        assert_eq!(problem.kind, ProblemKind::StoreUnavailable);
        let response = problem.render("r1");
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        assert!(!problem.detail.contains("/var/lib"));
    }

    #[test]
    fn bugs_are_not_explained_to_strangers() {
        let problem = Problem::from(Error::new(ErrorKind::Corrupt, "load", "row 7 is garbage"));
        assert_eq!(problem.kind, ProblemKind::Internal);
        assert!(!problem.detail.contains("row 7"));
    }
}
