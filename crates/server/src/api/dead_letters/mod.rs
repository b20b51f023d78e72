//! `/v1/dead-letters`: what will not be retried by itself. Looked at here, removed here, and opened again by jobs
//! ([`redrive`]).

mod filter;
mod operations;
mod redrive;
mod view;

use axum::extract::{Path, RawQuery, State};
use axum::response::{Json, Response};
use http::StatusCode;
use pabal_core::delivery::DeliveryState;
use pabal_core::ids::{AppId, DeliveryId, ItemId, NotificationId};
use pabal_core::notification::NotificationState;
use pabal_core::seam::DeadFilter;
use pabal_core::seam::store::DeadLetter;
use serde::Serialize;
use utoipa::ToSchema;

use self::view::{DeadDetailBody, DeadLetterBody, DeadLettersBody};
use super::document::NextCursor;
use super::problem::{Problem, ProblemKind};
use super::query::{NoQuery, Query};
use super::routes::Routes;
use super::time::Time;
use super::time_left::TimeLeft;
use super::{Api, Shared};
use crate::auth::{Granted, Manages, Reads};
use crate::limits;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/v1/dead-letters", list, operations::list())
        .get("/v1/dead-letters/{id}", show, operations::show())
        .merge(redrive::routes())
        .delete("/v1/dead-letters", purge, operations::purge())
        .delete("/v1/dead-letters/{id}", purge_one, operations::purge_one())
}

async fn list(
    caller: Granted<Reads>,
    State(api): State<Shared>,
    RawQuery(query): RawQuery,
) -> Result<Json<DeadLettersBody>, Problem> {
    let mut query = Query::parse(query.as_deref());
    let filter = filter::take(&mut query)?;
    let page = query.take_page::<ItemId>("dead letters", caller.app)?;
    query.finish()?;
    let listed = api.store.list_dead(caller.app, &filter, page.from, page.max).await?;
    Ok(Json(DeadLettersBody {
        dead_letters: listed.items.into_iter().map(DeadLetterBody::from).collect(),
        next_cursor: page.next_cursor(listed.next),
    }))
}

async fn show(
    caller: Granted<Reads>,
    _: NoQuery,
    State(api): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<DeadDetailBody>, Problem> {
    match find(&api, caller.app, &id).await? {
        ItemId::Delivery(id) => {
            let found = api.store.delivery(caller.app, id).await?.ok_or_else(not_found)?;
            Ok(Json(DeadDetailBody::of_delivery(found)))
        }
        ItemId::FanOut(id) => {
            let filter = DeadFilter::of_notification(id);
            let listed = api.store.list_dead(caller.app, &filter, Some(behind(id)), 1).await?;
            match listed.items.into_iter().next() {
                Some(DeadLetter::FanOut { view, reason, died_at }) => {
                    Ok(Json(DeadDetailBody::of_fan_out(view, reason, Time(died_at))))
                }
                Some(DeadLetter::Delivery { .. }) | None => Err(not_found()),
            }
        }
    }
}

/// How many a request removed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Purged)]
struct PurgedBody {
    purged: u64,
    /// Whether there are more: repeat the request with `next_cursor`.
    more: bool,
    #[schema(required, value_type = Option<NextCursor>, inline)]
    next_cursor: Option<String>,
}

async fn purge(
    caller: Granted<Manages>,
    State(api): State<Shared>,
    RawQuery(query): RawQuery,
) -> Result<Json<PurgedBody>, Problem> {
    let time = TimeLeft::of(&api);
    let mut query = Query::parse(query.as_deref());
    let filter = filter::take(&mut query)?;
    let is_unbounded = query.took_none();
    let binding = query.binding("purged dead letters", caller.app);
    let confirmed = query.take::<filter::All>("confirm")?.is_some();
    let mut after = query.take_place::<ItemId>(binding)?;
    query.finish()?;
    if is_unbounded && !confirmed {
        let problem = "must be all where no filter is given: this removes every dead letter of the app";
        return Err(Problem::value("confirm", problem));
    }
    let mut purged = 0;
    loop {
        let left = limits::PURGE_ITEMS_MAX - usize::try_from(purged).unwrap_or(limits::PURGE_ITEMS_MAX);
        let max = left.min(limits::STEP_ROWS_MAX);
        let step = api.store.purge_dead(caller.app, &filter, after, max).await?;
        purged += step.purged;
        after = step.next;
        if after.is_none() || purged >= limits::PURGE_ITEMS_MAX as u64 || time.is_over() {
            let next_cursor = after.map(|after| binding.cursor(&after));
            return Ok(Json(PurgedBody { purged, more: after.is_some(), next_cursor }));
        }
    }
}

async fn purge_one(
    caller: Granted<Manages>,
    _: NoQuery,
    State(api): State<Shared>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (filter, after) = match find(&api, caller.app, &id).await? {
        ItemId::Delivery(id) => (DeadFilter::of_delivery(id), None),
        // The fan-out alone, and not the dead deliveries of the same notification.
        ItemId::FanOut(id) => (DeadFilter::of_notification(id), Some(before(id))),
    };
    api.store.purge_dead(caller.app, &filter, after, 1).await?;
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// What dead work an id means.
///
/// # Errors
/// If the app has no such delivery or notification, or it is not dead.
async fn find(api: &Api, app: AppId, id: &str) -> Result<ItemId, Problem> {
    let delivery: DeliveryId = id.parse().map_err(|_| not_found())?;
    if let Some((view, _)) = api.store.delivery(app, delivery).await? {
        expect_dead("delivery", view.state == DeliveryState::Dead, view.state.as_str())?;
        return Ok(ItemId::Delivery(delivery));
    }
    let notification = NotificationId::from_bytes(*delivery.as_bytes());
    let view = api.store.notification(app, notification).await?.ok_or_else(not_found)?;
    expect_dead("notification", view.state == NotificationState::Dead, view.state.as_str())?;
    Ok(ItemId::FanOut(notification))
}

fn expect_dead(what: &str, is_dead: bool, state: &str) -> Result<(), Problem> {
    if is_dead {
        return Ok(());
    }
    Err(Problem::new(ProblemKind::Conflict, format!("the {what} is {state}, not dead")))
}

fn not_found() -> Problem {
    Problem::not_found("dead letter")
}

/// The place right behind a fan-out in a list of newest first: what is below it begins with the fan-out.
fn behind(id: NotificationId) -> ItemId {
    let next = u128::from_be_bytes(*id.as_bytes()).saturating_add(1);
    ItemId::FanOut(NotificationId::from_bytes(next.to_be_bytes()))
}

/// The place right before a fan-out in the order of ids: what is after it begins with the fan-out.
fn before(id: NotificationId) -> ItemId {
    let last = u128::from_be_bytes(*id.as_bytes()).saturating_sub(1);
    ItemId::FanOut(NotificationId::from_bytes(last.to_be_bytes()))
}
