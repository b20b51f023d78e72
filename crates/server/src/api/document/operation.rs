//! What is documented of one operation: what it takes, and every answer that it may give.

use http::StatusCode;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{
    Content, ContentBuilder, Ref, RefOr, Required, Response, ResponseBuilder, path::Operation as Written,
};

use super::{SECURITY, Tag, headers, problems};
use crate::api::problem::ProblemKind;
use crate::auth::ScopeWord;

pub(in crate::api) const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";
/// How many bytes a body may have at most: OpenAPI has no word for it.
const BYTES_MAX: &str = "x-bytes-max";

/// One operation.
pub(in crate::api) struct Operation {
    pub(super) id: &'static str,
    pub(super) tag: Tag,
    summary: &'static str,
    text: &'static str,
    scope: Option<ScopeWord>,
    parameters: Vec<Parameter>,
    is_list: bool,
    body: Option<RequestBody>,
    answers: Vec<(StatusCode, ResponseBuilder)>,
    kinds: Vec<ProblemKind>,
    pub(super) schemas: Vec<(String, RefOr<Schema>)>,
}

impl Operation {
    /// `id` is its name for programs, `summary` for people.
    pub(in crate::api) fn new(tag: Tag, id: &'static str, summary: &'static str) -> Self {
        Self {
            id,
            tag,
            summary,
            text: "",
            scope: None,
            parameters: Vec::new(),
            is_list: false,
            body: None,
            answers: Vec::new(),
            kinds: Vec::new(),
            schemas: Vec::new(),
        }
    }

    /// What there is to know of it, as Markdown.
    pub(in crate::api) fn text(mut self, text: &'static str) -> Self {
        self.text = text;
        self
    }

    /// It needs a key with a scope.
    pub(in crate::api) fn needs(mut self, scope: ScopeWord) -> Self {
        self.scope = Some(scope);
        self.refuses(&problems::OF_KEYS)
    }

    /// A part of the path.
    pub(in crate::api) fn path<T: ToSchema>(self, name: &str, description: &str) -> Self {
        self.parameter::<T>(ParameterIn::Path, name, description)
    }

    /// A parameter of the query, which may be left out.
    pub(in crate::api) fn query<T: ToSchema>(self, name: &str, description: &str) -> Self {
        self.parameter::<T>(ParameterIn::Query, name, description).refuses(&[ProblemKind::InvalidValue])
    }

    /// A header of the request, which may be left out.
    pub(in crate::api) fn header<T: ToSchema>(self, name: &str, description: &str) -> Self {
        self.parameter::<T>(ParameterIn::Header, name, description)
    }

    /// It answers a page of a list.
    pub(in crate::api) fn pages(mut self) -> Self {
        self.is_list = true;
        self.refuses(&[ProblemKind::InvalidValue])
    }

    /// It takes JSON.
    pub(in crate::api) fn takes<T: ToSchema>(self, bytes_max: usize, example: Value) -> Self {
        let schema = reference::<T>();
        let content = ContentBuilder::new().schema(Some(schema)).example(Some(example)).build();
        self.with_schemas::<T>().body(bytes_max, JSON, content).refuses(&problems::OF_BODIES)
    }

    /// It takes the items of an array one a line too.
    pub(in crate::api) fn or_lines<T: ToSchema>(mut self, bytes_max: usize, example: Vec<Value>) -> Self {
        let lines: String = example.iter().map(|item| format!("{item}\n")).collect();
        let content = ContentBuilder::new()
            .schema(Some(super::schema::any_text()))
            .example(Some(Value::from(lines)))
            .extensions(Some(
                ExtensionsBuilder::new()
                    .add("x-line-schema", serde_json::json!({ "$ref": component::<T>() }))
                    .build(),
            ))
            .build();
        self.schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(&mut self.schemas);
        self.body(bytes_max, LINES, content)
    }

    fn body(mut self, bytes_max: usize, media_type: &str, content: Content) -> Self {
        let mut body = self.body.take().unwrap_or_else(|| {
            let kib = bytes_max / 1024;
            let size = if kib >= 1024 { format!("{} MiB", kib / 1024) } else { format!("{kib} KiB") };
            RequestBodyBuilder::new()
                .description(Some(format!("At most {size}.")))
                .required(Some(Required::True))
                .extensions(Some(ExtensionsBuilder::new().add(BYTES_MAX, bytes_max).build()))
                .build()
        });
        body.content.insert(media_type.to_owned(), RefOr::T(content));
        self.body = Some(body);
        self
    }

    /// It answers JSON with this status.
    pub(in crate::api) fn answers<T: ToSchema>(
        self,
        status: StatusCode,
        description: &str,
        example: Value,
    ) -> Self {
        let content = ContentBuilder::new().schema(Some(reference::<T>())).example(Some(example)).build();
        self.with_schemas::<T>()
            .answer(status, ResponseBuilder::new().description(description).content(JSON, content))
    }

    /// It answers something in these media types that is described elsewhere; nothing at all where there are none.
    pub(in crate::api) fn answers_plainly(
        self,
        status: StatusCode,
        description: &str,
        media_types: &[&str],
    ) -> Self {
        let of_type = |media_type: &str| {
            let schema =
                if media_type == JSON { super::schema::any_object() } else { super::schema::any_text() };
            ContentBuilder::new().schema(Some(schema)).build()
        };
        let response = media_types
            .iter()
            .fold(ResponseBuilder::new().description(description), |response, media_type| {
                response.content(*media_type, of_type(media_type))
            });
        self.answer(status, response)
    }

    fn answer(mut self, status: StatusCode, response: ResponseBuilder) -> Self {
        let response = response.header_ref("X-Request-Id", headers::reference("X-Request-Id"));
        self.answers.push((status, response));
        self
    }

    /// The answer named last has this header too.
    pub(in crate::api) fn with_header(self, name: &'static str) -> Self {
        self.change_answer(|answer| answer.header_ref(name, headers::reference(name)))
    }

    /// What the answer named last says, that other operation takes as `parameter`.
    pub(in crate::api) fn leads_to(self, operation: &str, parameter: &str, found_at: &str) -> Self {
        self.leads(operation, &[(parameter, found_at)])
    }

    /// The same with several parameters.
    pub(in crate::api) fn leads(self, operation: &str, parameters: &[(&str, &str)]) -> Self {
        let link = parameters
            .iter()
            .fold(LinkBuilder::new().operation_id(operation), |link, (name, at)| link.parameter(*name, *at));
        self.change_answer(|answer| answer.link(operation, link.build()))
    }

    fn change_answer(mut self, change: impl FnOnce(ResponseBuilder) -> ResponseBuilder) -> Self {
        if let Some((status, answer)) = self.answers.pop() {
            self.answers.push((status, change(answer)));
        }
        self
    }

    /// It may answer these problems.
    pub(in crate::api) fn refuses(mut self, kinds: &[ProblemKind]) -> Self {
        self.kinds.extend(kinds);
        self
    }

    fn parameter<T: ToSchema>(mut self, place: ParameterIn, name: &str, description: &str) -> Self {
        let required = if place == ParameterIn::Path { Required::True } else { Required::False };
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(place)
            .required(required)
            .description(Some(description))
            .schema(Some(T::schema()));
        self.parameters.push(parameter.build());
        self
    }

    fn with_schemas<T: ToSchema>(mut self) -> Self {
        self.schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(&mut self.schemas);
        self
    }

    /// The problems that it may answer, grouped by status.
    pub(super) fn problems(&self) -> Vec<problems::Answer> {
        problems::answers(&self.kinds)
    }

    /// As OpenAPI writes it.
    pub(super) fn write(self) -> Written {
        let problems = self.problems();
        let mut written = OperationBuilder::new()
            .tag(self.tag.name())
            .operation_id(Some(self.id))
            .summary(Some(self.summary))
            .description(Some(self.text).filter(|text| !text.is_empty()))
            .request_body(self.body)
            .security(match self.scope {
                Some(scope) => SecurityRequirement::new(SECURITY, [scope.as_str()]),
                None => SecurityRequirement::default(),
            });
        for parameter in self.parameters {
            written = written.parameter(parameter);
        }
        if self.is_list {
            for (name, _) in headers::of_lists() {
                written = written.parameter_ref(Ref::new(format!("#/components/parameters/{name}")));
            }
        }
        for (status, answer) in self.answers {
            written = written.response(status.as_str(), RefOr::<Response>::from(answer));
        }
        for answer in problems {
            let reference = Ref::from_response_name(answer.name());
            written = written.response(answer.status().as_str(), reference);
        }
        written.build()
    }
}

fn component<T: ToSchema>() -> String {
    format!("#/components/schemas/{}", T::name())
}

fn reference<T: ToSchema>() -> Ref {
    Ref::from_schema_name(T::name())
}
