//! `/v1/apps`: the namespaces of this server. Only an admin key of the app `default` sees that there are others.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::Json;
use http::{Request, StatusCode};
use pabal_core::ids::{AppId, AppName, Invalid};
use pabal_core::seam::store::App;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::cursor::Place;
use super::document::{NextCursor, Operation, Tag, schema};
use super::problem::{Problem, ProblemKind};
use super::query::{NoQuery, Query};
use super::routes::Routes;
use super::{Api, Shared, body};
use crate::auth::{Administers, Granted};
use crate::limits;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/v1/apps",
            list,
            Operation::new(Tag::Keys, "listApps", "List apps")
                .text("By their names. Only an admin key of the app `default` may look at apps.")
                .pages()
                .answers::<AppsBody>(
                    StatusCode::OK,
                    "A page of apps.",
                    json!({ "apps": [{ "name": "default" }, { "name": "billing-staging" }], "next_cursor": null }),
                ),
        )
        .post(
            "/v1/apps",
            make,
            Operation::new(Tag::Keys, "createApp", "Make an app")
                .text(
                    "An app is the namespace of users, devices, keys and notifications. Only an admin key of the app \
                     `default` may make one; give it its first key with `POST /v1/keys` and `app`.",
                )
                .takes::<AppRequest>(limits::KEY_BODY_BYTES_MAX, json!({ "name": "billing-staging" }))
                .refuses(&[ProblemKind::Conflict, ProblemKind::LimitReached])
                .answers::<AppBody>(StatusCode::CREATED, "It is made.", json!({ "name": "billing-staging" })),
        )
}

async fn make(
    caller: Granted<Administers>,
    _: NoQuery,
    State(api): State<Shared>,
    request: Request<Body>,
) -> Result<(StatusCode, Json<AppBody>), Problem> {
    of_default(&caller)?;
    let body: body::Json<AppRequest> =
        body::read(request, limits::KEY_BODY_BYTES_MAX, api.body_timeout).await?;
    let name = check_name(&body.value.name).map_err(|invalid| Problem::invalid_at("name", &invalid))?;
    match api.store.put_app(&name).await? {
        Some(app) => Ok((StatusCode::CREATED, Json(AppBody::from(app)))),
        None => Err(Problem::new(ProblemKind::Conflict, "there is an app of this name already").at("name")),
    }
}

async fn list(
    caller: Granted<Administers>,
    State(api): State<Shared>,
    RawQuery(query): RawQuery,
) -> Result<Json<AppsBody>, Problem> {
    of_default(&caller)?;
    let mut query = Query::parse(query.as_deref());
    let page = query.take_page::<AppName>("apps", caller.app)?;
    query.finish()?;
    let all = api.store.apps().await?;
    let mut left = all.into_iter().filter(|app| page.from.as_ref().is_none_or(|after| app.name > *after));
    let apps: Vec<App> = left.by_ref().take(page.max).collect();
    let next = left.next().and(apps.last()).map(|last| last.name.clone());
    Ok(Json(AppsBody {
        apps: apps.into_iter().map(AppBody::from).collect(),
        next_cursor: page.next_cursor(next),
    }))
}

/// Apps are the business of the app `default` alone.
fn of_default(caller: &Granted<Administers>) -> Result<(), Problem> {
    if caller.is_default_app() {
        return Ok(());
    }
    Err(Problem::new(
        ProblemKind::Forbidden,
        "only an admin key of the app default may look at apps or make them",
    ))
}

/// The app that a caller means: its own, unless it names one.
pub(super) async fn meant(
    caller: &Granted<Administers>,
    api: &Api,
    named: Option<&AppName>,
) -> Result<App, Problem> {
    let apps = api.store.apps().await?;
    let own = apps.iter().find(|app| app.id == caller.app).cloned();
    let Some(name) = named else { return own.ok_or_else(|| unknown_id(caller.app)) };
    if own.as_ref().is_some_and(|own| own.name == *name) {
        return own.ok_or_else(|| unknown_id(caller.app));
    }
    if !caller.is_default_app() {
        let detail = "only an admin key of the app default may name another app than its own";
        return Err(Problem::new(ProblemKind::Forbidden, detail).at("app"));
    }
    let found = apps.into_iter().find(|app| app.name == *name);
    found.ok_or_else(|| Problem::value("app", "is none of the apps; make it with POST /v1/apps"))
}

fn unknown_id(app: AppId) -> Problem {
    tracing::error!(app = app.0, "a key belongs to an app that is not in the store");
    Problem::new(ProblemKind::Internal, "the log has more under this request_id")
}

/// An app's name is part of what people type: small letters, digits and hyphens.
pub(super) fn check_name(name: &str) -> Result<AppName, Invalid> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !name.is_empty() && !name.chars().all(fits) {
        return Err(Invalid::new("name", "may hold small letters, digits and '-' only"));
    }
    AppName::new(name)
}

/// An app to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewApp)]
struct AppRequest {
    #[schema(value_type = schema::AppName)]
    name: String,
}

/// A page of apps.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Apps)]
struct AppsBody {
    apps: Vec<AppBody>,
    #[schema(required, value_type = Option<NextCursor>, inline)]
    next_cursor: Option<String>,
}

/// An app.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = App)]
struct AppBody {
    #[schema(value_type = schema::AppName)]
    name: AppName,
}

impl From<App> for AppBody {
    fn from(app: App) -> Self {
        Self { name: app.name }
    }
}

impl Place for AppName {
    fn write(&self) -> Vec<u8> {
        self.as_str().as_bytes().to_vec()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        AppName::new(std::str::from_utf8(bytes).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_apps_are_easy_to_type() {
        let longest = "a".repeat(pabal_core::limits::APP_NAME_BYTES_MAX);
        for name in ["default", "billing-staging", "a", "7", &longest] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let too_long = format!("{longest}a");
        for name in ["", "Billing", "a b", "a_b", "앱", "a\n", "a/b", &too_long] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
