//! How a dead letter shows in answers.

use std::collections::BTreeMap;

use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::ids::NotificationId;
use pabal_core::route::Lane;
use pabal_core::seam::store::{AttemptView, DeadLetter, DeliveryView, NotificationView};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::deliveries::{AttemptBody, DeliveryBody};
use crate::api::document::{NextCursor, schema};
use crate::api::time::Time;

/// A page of dead letters.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetters)]
pub(super) struct DeadLettersBody {
    pub(super) dead_letters: Vec<DeadLetterBody>,
    #[schema(required, value_type = Option<NextCursor>, inline)]
    pub(super) next_cursor: Option<String>,
}

/// A dead letter in a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum DeadLetterBody {
    Delivery {
        #[serde(flatten)]
        delivery: DeliveryBody,
        #[schema(required)]
        last_attempt: Option<AttemptBody>,
    },
    Notification(DeadFanOutBody),
}

/// A dead letter by itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetterDetail)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum DeadDetailBody {
    Delivery {
        #[serde(flatten)]
        delivery: DeliveryBody,
        timeline: Vec<AttemptBody>,
    },
    Notification(DeadFanOutBody),
}

/// A notification that could not be made into deliveries to its end.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadNotification)]
pub(super) struct DeadFanOutBody {
    #[schema(value_type = schema::NotificationId)]
    id: NotificationId,
    #[schema(value_type = schema::Lane)]
    lane: Lane,
    #[schema(value_type = schema::Reason)]
    reason: Reason,
    created_at: Time,
    finished_at: Time,
    /// How many of the deliveries that it has are in each state.
    #[schema(value_type = schema::StateCounts, inline)]
    counts: BTreeMap<DeliveryState, u64>,
}

impl From<DeadLetter> for DeadLetterBody {
    fn from(letter: DeadLetter) -> Self {
        match letter {
            DeadLetter::Delivery { view, last_attempt } => DeadLetterBody::Delivery {
                // What is dead is not held by a pause.
                delivery: DeliveryBody::new(view, &[]),
                last_attempt: last_attempt.map(AttemptBody::from),
            },
            DeadLetter::FanOut { view, reason, died_at } => {
                DeadLetterBody::Notification(DeadFanOutBody::new(view, reason, Time(died_at)))
            }
        }
    }
}

impl DeadDetailBody {
    pub(super) fn of_delivery((view, attempts): (DeliveryView, Vec<AttemptView>)) -> Self {
        DeadDetailBody::Delivery {
            delivery: DeliveryBody::new(view, &[]),
            timeline: attempts.into_iter().map(AttemptBody::from).collect(),
        }
    }

    pub(super) fn of_fan_out(view: NotificationView, reason: Reason, died_at: Time) -> Self {
        DeadDetailBody::Notification(DeadFanOutBody::new(view, reason, died_at))
    }
}

impl DeadFanOutBody {
    fn new(view: NotificationView, reason: Reason, finished_at: Time) -> Self {
        Self {
            id: view.notification.id,
            lane: view.notification.lane,
            reason,
            created_at: Time(view.created_at),
            finished_at,
            counts: view.counts.into_iter().collect(),
        }
    }
}
