//! How a notification shows in answers.

use std::collections::BTreeMap;

use pabal_core::delivery::DeliveryState;
use pabal_core::device::Target;
use pabal_core::ids::{DeliveryId, DeviceId, NotificationId, UserId};
use pabal_core::message::Message;
use pabal_core::notification::{NotificationState, Recipients};
use pabal_core::route::Lane;
use pabal_core::seam::EndSummary;
use pabal_core::seam::store::{DeliveryView, NotificationView, Pause};
use serde::Serialize;

use crate::api::deliveries::DeliveryBody;
use crate::api::time::Time;

/// The answer to an accept.
#[derive(Debug, Serialize)]
pub(super) struct AcceptedBody {
    pub(super) id: NotificationId,
    /// `null` where recipients are resolved later.
    pub(super) deliveries: Option<u32>,
}

/// A notification as it stands, with a page of its deliveries.
#[derive(Debug, Serialize)]
pub(super) struct NotificationBody {
    id: NotificationId,
    state: NotificationState,
    lane: Lane,
    to: ToBody,
    message: Message,
    created_at: Time,
    send_at: Option<Time>,
    expires_at: Time,
    /// How many deliveries are in each state that any is in.
    counts: BTreeMap<DeliveryState, u64>,
    deliveries: Vec<DeliveryBody>,
    next_cursor: Option<DeliveryId>,
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
#[derive(Debug, Serialize)]
pub(super) struct CancelledBody {
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

impl NotificationBody {
    /// `next_cursor` goes on after the last of `deliveries`, where there are more.
    pub(super) fn new(
        view: NotificationView,
        deliveries: Vec<DeliveryView>,
        has_more: bool,
        pauses: &[Pause],
    ) -> Self {
        let notification = view.notification;
        Self {
            id: notification.id,
            state: view.state,
            lane: notification.lane,
            to: ToBody::from(notification.recipients),
            message: Message::clone(&notification.message),
            created_at: Time(view.created_at),
            send_at: notification.send_at.map(Time),
            expires_at: Time(view.expires_at),
            counts: view.counts.into_iter().collect(),
            next_cursor: deliveries.last().filter(|_| has_more).map(|last| last.id),
            deliveries: deliveries.into_iter().map(|delivery| DeliveryBody::new(delivery, pauses)).collect(),
        }
    }
}

impl From<Recipients> for ToBody {
    fn from(recipients: Recipients) -> Self {
        match recipients {
            Recipients::Users(mut users) if users.len() == 1 => ToBody::User(users.remove(0)),
            Recipients::Users(users) => ToBody::Users(users),
            Recipients::Device { user, device } => ToBody::Device { user, device },
            Recipients::Literal { target, .. } => ToBody::Literal(target),
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
