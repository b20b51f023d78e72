//! What is documented of `/v1/deliveries`, and the examples that others show too.

use http::StatusCode;
use serde_json::{Value, json};
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::{DeliveriesBody, RecipientBody, TimelineBody};
use crate::api::document::{Operation, Tag, schema};
use crate::api::problem::ProblemKind;

pub(super) fn list() -> Operation {
    Operation::new(Tag::Deliveries, "listDeliveries", "List deliveries")
        .text(
            "The newest first. `since` (included) and `until` (not included) are about the time at which their \
             notification was accepted.",
        )
        .query::<schema::UserId>("user", "For whom.")
        .query::<schema::DeliveryState>("state", "In which state.")
        .query::<schema::Reason>("reason", "Ended for which reason.")
        .query::<schema::Channel>("channel", "By which channel.")
        .query::<schema::NotificationId>("notification", "Of which notification.")
        .query::<schema::Moment>("since", "Accepted at this time or later.")
        .query::<schema::Moment>("until", "Accepted before this time.")
        .pages()
        .answers::<DeliveriesBody>(
            StatusCode::OK,
            "A page of deliveries.",
            json!({ "deliveries": [delivery()], "next_cursor": "AWfHDhUyl0Nr" }),
        )
        .leads_to("getDelivery", "id", "$response.body#/deliveries/0/id")
        .leads_to("listDeliveries", "cursor", "$response.body#/next_cursor")
}

pub(super) fn show() -> Operation {
    let mut example = delivery();
    example["timeline"] = json!([
        {
            "number": 1, "at": "2026-11-22T09:30:00.004Z", "outcome": "throttled", "status": 429,
            "code": "QUOTA_EXCEEDED", "detail": "Quota exceeded for …", "latency_ms": 18,
        },
        {
            "number": 2, "at": "2026-11-22T09:30:03.120Z", "outcome": "delivered", "status": 200,
            "code": null, "detail": "projects/my-app/messages/0:1795…", "latency_ms": 15,
        },
    ]);
    Operation::new(Tag::Deliveries, "getDelivery", "Look at a delivery, attempt by attempt")
        .text("Every attempt with what the provider said, and when the next one follows.")
        .path::<schema::DeliveryId>("id", "Which delivery.")
        .refuses(&[ProblemKind::NotFound])
        .answers::<TimelineBody>(StatusCode::OK, "The delivery and its timeline.", example)
}

/// A delivery, for examples.
pub(in crate::api) fn delivery() -> Value {
    json!({
        "id": "0192f0c1-2345-8123-9456-789abcdef012",
        "notification": "0192f0c1-2345-7abc-8def-0123456789ab",
        "to": { "user": "ann", "device": "phone" },
        "lane": "transactional",
        "channel": "fcm",
        "project": "my-app",
        "platform": "android",
        "state": "delivered",
        "reason": null,
        "attempts": 2,
        "paused": null,
        "created_at": "2026-11-22T09:30:00.000Z",
        "next_attempt_at": null,
        "finished_at": "2026-11-22T09:30:03.135Z",
    })
}

impl PartialSchema for RecipientBody {
    fn schema() -> RefOr<Schema> {
        let person =
            || ObjectBuilder::new().property("user", Ref::from_schema_name("UserId")).required("user");
        let device = person().property("device", Ref::from_schema_name("DeviceId"));
        AnyOfBuilder::new()
            .item(device)
            .item(schema::Address::schema())
            .description(Some(
                "For whom: a device, a user who has none, or the address that the request named.",
            ))
            .into()
    }
}

impl ToSchema for RecipientBody {
    fn name() -> std::borrow::Cow<'static, str> {
        "Recipient".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("UserId".to_owned(), schema::UserId::schema()));
        schemas.push(("DeviceId".to_owned(), schema::DeviceId::schema()));
    }
}
