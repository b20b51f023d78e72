//! What is documented of notifications.

use http::StatusCode;
use serde_json::{Value, json};
use utoipa::openapi::schema::{AllOfBuilder, ArrayBuilder, ObjectBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::batch::BatchBody;
use super::items::{ItemRequest, KEY_FIELD};
use super::request::NotificationRequest;
use super::view::{AcceptedBody, CancelledBody, NotificationBody, NotificationsBody};
use super::{HEADER_IN_WORDS, REPLAYED_IN_WORDS};
use crate::api::deliveries::operations::delivery;
use crate::api::document::{Operation, Tag, schema};
use crate::api::problem::ProblemKind;
use crate::limits;

const ID: &str = "0192f0c1-2345-7abc-8def-0123456789ab";

pub(super) fn accept() -> Operation {
    Operation::new(Tag::Notifications, "sendNotification", "Send a notification")
        .text(
            "Answered 202 once it is stored: from then on each delivery ends in a state that says what became of it. A \
             user without a device gets one delivery that is `undeliverable` with the reason `no_device`.\n\n\
             Send an `Idempotency-Key` to be able to repeat the request safely: within 24 hours the same key with the \
             same body, byte for byte, is answered as the first time, with `Idempotency-Replayed: true`, and nothing is \
             sent again.",
        )
        .header::<schema::IdempotencyKey>(HEADER_IN_WORDS, "Makes repeats safe.")
        .takes::<NotificationRequest>(limits::NOTIFICATION_BODY_BYTES_MAX, request("ann"))
        .refuses(&[ProblemKind::IdempotencyKeyReused])
        .answers::<AcceptedBody>(
            StatusCode::ACCEPTED,
            "Accepted: it is stored, and will be delivered or end in a state that says why not.",
            json!({ "id": ID, "deliveries": 2 }),
        )
        .with_header(REPLAYED_IN_WORDS)
        .leads_to("getNotification", "id", "$response.body#/id")
        .leads_to("cancelNotification", "id", "$response.body#/id")
        .leads_to("listDeliveries", "notification", "$response.body#/id")
}

pub(super) fn accept_batch() -> Operation {
    let mut keyed = request("bea");
    keyed[KEY_FIELD] = "day-7-bea".into();
    Operation::new(Tag::Notifications, "sendBatch", "Send many")
        .text(
            "A JSON array of up to 1,000 notifications, or one a line as `application/x-ndjson`, up to 10,000 lines \
             (blank lines are nothing); each item at most 64 KiB. Each is answered by itself, in their order, with the \
             status that it would have had alone: one that is refused harms no other.\n\n\
             The batch is accepted in steps of a few hundred items. Where the store fails between two of them, or time \
             runs out, the items behind have status 503. Give each item an `idempotency_key`, and send the whole again. \
             The header `Idempotency-Key` is refused here.",
        )
        .takes::<BatchRequest>(limits::BATCH_BODY_BYTES_MAX, json!([request("ann"), keyed]))
        .or_lines::<ItemRequest>(limits::BATCH_BODY_BYTES_MAX, vec![request("ann"), keyed])
        .refuses(&[ProblemKind::Unfinished])
        .answers::<BatchBody>(
            StatusCode::OK,
            "What came of each.",
            json!({
                "accepted": 1, "replayed": 0, "refused": 1,
                "items": [
                    { "index": 0, "status": 202, "id": ID, "deliveries": 1, "replayed": false },
                    { "index": 1, "status": 400, "problem": {
                        "type": "urn:pabal:problem:invalid_request",
                        "title": "The request has another shape",
                        "status": 400,
                        "detail": "data.level must be a string, not a number",
                        "field": "data.level",
                    } },
                ],
            }),
        )
}

pub(super) fn list() -> Operation {
    Operation::new(Tag::Notifications, "listNotifications", "List notifications")
        .text(
            "The newest first, without their deliveries. `since` (included) and `until` (not included) are about the time \
             at which they were accepted. A page has 4 MiB at most.",
        )
        .query::<schema::NotificationState>("state", "In which state.")
        .query::<schema::Moment>("since", "Accepted at this time or later.")
        .query::<schema::Moment>("until", "Accepted before this time.")
        .pages()
        .answers::<NotificationsBody>(
            StatusCode::OK,
            "A page of notifications.",
            json!({ "notifications": [notification()], "next_cursor": "AWfHDhUyl0Nr" }),
        )
        .leads_to("getNotification", "id", "$response.body#/notifications/0/id")
        .leads_to("listNotifications", "cursor", "$response.body#/next_cursor")
}

pub(super) fn show() -> Operation {
    let mut example = notification();
    example["deliveries"] = json!([delivery()]);
    example["next_cursor"] = Value::Null;
    Operation::new(Tag::Notifications, "getNotification", "Look at a notification")
        .text("How it stands, with a page of its deliveries, the oldest first.")
        .path::<schema::NotificationId>("id", "Which notification.")
        .pages()
        .refuses(&[ProblemKind::NotFound])
        .answers::<NotificationBody>(StatusCode::OK, "The notification and its deliveries.", example)
        .leads_to("getDelivery", "id", "$response.body#/deliveries/0/id")
}

pub(super) fn cancel() -> Operation {
    Operation::new(Tag::Notifications, "cancelNotification", "Take a notification back")
        .text(
            "Ends what is open. What is `in_flight` is being attempted at this moment: it may still be delivered, and is \
             not tried again.",
        )
        .path::<schema::NotificationId>("id", "Which notification.")
        .refuses(&[ProblemKind::NotFound])
        .answers::<CancelledBody>(
            StatusCode::OK,
            "What was ended.",
            json!({ "id": ID, "cancelled": 3, "already_sent": 120, "already_final": 2, "in_flight": 1 }),
        )
}

fn request(user: &str) -> Value {
    json!({
        "to": { "user": user },
        "title": "Prove your day",
        "body": "Day 7 of 30 is waiting for you.",
        "link": "myapp://day/7",
        "ttl": 86_400,
    })
}

fn notification() -> Value {
    json!({
        "id": ID,
        "state": "expanded",
        "lane": "transactional",
        "to": { "user": "ann" },
        "message": { "title": "Prove your day", "body": "Day 7 of 30 is waiting for you.", "link": "myapp://day/7" },
        "created_at": "2026-11-22T09:30:00.000Z",
        "send_at": null,
        "expires_at": "2026-11-23T09:30:00.000Z",
        "counts": { "delivered": 1 },
    })
}

/// The items of a batch.
enum BatchRequest {}

impl PartialSchema for BatchRequest {
    fn schema() -> RefOr<Schema> {
        let items = ArrayBuilder::new().items(Ref::from_schema_name(ItemRequest::name()));
        items.max_items(Some(limits::BATCH_ITEMS_MAX)).description(Some("A batch.")).into()
    }
}

impl ToSchema for BatchRequest {
    fn name() -> std::borrow::Cow<'static, str> {
        "NewBatch".into()
    }
}

/// A notification, and its key beside its other fields.
impl PartialSchema for ItemRequest {
    fn schema() -> RefOr<Schema> {
        let described = Some("A notification of a batch: what a single request is, and its key.");
        match NotificationRequest::schema() {
            RefOr::T(Schema::Object(mut object)) => {
                let key = schema::nullable(schema::IdempotencyKey::schema());
                object.properties.insert(KEY_FIELD.to_owned(), key);
                object.description = described.map(str::to_owned);
                Schema::Object(object).into()
            }
            other => AllOfBuilder::new().item(other).item(ObjectBuilder::new()).description(described).into(),
        }
    }
}

impl ToSchema for ItemRequest {
    fn name() -> std::borrow::Cow<'static, str> {
        "NewBatchItem".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        NotificationRequest::schemas(schemas);
    }
}
