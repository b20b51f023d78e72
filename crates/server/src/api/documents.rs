//! What describes the API: `/openapi.json` for programs, `/docs` for people. Both are the same for everybody and say
//! nothing of what is stored, so they need no key.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::document::{self, JSON_MEDIA_TYPE, Operation, Tag};
use super::routes::Routes;
use crate::docs;

pub(super) fn routes() -> Routes {
    Routes::new()
        .open(
            "/openapi.json",
            openapi,
            Operation::new(Tag::Documents, "getOpenApi", "This document")
                .text("What you read here, for programs: OpenAPI 3.1.")
                .answers_plainly(StatusCode::OK, "The document.", &[JSON_MEDIA_TYPE]),
        )
        .open(
            "/docs",
            docs::page,
            Operation::new(Tag::Documents, "showDocs", "These pages")
                .text("A page that shows the document. It works offline and asks nobody else for anything.")
                .answers_plainly(StatusCode::OK, "The page.", &["text/html"]),
        )
}

async fn openapi() -> Response {
    ([(CONTENT_TYPE, JSON_MEDIA_TYPE)], document::JSON.clone()).into_response()
}
