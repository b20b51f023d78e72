//! `/v1/deliveries`: one delivery, attempt by attempt.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Json;
use axum::routing::get;
use pabal_core::delivery::{DeliveryState, Reason, Recipient};
use pabal_core::device::Target;
use pabal_core::ids::{DeliveryId, DeviceId, NotificationId, UserId};
use pabal_core::outcome::OutcomeKind;
use pabal_core::route::{ChannelKind, Credential, Lane, Platform, Route, Way};
use pabal_core::seam::store::{AttemptView, DeliveryView, Pause};
use serde::Serialize;

use super::Shared;
use super::problem::Problem;
use super::query::NoQuery;
use super::time::Time;
use crate::auth::{Granted, Reads};

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/v1/deliveries/{id}", get(show))
}

async fn show(
    caller: Granted<Reads>,
    _: NoQuery,
    State(api): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<TimelineBody>, Problem> {
    let not_found = || Problem::not_found("delivery");
    let id: DeliveryId = id.parse().map_err(|_| not_found())?;
    let (delivery, attempts) = api.store.delivery(caller.app, id).await?.ok_or_else(not_found)?;
    Ok(Json(TimelineBody {
        delivery: DeliveryBody::new(delivery, &api.engine.status().pauses),
        timeline: attempts.into_iter().map(AttemptBody::from).collect(),
    }))
}

/// A delivery with its attempts, oldest first.
#[derive(Debug, Serialize)]
struct TimelineBody {
    #[serde(flatten)]
    delivery: DeliveryBody,
    timeline: Vec<AttemptBody>,
}

/// A delivery as it stands.
#[derive(Debug, Serialize)]
pub(super) struct DeliveryBody {
    id: DeliveryId,
    notification: NotificationId,
    to: RecipientBody,
    #[serde(flatten)]
    way: Option<WayBody>,
    state: DeliveryState,
    reason: Option<Reason>,
    attempts: u32,
    /// Why nothing goes out on its way at the moment.
    paused: Option<String>,
    created_at: Time,
    next_attempt_at: Option<Time>,
    finished_at: Option<Time>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum RecipientBody {
    Device { user: UserId, device: DeviceId },
    NoDevice { user: UserId },
    Literal(Target),
}

/// How it goes out; nothing of it where there is no device.
#[derive(Debug, Serialize)]
struct WayBody {
    lane: Lane,
    channel: ChannelKind,
    project: Credential,
    platform: Platform,
}

#[derive(Debug, Serialize)]
struct AttemptBody {
    number: u32,
    at: Time,
    outcome: OutcomeKind,
    status: Option<u16>,
    code: Option<String>,
    detail: Option<String>,
    latency_ms: u64,
}

impl DeliveryBody {
    /// `pauses` are the routes that are held at the moment.
    pub(super) fn new(view: DeliveryView, pauses: &[Pause]) -> Self {
        let held =
            pauses.iter().find(|pause| view.state.is_open() && Some(&pause.route) == view.route.as_ref());
        Self {
            paused: held.map(|pause| format!("credential refused: {}", pause.reason)),
            id: view.id,
            notification: view.notification,
            to: RecipientBody::from(view.recipient),
            way: view.route.and_then(WayBody::of),
            state: view.state,
            reason: view.reason,
            attempts: view.attempts,
            created_at: Time(view.created_at),
            next_attempt_at: view.due_at.map(Time),
            finished_at: view.finished_at.map(Time),
        }
    }
}

impl From<Recipient> for RecipientBody {
    fn from(recipient: Recipient) -> Self {
        match recipient {
            Recipient::Device { user, device } => RecipientBody::Device { user, device },
            Recipient::NoDevice { user } => RecipientBody::NoDevice { user },
            Recipient::Literal(target) => RecipientBody::Literal(target),
        }
    }
}

impl WayBody {
    fn of(route: Route) -> Option<Self> {
        match route.way {
            Way::FanOut => None,
            Way::Channel { channel, credential, platform } => {
                Some(Self { lane: route.lane, channel, project: credential, platform })
            }
        }
    }
}

impl From<AttemptView> for AttemptBody {
    fn from(view: AttemptView) -> Self {
        Self {
            number: view.number,
            at: Time(view.at),
            outcome: view.outcome,
            status: view.status,
            code: view.code,
            detail: view.detail,
            latency_ms: view.latency_ms,
        }
    }
}
