//! `/v1/dead-letters/redrive`: jobs that open dead letters again, at a rate that provider and phones can bear. The engine
//! carries them out; a restart does not stop them.

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::Json;
use http::{Request, StatusCode};
use pabal_core::delivery::DeliveryState;
use pabal_core::ids::{AppId, RedriveId};
use pabal_core::seam::DeadFilter;
use pabal_core::seam::store::{NewRedrive, RedriveJob, RedriveState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::filter::{FilterBody, FilterRequest};
use super::{expect_dead, operations};
use crate::api::document::{NextCursor, schema};
use crate::api::problem::Problem;
use crate::api::query::{NoQuery, Query};
use crate::api::routes::Routes;
use crate::api::time::Time;
use crate::api::{Api, Shared, body};
use crate::auth::{Granted, Manages, Reads};
use crate::limits;
use crate::shape::{Object, Whole};

pub(super) fn routes() -> Routes {
    Routes::new()
        .post("/v1/dead-letters/redrive", begin, operations::begin_redrive())
        .get("/v1/dead-letters/redrive", list, operations::list_redrives())
        .get("/v1/dead-letters/redrive/{id}", show, operations::show_redrive())
        .delete("/v1/dead-letters/redrive/{id}", stop, operations::stop_redrive())
}

/// A redrive that is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRedrive)]
pub(super) struct RedriveRequest {
    /// Which dead letters; `{}` is all of them.
    #[schema(value_type = FilterRequest)]
    filter: Object<FilterRequest>,
    #[schema(value_type = Option<schema::RedriveRate>, inline)]
    rate: Option<Whole>,
}

/// A redrive as it stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Redrive)]
pub(super) struct RedriveBody {
    #[schema(value_type = schema::RedriveId)]
    id: RedriveId,
    #[schema(value_type = schema::RedriveState)]
    state: RedriveState,
    filter: FilterBody,
    /// How many it reopens a second.
    rate: u32,
    /// How many it found to do; `null` where that were too many to count.
    #[schema(required)]
    total: Option<u64>,
    reopened: u64,
    /// How many of those it did not reopen; `null` until that is known.
    #[schema(required)]
    skipped: Option<u64>,
    created_at: Time,
    #[schema(required)]
    finished_at: Option<Time>,
    /// Seconds until it will be done; `null` where that can't be said, or it has ended.
    #[schema(required)]
    eta_s: Option<u64>,
}

/// A page of redrives.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Redrives)]
pub(super) struct RedrivesBody {
    redrives: Vec<RedriveBody>,
    #[schema(required, value_type = Option<NextCursor>, inline)]
    next_cursor: Option<String>,
}

async fn begin(
    caller: Granted<Manages>,
    _: NoQuery,
    State(api): State<Shared>,
    request: Request<Body>,
) -> Result<(StatusCode, Json<RedriveBody>), Problem> {
    let body: body::Json<RedriveRequest> =
        body::read(request, limits::REDRIVE_BODY_BYTES_MAX, api.body_timeout).await?;
    let (filter, rate_per_s) = body.value.check()?;
    expect_something(&api, caller.app, &filter).await?;
    let id = RedriveId::new(api.clock.now(), api.chance.ten_bytes());
    let job = api.store.put_redrive(&NewRedrive { id, app: caller.app, filter, rate_per_s }).await?;
    api.engine.redrives_changed();
    Ok((StatusCode::ACCEPTED, Json(RedriveBody::from(job))))
}

/// Whoever names one thing is told at once if it isn't there, or is not dead.
async fn expect_something(api: &Api, app: AppId, filter: &DeadFilter) -> Result<(), Problem> {
    if let Some(id) = filter.delivery {
        let found = api.store.delivery(app, id).await?;
        let (view, _) = found.ok_or_else(|| Problem::not_found("delivery").at("filter.delivery"))?;
        expect_dead("delivery", view.state == DeliveryState::Dead, view.state.as_str())
            .map_err(|problem| problem.at("filter.delivery"))?;
    }
    if let Some(id) = filter.notification {
        let found = api.store.notification(app, id).await?;
        found.ok_or_else(|| Problem::not_found("notification").at("filter.notification"))?;
    }
    Ok(())
}

async fn list(
    caller: Granted<Reads>,
    State(api): State<Shared>,
    RawQuery(query): RawQuery,
) -> Result<Json<RedrivesBody>, Problem> {
    let mut query = Query::parse(query.as_deref());
    let page = query.take_page::<RedriveId>("redrives", caller.app)?;
    query.finish()?;
    let listed = api.store.list_redrives(caller.app, page.from, page.max).await?;
    Ok(Json(RedrivesBody {
        redrives: listed.items.into_iter().map(RedriveBody::from).collect(),
        next_cursor: page.next_cursor(listed.next),
    }))
}

async fn show(
    caller: Granted<Reads>,
    _: NoQuery,
    State(api): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<RedriveBody>, Problem> {
    let job = api.store.redrive(caller.app, parse_id(&id)?).await?.ok_or_else(not_found)?;
    Ok(Json(RedriveBody::from(job)))
}

/// What is reopened stays open. One that has ended is answered as it is.
async fn stop(
    caller: Granted<Manages>,
    _: NoQuery,
    State(api): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<RedriveBody>, Problem> {
    let job = api.store.stop_redrive(caller.app, parse_id(&id)?).await?.ok_or_else(not_found)?;
    Ok(Json(RedriveBody::from(job)))
}

/// An id that is none belongs to no redrive.
fn parse_id(id: &str) -> Result<RedriveId, Problem> {
    id.parse().map_err(|_| not_found())
}

fn not_found() -> Problem {
    Problem::not_found("redrive")
}

impl RedriveRequest {
    /// The filter, and how many a second.
    fn check(self) -> Result<(DeadFilter, u32), Problem> {
        let filter = self.filter.0.check()?;
        let rate = match self.rate {
            None => Some(limits::REDRIVE_RATE_DEFAULT),
            Some(Whole(rate)) => u32::try_from(rate).ok(),
        };
        let possible = 1..=pabal_core::limits::REDRIVE_RATE_MAX;
        let rate = rate
            .filter(|rate| possible.contains(rate))
            .ok_or_else(|| Problem::value("rate", format!("must be 1 to {} a second", possible.end())))?;
        Ok((filter, rate))
    }
}

impl From<RedriveJob> for RedriveBody {
    fn from(job: RedriveJob) -> Self {
        let left = job.total.map(|total| total.saturating_sub(job.reopened));
        let is_running = job.state == RedriveState::Running;
        Self {
            id: job.id,
            state: job.state,
            filter: FilterBody::from(job.filter),
            rate: job.rate_per_s,
            total: job.total,
            reopened: job.reopened,
            skipped: left.filter(|_| job.state == RedriveState::Done),
            created_at: Time(job.created_at),
            finished_at: job.finished_at.map(Time),
            eta_s: left.filter(|_| is_running).map(|left| left.div_ceil(u64::from(job.rate_per_s.max(1)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use pabal_core::clock::Timestamp;

    use super::*;

    fn shown(state: RedriveState, total: Option<u64>, reopened: u64) -> (Option<u64>, Option<u64>) {
        let body = RedriveBody::from(RedriveJob {
            id: RedriveId::new(Timestamp::default(), [0; 10]),
            app: AppId::DEFAULT,
            filter: DeadFilter::all(),
            rate_per_s: 100,
            state,
            after: None,
            total,
            reopened,
            created_at: Timestamp::default(),
            finished_at: None,
        });
        (body.eta_s, body.skipped)
    }

    #[test]
    fn what_is_left_is_reckoned_by_the_rate() {
        assert_eq!(shown(RedriveState::Running, Some(250), 0), (Some(3), None));
        assert_eq!(shown(RedriveState::Running, Some(250), 250), (Some(0), None));
        assert_eq!(
            shown(RedriveState::Running, Some(250), 300),
            (Some(0), None),
            "a crash counts twice at most"
        );
        assert_eq!(shown(RedriveState::Running, None, 5), (None, None));
        assert_eq!(shown(RedriveState::Done, Some(250), 240), (None, Some(10)));
        assert_eq!(shown(RedriveState::Stopped, Some(250), 240), (None, None));
    }
}
