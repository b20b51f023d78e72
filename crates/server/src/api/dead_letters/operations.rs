//! What is documented of dead letters.

use http::StatusCode;
use serde_json::{Value, json};

use super::PurgedBody;
use super::redrive::{RedriveBody, RedriveRequest, RedrivesBody};
use super::view::{DeadDetailBody, DeadLettersBody};
use crate::api::deliveries::operations::delivery;
use crate::api::document::{Operation, Tag, schema};
use crate::api::problem::ProblemKind;
use crate::limits;

pub(super) fn list() -> Operation {
    let mut dead = dead();
    dead["last_attempt"] = last_attempt();
    let fan_out = json!({
        "kind": "notification",
        "id": "0192f0c1-2345-7abc-8def-0123456789ab",
        "lane": "bulk",
        "reason": "abandoned",
        "created_at": "2026-11-22T09:30:00.000Z",
        "finished_at": "2026-11-22T09:41:00.000Z",
        "counts": { "delivered": 500 },
    });
    filtered(Operation::new(Tag::DeadLetters, "listDeadLetters", "List dead letters"))
        .text(
            "What will not be retried by itself, newest first: deliveries with their last attempt, and notifications \
             whose recipients could not be resolved to the end. `since` and `until` are about the time of death.",
        )
        .pages()
        .answers::<DeadLettersBody>(
            StatusCode::OK,
            "A page of dead letters.",
            json!({ "dead_letters": [dead, fan_out], "next_cursor": null }),
        )
        .leads_to("getDeadLetter", "id", "$response.body#/dead_letters/0/id")
        .leads_to("listDeadLetters", "cursor", "$response.body#/next_cursor")
}

pub(super) fn show() -> Operation {
    let mut dead = dead();
    dead["timeline"] = json!([last_attempt()]);
    Operation::new(Tag::DeadLetters, "getDeadLetter", "Look at a dead letter")
        .text(
            "A delivery with its `timeline`, or a notification. What is there and not dead is answered 409.",
        )
        .path::<schema::DeadLetterId>("id", "Which dead letter.")
        .refuses(&[ProblemKind::NotFound, ProblemKind::Conflict])
        .answers::<DeadDetailBody>(StatusCode::OK, "The dead letter.", dead)
}

pub(super) fn purge() -> Operation {
    filtered(Operation::new(Tag::DeadLetters, "purgeDeadLetters", "Remove dead letters"))
        .text(
            "For good. Without any filter it needs `?confirm=all`. A request removes 10,000 at most, and looks no longer \
             than its time allows: repeat it with its `next_cursor` as `cursor` while there are `more`, also where it \
             found none.",
        )
        .query::<schema::All>("confirm", "`all`, where no filter is given.")
        .query::<schema::Cursor>("cursor", "The `next_cursor` of the request before, with the same filters.")
        .answers::<PurgedBody>(
            StatusCode::OK,
            "How many are removed.",
            json!({ "purged": 10_000, "more": true, "next_cursor": "AWfHDhUyl0Nr" }),
        )
        .leads_to("purgeDeadLetters", "cursor", "$response.body#/next_cursor")
}

pub(super) fn purge_one() -> Operation {
    Operation::new(Tag::DeadLetters, "purgeDeadLetter", "Remove a dead letter")
        .text(
            "For good. A dead notification that has deliveries stays, `cancelled`. What is there and not dead is \
             answered 409.",
        )
        .path::<schema::DeadLetterId>("id", "Which dead letter.")
        .refuses(&[ProblemKind::NotFound, ProblemKind::Conflict])
        .answers_plainly(StatusCode::NO_CONTENT, "It is removed.", &[])
}

pub(super) fn begin_redrive() -> Operation {
    Operation::new(Tag::DeadLetters, "beginRedrive", "Send dead letters again")
        .text(
            "Opens dead letters again, with a fresh budget of attempts and, where their `ttl` has ended, with the same \
             `ttl` from now. The job goes on by itself, over restarts too; what dies after the request is left out. At \
             most 10 jobs run at once in an app.\n\n\
             Naming one `delivery` that is not dead is answered 409.",
        )
        .takes::<RedriveRequest>(
            limits::REDRIVE_BODY_BYTES_MAX,
            json!({ "filter": { "reason": "attempts_exhausted", "since": "2026-11-22T09:00:00Z" }, "rate": 500 }),
        )
        .refuses(&[ProblemKind::NotFound, ProblemKind::Conflict, ProblemKind::LimitReached])
        .answers::<RedriveBody>(StatusCode::ACCEPTED, "The job has begun.", redrive())
        .leads_to("getRedrive", "id", "$response.body#/id")
        .leads_to("stopRedrive", "id", "$response.body#/id")
}

pub(super) fn list_redrives() -> Operation {
    Operation::new(Tag::DeadLetters, "listRedrives", "List redrives")
        .text("The jobs, newest first.")
        .pages()
        .answers::<RedrivesBody>(
        StatusCode::OK,
        "A page of redrives.",
        json!({ "redrives": [redrive()], "next_cursor": null }),
    )
}

pub(super) fn show_redrive() -> Operation {
    Operation::new(Tag::DeadLetters, "getRedrive", "How far is a redrive?")
        .path::<schema::RedriveId>("id", "Which redrive.")
        .refuses(&[ProblemKind::NotFound])
        .answers::<RedriveBody>(StatusCode::OK, "The job as it stands.", redrive())
}

pub(super) fn stop_redrive() -> Operation {
    let mut stopped = redrive();
    stopped["state"] = "stopped".into();
    stopped["finished_at"] = "2026-11-22T10:12:03.000Z".into();
    stopped["eta_s"] = Value::Null;
    Operation::new(Tag::DeadLetters, "stopRedrive", "Stop a redrive")
        .text("What is reopened stays open. One that has ended is answered as it is.")
        .path::<schema::RedriveId>("id", "Which redrive.")
        .refuses(&[ProblemKind::NotFound])
        .answers::<RedriveBody>(StatusCode::OK, "The job as it then is.", stopped)
}

/// The parameters that choose among dead letters.
fn filtered(operation: Operation) -> Operation {
    operation
        .query::<schema::DeadReason>("reason", "Why they are dead.")
        .query::<schema::Channel>("channel", "By which channel they were to go.")
        .query::<schema::UserId>("user", "For whom.")
        .query::<schema::NotificationId>("notification", "Of which notification.")
        .query::<schema::Moment>("since", "Died at this time or later.")
        .query::<schema::Moment>("until", "Died before this time.")
}

fn dead() -> Value {
    let mut dead = delivery();
    dead["kind"] = "delivery".into();
    dead["state"] = "dead".into();
    dead["reason"] = "unregistered".into();
    dead["attempts"] = 1.into();
    dead
}

fn last_attempt() -> Value {
    json!({
        "number": 1, "at": "2026-11-22T09:30:00.004Z", "outcome": "unregistered", "status": 404,
        "code": "UNREGISTERED", "detail": "Requested entity was not found.", "latency_ms": 18,
    })
}

fn redrive() -> Value {
    json!({
        "id": "0192f0c1-2345-7def-8123-0123456789ab",
        "state": "running",
        "filter": {
            "reason": "attempts_exhausted",
            "since": "2026-11-22T09:00:00.000Z",
            "until": "2026-11-22T10:12:00.000Z",
        },
        "rate": 500,
        "total": 4200,
        "reopened": 1500,
        "skipped": null,
        "created_at": "2026-11-22T10:12:00.000Z",
        "finished_at": null,
        "eta_s": 6,
    })
}
