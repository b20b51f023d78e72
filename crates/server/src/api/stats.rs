//! `/v1/stats`: the numbers of an app at a glance, from counters: as cheap with a hundred million deliveries as with one.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Json;
use http::StatusCode;
use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::ids::{AppId, AppName};
use pabal_core::route::Lane;
use pabal_core::seam::RouteCount;
use pabal_core::seam::store::Pause;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::document::{Operation, Tag, schema};
use super::problem::Problem;
use super::query::NoQuery;
use super::routes::Routes;
use super::time::Time;
use super::{Api, Shared};
use crate::auth::{Granted, Reads};

pub(super) fn routes() -> Routes {
    Routes::new().get("/v1/stats", show, operation())
}

fn operation() -> Operation {
    Operation::new(Tag::Observation, "getStats", "The numbers of your app")
        .text(
            "Read from counters: as cheap with a hundred million deliveries as with one. What has been pruned is not \
             counted.",
        )
        .answers::<StatsBody>(
            StatusCode::OK,
            "The numbers.",
            json!({
                "app": "default",
                "deliveries": { "scheduled": 1, "delivered": 41200, "dead": 3 },
                "reasons": [{ "state": "dead", "reason": "unregistered", "count": 3 }],
                "queue": { "entries": { "transactional": 1, "bulk": 0 }, "oldest_due_age_ms": null, "in_flight": 0 },
                "paused": [{
                    "route": "transactional/fcm/my-app/ios",
                    "reason": "THIRD_PARTY_AUTH_ERROR",
                    "since": "2026-11-22T09:30:00.000Z",
                }],
            }),
        )
}

/// How an app stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stats)]
struct StatsBody {
    #[schema(value_type = schema::AppName)]
    app: AppName,
    /// How many deliveries are in each state that any is in.
    #[schema(value_type = schema::StateCounts, inline)]
    deliveries: BTreeMap<DeliveryState, u64>,
    /// The same of those that ended otherwise than delivered, by their reasons.
    reasons: Vec<ReasonCountBody>,
    /// For keys of the app `default` alone: the queue is the whole server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    queue: Option<QueueBody>,
    /// The routes that are held because the provider refused their credential.
    paused: Vec<PauseBody>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReasonCount)]
struct ReasonCountBody {
    #[schema(value_type = schema::DeliveryState)]
    state: DeliveryState,
    #[schema(value_type = schema::Reason)]
    reason: Reason,
    count: u64,
}

/// What waits, over all apps.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Queue)]
struct QueueBody {
    /// Entries of each lane, those in flight included.
    #[schema(value_type = BTreeMap<String, u64>)]
    entries: BTreeMap<Lane, u64>,
    /// How long the oldest entry that waits has been due; `null` where nothing is due.
    #[schema(required)]
    oldest_due_age_ms: Option<u64>,
    in_flight: u64,
}

/// A route that is held.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Pause)]
struct PauseBody {
    /// `lane/channel/project/platform`.
    route: String,
    /// What the provider said.
    reason: String,
    since: Time,
}

async fn show(
    caller: Granted<Reads>,
    _: NoQuery,
    State(api): State<Shared>,
) -> Result<Json<StatsBody>, Problem> {
    let app = name_of(&api, caller.app).await?;
    let totals = api.store.totals(caller.app).await?;
    let queue = match caller.app {
        AppId::DEFAULT => Some(QueueBody::new(&api.engine.counts().await?)),
        _ => None,
    };
    let mut deliveries = BTreeMap::new();
    for (state, _, count) in &totals {
        *deliveries.entry(*state).or_insert(0) += count;
    }
    let reasons = totals
        .into_iter()
        .filter_map(|(state, reason, count)| Some(ReasonCountBody { state, reason: reason?, count }));
    let mut reasons: Vec<_> = reasons.collect();
    reasons.sort_unstable_by_key(|row| (row.state, row.reason));
    let paused = api.engine.status().pauses.into_iter().map(PauseBody::from).collect();
    Ok(Json(StatsBody { app, deliveries, reasons, queue, paused }))
}

async fn name_of(api: &Api, app: AppId) -> Result<AppName, Problem> {
    let known = api.store.apps().await?.into_iter().find(|known| known.id == app);
    known.map(|known| known.name).ok_or_else(|| Problem::not_found("app"))
}

impl QueueBody {
    fn new(routes: &[RouteCount]) -> Self {
        let mut entries: BTreeMap<Lane, u64> = Lane::ALL.into_iter().map(|lane| (lane, 0)).collect();
        for count in routes {
            *entries.entry(count.route.lane).or_insert(0) += count.entries;
        }
        Self {
            entries,
            oldest_due_age_ms: routes.iter().filter_map(|count| count.oldest_due_ms).max(),
            in_flight: routes.iter().map(|count| count.leased).sum(),
        }
    }
}

impl From<Pause> for PauseBody {
    fn from(pause: Pause) -> Self {
        Self { route: pause.route.to_string(), reason: pause.reason, since: Time(pause.since) }
    }
}
