//! Which dead letters: as query parameters, as JSON in the request of a redrive, and as a redrive shows it.

use std::str::FromStr;

use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::ids::{DeliveryId, Invalid, NotificationId, UserId};
use pabal_core::route::ChannelKind;
use pabal_core::seam::DeadFilter;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::document::schema;
use crate::api::problem::Problem;
use crate::api::query::Query;
use crate::api::time::{self, Time};

/// The filter that a query's parameters are.
pub(super) fn take(query: &mut Query) -> Result<DeadFilter, Problem> {
    let filter = DeadFilter {
        reason: query.take("reason")?,
        channel: query.take("channel")?,
        user: query.take("user")?,
        notification: query.take("notification")?,
        delivery: None,
        since: query.take_time("since")?,
        until: query.take_time("until")?,
    };
    check("reason", filter.reason)?;
    Ok(filter)
}

/// The word that confirms a purge without a filter.
pub(super) struct All;

impl FromStr for All {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "all" { Ok(Self) } else { Err(Invalid::new("confirm", "must be all")) }
    }
}

/// A filter in a request: no field is every dead letter.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DeadLetterFilter)]
pub(super) struct FilterRequest {
    #[schema(value_type = Option<schema::DeadReason>)]
    reason: Option<Reason>,
    #[schema(value_type = Option<schema::Channel>)]
    channel: Option<ChannelKind>,
    #[schema(value_type = Option<schema::UserId>)]
    user: Option<UserId>,
    #[schema(value_type = Option<schema::NotificationId>)]
    notification: Option<String>,
    #[schema(value_type = Option<schema::DeliveryId>)]
    delivery: Option<String>,
    /// Died at this time or later.
    #[schema(value_type = Option<schema::Moment>, inline)]
    since: Option<String>,
    /// Died before this time.
    #[schema(value_type = Option<schema::Moment>, inline)]
    until: Option<String>,
}

impl FilterRequest {
    pub(super) fn check(self) -> Result<DeadFilter, Problem> {
        let moment = |name: &str, text: Option<String>| {
            let read = text.map(|text| time::parse("time", &text)).transpose();
            read.map_err(|invalid| Problem::invalid_at(format!("filter.{name}"), &invalid))
        };
        check("filter.reason", self.reason)?;
        Ok(DeadFilter {
            reason: self.reason,
            channel: self.channel,
            user: self.user,
            notification: id::<NotificationId>("filter.notification", self.notification)?,
            delivery: id::<DeliveryId>("filter.delivery", self.delivery)?,
            since: moment("since", self.since)?,
            until: moment("until", self.until)?,
        })
    }
}

fn id<T: FromStr<Err = Invalid>>(field: &str, text: Option<String>) -> Result<Option<T>, Problem> {
    let read = text.map(|text| text.parse()).transpose();
    read.map_err(|invalid| Problem::invalid_at(field, &invalid))
}

/// A reason that nothing dead has would find nothing, which is hardly what was meant.
fn check(field: &str, reason: Option<Reason>) -> Result<(), Problem> {
    match reason {
        Some(reason) if reason.state() != DeliveryState::Dead => {
            let problem = format!("is a reason of what is {}, not dead", reason.state());
            Err(Problem::value(field, problem))
        }
        _ => Ok(()),
    }
}

/// The filter of a redrive: what it did not name is left out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RedriveFilter)]
pub(super) struct FilterBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<schema::DeadReason>)]
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<schema::Channel>)]
    channel: Option<ChannelKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<schema::UserId>)]
    user: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<schema::NotificationId>)]
    notification: Option<NotificationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<schema::DeliveryId>)]
    delivery: Option<DeliveryId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    since: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    until: Option<Time>,
}

impl From<DeadFilter> for FilterBody {
    fn from(filter: DeadFilter) -> Self {
        Self {
            reason: filter.reason,
            channel: filter.channel,
            user: filter.user,
            notification: filter.notification,
            delivery: filter.delivery,
            since: filter.since.map(Time),
            until: filter.until.map(Time),
        }
    }
}
