//! `GET /metrics`: for Prometheus and its like. It concerns the whole server, so a key must be one of the app `default`;
//! `http.metrics_open` lets everybody in who reaches the port.

use std::time::Duration;

use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::request::Parts;

use super::Shared;
use super::document::{Operation, Tag};
use super::problem::{Problem, ProblemKind};
use super::routes::Routes;
use crate::auth::{Granted, Reads, Scope as _};
use crate::limits;
use crate::metrics::Form;

pub(super) fn routes() -> Routes {
    Routes::new().open("/metrics", show, operation())
}

fn operation() -> Operation {
    let media_types = [Form::Plain, Form::OpenMetrics].map(Form::content_type);
    Operation::new(Tag::Observation, "getMetrics", "Numbers for Prometheus")
        .text(
            "Prometheus' text format, or OpenMetrics where `Accept` asks for it. They are of the whole server, so the key \
             must be one of the app `default`; with `http.metrics_open` none is needed.",
        )
        .needs(Reads::WORD)
        .answers_plainly(StatusCode::OK, "The metrics.", &media_types)
}

async fn show(State(api): State<Shared>, mut parts: Parts) -> Result<Response, Problem> {
    let caller = if api.metrics_open { None } else { Some(grant(&mut parts, &api).await?) };
    let form = Form::asked_for(&parts.headers);
    let text = api
        .scrape
        .text(form)
        .map_err(|_| Problem::new(ProblemKind::Internal, "the metrics could not be written down"))?;
    drop(caller);
    Ok(([(CONTENT_TYPE, form.content_type())], text).into_response())
}

/// A key that was not used lately is looked up in the store, which may hang: a scrape must not.
async fn grant(parts: &mut Parts, api: &Shared) -> Result<Granted<Reads>, Problem> {
    let granting = tokio::time::timeout(limits::READY_PROBE, Granted::from_request_parts(parts, api));
    let caller: Granted<Reads> = granting.await.map_err(|_| {
        Problem::new(
            ProblemKind::StoreUnavailable,
            "the store does not answer, so the key can't be looked up",
        )
        .retry_after(Duration::from_secs(1))
    })??;
    if caller.is_default_app() {
        return Ok(caller);
    }
    let detail = "metrics are of the whole server: they need a key of the app default";
    Err(Problem::new(ProblemKind::Forbidden, detail))
}
