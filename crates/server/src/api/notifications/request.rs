//! What a caller may ask for, and how it becomes a [`Notification`]: after that an invalid one can't be represented.

use std::collections::BTreeMap;
use std::sync::Arc;

use pabal_core::chance::Chance;
use pabal_core::clock::Timestamp;
use pabal_core::ids::{AppId, DeviceId, NotificationId, UserId};
use pabal_core::limits;
use pabal_core::message::Message;
use pabal_core::notification::{Notification, Recipients, check_send_at, ttl_ms};
use pabal_core::route::{ChannelKind, Credential, Lane};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::api::document::schema;
use crate::api::problem::Problem;
use crate::api::{Projects, time, values};
use crate::shape::{Object, Whole};

/// What you ask for. At least one of `title`, `body`, `data` and `fcm` is needed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewNotification)]
pub(super) struct NotificationRequest {
    #[schema(value_type = To)]
    to: Object<To>,
    #[schema(value_type = Option<schema::Title>, inline)]
    title: Option<String>,
    #[schema(value_type = Option<schema::BodyText>, inline)]
    body: Option<String>,
    #[serde(default)]
    #[schema(value_type = schema::Data, inline)]
    data: BTreeMap<String, String>,
    #[schema(value_type = Option<schema::ImageUrl>, inline)]
    image: Option<String>,
    #[schema(value_type = Option<schema::Link>, inline)]
    link: Option<String>,
    #[schema(value_type = Option<schema::Channels>, inline)]
    channels: Option<Vec<ChannelKind>>,
    #[serde(default)]
    #[schema(value_type = schema::Lane)]
    lane: Lane,
    /// How many seconds it is worth delivering, from `send_at` or from now.
    #[schema(value_type = Option<schema::TtlSeconds>, inline)]
    ttl: Option<Whole>,
    /// Not before this time; at most 366 days ahead.
    #[schema(value_type = Option<schema::Moment>, inline)]
    send_at: Option<String>,
    #[schema(value_type = Option<schema::CollapseKey>, inline)]
    collapse_key: Option<String>,
    #[serde(default)]
    #[schema(value_type = schema::FcmOverrides, inline)]
    fcm: Map<String, Value>,
    /// Have the provider check it, and deliver nothing.
    #[serde(default)]
    validate_only: bool,
    /// With `token`, `fid`, `fcm_topic` and `fcm_condition`: the FCM project. Left out, `fcm.default_project`.
    #[schema(value_type = Option<schema::Project>)]
    project: Option<Credential>,
}

/// For whom: exactly one of these.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Recipients)]
struct To {
    /// All devices of a user.
    #[schema(value_type = Option<schema::UserId>)]
    user: Option<UserId>,
    #[schema(value_type = Option<schema::Users>, inline)]
    users: Option<Vec<UserId>>,
    #[schema(value_type = Option<DeviceOf>)]
    device: Option<Object<DeviceOf>>,
    #[schema(value_type = Option<schema::Token>, inline)]
    token: Option<String>,
    #[schema(value_type = Option<schema::Fid>, inline)]
    fid: Option<String>,
    #[schema(value_type = Option<schema::FcmTopic>, inline)]
    fcm_topic: Option<String>,
    #[schema(value_type = Option<schema::FcmCondition>, inline)]
    fcm_condition: Option<String>,
}

/// One device of a user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DeviceOf {
    #[schema(value_type = schema::UserId)]
    user: UserId,
    #[schema(value_type = schema::DeviceId)]
    device: DeviceId,
}

impl NotificationRequest {
    /// The notification that is asked for, with a new id.
    pub(super) fn check(
        self,
        app: AppId,
        now: Timestamp,
        chance: &dyn Chance,
        projects: &Projects,
    ) -> Result<Notification, Problem> {
        let recipients = self.to.0.check(self.project, projects)?;
        let message = Message {
            title: self.title,
            body: self.body,
            image: self.image,
            link: self.link,
            data: self.data,
            collapse_key: self.collapse_key,
            fcm: self.fcm,
            validate_only: self.validate_only,
        };
        message.check()?;
        message.image.as_deref().map(values::check_image).transpose()?;
        message.link.as_deref().map(values::check_link).transpose()?;
        if self.channels.as_ref().is_some_and(Vec::is_empty) {
            return Err(Problem::value("channels", "is empty; leave it out to use all that a user has"));
        }
        let send_at = self.send_at.map(|text| time::parse("send_at", &text)).transpose()?;
        if let Some(send_at) = send_at {
            check_send_at(send_at, now)?;
        }
        Ok(Notification {
            id: NotificationId::new(now, chance.ten_bytes()),
            app,
            recipients,
            message: Arc::new(message),
            lane: self.lane,
            channels: self.channels,
            ttl_ms: ttl_ms(self.ttl.map_or(limits::TTL_S_DEFAULT, |ttl| ttl.0))?,
            // What lies just behind means "now": its time to live begins now, and not before.
            send_at: send_at.filter(|send_at| *send_at > now),
        })
    }
}

impl To {
    fn check(self, project: Option<Credential>, projects: &Projects) -> Result<Recipients, Problem> {
        self.expect_one()?;
        let literal = [
            ("token", self.token),
            ("fid", self.fid),
            ("fcm_topic", self.fcm_topic),
            ("fcm_condition", self.fcm_condition),
        ];
        if let Some((kind, Some(address))) = literal.into_iter().find(|(_, address)| address.is_some()) {
            let target = values::target(&format!("to.{kind}"), kind, address)?;
            let credential = projects.resolve(project)?;
            return Ok(Recipients::Literal { channel: ChannelKind::Fcm, credential, target });
        }
        if project.is_some() {
            let problem = "is of no use here: each device has the project that it was registered with";
            return Err(Problem::value("project", problem));
        }
        match (self.user, self.users, self.device) {
            (Some(user), _, _) => Ok(Recipients::users(vec![user])?),
            (None, Some(users), _) => Ok(Recipients::users(users)?),
            (None, None, Some(Object(DeviceOf { user, device }))) => Ok(Recipients::Device { user, device }),
            (None, None, None) => Err(Problem::value("to", "names nobody")),
        }
    }

    fn expect_one(&self) -> Result<(), Problem> {
        let all = [
            ("user", self.user.is_some()),
            ("users", self.users.is_some()),
            ("device", self.device.is_some()),
            ("token", self.token.is_some()),
            ("fid", self.fid.is_some()),
            ("fcm_topic", self.fcm_topic.is_some()),
            ("fcm_condition", self.fcm_condition.is_some()),
        ];
        let named: Vec<&str> = all.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| *name).collect();
        match named.as_slice() {
            [_] => Ok(()),
            [] => {
                let known: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
                Err(Problem::value("to", format!("names nobody: give one of {}", known.join(", "))))
            }
            several => Err(Problem::value(
                "to",
                format!("must hold exactly one field; it holds {}", several.join(", ")),
            )),
        }
    }
}
