//! Whether the process lives, and whether it is of use. Neither needs a key, and neither tells a stranger more.

use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::Shared;
use super::document::{Operation, Tag};
use super::routes::Routes;
use crate::limits;

pub(super) fn routes() -> Routes {
    Routes::new()
        .open(
            "/healthz",
            healthz,
            Operation::new(Tag::Observation, "getHealth", "Does the process live?")
                .text("Answers as long as the process does.")
                .answers::<HealthBody>(StatusCode::OK, "It lives.", json!({ "status": "ok" })),
        )
        .open("/readyz", readyz, readiness())
}

fn readiness() -> Operation {
    Operation::new(Tag::Observation, "getReadiness", "Is the server of use?")
        .text(
            "*Ready* means that notifications can be accepted, and that the engine which sends them runs. It stays so \
             while a provider is down or refuses a credential: what is accepted waits. A route that is paused for a \
             refused credential is counted in `paused_routes` and named in `reasons`.",
        )
        .answers::<Readiness>(
            StatusCode::OK,
            "It is.",
            json!({ "status": "ready", "reasons": [], "in_flight": 12, "paused_routes": 0 }),
        )
        .answers::<Readiness>(
            StatusCode::SERVICE_UNAVAILABLE,
            "It is not: `reasons` say why.",
            json!({
                "status": "unready", "reasons": ["the store can't be read"], "in_flight": 0, "paused_routes": 0,
            }),
        )
}

/// That the process lives.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
struct HealthBody {
    /// `ok`.
    status: &'static str,
}

/// Whether the server is of use.
#[derive(Debug, Serialize, ToSchema)]
struct Readiness {
    /// `ready` or `unready`.
    status: &'static str,
    /// Why it is not ready, and which routes are paused.
    reasons: Vec<String>,
    /// Deliveries that are being attempted.
    in_flight: usize,
    paused_routes: usize,
}

/// The process answers.
async fn healthz() -> Response {
    Json(HealthBody { status: "ok" }).into_response()
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
