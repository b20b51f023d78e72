//! Problems in the document: the one schema of them all, and an answer for each set of kinds that operations give with
//! the same status. Such a set is written once and referred to.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::json;
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};

use super::headers;
use crate::api::problem::{MEDIA_TYPE, ProblemBody, ProblemKind};

/// The name of the schema.
const SCHEMA: &str = "Problem";

/// Every operation with a key may have these.
pub(super) const OF_KEYS: [ProblemKind; 8] = [
    ProblemKind::InvalidRequest,
    ProblemKind::Unauthorized,
    ProblemKind::Forbidden,
    ProblemKind::TooManyRequests,
    ProblemKind::Internal,
    ProblemKind::StoreUnavailable,
    ProblemKind::Overloaded,
    ProblemKind::Timeout,
];

/// Every operation with a body may have these.
pub(super) const OF_BODIES: [ProblemKind; 5] = [
    ProblemKind::MalformedJson,
    ProblemKind::BodyTimeout,
    ProblemKind::BodyTooLarge,
    ProblemKind::UnsupportedMediaType,
    ProblemKind::InvalidValue,
];

/// The schema of a problem, and what it refers to.
pub(super) fn schemas() -> Vec<(String, RefOr<Schema>)> {
    let mut schemas = vec![(SCHEMA.to_owned(), ProblemBody::schema())];
    ProblemBody::schemas(&mut schemas);
    schemas
}

/// The words of all kinds, as `type` has them.
pub(super) fn types() -> Vec<String> {
    ProblemKind::ALL.into_iter().map(ProblemKind::urn).collect()
}

/// Kinds that share a status, as one answer.
pub(super) struct Answer {
    status: StatusCode,
    kinds: Vec<ProblemKind>,
}

/// The answers that kinds come to, by their statuses.
pub(super) fn answers(kinds: &[ProblemKind]) -> Vec<Answer> {
    let mut by_status: BTreeMap<u16, Answer> = BTreeMap::new();
    // In the order of the list of all, and each once.
    for kind in ProblemKind::ALL.into_iter().filter(|kind| kinds.contains(kind)) {
        let status = kind.status();
        let answer = by_status.entry(status.as_u16()).or_insert_with(|| Answer { status, kinds: Vec::new() });
        answer.kinds.push(kind);
    }
    by_status.into_values().collect()
}

/// What a problem of a kind says, for instance.
const fn example_of(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::MalformedJson => "expected `,` or `}` at line 3 column 5",
        ProblemKind::InvalidRequest => "titel is not known; known here: to, title, body, …",
        ProblemKind::Unauthorized => "send the header 'Authorization: Bearer KEY'",
        ProblemKind::Forbidden => "this API key lacks the scope 'manage'",
        ProblemKind::NotFound => "there is no such notification",
        ProblemKind::MethodNotAllowed => "this path has GET, HEAD",
        ProblemKind::BodyTimeout => "the body did not arrive within 20000 ms",
        ProblemKind::Conflict => "the delivery is delivered, not dead",
        ProblemKind::LimitReached => "the user has 50 devices, and more are not possible",
        ProblemKind::BodyTooLarge => "the body is larger than 65536 bytes",
        ProblemKind::UnsupportedMediaType => "send JSON, with 'Content-Type: application/json'",
        ProblemKind::InvalidValue => "ttl is longer than 2419200 seconds",
        ProblemKind::IdempotencyKeyReused => {
            "this Idempotency-Key came with another body within the last 24 hours; nothing was accepted"
        }
        ProblemKind::TooManyRequests => "wait for an answer before you send the next request",
        ProblemKind::Internal => "the log has more under this request_id",
        ProblemKind::StoreUnavailable => {
            "nothing was changed; repeat the request, with the same Idempotency-Key if it has one"
        }
        ProblemKind::Overloaded => "too many requests are open on this server; try again in a moment",
        ProblemKind::Timeout => {
            "what came of the request is not known; repeat it, with the same Idempotency-Key if it has one"
        }
        ProblemKind::Unfinished => {
            "12000 deliveries are erased, and there are more; repeat the request with this document's cursor as \
             ?cursor=: it goes on from there"
        }
    }
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// What it is called among the responses of the document.
    pub(super) fn name(&self) -> String {
        let words: Vec<&str> = self.kinds.iter().map(|kind| kind.word()).collect();
        words.join("-or-")
    }

    pub(super) fn response(&self) -> Response {
        let meanings: Vec<String> =
            self.kinds.iter().map(|kind| format!("`{}`: {}.", kind.word(), kind.title())).collect();
        let types: Vec<String> = self.kinds.iter().map(|kind| kind.urn()).collect();
        let narrowed = ObjectBuilder::new()
            .property("type", ObjectBuilder::new().schema_type(Type::String).enum_values(Some(types)))
            .property(
                "status",
                ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some([self.status.as_u16()])),
            );
        let schema = AllOfBuilder::new().item(Ref::from_schema_name(SCHEMA)).item(narrowed);
        let content = ContentBuilder::new().schema(Some(schema)).example(self.example());
        let mut response = ResponseBuilder::new()
            .description(meanings.join(" "))
            .content(MEDIA_TYPE, content.build())
            .header_ref("X-Request-Id", headers::reference("X-Request-Id"));
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response = response.header_ref("Retry-After", headers::reference("Retry-After"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response = response.header_ref("WWW-Authenticate", headers::reference("WWW-Authenticate"));
        }
        response.build()
    }

    fn example(&self) -> Option<serde_json::Value> {
        let kind = self.kinds.last()?;
        let mut example = json!({
            "type": kind.urn(),
            "title": kind.title(),
            "status": self.status.as_u16(),
            "detail": example_of(*kind),
            "request_id": "9f2c51d0a7e3b846",
        });
        if *kind == ProblemKind::Unfinished {
            example["cursor"] = "AWfHDhUyl0Nr".into();
        }
        Some(example)
    }
}
