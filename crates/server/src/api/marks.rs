//! `/v1/devices`: what providers said of devices. A team polls it to tidy its own lists, and takes marks back that came
//! of somebody's mistake.

mod operations;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::Json;
use http::Request;
use pabal_core::clock::Timestamp;
use pabal_core::device::{Device, MarkKind};
use pabal_core::ids::{AppId, DeviceId, UserId};
use pabal_core::seam::store::{MarkFilter, MarkedAt};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::cursor::{Binding, Place};
use super::devices::DeviceBody;
use super::document::{NextCursor, schema};
use super::problem::Problem;
use super::query::Query;
use super::routes::Routes;
use super::time::{self, Time};
use super::time_left::TimeLeft;
use super::{Api, Shared, body};
use crate::auth::{Granted, Manages, Reads};
use crate::limits;
use crate::shape::Object;

/// How old a mark is when no other can bear the same time any more.
const SAME_TIME_MS: u64 = 1000;

pub(super) fn routes() -> Routes {
    Routes::new().get("/v1/devices", list, operations::list()).post(
        "/v1/devices/restore",
        restore,
        operations::restore(),
    )
}

/// A page of marked devices.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MarkedDevices)]
struct MarkedBody {
    devices: Vec<DeviceBody>,
    #[schema(required, value_type = Option<NextCursor>, inline)]
    next_cursor: Option<String>,
    /// What to pass as `since` to see what is marked from now on.
    #[schema(required)]
    since: Option<Time>,
}

async fn list(
    caller: Granted<Reads>,
    State(api): State<Shared>,
    RawQuery(query): RawQuery,
) -> Result<Json<MarkedBody>, Problem> {
    let mut query = Query::parse(query.as_deref());
    let filter = MarkFilter {
        kind: query.take("state")?,
        reason: query.take::<MarkReason>("reason")?.map(|reason| reason.0),
        since: query.take_time("since")?,
        until: query.take_time("until")?,
    };
    let page = query.take_page::<MarkedAt>("devices", caller.app)?;
    query.finish()?;
    let listed = api.store.marked_devices(caller.app, &filter, page.from.as_ref(), page.max).await?;
    let last = listed.items.last().and_then(|device: &Device| device.mark.as_ref()).map(|mark| mark.at);
    let last = last.or(page.from.as_ref().map(|from| from.at));
    let since = last.map(|at| poll_from(at, api.clock.now())).or(filter.since);
    Ok(Json(MarkedBody {
        next_cursor: page.next_cursor(listed.next),
        devices: listed.items.into_iter().map(DeviceBody::from).collect(),
        since: since.map(Time),
    }))
}

/// Where to go on after a mark of the time `last`: just behind it; at it while others may still be made at that very
/// time, for it is better to see a mark twice than never.
fn poll_from(last: Timestamp, now: Timestamp) -> Timestamp {
    if last.ms_until(now) >= SAME_TIME_MS { last.plus_ms(1) } else { last }
}

/// A provider's code, as marks keep it.
struct MarkReason(String);

impl std::str::FromStr for MarkReason {
    type Err = pabal_core::ids::Invalid;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(pabal_core::ids::Invalid::new("reason", "is empty"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Which marks to take back: those of `devices`, or those that the other fields find.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Restore)]
struct RestoreRequest {
    /// Up to 1,000 devices by their names; nothing else may be given beside them.
    #[schema(value_type = Option<Vec<NamedDevice>>, max_items = 1000)]
    devices: Option<Vec<Object<NamedDevice>>>,
    /// Required where `devices` are not given.
    #[schema(value_type = Option<schema::MarkState>)]
    state: Option<MarkKind>,
    /// The provider's code.
    reason: Option<String>,
    /// Marked at this time or later.
    #[schema(value_type = Option<schema::Moment>, inline)]
    since: Option<String>,
    /// Marked before this time.
    #[schema(value_type = Option<schema::Moment>, inline)]
    until: Option<String>,
}

/// A device by its names.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NamedDevice {
    #[schema(value_type = schema::UserId)]
    user: UserId,
    #[schema(value_type = schema::DeviceId)]
    device: DeviceId,
}

/// What a request to restore names.
#[derive(Debug)]
enum Restore {
    Named(Vec<(UserId, DeviceId)>),
    Found(MarkFilter),
}

/// How many devices bore a mark that they don't bear any more: of this request, and of those whose cursors led to it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Restored)]
struct RestoredBody {
    restored: u64,
}

async fn restore(
    caller: Granted<Manages>,
    State(api): State<Shared>,
    RawQuery(query): RawQuery,
    request: Request<Body>,
) -> Result<Json<RestoredBody>, Problem> {
    let time = TimeLeft::of(&api);
    let mut query = Query::parse(query.as_deref());
    let cursor = query.take_cursor()?;
    query.finish()?;
    let body: body::Json<RestoreRequest> =
        body::read(request, limits::RESTORE_BODY_BYTES_MAX, api.body_timeout).await?;
    let restored = match body.value.check()? {
        Restore::Named(_) if cursor.is_some() => {
            return Err(Problem::value("cursor", "is given beside devices; it is for filters"));
        }
        Restore::Named(devices) => api.store.restore_devices(caller.app, &devices).await?,
        Restore::Found(filter) => restore_found(&api, caller.app, &filter, cursor.as_deref(), time).await?,
    };
    Ok(Json(RestoredBody { restored }))
}

/// Looks through the marks in their order, and never twice at one: what does not fit the filter may be many times what
/// does.
async fn restore_found(
    api: &Api,
    app: AppId,
    filter: &MarkFilter,
    cursor: Option<&str>,
    time: TimeLeft,
) -> Result<u64, Problem> {
    let binding = binding(app, filter);
    let mut so_far = cursor.map(|cursor| binding.place::<Restoring>(cursor)).transpose()?.unwrap_or_default();
    loop {
        let max = limits::STEP_ROWS_MAX;
        let found = api.store.marked_devices(app, filter, so_far.after.as_ref(), max).await?;
        let devices: Vec<_> = found.items.into_iter().map(|device| (device.user, device.id)).collect();
        if !devices.is_empty() {
            so_far.restored += api.store.restore_devices(app, &devices).await?;
        }
        so_far.after = found.next;
        if so_far.after.is_none() {
            return Ok(so_far.restored);
        }
        time.check(|| {
            let done = format!("{} devices are restored, and there may be more", so_far.restored);
            (done, binding.cursor(&so_far))
        })?;
    }
}

fn binding(app: AppId, filter: &MarkFilter) -> Binding {
    let moment = |at: Option<Timestamp>| at.map(|at| at.as_ms().to_string());
    let filters = [
        ("state", filter.kind.map(|kind| kind.to_string())),
        ("reason", filter.reason.clone()),
        ("since", moment(filter.since)),
        ("until", moment(filter.until)),
    ];
    let given: Vec<_> = filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    Binding::new("restored devices", app, &given)
}

/// How many are restored, and where the next step looks on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Restoring {
    restored: u64,
    after: Option<MarkedAt>,
}

/// No cursor is made where there is no next step.
impl Place for Restoring {
    fn write(&self) -> Vec<u8> {
        let after = self.after.as_ref().map(Place::write).unwrap_or_default();
        [self.restored.to_be_bytes().as_slice(), &after].concat()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (restored, after) = bytes.split_at_checked(8)?;
        let restored = u64::from_be_bytes(restored.try_into().ok()?);
        // A number that anybody could have written: a sum of it never overflows.
        (restored <= u64::from(u32::MAX)).then_some(())?;
        Some(Self { restored, after: Some(MarkedAt::read(after)?) })
    }
}

impl RestoreRequest {
    fn check(self) -> Result<Restore, Problem> {
        let Some(devices) = self.devices else {
            let kind =
                self.state.ok_or_else(|| Problem::value("state", "is missing: give it, or devices"))?;
            let moment = |name: &'static str, text: Option<String>| {
                text.map(|text| time::parse(name, &text)).transpose().map_err(Problem::from)
            };
            return Ok(Restore::Found(MarkFilter {
                kind: Some(kind),
                reason: self.reason,
                since: moment("since", self.since)?,
                until: moment("until", self.until)?,
            }));
        };
        let others = [
            ("state", self.state.is_some()),
            ("reason", self.reason.is_some()),
            ("since", self.since.is_some()),
            ("until", self.until.is_some()),
        ];
        if let Some((name, _)) = others.into_iter().find(|(_, is_there)| *is_there) {
            return Err(Problem::value(name, "is given beside devices; give one of them"));
        }
        if devices.len() > limits::RESTORE_DEVICES_MAX {
            let problem = format!("names more than {} devices", limits::RESTORE_DEVICES_MAX);
            return Err(Problem::value("devices", problem));
        }
        Ok(Restore::Named(devices.into_iter().map(|Object(named)| (named.user, named.device)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poller_misses_no_mark_of_the_same_time() {
        let at = |ms| Timestamp::from_ms(ms);
        assert_eq!(poll_from(at(5000), at(6000)), at(5001));
        assert_eq!(poll_from(at(5000), at(5999)), at(5000));
        assert_eq!(poll_from(at(5000), at(4000)), at(5000), "the clocks differ");
    }
}
