//! Whether the process lives, and whether it is of use. Neither needs a key, and neither tells a stranger more.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use http::StatusCode;
use serde_json::json;

use super::Shared;
use crate::limits;

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz))
}

/// The process answers.
async fn healthz() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// Notifications can be accepted and sent.
async fn readyz(State(api): State<Shared>) -> Response {
    let status = api.engine.status();
    let mut reasons = Vec::new();
    if status.store_fails {
        reasons.push("the store takes no writes: nothing is accepted, and no attempt begins until it does");
    }
    match tokio::time::timeout(limits::READY_PROBE, api.store.keys()).await {
        Ok(Ok(_)) => {}
        Ok(Err(_)) => reasons.push("the store can't be read"),
        Err(_) => reasons.push("the store does not answer"),
    }
    let answer = json!({
        "status": if reasons.is_empty() { "ready" } else { "unready" },
        "reasons": reasons,
        "in_flight": status.in_flight,
        "paused_routes": status.pauses.len(),
    });
    let code = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(answer)).into_response()
}
