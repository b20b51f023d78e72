//! Schemas of the values that the API is made of: identifiers, words, texts, times. The nouns themselves live in the
//! core, which knows nothing of OpenAPI; each has a stand-in of the same name here, made of the same constants.
//!
//! OpenAPI counts the characters of a text, Pabal its bytes: `maxLength` is what bytes allow at most.

use pabal_core::delivery::{DeliveryState as State, Reason as AnyReason};
use pabal_core::message::FCM_OVERRIDES;
use pabal_core::seam::store;
use pabal_core::{delivery, device, limits, notification, outcome, route};
use serde_json::json;
use utoipa::openapi::schema::{
    AdditionalProperties, AnyOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, Schema,
    SchemaFormat, Type,
};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::api::time::Time;
use crate::auth;
use crate::limits as of_requests;

/// Text without control characters.
const PRINTABLE: &str = r"^[^\u0000-\u001F\u007F-\u009F]+$";

fn text(bytes_max: usize) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(bytes_max))
}

fn name(bytes_max: usize, example: &str) -> ObjectBuilder {
    text(bytes_max).pattern(Some(PRINTABLE)).examples([json!(example)])
}

pub(super) fn any_text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

pub(super) fn any_object() -> ObjectBuilder {
    ObjectBuilder::new()
}

fn uuid(example: &str) -> ObjectBuilder {
    any_text().format(Some(SchemaFormat::Custom("uuid".to_owned()))).examples([json!(example)])
}

fn words<'a>(words: impl IntoIterator<Item = &'a &'a str>) -> ObjectBuilder {
    any_text().enum_values(Some(words.into_iter().copied()))
}

fn number() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer)
}

fn moment() -> ObjectBuilder {
    any_text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

/// The reasons of what is dead.
fn dead_reasons() -> Vec<&'static str> {
    let is_dead = |word: &&str| word.parse().is_ok_and(|reason: AnyReason| reason.state() == State::Dead);
    delivery::Reason::WORDS.iter().copied().filter(is_dead).collect()
}

macro_rules! schemas {
    ($($(#[doc = $doc:literal])+ $name:ident = $schema:expr;)+) => {
        $(
            $(#[doc = $doc])+
            pub(in crate::api) enum $name {}

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    let description = [$($doc.trim()),+].join(" ");
                    $schema.description(Some(description)).into()
                }
            }

            impl ToSchema for $name {}
        )+
    };
}

schemas! {
    /// What kind of problem it is. It is stable: decide by it.
    ProblemType = any_text().enum_values(Some(super::problems::types()));

    /// A notification: a UUID of version 7, so that ids sort by the time they were made.
    NotificationId = uuid("0192f0c1-2345-7abc-8def-0123456789ab");
    /// A delivery, one notification × one target: a UUID of version 8, derived from both.
    DeliveryId = uuid("0192f0c1-2345-8123-9456-789abcdef012");
    /// A redrive job: a UUID of version 7.
    RedriveId = uuid("0192f0c1-2345-7def-8123-0123456789ab");
    /// An API key: a UUID of version 7. It is no secret.
    KeyId = uuid("0192f0c1-2345-7fed-8cba-0123456789ab");
    /// A dead letter: the id of a delivery, or that of a notification whose recipients could not be resolved.
    DeadLetterId = uuid("0192f0c1-2345-8123-9456-789abcdef012");

    /// A user of your product, by the name that you give: 1 to 128 bytes without control characters.
    UserId = name(limits::USER_ID_BYTES_MAX, "ann");
    /// A device of a user, by the name that you give: 1 to 128 bytes without control characters, unique within its user.
    DeviceId = name(limits::DEVICE_ID_BYTES_MAX, "phone");
    /// The name of an app, the namespace of users, devices, keys and notifications.
    AppName = text(limits::APP_NAME_BYTES_MAX).pattern(Some("^[a-z0-9-]+$")).examples([json!("billing-staging")]);
    /// The name of an FCM project, as the configuration has it.
    Project = text(limits::CREDENTIAL_BYTES_MAX).pattern(Some("^[A-Za-z0-9._-]+$")).examples([json!("my-app")]);
    /// The name of an API key, for people: one line.
    KeyName = name(of_requests::KEY_NAME_BYTES_MAX, "billing, production");

    /// Priority. Transactional work, what a person waits for, never waits behind bulk work.
    Lane = words(route::Lane::WORDS);
    /// A way out.
    Channel = words(route::ChannelKind::WORDS);
    /// What a device runs; `other` where Pabal can't know it: tokens, FIDs, topics and conditions that a request named.
    Platform = words(route::Platform::WORDS);
    /// What a device runs.
    DevicePlatform = words(route::Platform::WORDS.iter().filter(|word| **word != route::Platform::Other.as_str()));
    /// The state of a delivery: it waits (`scheduled`, `retrying`), or has ended. *Delivered* means that the provider
    /// has taken it.
    DeliveryState = words(delivery::DeliveryState::WORDS);
    /// Why a delivery ended otherwise than delivered.
    Reason = words(delivery::Reason::WORDS);
    /// Why a delivery or a notification is dead.
    DeadReason = words(&dead_reasons());
    /// What came of one attempt.
    Outcome = words(outcome::OutcomeKind::WORDS);
    /// The state of a notification: `expanded` once all its deliveries exist.
    NotificationState = words(notification::NotificationState::WORDS);
    /// What a provider said of a device: `retired`, the registration is gone, nothing more is sent to it;
    /// `quarantined`, the token is none.
    MarkState = words(device::MarkKind::WORDS);
    /// The state of a redrive job.
    RedriveState = words(store::RedriveState::WORDS);
    /// What a key may do; `admin` includes the others.
    Scope = words(&auth::ScopeWord::ALL.map(auth::ScopeWord::as_str));

    /// A time with its offset (RFC 3339), as `2026-11-22T18:30:00+09:00`.
    Moment = moment();
    /// A title, at most 1,024 bytes.
    Title = text(limits::TITLE_BYTES_MAX);
    /// A text, at most 4,096 bytes.
    BodyText = text(limits::BODY_BYTES_MAX);
    /// The URL of a picture, `https://` or `http://`.
    ImageUrl = text(limits::URL_BYTES_MAX).examples([json!("https://example.com/day-7.png")]);
    /// What a tap opens: a URL, or a link of the app's own.
    Link = text(limits::URL_BYTES_MAX).examples([json!("myapp://day/7")]);
    /// Messages with the same key replace each other while a device is away.
    CollapseKey = text(limits::COLLAPSE_KEY_BYTES_MAX);
    /// For the app, not for the eye: strings only, 100 entries and 4,096 bytes at most. The keys `from`, `message_type`,
    /// `google.…`, `gcm.notification.…` and `pabal_id` are taken.
    Data = ObjectBuilder::new()
        .additional_properties(Some(any_text()))
        .property_names(Some(text(limits::DATA_BYTES_MAX)))
        .max_properties(Some(limits::DATA_ENTRIES_MAX))
        .examples([json!({ "challenge": "42" })]);
    /// Parts of FCM's own message, laid over what Pabal makes; at most 16 KiB of JSON. `android` and `androidV2` exclude
    /// each other.
    FcmOverrides = FCM_OVERRIDES.iter().fold(
        ObjectBuilder::new().additional_properties(Some(AdditionalProperties::FreeForm(false))),
        |object, part| object.property(*part, ObjectBuilder::new()),
    );
    /// Seconds, up to four weeks.
    TtlSeconds = number().minimum(Some(0_usize)).maximum(Some(limits::TTL_S_MAX as usize))
        .default(Some(json!(limits::TTL_S_DEFAULT)));
    /// A registration token of FCM's.
    Token = text(limits::TARGET_BYTES_MAX);
    /// A Firebase installation id.
    Fid = text(limits::TARGET_BYTES_MAX);
    /// A topic of FCM's own, without `/topics/`.
    FcmTopic = text(of_requests::FCM_TOPIC_CHARS_MAX).pattern(Some("^[A-Za-z0-9_.~%-]+$"));
    /// A condition over FCM's own topics.
    FcmCondition = text(limits::TARGET_BYTES_MAX).examples([json!("'a' in topics && 'b' in topics")]);
    /// 1 to 1,000 users, each once.
    Users = ArrayBuilder::new().items(Ref::from_schema_name("UserId")).min_items(Some(1))
        .max_items(Some(limits::USERS_MAX)).unique_items(true);
    /// Channels that may be used; left out, all that a user has.
    Channels = ArrayBuilder::new().items(Ref::from_schema_name("Channel")).min_items(Some(1));
    /// A language tag.
    Locale = text(of_requests::LOCALE_CHARS_MAX).pattern(Some("^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$"))
        .examples([json!("ko-KR")]);
    /// A name of the IANA time zone database.
    TimeZone = any_text().min_length(Some(1)).examples([json!("Asia/Seoul")]);
    /// Visible ASCII characters. Within 24 hours, the same key with the same body is answered as the first time.
    IdempotencyKey = text(limits::IDEMPOTENCY_KEY_BYTES_MAX).pattern(Some("^[!-~]([ -~]*[!-~])?$"))
        .examples([json!("reward-42-ann")]);
    /// How many dead letters are reopened in a second.
    RedriveRate = number().minimum(Some(1_usize)).maximum(Some(limits::REDRIVE_RATE_MAX as usize))
        .default(Some(json!(of_requests::REDRIVE_RATE_DEFAULT)));
    /// What a key may do: each word once, one at least.
    Scopes = ArrayBuilder::new().items(Scope::schema()).min_items(Some(1));
    /// Where work goes on that did not fit into one request: as an answer gave it, and for the same request alone.
    Cursor = text(of_requests::CURSOR_CHARS_MAX);
    /// The word that confirms.
    All = words(&["all"]);
    /// What a provider said, as its code.
    MarkReason = any_text().min_length(Some(1)).examples([json!("UNREGISTERED")]);
    /// What it says: the fields that the request had.
    Message = ObjectBuilder::new()
        .property("title", Title::schema())
        .property("body", BodyText::schema())
        .property("image", ImageUrl::schema())
        .property("link", Link::schema())
        .property("data", Data::schema())
        .property("collapse_key", CollapseKey::schema())
        .property("fcm", FcmOverrides::schema())
        .property("validate_only", ObjectBuilder::new().schema_type(Type::Boolean));
    /// How many deliveries are in each state that any is in.
    StateCounts = delivery::DeliveryState::WORDS.iter().fold(
        ObjectBuilder::new(),
        |counts, state| counts.property(*state, number().minimum(Some(1_usize))),
    );
    /// A token or a FID.
    DeviceAddress = AnyOfBuilder::new().item(one_address::<Token>("token")).item(one_address::<Fid>("fid"));
    /// An address: exactly one of these.
    Address = AnyOfBuilder::new()
        .item(one_address::<Token>("token"))
        .item(one_address::<Fid>("fid"))
        .item(one_address::<FcmTopic>("fcm_topic"))
        .item(one_address::<FcmCondition>("fcm_condition"));
}

/// The same, or `null`.
pub(in crate::api) fn nullable(schema: RefOr<Schema>) -> RefOr<Schema> {
    let null = ObjectBuilder::new().schema_type(Type::Null);
    OneOfBuilder::new().item(null).item(schema).into()
}

fn one_address<T: PartialSchema>(kind: &str) -> ObjectBuilder {
    ObjectBuilder::new().property(kind, T::schema()).required(kind)
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        let description = "A time in UTC with milliseconds (RFC 3339).";
        moment().description(Some(description)).examples([json!("2026-11-22T09:30:00.000Z")]).into()
    }
}

impl ToSchema for Time {}
