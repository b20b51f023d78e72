//! How a notification shows in answers.

use std::borrow::Cow;
use std::collections::BTreeMap;

use pabal_core::delivery::DeliveryState;
use pabal_core::device::Target;
use pabal_core::ids::{DeviceId, NotificationId, UserId};
use pabal_core::message::Message;
use pabal_core::notification::{NotificationState, Recipients};
use pabal_core::route::Lane;
use pabal_core::seam::EndSummary;
use pabal_core::seam::store::NotificationView;
use serde::Serialize;
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::api::deliveries::DeliveryBody;
use crate::api::document::{NextCursor, schema};
use crate::api::time::Time;

/// The answer to an accept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Accepted)]
pub(super) struct AcceptedBody {
    #[schema(value_type = schema::NotificationId)]
    pub(super) id: NotificationId,
    /// How many deliveries there are; `null` where recipients are resolved later.
    #[schema(required)]
    pub(super) deliveries: Option<u32>,
}

/// A notification as it stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Notification)]
pub(super) struct SummaryBody {
    #[schema(value_type = schema::NotificationId)]
    id: NotificationId,
    #[schema(value_type = schema::NotificationState)]
    state: NotificationState,
    #[schema(value_type = schema::Lane)]
    lane: Lane,
    /// `null` where everybody whom it was for was erased.
    #[schema(required)]
    to: Option<ToBody>,
    #[schema(value_type = schema::Message)]
    message: Message,
    created_at: Time,
    #[schema(required)]
    send_at: Option<Time>,
    expires_at: Time,
    /// How many deliveries are in each state that any is in.
    #[schema(value_type = schema::StateCounts, inline)]
    counts: BTreeMap<DeliveryState, u64>,
}

/// A notification as it stands, with a page of its deliveries.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NotificationWithDeliveries)]
pub(super) struct NotificationBody {
    #[serde(flatten)]
    pub(super) notification: SummaryBody,
    /// A page of them, oldest first.
    pub(super) deliveries: Vec<DeliveryBody>,
    #[schema(required, value_type = Option<NextCursor>, inline)]
    pub(super) next_cursor: Option<String>,
}

/// A page of notifications.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Notifications)]
pub(super) struct NotificationsBody {
    pub(super) notifications: Vec<SummaryBody>,
    #[schema(required, value_type = Option<NextCursor>, inline)]
    pub(super) next_cursor: Option<String>,
}

/// For whom, in the words of the request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum ToBody {
    User(UserId),
    Users(Vec<UserId>),
    Device {
        user: UserId,
        device: DeviceId,
    },
    #[serde(untagged)]
    Literal(Target),
}

/// The answer to a cancel.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cancelled)]
pub(super) struct CancelledBody {
    #[schema(value_type = schema::NotificationId)]
    id: NotificationId,
    /// Ended by this request.
    cancelled: u64,
    /// The provider had taken them before.
    already_sent: u64,
    /// Ended otherwise before: dead, expired, undeliverable, cancelled; the notification itself too.
    already_final: u64,
    /// Being attempted right now: these may still end delivered, and are not tried again.
    in_flight: u64,
}

impl PartialSchema for ToBody {
    fn schema() -> RefOr<Schema> {
        let one =
            |kind: &str, schema: RefOr<Schema>| ObjectBuilder::new().property(kind, schema).required(kind);
        let user = || Ref::from_schema_name("UserId");
        let device = ObjectBuilder::new().property("user", user()).required("user");
        let device = device.property("device", Ref::from_schema_name("DeviceId")).required("device");
        AnyOfBuilder::new()
            .item(one("user", user().into()))
            .item(one("users", ArrayBuilder::new().items(user()).into()))
            .item(one("device", device.into()))
            .item(schema::Address::schema())
            .description(Some("For whom, in the words of the request."))
            .into()
    }
}

impl ToSchema for ToBody {
    fn name() -> Cow<'static, str> {
        "ShownRecipients".into()
    }
}

impl SummaryBody {
    pub(super) fn id(&self) -> NotificationId {
        self.id
    }
}

impl From<NotificationView> for SummaryBody {
    fn from(view: NotificationView) -> Self {
        let notification = view.notification;
        Self {
            id: notification.id,
            state: view.state,
            lane: notification.lane,
            to: ToBody::of(notification.recipients),
            message: Message::clone(&notification.message),
            created_at: Time(view.created_at),
            send_at: notification.send_at.map(Time),
            expires_at: Time(view.expires_at),
            counts: view.counts.into_iter().collect(),
        }
    }
}

impl ToBody {
    fn of(recipients: Recipients) -> Option<Self> {
        match recipients {
            Recipients::Users(users) if users.is_empty() => None,
            Recipients::Users(mut users) if users.len() == 1 => Some(ToBody::User(users.remove(0))),
            Recipients::Users(users) => Some(ToBody::Users(users)),
            Recipients::Device { user, device } => Some(ToBody::Device { user, device }),
            Recipients::Literal { target, .. } => Some(ToBody::Literal(target)),
        }
    }
}

impl CancelledBody {
    /// `after` is how the notification stands once the cancel is done.
    pub(super) fn new(after: &NotificationView, summary: &EndSummary) -> Self {
        let count = |fits: fn(DeliveryState) -> bool| -> u64 {
            after.counts.iter().filter(|(state, _)| fits(*state)).map(|(_, count)| count).sum()
        };
        // A notification that ended before it was expanded counts like a delivery, here as in what this request ended.
        let ended_whole = matches!(
            after.state,
            NotificationState::Cancelled | NotificationState::Expired | NotificationState::Dead
        );
        let already_final =
            u64::from(ended_whole) + count(|state| !state.is_open() && state != DeliveryState::Delivered);
        Self {
            id: after.notification.id,
            cancelled: summary.ended,
            already_sent: count(|state| state == DeliveryState::Delivered),
            already_final: already_final.saturating_sub(summary.ended),
            in_flight: summary.in_flight,
        }
    }
}
