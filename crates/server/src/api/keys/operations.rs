//! What is documented of `/v1/keys`.

use http::StatusCode;
use serde_json::{Value, json};

use super::{KeyRequest, KeysBody, MadeBody};
use crate::api::document::{Operation, Tag, schema};
use crate::api::problem::ProblemKind;
use crate::limits;

pub(super) fn make() -> Operation {
    let mut made = key();
    made["key"] = "pabal_5f1c…".into();
    Operation::new(Tag::Keys, "createKey", "Make a key")
        .text(
            "The answer shows the secret, and nothing else ever does: keep it where secrets are kept. Give each program a \
             key of its own, with the scopes that it needs.",
        )
        .takes::<KeyRequest>(
            limits::KEY_BODY_BYTES_MAX,
            json!({ "name": "billing, production", "scopes": ["send", "read"] }),
        )
        .refuses(&[ProblemKind::LimitReached])
        .answers::<MadeBody<'_>>(StatusCode::CREATED, "The key and its secret.", made)
        .leads_to("revokeKey", "id", "$response.body#/id")
}

pub(super) fn list() -> Operation {
    Operation::new(Tag::Keys, "listKeys", "List keys")
        .text("The newest first; never their secrets.")
        .query::<schema::AppName>(
            "app",
            "Of which app; only an admin key of the app `default` may name another.",
        )
        .query::<bool>("revoked", "Whether revoked keys are listed too.")
        .pages()
        .answers::<KeysBody>(
            StatusCode::OK,
            "A page of keys.",
            json!({ "keys": [key()], "next_cursor": null }),
        )
}

pub(super) fn revoke() -> Operation {
    Operation::new(Tag::Keys, "revokeKey", "Revoke a key")
        .text(
            "It opens nothing any more, from now on. A repeat answers the same. An admin key of the app `default` is not \
             revoked (409) where no other one is left that does not expire, unless one is configured: one day nobody \
             could make a key any more.",
        )
        .path::<schema::KeyId>("id", "Which key.")
        .query::<schema::AppName>("app", "Of which app; only an admin key of the app `default` may name another.")
        .refuses(&[ProblemKind::NotFound, ProblemKind::Conflict])
        .answers_plainly(StatusCode::NO_CONTENT, "It is revoked.", &[])
}

fn key() -> Value {
    json!({
        "id": "0192f0c1-2345-7fed-8cba-0123456789ab",
        "name": "billing, production",
        "app": "default",
        "scopes": ["send", "read"],
        "created_at": "2026-11-22T09:30:00.000Z",
        "last_used_at": "2026-11-22T09:41:00.000Z",
        "expires_at": null,
        "revoked_at": null,
    })
}
