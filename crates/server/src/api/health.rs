//! Whether the process lives, and whether it is of use. Neither needs a key, and neither tells a stranger more.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use http::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::Shared;
use crate::limits;

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz))
}

/// Whether the server is of use.
#[derive(Debug, Serialize)]
struct Readiness {
    status: &'static str,
    reasons: Vec<String>,
    in_flight: usize,
    paused_routes: usize,
}

/// The process answers.
async fn healthz() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// Notifications can be accepted, and an engine runs that sends them. A route whose credential was refused is named, and
/// does not make the server unready: what is accepted for it waits, and the other routes go on.
async fn readyz(State(api): State<Shared>) -> Response {
    let status = api.engine.status();
    let mut reasons = Vec::new();
    if status.broken {
        reasons.push("a part of the engine has failed: nothing is sent until the server is started anew");
    }
    if status.store_fails {
        reasons.push("the store takes no writes: nothing is accepted, and no attempt begins until it does");
    }
    match tokio::time::timeout(limits::READY_PROBE, api.store.keys()).await {
        Ok(Ok(_)) => {}
        Ok(Err(_)) => reasons.push("the store can't be read"),
        Err(_) => reasons.push("the store does not answer"),
    }
    let is_ready = reasons.is_empty();
    let paused = status
        .pauses
        .iter()
        .map(|pause| format!("paused, because the provider refused the credential: {}", pause.route));
    let answer = Readiness {
        status: if is_ready { "ready" } else { "unready" },
        reasons: reasons.into_iter().map(str::to_owned).chain(paused).collect(),
        in_flight: status.in_flight,
        paused_routes: status.pauses.len(),
    };
    let code = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(answer)).into_response()
}
