//! Headers and parameters that many operations share.

use serde_json::json;
use utoipa::PartialSchema;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Ref, RefOr};

use crate::limits;

/// Every header of an answer, by its name.
pub(super) fn all() -> Vec<(String, RefOr<Header>)> {
    let number = || ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1_usize));
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let header = |name: &str, schema: ObjectBuilder, description: &str| {
        (
            name.to_owned(),
            RefOr::T(HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()),
        )
    };
    vec![
        header(
            "X-Request-Id",
            text().max_length(Some(limits::REQUEST_ID_CHARS_MAX)),
            "Under this id the server's log knows the request. Your own `X-Request-Id`, if you sent one of up to 64 \
             letters, digits, `-`, `_` and `.`.",
        ),
        header("Retry-After", number(), "Seconds to wait before the request is repeated."),
        header("WWW-Authenticate", text(), "`Bearer`."),
        header(
            "Idempotency-Replayed",
            text().enum_values(Some(["true"])),
            "There where a repeated request is answered as the first time, and nothing was sent again.",
        ),
    ]
}

/// Refers to one of these.
pub(super) fn reference(header: &str) -> Ref {
    Ref::new(format!("#/components/headers/{header}"))
}

/// The two parameters of every list.
pub(super) fn of_lists() -> [(&'static str, Parameter); 2] {
    let limit = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1_usize))
        .maximum(Some(limits::PAGE_ITEMS_MAX))
        .default(Some(json!(limits::PAGE_ITEMS_DEFAULT)));
    let cursor = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(limits::CURSOR_CHARS_MAX));
    let parameter = |name: &str, schema: ObjectBuilder, description: &str| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Query)
            .required(utoipa::openapi::Required::False)
            .schema(Some(schema))
            .description(Some(description))
            .build()
    };
    [
        ("limit", parameter("limit", limit, "How many items a page has at most.")),
        (
            "cursor",
            parameter(
                "cursor",
                cursor,
                "Where to go on: the `next_cursor` of the page before, with the same filters. It holds for its own \
                 list, filters and app.",
            ),
        ),
    ]
}

/// The schema of `next_cursor` and the like is any text that [`of_lists`] takes again.
pub(in crate::api) enum NextCursor {}

impl PartialSchema for NextCursor {
    fn schema() -> RefOr<utoipa::openapi::Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .max_length(Some(limits::CURSOR_CHARS_MAX))
            .description(Some(
                "Pass it as `cursor`, with the same filters, for the next page; `null` at the end.",
            ))
            .into()
    }
}

impl utoipa::ToSchema for NextCursor {}
