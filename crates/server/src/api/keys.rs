//! `/v1/keys`: API keys made, listed and revoked. A secret is in the answer that makes its key, and nowhere else.
//!
//! An admin key works on the keys of its own app. Those of the app `default` may also name another app with `app`: to
//! give it its first key, and to take back one that leaked.

mod operations;

use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Json, Response};
use http::header::CACHE_CONTROL;
use http::{Request, StatusCode};
use pabal_core::clock::Timestamp;
use pabal_core::ids::{AppName, Invalid, KeyId};
use pabal_core::seam::store::KeyRecord;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::document::{NextCursor, schema};
use super::problem::Problem;
use super::query::{NoQuery, Query};
use super::routes::Routes;
use super::time::{self, Time};
use super::{Shared, apps, body};
use crate::auth::{Administers, Granted, Revocation, ScopeWord};
use crate::{keys, limits};

pub(super) fn routes() -> Routes {
    Routes::new().get("/v1/keys", list, operations::list()).post("/v1/keys", make, operations::make()).delete(
        "/v1/keys/{id}",
        revoke,
        operations::revoke(),
    )
}

async fn make(
    caller: Granted<Administers>,
    _: NoQuery,
    State(api): State<Shared>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let body: body::Json<KeyRequest> =
        body::read(request, limits::KEY_BODY_BYTES_MAX, api.body_timeout).await?;
    let now = api.clock.now();
    let asked = body.value.check(now)?;
    let app = apps::meant(&caller, &api, asked.app.as_ref()).await?;
    let (record, secret) = keys::make(app.id, &asked.name, asked.scopes, asked.expires_at, now)?;
    api.store.put_key(&record).await?;
    tracing::info!(key = %record.id, by = %caller.key, "an API key was made");
    let made = MadeBody { key: KeyBody::new(record, &app.name), secret: secret.expose_secret() };
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(made)).into_response())
}

async fn list(
    caller: Granted<Administers>,
    State(api): State<Shared>,
    RawQuery(query): RawQuery,
) -> Result<Json<KeysBody>, Problem> {
    let mut query = Query::parse(query.as_deref());
    let named = query.take::<AppName>("app")?;
    let with_revoked = query.take::<Flag>("revoked")?.is_some_and(|flag| flag.0);
    let page = query.take_page::<KeyId>("keys", caller.app)?;
    query.finish()?;
    let app = apps::meant(&caller, &api, named.as_ref()).await?;
    let found = api.store.list_keys(app.id, with_revoked, page.from, page.max).await?;
    Ok(Json(KeysBody {
        keys: found.items.into_iter().map(|key| KeyBody::new(key, &app.name)).collect(),
        next_cursor: page.next_cursor(found.next),
    }))
}

async fn revoke(
    caller: Granted<Administers>,
    State(api): State<Shared>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<StatusCode, Problem> {
    let not_found = || Problem::not_found("key");
    let mut query = Query::parse(query.as_deref());
    let named = query.take::<AppName>("app")?;
    query.finish()?;
    let id: KeyId = id.parse().map_err(|_| not_found())?;
    let app = apps::meant(&caller, &api, named.as_ref()).await?;
    let (gate, clock) = (Arc::clone(&api.gate), Arc::clone(&api.clock));
    let revocation = Revocation { gate, keys: api.store.clone(), clock, app: app.id, id };
    revocation.carry_out().await?.ok_or_else(not_found)?;
    tracing::info!(key = %id, by = %caller.key, "an API key was revoked");
    Ok(StatusCode::NO_CONTENT)
}

/// A key to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewKey)]
struct KeyRequest {
    #[schema(value_type = schema::KeyName, inline)]
    name: String,
    #[schema(value_type = schema::Scopes, inline)]
    scopes: Vec<ScopeWord>,
    /// The app that it opens; left out, your own. Only an admin key of the app `default` may name another.
    #[schema(value_type = Option<schema::AppName>)]
    app: Option<AppName>,
    /// When it stops working; left out, never.
    #[schema(value_type = Option<schema::Moment>, inline)]
    expires_at: Option<String>,
}

/// The same, checked.
struct NewKey {
    name: String,
    scopes: Vec<String>,
    app: Option<AppName>,
    expires_at: Option<Timestamp>,
}

impl KeyRequest {
    fn check(self, now: Timestamp) -> Result<NewKey, Problem> {
        check_name(&self.name)?;
        let mut scopes = self.scopes;
        scopes.sort_unstable();
        scopes.dedup();
        if scopes.is_empty() {
            return Err(Problem::value("scopes", "is empty: name one of send, read, manage, admin"));
        }
        let expires_at = self.expires_at.map(|text| time::parse("expires_at", &text)).transpose()?;
        if expires_at.is_some_and(|at| at <= now) {
            return Err(Problem::value("expires_at", "has passed"));
        }
        let scopes = scopes.iter().map(ToString::to_string).collect();
        Ok(NewKey { name: self.name, scopes, app: self.app, expires_at })
    }
}

fn check_name(name: &str) -> Result<(), Invalid> {
    let problem = if name.trim().is_empty() {
        "is empty".to_owned()
    } else if name.len() > limits::KEY_NAME_BYTES_MAX {
        format!("is longer than {} bytes", limits::KEY_NAME_BYTES_MAX)
    } else if name.chars().any(char::is_control) {
        "holds a control character".to_owned()
    } else {
        return Ok(());
    };
    Err(Invalid::new("name", problem))
}

/// A page of keys.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Keys)]
struct KeysBody {
    keys: Vec<KeyBody>,
    #[schema(required, value_type = Option<NextCursor>, inline)]
    next_cursor: Option<String>,
}

/// A key as it is listed: all but its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
struct KeyBody {
    #[schema(value_type = schema::KeyId)]
    id: KeyId,
    #[schema(value_type = schema::KeyName, inline)]
    name: String,
    #[schema(value_type = schema::AppName)]
    app: AppName,
    #[schema(value_type = schema::Scopes, inline)]
    scopes: Vec<String>,
    created_at: Time,
    /// Within a minute; `null` where it was never used.
    #[schema(required)]
    last_used_at: Option<Time>,
    #[schema(required)]
    expires_at: Option<Time>,
    #[schema(required)]
    revoked_at: Option<Time>,
}

impl KeyBody {
    fn new(key: KeyRecord, app: &AppName) -> Self {
        Self {
            id: key.id,
            name: key.name,
            app: app.clone(),
            scopes: key.scopes,
            created_at: Time(key.created_at),
            last_used_at: key.last_used_at.map(Time),
            expires_at: key.expires_at.map(Time),
            revoked_at: key.revoked_at.map(Time),
        }
    }
}

/// A key that was just made.
// Without `Debug`: nothing but the answer may show it.
#[derive(Serialize, ToSchema)]
#[schema(as = MadeKey)]
struct MadeBody<'a> {
    #[serde(flatten)]
    key: KeyBody,
    /// The secret. It is shown here and nowhere else: keep it.
    #[serde(rename = "key")]
    #[schema(examples("pabal_5f1c…"))]
    secret: &'a str,
}

/// A query parameter that is yes or no.
struct Flag(bool);

impl FromStr for Flag {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        text.parse().map(Self).map_err(|_| Invalid::new("flag", "must be true or false"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_keys_are_one_line() {
        let longest = "n".repeat(limits::KEY_NAME_BYTES_MAX);
        for name in ["billing, production", "유진", &longest] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let too_long = format!("{longest}n");
        for name in ["", "  ", "a\nb", &too_long] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
