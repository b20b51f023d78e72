//! `POST /token`.

use std::sync::atomic::Ordering;

use http::StatusCode;
use http::header::HOST;
use http::request::Parts;

use super::answer::{self, Answer};
use crate::identity::GOOGLE_TOKEN_URI;
use crate::oauth::TokenEndpoint;
use crate::state::State;

pub(super) fn answer(state: &State, head: &Parts, form: &[u8]) -> Answer {
    state.oauth_requests.fetch_add(1, Ordering::Relaxed);
    let endpoint = TokenEndpoint {
        accounts: &state.accounts,
        grants: &state.grants,
        lifetime_s: state.token_lifetime_s,
        now_s: state.clock.now_s(),
    };
    let own = format!("{}/token", state.base_url);
    let [http, https] = addressed_as(head);
    match endpoint.answer(form, &[&own, GOOGLE_TOKEN_URI, &http, &https]) {
        Ok(granted) => answer::json(StatusCode::OK, &granted),
        Err(error) => answer::json(StatusCode::BAD_REQUEST, &error.to_json()),
    }
}

/// The URLs the client may have called: it may know the emulator by another name, or through a proxy.
fn addressed_as(head: &Parts) -> [String; 2] {
    let host = match head.uri.authority() {
        Some(authority) => authority.as_str(),
        None => head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default(),
    };
    [format!("http://{host}/token"), format!("https://{host}/token")]
}
