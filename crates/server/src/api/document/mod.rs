//! The OpenAPI document: made from the routes themselves, from the types that requests are read as and answers are
//! written from, and from the constants that bound them. `docs/openapi.json` is a copy that a test compares.

mod headers;
mod operation;
mod problems;
pub(in crate::api) mod schema;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathItem, PathsBuilder,
};

pub(in crate::api) use self::headers::NextCursor;
pub(in crate::api) use self::operation::{JSON as JSON_MEDIA_TYPE, Operation};
use super::routes::Routes;

/// What the keys are called among the security schemes.
const SECURITY: &str = "key";

/// The document as the server hands it out.
pub(in crate::api) static JSON: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(openapi()));

/// What operations are about, in the order in which people meet it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Tag {
    Notifications,
    Deliveries,
    Devices,
    People,
    DeadLetters,
    Observation,
    Keys,
    Documents,
}

impl Tag {
    const ALL: [Tag; 8] = [
        Self::Notifications,
        Self::Deliveries,
        Self::Devices,
        Self::People,
        Self::DeadLetters,
        Self::Observation,
        Self::Keys,
        Self::Documents,
    ];

    fn name(self) -> &'static str {
        self.parts().0
    }

    const fn parts(self) -> (&'static str, &'static str) {
        match self {
            Self::Notifications => (
                "Notifications",
                "What you ask for: recipients, a message, options. Accepted (202) means: delivered to every device it \
                 is meant for, or ended in a state that says why not.",
            ),
            Self::Deliveries => (
                "Deliveries",
                "One notification × one device: what is queued, tried, retried and can be followed attempt by attempt.",
            ),
            Self::Devices => (
                "Devices",
                "What a person can be reached on. Apps register at each start; what providers say of a device is a \
                 mark on it, which you can poll for and take back.",
            ),
            Self::People => ("People", "Forgetting a person."),
            Self::DeadLetters => (
                "Dead letters",
                "What will not be retried by itself: looked at, removed, or sent again by a job that keeps to a rate.",
            ),
            Self::Observation => ("Observation", "How the server and your app are doing."),
            Self::Keys => (
                "Keys and apps",
                "API keys belong to one app and see that app only. Scopes: `send`, `read`, `manage`, and `admin`, which \
                 includes the others.",
            ),
            Self::Documents => ("Documents", "This description, for programs and for people. Without a key."),
        }
    }
}

/// The document as text: what `docs/openapi.json` holds.
pub fn openapi() -> String {
    let mut text = document(super::all_routes()).to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

fn document(routes: Routes) -> OpenApi {
    let mut schemas = BTreeMap::from_iter(problems::schemas());
    let mut responses = BTreeMap::new();
    let mut operations = routes.into_operations();
    operations.sort_by_key(|documented| Tag::ALL.iter().position(|tag| *tag == documented.operation.tag));
    let mut paths = PathsBuilder::new();
    for documented in operations {
        let operation = documented.operation;
        schemas.extend(operation.schemas.iter().cloned());
        responses.extend(operation.problems().iter().map(|answer| (answer.name(), answer.response())));
        // Operations of one path come together in one item.
        paths = paths.path(documented.path, PathItem::new(documented.method, operation.write()));
    }
    let mut components = ComponentsBuilder::new().security_scheme(SECURITY, key()).schemas_from_iter(schemas);
    for (name, response) in responses {
        components = components.response(name, response);
    }
    for (name, header) in headers::all() {
        components = components.header(name, header);
    }
    for (name, parameter) in headers::of_lists() {
        components = components.parameter(name, parameter);
    }
    let tags = Tag::ALL.map(|tag| {
        let (name, description) = tag.parts();
        TagBuilder::new().name(name).description(Some(description)).build()
    });
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Pabal")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(include_str!("introduction.md").trim_end()))
                .license(Some(LicenseBuilder::new().name(env!("CARGO_PKG_LICENSE")).build())),
        )
        .paths(paths)
        .components(Some(components.build()))
        .tags(Some(tags))
        .build()
}

fn key() -> SecurityScheme {
    let description = "An API key, in `Authorization: Bearer KEY`. Each operation names the scope that its key needs; \
                       `admin` includes all of them.";
    SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("pabal_…")
            .description(Some(description))
            .build(),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::problem::ProblemKind;

    #[test]
    fn every_kind_of_problem_is_an_answer_of_something() {
        let document = document(crate::api::all_routes());
        let responses = document.components.unwrap().responses;
        let answered: BTreeSet<&str> = responses.keys().flat_map(|name| name.split("-or-")).collect();
        // That a path has no such method is no answer of any operation.
        let elsewhere = BTreeSet::from([ProblemKind::MethodNotAllowed.word()]);
        let all: BTreeSet<&str> = ProblemKind::ALL.into_iter().map(ProblemKind::word).collect();
        assert_eq!(answered.union(&elsewhere).copied().collect::<BTreeSet<_>>(), all);
    }
}
