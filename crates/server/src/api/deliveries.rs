//! `/v1/deliveries`: found by what they are, and one of them attempt by attempt.

pub(super) mod operations;

use axum::extract::{Path, RawQuery, State};
use axum::response::Json;
use pabal_core::delivery::{DeliveryState, Reason, Recipient};
use pabal_core::device::Target;
use pabal_core::ids::{DeliveryId, DeviceId, NotificationId, UserId};
use pabal_core::outcome::OutcomeKind;
use pabal_core::route::{ChannelKind, Credential, Lane, Platform, Route, Way};
use pabal_core::seam::store::{AttemptView, DeliveryFilter, DeliveryView, Pause};
use serde::Serialize;
use utoipa::ToSchema;

use super::Shared;
use super::document::{NextCursor, schema};
use super::problem::Problem;
use super::query::{NoQuery, Query};
use super::routes::Routes;
use super::time::Time;
use crate::auth::{Granted, Reads};

pub(super) fn routes() -> Routes {
    Routes::new().get("/v1/deliveries", list, operations::list()).get(
        "/v1/deliveries/{id}",
        show,
        operations::show(),
    )
}

async fn list(
    caller: Granted<Reads>,
    State(api): State<Shared>,
    RawQuery(query): RawQuery,
) -> Result<Json<DeliveriesBody>, Problem> {
    let mut query = Query::parse(query.as_deref());
    let filter = DeliveryFilter {
        user: query.take("user")?,
        state: query.take("state")?,
        reason: query.take("reason")?,
        channel: query.take("channel")?,
        notification: query.take("notification")?,
        since: query.take_time("since")?,
        until: query.take_time("until")?,
    };
    let page = query.take_page::<DeliveryId>("deliveries", caller.app)?;
    query.finish()?;
    let listed = api.store.list_deliveries(caller.app, &filter, page.from, page.max).await?;
    let pauses = api.engine.status().pauses;
    Ok(Json(DeliveriesBody {
        deliveries: listed.items.into_iter().map(|view| DeliveryBody::new(view, &pauses)).collect(),
        next_cursor: page.next_cursor(listed.next),
    }))
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

/// A page of deliveries.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Deliveries)]
struct DeliveriesBody {
    deliveries: Vec<DeliveryBody>,
    #[schema(required, value_type = Option<NextCursor>, inline)]
    next_cursor: Option<String>,
}

/// A delivery with its attempts, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeliveryWithTimeline)]
struct TimelineBody {
    #[serde(flatten)]
    delivery: DeliveryBody,
    /// Its attempts, oldest first.
    timeline: Vec<AttemptBody>,
}

/// A delivery as it stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(super) struct DeliveryBody {
    #[schema(value_type = schema::DeliveryId)]
    id: DeliveryId,
    #[schema(value_type = schema::NotificationId)]
    notification: NotificationId,
    /// `null` where the person was erased.
    #[schema(required)]
    to: Option<RecipientBody>,
    #[serde(flatten)]
    #[schema(value_type = WayBody)]
    way: Option<WayBody>,
    #[schema(value_type = schema::DeliveryState)]
    state: DeliveryState,
    /// `null` while it is open, and where it is delivered.
    #[schema(required, value_type = Option<schema::Reason>)]
    reason: Option<Reason>,
    attempts: u32,
    /// Why nothing goes out on its way at the moment, as `credential refused: …`.
    #[schema(required)]
    paused: Option<String>,
    created_at: Time,
    #[schema(required)]
    next_attempt_at: Option<Time>,
    #[schema(required)]
    finished_at: Option<Time>,
}

/// For whom: a device, a user without any, or an address that the request named.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum RecipientBody {
    Device { user: UserId, device: DeviceId },
    NoDevice { user: UserId },
    Literal(Target),
}

/// How it goes out; nothing of it where there is no device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Way)]
struct WayBody {
    #[schema(value_type = schema::Lane, required = false)]
    lane: Lane,
    #[schema(value_type = schema::Channel, required = false)]
    channel: ChannelKind,
    #[schema(value_type = schema::Project, required = false)]
    project: Credential,
    #[schema(value_type = schema::Platform, required = false)]
    platform: Platform,
}

/// One attempt.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub(super) struct AttemptBody {
    number: u32,
    at: Time,
    #[schema(value_type = schema::Outcome)]
    outcome: OutcomeKind,
    /// The provider's HTTP status; `null` where it gave no answer.
    #[schema(required)]
    status: Option<u16>,
    /// The provider's code.
    #[schema(required)]
    code: Option<String>,
    /// What else the provider said.
    #[schema(required)]
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
            to: view.recipient.map(RecipientBody::from),
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
