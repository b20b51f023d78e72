//! `/v1/projects/{project}/registrations/{registration}/topicSubscriptions…`: topic management of FCM's own API, one
//! registration at a time (discovery document, revision 20261023).
//!
//! Where the document gives no text of a refusal it is that of sends or of Google's APIs in general; see
//! [`crate::envelope`].

use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::answer::{self, Answer};
use super::percent::decode;
use super::query::Query;
use super::{bearer, send};
use crate::clock::rfc3339_ms;
use crate::envelope::{ApiError, Operation};
use crate::faults::active::ActiveFaults;
use crate::faults::{Exceeded, FaultKind};
use crate::json::Json;
use crate::limits::{DEFAULT_SUBSCRIPTION_PAGE, MAX_SUBSCRIPTION_PAGE};
use crate::message::{is_token, is_topic_name};
use crate::schema::check_topic_subscription;
use crate::state::State;
use crate::topics::{SubscribeError, Subscribed};

/// What is asked of whose subscriptions.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call {
    project: String,
    registration: String,
    what: What,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    Create,
    List,
    Get(String),
    Patch(String),
    Delete(String),
}

impl Call {
    /// None for another path, or a method that it doesn't have.
    pub(super) fn of(method: &Method, path: &str) -> Option<Call> {
        let mut segments = path.strip_prefix("/v1/projects/")?.split('/');
        let project = decode(segments.next()?);
        let registration = segments.next().filter(|segment| *segment == "registrations")?;
        let registration = segments.next().filter(|_| !registration.is_empty()).map(decode)?;
        segments.next().filter(|segment| *segment == "topicSubscriptions")?;
        let topic = segments.next().map(decode);
        let what = match (method.as_str(), topic) {
            ("POST", None) => What::Create,
            ("GET", None) => What::List,
            ("GET", Some(topic)) => What::Get(topic),
            ("PATCH", Some(topic)) => What::Patch(topic),
            ("DELETE", Some(topic)) => What::Delete(topic),
            _ => return None,
        };
        segments.next().is_none().then_some(Call { project, registration, what })
    }

    /// The parameters its method has, in snake_case.
    fn parameters(&self) -> &'static [&'static str] {
        match self.what {
            What::Create => &["topic_name"],
            What::List => &["page_size", "page_token"],
            What::Get(_) => &[],
            What::Patch(_) | What::Delete(_) => &["allow_missing"],
        }
    }
}

pub(super) fn answer(state: &State, call: &Call, head: &Parts, body: &Bytes) -> Answer {
    let faults = state.faults();
    let project = match bearer::of_project(state, &head.headers, &call.project, Operation::TOPICS) {
        Ok(project) => project,
        Err(error) => return bearer::refused(&faults, &error),
    };
    let request = Request { state, faults: &faults, project, registration: &call.registration };
    match request.answer(call, head.uri.query().unwrap_or_default(), body) {
        Ok(done) => answer::json(StatusCode::OK, &done),
        Err(Refusal { error, retry_after_s }) => send::refused(&faults, error, retry_after_s),
    }
}

/// An error, and after how long it is worth trying again.
struct Refusal {
    error: ApiError,
    retry_after_s: Option<u32>,
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Refusal {
        Refusal { error, retry_after_s: None }
    }
}

/// A call by someone who may make it.
struct Request<'r> {
    state: &'r State,
    faults: &'r ActiveFaults,
    project: usize,
    registration: &'r str,
}

impl Request<'_> {
    fn answer(&self, call: &Call, query: &str, body: &Bytes) -> Result<Value, Refusal> {
        let query = Query::parse(query, call.parameters())?;
        if !is_token(self.registration) {
            let field = if matches!(call.what, What::Create | What::List) { "parent" } else { "name" };
            return Err(ApiError::malformed_registration(field).into());
        }
        match &call.what {
            What::Create => {
                self.check_body(body)?;
                self.create(&query)
            }
            What::List => self.list(&query),
            What::Get(topic) => self.get(topic),
            What::Patch(topic) => {
                self.check_body(body)?;
                self.patch(topic, query.is_true("allow_missing")?)
            }
            What::Delete(topic) => self.delete(topic, query.is_true("allow_missing")?),
        }
    }

    /// The body's fields are the server's to set; all it can be is well-formed.
    fn check_body(&self, body: &Bytes) -> Result<(), ApiError> {
        let mut json = Json::Null;
        let violations = check_topic_subscription(&self.state.schema, send::parse(body, &mut json)?);
        if violations.is_empty() { Ok(()) } else { Err(ApiError::bad_json(violations)) }
    }

    fn create(&self, query: &Query) -> Result<Value, Refusal> {
        let topic = query.get("topic_name").unwrap_or_default();
        check_topic(topic, "topic_name")?;
        self.admit()?;
        match self.subscribe(topic)? {
            Subscribed::Created(created_at_ms) => Ok(self.subscription(topic, created_at_ms)),
            Subscribed::Existed(_) => Err(ApiError::already_exists().into()),
        }
    }

    fn patch(&self, topic: &str, allow_missing: bool) -> Result<Value, Refusal> {
        check_topic(topic, "name")?;
        self.admit()?;
        if !allow_missing {
            return self.existing(topic);
        }
        let (Subscribed::Created(created_at_ms) | Subscribed::Existed(created_at_ms)) =
            self.subscribe(topic)?;
        Ok(self.subscription(topic, created_at_ms))
    }

    fn delete(&self, topic: &str, allow_missing: bool) -> Result<Value, Refusal> {
        check_topic(topic, "name")?;
        self.admit()?;
        let ended = self.state.subscriptions.unsubscribe(self.project, self.registration, topic);
        if ended || allow_missing { Ok(json!({})) } else { Err(ApiError::not_found().into()) }
    }

    fn get(&self, topic: &str) -> Result<Value, Refusal> {
        check_topic(topic, "name")?;
        self.known()?;
        self.existing(topic)
    }

    fn existing(&self, topic: &str) -> Result<Value, Refusal> {
        let created = self.state.subscriptions.created_at_ms(self.project, self.registration, topic);
        let created_at_ms = created.ok_or_else(ApiError::not_found)?;
        Ok(self.subscription(topic, created_at_ms))
    }

    fn list(&self, query: &Query) -> Result<Value, Refusal> {
        self.known()?;
        let limit = match query.int32("page_size")?.unwrap_or(0) {
            0 => DEFAULT_SUBSCRIPTION_PAGE,
            size => usize::try_from(size)
                .map_err(|_| ApiError::invalid("page_size", "Page size must not be negative."))?
                .min(MAX_SUBSCRIPTION_PAGE),
        };
        let after = read_page_token(query.get("page_token").unwrap_or_default())
            .ok_or_else(|| ApiError::invalid("page_token", "Page token is invalid."))?;
        let subscriptions = &self.state.subscriptions;
        let (page, more) = subscriptions.topics_of(self.project, self.registration, &after, limit);
        let mut answer = Map::new();
        if let Some((last, _)) = page.last() {
            let listed: Vec<Value> =
                page.iter().map(|(topic, created)| self.subscription(topic, *created)).collect();
            answer.insert("topicSubscriptions".to_owned(), listed.into());
            if more {
                answer.insert("nextPageToken".to_owned(), page_token(last).into());
            }
        }
        Ok(Value::Object(answer))
    }

    fn subscribe(&self, topic: &str) -> Result<Subscribed, ApiError> {
        self.state.subscriptions.subscribe(self.project, self.registration, topic).map_err(
            |error| match error {
                SubscribeError::TooManyTopics => ApiError::too_many_topics(),
                SubscribeError::Full => ApiError::subscriptions_full(),
            },
        )
    }

    /// A change: the registration is known, and the project's rate allows it.
    fn admit(&self) -> Result<(), Refusal> {
        self.known()?;
        let admitted = self.faults.admit_subscription(self.project, Instant::now());
        admitted.map_err(|exceeded: Exceeded| Refusal {
            error: ApiError::exceeded(exceeded, self.project_number(), self.registration),
            retry_after_s: exceeded.retry_after_s(),
        })
    }

    /// Every registration is, unless a rule says otherwise.
    fn known(&self) -> Result<(), ApiError> {
        let rule = self.faults.of_registration(self.registration, &self.state.hasher);
        let Some((kind, status)) = rule else { return Ok(()) };
        let error = match kind {
            FaultKind::Unregistered if self.faults.faults().dead_tokens_as_400 => {
                ApiError::malformed_registration("parent")
            }
            FaultKind::Unregistered => ApiError::not_found(),
            FaultKind::InvalidToken => ApiError::malformed_registration("parent"),
            FaultKind::SenderMismatch => ApiError::sender_mismatch(),
            FaultKind::ThirdPartyAuth => ApiError::third_party_auth(),
            FaultKind::Quota => {
                ApiError::exceeded(Exceeded::Subscriptions(Default::default()), self.project_number(), "")
            }
            FaultKind::Unavailable => ApiError::unavailable(),
            FaultKind::Internal
            | FaultKind::Html502
            | FaultKind::Goaway
            | FaultKind::ResetBefore
            | FaultKind::ResetAfter
            | FaultKind::RefusedStream => ApiError::internal(),
        };
        Err(match status.and_then(|status| StatusCode::from_u16(status).ok()) {
            Some(status) => error.with_http(status),
            None => error,
        })
    }

    fn project_number(&self) -> u64 {
        self.state.accounts[self.project].project_number
    }

    fn subscription(&self, topic: &str, created_at_ms: i64) -> Value {
        let project = &self.state.accounts[self.project].project_id;
        let registration = self.registration;
        json!({
            "name": format!("projects/{project}/registrations/{registration}/topicSubscriptions/{topic}"),
            "createTime": rfc3339_ms(created_at_ms),
            "topicName": topic,
        })
    }
}

fn check_topic(topic: &str, field: &'static str) -> Result<(), ApiError> {
    if is_topic_name(topic) { Ok(()) } else { Err(ApiError::topic_name(field)) }
}

/// Where the next page starts, for nobody else to read.
fn page_token(last_topic: &str) -> String {
    URL_SAFE_NO_PAD.encode(last_topic)
}

/// The topic a page token stands for; an empty token is the beginning.
fn read_page_token(token: &str) -> Option<String> {
    let topic = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    (topic.is_empty() || is_topic_name(&topic)).then_some(topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_methods() {
        let check = |method: Method, path: &str, expected: Option<(&str, What)>| {
            let expected = expected.map(|(registration, what)| {
                let (project, registration) = ("demo".to_owned(), registration.to_owned());
                Call { project, registration, what }
            });
            assert_eq!(Call::of(&method, path), expected, "{method} {path}");
        };
        let base = "/v1/projects/demo/registrations/a%3Ab/topicSubscriptions";
        let one = format!("{base}/x%25y");
        let topic = || "x%y".to_owned();
        check(Method::POST, base, Some(("a:b", What::Create)));
        check(Method::GET, base, Some(("a:b", What::List)));
        check(Method::GET, &one, Some(("a:b", What::Get(topic()))));
        check(Method::PATCH, &one, Some(("a:b", What::Patch(topic()))));
        check(Method::DELETE, &one, Some(("a:b", What::Delete(topic()))));
        check(Method::POST, &one, None);
        check(Method::DELETE, base, None);
        check(Method::GET, &format!("{one}/more"), None);
        check(Method::GET, "/v1/projects/demo/registrations/a", None);
        check(Method::GET, "/v1/projects/demo/devices/a/topicSubscriptions", None);
    }

    #[test]
    fn page_tokens_read_back() {
        assert_eq!(read_page_token(&page_token("news~%")), Some("news~%".to_owned()));
        assert_eq!(read_page_token(""), Some(String::new()));
        for bad in ["!", "AAAA", &URL_SAFE_NO_PAD.encode("a b")] {
            assert_eq!(read_page_token(bad), None, "{bad}");
        }
    }
}
