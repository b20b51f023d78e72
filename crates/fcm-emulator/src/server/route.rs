//! Which path is answered by what.

use std::sync::Arc;

use bytes::Bytes;
use http::header::DATE;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::sync::Notify;

use super::answer::{self, Answer, Reset};
use super::connection::GoAway;
use super::{iid, own, send, token, topics};
use crate::envelope::ApiError;
use crate::limits::MAX_BODY_BYTES;
use crate::state::State;

pub(super) async fn answer(
    state: Arc<State>,
    go_away: Arc<Notify>,
    request: Request<Incoming>,
) -> Result<Answer, Reset> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Ok(answer::api_error(&ApiError::body_too_large(MAX_BODY_BYTES), None));
        }
        Err(error) => {
            tracing::debug!(error, "a request's body broke off");
            return Err(Reset::internal_error());
        }
    };
    let mut answer =
        dispatch(&state, GoAway { notify: &go_away, version: head.version }, &head, body).await?;
    if let Some(date) = state.clock.shifted_date() {
        answer.headers_mut().insert(DATE, date);
    }
    Ok(answer)
}

async fn dispatch(
    state: &Arc<State>,
    go_away: GoAway<'_>,
    head: &http::request::Parts,
    body: Bytes,
) -> Result<Answer, Reset> {
    let path = head.uri.path();
    if let Some(project) = send_project(path)
        && head.method == Method::POST
    {
        return send::answer(state, go_away, project, &head.headers, &body).await;
    }
    if path == "/emulator" || path.starts_with("/emulator/") {
        return Ok(own::answer(state, head, &body).await);
    }
    if let Some(call) = topics::Call::of(&head.method, path) {
        return Ok(topics::answer(state, &call, head, &body));
    }
    if let Some(call) = iid::Call::of(&head.method, path) {
        return Ok(iid::answer(state, &call, head, &body));
    }
    if path == "/token" && head.method == Method::POST {
        return Ok(token::answer(state, head, &body));
    }
    let text = format!("The requested URL <code>{}</code> was not found on this server.", escape(path));
    Ok(answer::html_error(StatusCode::NOT_FOUND, "Not Found", &text))
}

/// The project of `/v1/projects/{project}/messages:send`.
fn send_project(path: &str) -> Option<&str> {
    let (project, method) = path.strip_prefix("/v1/projects/")?.split_once('/')?;
    let is_send = method == "messages:send" || method.eq_ignore_ascii_case("messages%3Asend");
    (is_send && !project.is_empty()).then_some(project)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_of_a_send() {
        let check = |path: &str, expected: Option<&str>| assert_eq!(send_project(path), expected, "{path}");
        check("/v1/projects/demo/messages:send", Some("demo"));
        check("/v1/projects/demo/messages%3Asend", Some("demo"));
        check("/v1/projects//messages:send", None);
        check("/v1/projects/demo/messages:sent", None);
        check("/v1/projects/demo/x/messages:send", None);
        check("/v2/projects/demo/messages:send", None);
    }
}
