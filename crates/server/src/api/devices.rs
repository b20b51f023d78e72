//! `/v1/users/{user}/devices`: what a person can be reached on. Apps register at each start; it costs one write.

pub(super) mod operations;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{Json, Response};
use http::{Request, StatusCode};
use pabal_core::device::{Device, Mark, MarkKind, Registration, Target};
use pabal_core::ids::{DeviceId, UserId};
use pabal_core::route::{ChannelKind, Credential, Platform};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::document::schema;
use super::problem::Problem;
use super::query::NoQuery;
use super::routes::Routes;
use super::time::Time;
use super::{Projects, Shared, body, values};
use crate::auth::{Granted, Manages, Reads};
use crate::limits;

pub(super) fn routes() -> Routes {
    Routes::new()
        .put("/v1/users/{user}/devices/{device}", register, operations::register())
        .get("/v1/users/{user}/devices/{device}", show, operations::show())
        .delete("/v1/users/{user}/devices/{device}", remove, operations::remove())
        .get("/v1/users/{user}/devices", list, operations::list())
}

async fn register(
    caller: Granted<Manages>,
    _: NoQuery,
    State(api): State<Shared>,
    Path(path): Path<(String, String)>,
    request: Request<Body>,
) -> Result<Json<DeviceBody>, Problem> {
    let (user, device) = names(path)?;
    let body: body::Json<DeviceRequest> =
        body::read(request, limits::DEVICE_BODY_BYTES_MAX, api.body_timeout).await?;
    let registration = body.value.check(&api.projects)?;
    let device = api.store.put_device(caller.app, &user, &device, &registration).await?;
    Ok(Json(DeviceBody::from(device)))
}

async fn show(
    caller: Granted<Reads>,
    _: NoQuery,
    State(api): State<Shared>,
    Path(path): Path<(String, String)>,
) -> Result<Json<DeviceBody>, Problem> {
    let (user, device) = names(path)?;
    let device = api.store.device(caller.app, &user, &device).await?;
    device.map(|device| Json(DeviceBody::from(device))).ok_or_else(|| Problem::not_found("device"))
}

async fn list(
    caller: Granted<Reads>,
    _: NoQuery,
    State(api): State<Shared>,
    Path(user): Path<String>,
) -> Result<Json<DevicesBody>, Problem> {
    let devices = api.store.devices(caller.app, &UserId::new(user)?).await?;
    Ok(Json(DevicesBody { devices: devices.into_iter().map(DeviceBody::from).collect() }))
}

async fn remove(
    caller: Granted<Manages>,
    _: NoQuery,
    State(api): State<Shared>,
    Path(path): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (user, device) = names(path)?;
    if !api.store.delete_device(caller.app, &user, &device).await? {
        return Err(Problem::not_found("device"));
    }
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

fn names((user, device): (String, String)) -> Result<(UserId, DeviceId), Problem> {
    Ok((UserId::new(user)?, DeviceId::new(device)?))
}

/// A registration. Exactly one of `token` and `fid`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Registration)]
struct DeviceRequest {
    #[schema(value_type = schema::Channel)]
    channel: ChannelKind,
    #[schema(value_type = schema::DevicePlatform, inline)]
    platform: Platform,
    #[schema(value_type = Option<schema::Token>, inline)]
    token: Option<String>,
    #[schema(value_type = Option<schema::Fid>, inline)]
    fid: Option<String>,
    /// The FCM project; left out, `fcm.default_project`.
    #[schema(value_type = Option<schema::Project>)]
    project: Option<Credential>,
    #[schema(value_type = Option<schema::Locale>, inline)]
    locale: Option<String>,
    #[schema(value_type = Option<schema::TimeZone>, inline)]
    time_zone: Option<String>,
}

impl DeviceRequest {
    fn check(self, projects: &Projects) -> Result<Registration, Problem> {
        if self.platform == Platform::Other {
            return Err(Problem::value("platform", "must be one of android, ios, web"));
        }
        let target = match (self.token, self.fid) {
            (Some(token), None) => values::target("token", "token", token)?,
            (None, Some(fid)) => values::target("fid", "fid", fid)?,
            (None, None) => return Err(Problem::value("token", "is missing: give token or fid")),
            (Some(_), Some(_)) => {
                return Err(Problem::value("fid", "is given beside token; give one of them"));
            }
        };
        Ok(Registration {
            channel: self.channel,
            credential: projects.resolve(self.project)?,
            platform: self.platform,
            target,
            locale: self.locale.map(check_locale).transpose()?,
            time_zone: self.time_zone.map(check_time_zone).transpose()?,
        })
    }
}

/// A language tag by its outer shape: subtags of letters and digits, the first of letters.
fn check_locale(locale: String) -> Result<String, Problem> {
    let mut subtags = locale.split('-');
    let fits = |subtag: &str| {
        (1..=8).contains(&subtag.len()) && subtag.chars().all(|letter| letter.is_ascii_alphanumeric())
    };
    let language =
        subtags.next().is_some_and(|first| fits(first) && first.chars().all(|c| c.is_ascii_alphabetic()));
    if locale.len() <= limits::LOCALE_CHARS_MAX && language && subtags.all(fits) {
        Ok(locale)
    } else {
        Err(Problem::value("locale", "must be a language tag, as ko-KR or en"))
    }
}

fn check_time_zone(name: String) -> Result<String, Problem> {
    match jiff::tz::TimeZone::get(&name) {
        Ok(zone) if zone.iana_name().is_some() => Ok(name),
        _ => Err(Problem::value("time_zone", "must be a name of the IANA database, as Asia/Seoul")),
    }
}

/// All devices of a user, by their names.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Devices)]
struct DevicesBody {
    devices: Vec<DeviceBody>,
}

/// A device as it stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Device)]
pub(super) struct DeviceBody {
    #[schema(value_type = schema::UserId)]
    user: UserId,
    #[schema(value_type = schema::DeviceId)]
    device: DeviceId,
    #[schema(value_type = schema::Channel)]
    channel: ChannelKind,
    #[schema(value_type = schema::DevicePlatform, inline)]
    platform: Platform,
    #[schema(value_type = schema::Project)]
    project: Credential,
    #[serde(flatten)]
    #[schema(value_type = schema::DeviceAddress, inline)]
    target: Target,
    /// A language tag, as the app reported it.
    #[schema(required)]
    locale: Option<String>,
    /// A name of the IANA database, as the app reported it.
    #[schema(required)]
    time_zone: Option<String>,
    /// What a provider said of it; `null` is the ordinary case.
    #[schema(required)]
    mark: Option<MarkBody>,
    created_at: Time,
    /// When it was registered last.
    seen_at: Time,
}

/// What a provider said of a device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Mark)]
struct MarkBody {
    #[schema(value_type = schema::MarkState)]
    kind: MarkKind,
    /// The provider's code, as `UNREGISTERED`.
    reason: String,
    at: Time,
}

impl From<Device> for DeviceBody {
    fn from(device: Device) -> Self {
        let registration = device.registration;
        Self {
            user: device.user,
            device: device.id,
            channel: registration.channel,
            platform: registration.platform,
            project: registration.credential,
            target: registration.target,
            locale: registration.locale,
            time_zone: registration.time_zone,
            mark: device.mark.map(MarkBody::from),
            created_at: Time(device.created_at),
            seen_at: Time(device.seen_at),
        }
    }
}

impl From<Mark> for MarkBody {
    fn from(mark: Mark) -> Self {
        Self { kind: mark.kind, reason: mark.reason, at: Time(mark.at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locales_and_zones_are_what_they_claim() {
        for locale in ["ko", "ko-KR", "zh-Hant-TW", "en-US-u-ca-buddhist"] {
            assert!(check_locale(locale.to_owned()).is_ok(), "{locale}");
        }
        for locale in ["", "-", "k0", "ko_KR", "ko-", "한국어", "ko-abcdefghi"] {
            assert!(check_locale(locale.to_owned()).is_err(), "{locale}");
        }
        for zone in ["Asia/Seoul", "America/New_York", "UTC"] {
            assert!(check_time_zone(zone.to_owned()).is_ok(), "{zone}");
        }
        for zone in ["", "Seoul", "Asia/Pyeongyang2", "+09:00"] {
            assert!(check_time_zone(zone.to_owned()).is_err(), "{zone}");
        }
    }
}
