//! What is documented of devices.

use http::StatusCode;
use serde_json::{Value, json};

use super::{DeviceBody, DeviceRequest, DevicesBody};
use crate::api::document::{Operation, Tag, schema};
use crate::api::problem::ProblemKind;
use crate::limits;

const USER: &str = "Whose device.";
const DEVICE: &str = "Which of the user's devices.";
/// Where links find the user and the device of a request.
const SAME: [(&str, &str); 2] = [("user", "$request.path.user"), ("device", "$request.path.device")];

pub(super) fn register() -> Operation {
    Operation::new(Tag::Devices, "registerDevice", "Register a device")
        .text(
            "Both names are yours. Apps do so at each start: it costs one write, and clears the mark.\n\n\
             A token or FID belongs to one device. Registered elsewhere it moves there (a shared phone shows nobody \
             else's messages), and what waited for the old device ends. A user has at most 50 devices.",
        )
        .path::<schema::UserId>("user", USER)
        .path::<schema::DeviceId>("device", DEVICE)
        .takes::<DeviceRequest>(
            limits::DEVICE_BODY_BYTES_MAX,
            json!({ "channel": "fcm", "platform": "android", "token": "dQw4w9WgXcQ:APA91b…", "locale": "ko-KR" }),
        )
        .refuses(&[ProblemKind::LimitReached])
        .answers::<DeviceBody>(StatusCode::OK, "The device as it stands.", device())
        .leads("getDevice", &SAME)
        .leads("deleteDevice", &SAME)
        .leads_to("listDevices", "user", "$request.path.user")
        .leads_to("eraseUser", "user", "$request.path.user")
}

pub(super) fn show() -> Operation {
    Operation::new(Tag::Devices, "getDevice", "Look at a device")
        .path::<schema::UserId>("user", USER)
        .path::<schema::DeviceId>("device", DEVICE)
        .refuses(&[ProblemKind::NotFound, ProblemKind::InvalidValue])
        .answers::<DeviceBody>(StatusCode::OK, "The device as it stands.", device())
}

pub(super) fn remove() -> Operation {
    Operation::new(Tag::Devices, "deleteDevice", "Remove a device")
        .text("What waits for it ends `undeliverable`.")
        .path::<schema::UserId>("user", USER)
        .path::<schema::DeviceId>("device", DEVICE)
        .refuses(&[ProblemKind::NotFound, ProblemKind::InvalidValue])
        .answers_plainly(StatusCode::NO_CONTENT, "It is removed.", &[])
}

pub(super) fn list() -> Operation {
    Operation::new(Tag::Devices, "listDevices", "All devices of a user")
        .text("Sorted by name, all at once. For a user whom nobody registered the list is empty.")
        .path::<schema::UserId>("user", "Whose devices.")
        .refuses(&[ProblemKind::InvalidValue])
        .answers::<DevicesBody>(StatusCode::OK, "The devices.", json!({ "devices": [device()] }))
}

/// A device, for examples.
pub(in crate::api) fn device() -> Value {
    json!({
        "user": "ann",
        "device": "phone",
        "channel": "fcm",
        "platform": "android",
        "project": "my-app",
        "token": "dQw4w9WgXcQ:APA91b…",
        "locale": "ko-KR",
        "time_zone": null,
        "mark": null,
        "created_at": "2026-11-22T09:30:00.000Z",
        "seen_at": "2026-11-22T09:30:00.000Z",
    })
}
