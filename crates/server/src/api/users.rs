//! `/v1/users/{user}`: forgetting a person.

use axum::extract::{Path, State};
use axum::response::Json;
use http::StatusCode;
use pabal_core::delivery::Reason;
use pabal_core::ids::UserId;
use pabal_core::seam::Selection;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::Shared;
use super::document::{Operation, Tag, schema};
use super::problem::{Problem, ProblemKind};
use super::query::NoQuery;
use super::routes::Routes;
use super::time_left::TimeLeft;
use crate::auth::{Granted, Manages};

pub(super) fn routes() -> Routes {
    Routes::new().delete("/v1/users/{user}", erase, operation())
}

fn operation() -> Operation {
    Operation::new(Tag::People, "eraseUser", "Forget a person")
        .text(
            "Ends what is open for a user, then erases: the devices, the user in deliveries and in the recipients of \
             notifications (also of those that are not yet due), and messages that were meant for nobody else. \
             Deliveries and notifications themselves stay, with `\"to\": null`, so that counts stay true.\n\n\
             A repeat finds nothing and answers zeros. Where a person has more than fits into one request it is \
             answered 503 `unfinished`: repeat it. Backups that were made before still hold the person.",
        )
        .path::<schema::UserId>("user", "Whom to forget.")
        .refuses(&[ProblemKind::InvalidValue, ProblemKind::Unfinished])
        .answers::<ErasedBody>(
            StatusCode::OK,
            "The person is forgotten.",
            json!({ "cancelled": 3, "in_flight": 0, "devices": 2, "deliveries": 120, "notifications": 118 }),
        )
}

/// What was forgotten by this request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Erased)]
struct ErasedBody {
    /// Open deliveries that were ended.
    cancelled: u64,
    /// Deliveries being attempted right now: these may still arrive.
    in_flight: u64,
    /// Devices removed.
    devices: u64,
    /// Deliveries that no longer say whom they were for.
    deliveries: u64,
    /// Notifications from whose recipients the user was taken.
    notifications: u64,
}

/// Ends what is open, then erases, step by step. A repeat finds what is left and counts only that.
async fn erase(
    caller: Granted<Manages>,
    _: NoQuery,
    State(api): State<Shared>,
    Path(user): Path<String>,
) -> Result<Json<ErasedBody>, Problem> {
    let time = TimeLeft::of(&api);
    let user = UserId::new(user)?;
    let ending = api.engine.end(Selection::User(caller.app, user.clone()), Reason::CancelRequested);
    let ended = time.bound(ending, || "not everything that is open is ended".to_owned()).await??;
    let mut body = ErasedBody {
        cancelled: ended.ended,
        in_flight: ended.in_flight,
        devices: 0,
        deliveries: 0,
        notifications: 0,
    };
    let mut after = None;
    loop {
        let step = api.store.erase_user(caller.app, &user, after).await?;
        body.devices += step.devices;
        body.deliveries += step.deliveries;
        body.notifications += step.notifications;
        after = step.next;
        if after.is_none() {
            return Ok(Json(body));
        }
        time.check(|| format!("{} deliveries are erased, and there are more", body.deliveries))?;
    }
}
