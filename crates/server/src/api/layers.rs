//! What happens around every request: it gets an id, its place among the requests in flight and a deadline; its
//! problem gets its form; it is counted; and the log gets one line, which names the route and never what was in it. The
//! id is in every line that the request leads to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use tracing::Instrument;

use super::problem::{Problem, ProblemKind};
use super::{Api, Shared};
use crate::limits;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The outermost layer: id, form of problems, log.
pub(super) async fn observe(State(api): State<Shared>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = request_id(&request, &api);
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("(no route)", MatchedPath::as_str);
    let meter = api.scrape.http.begin(&method, route);
    // Of the most severe level, so that the id is there whatever level is logged.
    let span = tracing::error_span!("request", request_id = %id);
    let response = next.run(request).instrument(span.clone()).await;
    let _entered = span.enter();
    let mut response = formed(response, &id);
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    meter.answered(response.status());
    log(&method, route, response.status(), began.elapsed());
    response
}

/// The caller's own id if it is one that can stand in a log, else a new one.
fn request_id(request: &Request, api: &Api) -> String {
    let fits = |id: &&str| {
        (1..=limits::REQUEST_ID_CHARS_MAX).contains(&id.len())
            && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(fits);
    given.map_or_else(|| format!("{:016x}", api.chance.next_u64()), str::to_owned)
}

/// Gives every error the form of a problem: those of the handlers, and those that the router or an extractor made.
fn formed(response: Response, id: &str) -> Response {
    let problem = match response.extensions().get::<Problem>() {
        Some(problem) => problem.clone(),
        None => match problem_of_router(&response) {
            Some(problem) => problem,
            None => return response,
        },
    };
    if let Some(cause) = problem.cause() {
        tracing::warn!(cause, "a request failed");
    }
    let mut formed = problem.render(id);
    if let Some(allow) = response.headers().get(ALLOW) {
        formed.headers_mut().insert(ALLOW, allow.clone());
    }
    formed
}

/// Names the methods that a path has, around the whole router: it tells them only once all other layers are through.
pub(super) async fn name_methods(response: Response) -> Response {
    let text = |name: &HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
    let (Some(allow), Some(id)) = (text(&ALLOW), text(&REQUEST_ID)) else { return response };
    if response.status() != StatusCode::METHOD_NOT_ALLOWED {
        return response;
    }
    let methods: Vec<&str> = allow.split(',').map(str::trim).collect();
    let detail = format!("this path has {}", methods.join(", "));
    let mut named = Problem::new(ProblemKind::MethodNotAllowed, detail).render(id);
    for name in [&ALLOW, &REQUEST_ID] {
        if let Some(value) = response.headers().get(name) {
            named.headers_mut().insert(name, value.clone());
        }
    }
    named
}

fn problem_of_router(response: &Response) -> Option<Problem> {
    let is_json = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().ends_with(b"json"));
    let status = response.status();
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    Some(match status {
        StatusCode::NOT_FOUND => {
            Problem::new(ProblemKind::NotFound, "there is no such path; see docs/guide/api.md")
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            Problem::new(ProblemKind::MethodNotAllowed, "the header Allow lists the methods of this path")
        }
        status if status.is_client_error() => {
            Problem::new(ProblemKind::InvalidRequest, "the path or a header can't be read")
        }
        _ => Problem::new(ProblemKind::Internal, "the log has more under this request_id"),
    })
}

fn log(method: &Method, route: &str, status: StatusCode, took: Duration) {
    let status = status.as_u16();
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    if status >= 500 {
        tracing::warn!(%method, route, status, took_ms, "request");
    } else {
        tracing::debug!(%method, route, status, took_ms, "request");
    }
}

/// Gives a request its place and its deadline, or refuses it at once: what waits for long is of use to nobody.
pub(super) async fn bound(State(api): State<Shared>, request: Request, next: Next) -> Response {
    let Ok(_place) = Arc::clone(&api.places).try_acquire_owned() else {
        let detail = "too many requests are open on this server; try again in a moment";
        return Problem::new(ProblemKind::Overloaded, detail)
            .retry_after(Duration::from_secs(1))
            .into_response();
    };
    match tokio::time::timeout(api.request_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = "what came of the request is not known; repeat it, with the same Idempotency-Key if it has one";
            Problem::new(ProblemKind::Timeout, detail).retry_after(Duration::from_secs(1)).into_response()
        }
    }
}
