//! What is documented of marks.

use http::StatusCode;
use serde_json::json;

use super::{MarkedBody, RestoreRequest, RestoredBody};
use crate::api::devices::operations::device;
use crate::api::document::{Operation, Tag, schema};
use crate::api::problem::ProblemKind;
use crate::limits;

pub(super) fn list() -> Operation {
    let mut marked = device();
    marked["mark"] = json!({ "kind": "retired", "reason": "UNREGISTERED", "at": "2026-11-22T09:30:00.120Z" });
    Operation::new(Tag::Devices, "listMarkedDevices", "Poll for dead tokens")
        .text(
            "The devices that bear a mark, the oldest mark first. Read the list to its end, keep `since`, and pass it at \
             the next poll: no mark is missed, and one that is younger than a second may come twice.",
        )
        .query::<schema::MarkState>("state", "Which marks; left out, both.")
        .query::<schema::MarkReason>("reason", "The provider's code.")
        .query::<schema::Moment>("since", "Marked at this time or later.")
        .query::<schema::Moment>("until", "Marked before this time.")
        .pages()
        .answers::<MarkedBody>(
            StatusCode::OK,
            "A page of marked devices.",
            json!({ "devices": [marked], "next_cursor": null, "since": "2026-11-22T09:30:00.121Z" }),
        )
        .leads_to("listMarkedDevices", "cursor", "$response.body#/next_cursor")
}

pub(super) fn restore() -> Operation {
    Operation::new(Tag::Devices, "restoreDevices", "Take marks back")
        .text(
            "For marks that came of somebody's mistake: those of `devices`, or all that a filter finds, as \
             `{\"state\": \"retired\", \"reason\": \"SENDER_ID_MISMATCH\", \"since\": \"2026-11-22T09:00:00Z\"}`. \
             Where a filter has more to look through than fits into one request it is answered 503 `unfinished` with \
             a `cursor`: repeat the same request with it until the answer is 200, whose number is that of all these \
             requests.",
        )
        .query::<schema::Cursor>("cursor", "The `cursor` of the problem `unfinished` before, with the same filter.")
        .takes::<RestoreRequest>(
            limits::RESTORE_BODY_BYTES_MAX,
            json!({ "devices": [{ "user": "ann", "device": "phone" }] }),
        )
        .refuses(&[ProblemKind::Unfinished])
        .answers::<RestoredBody>(StatusCode::OK, "How many bore a mark.", json!({ "restored": 1 }))
}
