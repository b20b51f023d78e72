//! `/emulator/…`: what doesn't exist at Google, the page and the questions of tests. One door, so that the guard
//! stands before all of it.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::answer::{self, Answer};
use super::{control, guard};
use crate::limits::MAX_EVENT_STREAMS;
use crate::page;
use crate::state::State;

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

pub(super) async fn answer(state: &Arc<State>, head: &Parts, body: &Bytes) -> Answer {
    let mut answer = match guard::problem(head) {
        Some(problem) => control::error(StatusCode::FORBIDDEN, &problem),
        None => dispatch(state, head, body).await,
    };
    protect(answer.headers_mut());
    if head.method == Method::HEAD { answer::headers_alone(answer) } else { answer }
}

async fn dispatch(state: &Arc<State>, head: &Parts, body: &Bytes) -> Answer {
    let reads = head.method == Method::GET || head.method == Method::HEAD;
    match head.uri.path().strip_prefix("/emulator/") {
        None => answer::moved("/emulator/"),
        Some("v1/events") if head.method == Method::GET => events(state, head),
        Some("v1/events") => {
            control::error(StatusCode::METHOD_NOT_ALLOWED, &format!("{} is not possible here", head.method))
        }
        Some(path) => match (path.strip_prefix("v1/"), page::asset(path)) {
            (Some(path), _) => control::answer(state, &head.method, path, head.uri.query(), body).await,
            (None, Some(asset)) if reads => answer::asset(asset),
            (None, Some(_)) => control::error(StatusCode::METHOD_NOT_ALLOWED, "the page can only be read"),
            (None, None) => control::error(StatusCode::NOT_FOUND, &format!("there is no /emulator/{path}")),
        },
    }
}

/// Goes on after `Last-Event-ID`, which browsers send when they connect again, or after `?after=` of the same.
fn events(state: &Arc<State>, head: &Parts) -> Answer {
    let header = head.headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
    let query = head.uri.query().unwrap_or_default();
    let after = || form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "after");
    let last_id = header.or_else(|| after().map(|(_, id)| id.into_owned()));
    match page::events::follow(state, last_id.as_deref()) {
        Some(body) => answer::events(body),
        None => control::error(
            StatusCode::SERVICE_UNAVAILABLE,
            &format!("{MAX_EVENT_STREAMS} pages watch already; close one"),
        ),
    }
}

/// What keeps other sites from using an answer, and the page from using them.
fn protect(headers: &mut HeaderMap) {
    let policies = [
        (CONTENT_SECURITY_POLICY, page::CONTENT_SECURITY_POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
        (CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in policies {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
