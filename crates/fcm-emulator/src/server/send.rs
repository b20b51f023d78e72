//! `POST /v1/projects/{project}/messages:send`: who asks, what they ask, and what goes wrong, in this order.

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::answer::{self, Answer, Reset};
use super::bearer;
use super::connection::GoAway;
use crate::envelope::{ApiError, Operation, Violation};
use crate::faults::active::{ActiveFaults, Decision};
use crate::faults::{Exceeded, FaultKind};
use crate::json::{Json, syntax_complaint};
use crate::message::{Outgoing, TargetKind, validate};
use crate::state::State;
use crate::topics::Reached;

pub(super) async fn answer(
    state: &State,
    go_away: GoAway<'_>,
    project: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Answer, Reset> {
    let faults = state.faults();
    let project = match bearer::of_project(state, headers, project, Operation::SEND) {
        Ok(project) => project,
        Err(error) => return Ok(bearer::refused(&faults, &error)),
    };
    let mut request = Json::Null;
    let outgoing = match parse(body, &mut request).and_then(|request| validate(&state.schema, request)) {
        Ok(outgoing) => outgoing,
        Err(error) => {
            faults.count_refused(project, Instant::now());
            return Ok(refused(&faults, error, None));
        }
    };
    if let Some(latency) = faults.latency(&state.rng) {
        tokio::time::sleep(latency).await;
    }
    let decision = faults.decide(project, outgoing.target, &state.rng, &state.hasher, Instant::now());
    let reached = state.subscriptions.reached(project, outgoing.target);
    if decision.accepts() {
        let reaches = reached.as_ref().map(|reached| reached.count);
        if let Err(exceeded) = faults.admit(project, outgoing, reaches, &state.hasher, Instant::now()) {
            return Ok(limited(state, &faults, project, exceeded, outgoing.target.value));
        }
    }
    let send = ValidSend { state, project, outgoing, reached, body };
    match decision {
        Decision::Deliver => Ok(send.deliver()),
        Decision::Fail { kind, status, retry_after_s } => {
            let status = status.and_then(|status| StatusCode::from_u16(status).ok());
            send.fail(&faults, go_away, kind, status, retry_after_s)
        }
    }
}

pub(super) fn parse<'r, 'a>(
    body: &'a Bytes,
    request: &'r mut Json<'a>,
) -> Result<&'r mut Json<'a>, ApiError> {
    *request = if body.is_empty() {
        Json::Object(Vec::new()) // an empty body is an empty message
    } else {
        Json::parse(body).map_err(|error| {
            let description = syntax_complaint(body, &error);
            ApiError::bad_json(vec![Violation { field: None, description }])
        })?
    };
    Ok(request)
}

fn limited(state: &State, faults: &ActiveFaults, project: usize, exceeded: Exceeded, target: &str) -> Answer {
    let error = ApiError::exceeded(exceeded, state.accounts[project].project_number, target);
    refused(faults, error, exceeded.retry_after_s())
}

pub(super) fn refused(faults: &ActiveFaults, error: ApiError, retry_after_s: Option<u32>) -> Answer {
    let error = if faults.faults().missing_details { error.without_details() } else { error };
    answer::api_error(&error, retry_after_s)
}

/// A send with nothing against it but faults.
struct ValidSend<'s> {
    state: &'s State,
    project: usize,
    outgoing: Outgoing<'s>,
    reached: Option<Reached>,
    body: &'s Bytes,
}

impl ValidSend<'_> {
    fn accept(&self, answer_lost: bool) {
        if !self.outgoing.validate_only {
            let reached = self.reached.clone();
            self.state.inbox.accept(self.project, self.outgoing, self.body, reached, answer_lost);
        }
    }

    fn deliver(&self) -> Answer {
        self.accept(false);
        let project = &self.state.accounts[self.project].project_id;
        let id = if self.outgoing.validate_only {
            "fake_message_id".to_owned() // as production answers a validation, second-hand
        } else {
            self.state.message_id(self.outgoing.target.kind)
        };
        answer::json_text(
            StatusCode::OK,
            format!("{{\n  \"name\": \"projects/{project}/messages/{id}\"\n}}\n"),
        )
    }

    fn fail(
        &self,
        faults: &ActiveFaults,
        go_away: GoAway<'_>,
        kind: FaultKind,
        status: Option<StatusCode>,
        retry_after_s: Option<u32>,
    ) -> Result<Answer, Reset> {
        let error = match kind {
            FaultKind::Goaway => return Ok(go_away.after(self.deliver())),
            FaultKind::ResetBefore => return Err(Reset::internal_error()),
            FaultKind::RefusedStream => return Err(Reset::refused_stream()),
            FaultKind::ResetAfter => {
                self.accept(true);
                return Err(Reset::internal_error());
            }
            FaultKind::Html502 => {
                let status = status.unwrap_or(StatusCode::BAD_GATEWAY);
                let text = "The server encountered a temporary error and could not complete your request.<p>\
                            Please try again in 30 seconds.";
                return Ok(answer::html_error(status, "Server Error", text));
            }
            FaultKind::Unregistered if faults.faults().dead_tokens_as_400 => {
                ApiError::malformed_token(self.device_kind())
            }
            FaultKind::Unregistered => ApiError::unregistered(),
            FaultKind::InvalidToken => ApiError::malformed_token(self.device_kind()),
            FaultKind::SenderMismatch => ApiError::sender_mismatch(),
            FaultKind::ThirdPartyAuth => ApiError::third_party_auth(),
            FaultKind::Quota => ApiError::quota(self.state.accounts[self.project].project_number),
            FaultKind::Internal => ApiError::internal(),
            FaultKind::Unavailable => ApiError::unavailable(),
        };
        let error = match status {
            Some(status) => error.with_http(status),
            None => error,
        };
        Ok(refused(faults, error, retry_after_s))
    }

    fn device_kind(&self) -> TargetKind {
        if self.outgoing.target.kind == TargetKind::Fid { TargetKind::Fid } else { TargetKind::Token }
    }
}
