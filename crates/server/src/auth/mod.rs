//! Who calls, and what the caller may do.
//!
//! A handler gets at an app only through [`Granted`], which names the scope it needs: a handler that forgets to ask
//! can't be written. A key opens one app. `admin` of the app `default` may make and list what belongs to apps as such
//! (apps, and the keys of other apps), and never looks into another app.
//!
//! ```text
//!   header ──► secret ──► hash ──► gate: known? revoked? expired? ──► pace ──► scope ──► place ──► Granted
//! ```

mod gate;
mod pace;
mod revocation;
mod scopes;
mod uses;

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;
use pabal_core::ids::{AppId, KeyId};
use tokio::sync::OwnedSemaphorePermit;

pub(crate) use self::gate::{Gate, KeyBounds};
pub(crate) use self::revocation::Revocation;
pub(crate) use self::scopes::{Administers, Manages, Reads, Scope, ScopeWord, Scopes, Sends};
pub(crate) use self::uses::{Uses, UsesWriter};
use crate::api::Shared;
use crate::api::problem::{Problem, ProblemKind};
use crate::keys;

/// A caller whose key has the scope `S`. Holds one of the key's places among the requests in flight.
pub(crate) struct Granted<S> {
    /// Whose namespace the key opens.
    pub(crate) app: AppId,
    /// Which key it is; one that is configured has no id of its own.
    pub(crate) key: KeyId,
    _place: OwnedSemaphorePermit,
    _scope: PhantomData<fn() -> S>,
}

impl<S: Scope> Granted<S> {
    /// Whether the key is one of the app `default`: those see what concerns the whole server.
    pub(crate) fn is_default_app(&self) -> bool {
        self.app == AppId::DEFAULT
    }
}

impl<S: Scope> FromRequestParts<Shared> for Granted<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Shared) -> Result<Self, Problem> {
        let now = api.clock.now();
        let caller = api.gate.identify(&keys::hash(secret(parts)?), &*api.store, now).await?;
        if let Err(wait) = caller.standing.pace(now) {
            let detail = "this API key sends more requests in a second than http.requests_per_second_per_key";
            return Err(Problem::new(ProblemKind::TooManyRequests, detail).retry_after(wait));
        }
        if !caller.scopes.include(S::WORD) {
            let detail = format!("this API key lacks the scope '{}'", S::WORD);
            return Err(Problem::new(ProblemKind::Forbidden, detail));
        }
        let place = Arc::clone(&caller.standing.places).try_acquire_owned().map_err(|_| {
            Problem::new(ProblemKind::TooManyRequests, "wait for an answer before you send the next request")
                .retry_after(Duration::from_secs(1))
        })?;
        Ok(Granted { app: caller.app, key: caller.id, _place: place, _scope: PhantomData })
    }
}

/// The secret that a request brings.
fn secret(parts: &Parts) -> Result<&str, Problem> {
    let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
    let header = headers.next().ok_or_else(|| unauthorized("send the header 'Authorization: Bearer KEY'"))?;
    if headers.next().is_some() {
        return Err(unauthorized("send the header Authorization once"));
    }
    let bearer = header.to_str().ok().and_then(|value| value.split_once(' '));
    let secret = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    secret
        .map(|(_, secret)| secret.trim())
        .ok_or_else(|| unauthorized("the header must read 'Authorization: Bearer KEY'"))
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(ProblemKind::Unauthorized, detail)
}
