//! `/iid/…`: topic management of the Instance ID service, which the SDKs' older versions use and Google ends in
//! September 2027.
//!
//! Errors are `{"error": "CODE"}`, of the whole request or in its place in `results`; a bad access token is answered
//! with an HTML page (reports of users of the SDKs).

use std::time::Instant;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{self, Answer};
use super::bearer;
use super::percent::decode;
use crate::clock::rfc3339_ms;
use crate::envelope::Operation;
use crate::faults::FaultKind;
use crate::faults::active::ActiveFaults;
use crate::limits::{MAX_BATCH_REGISTRATIONS, MAX_TOPICS_PER_REGISTRATION};
use crate::message::{is_token, is_topic_name};
use crate::state::State;
use crate::topics::SubscribeError;

/// Without it the service takes what `Authorization` holds for a server key, which nobody has any more.
const OAUTH_HEADER: &str = "access_token_auth";

/// What is asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// `v1:batchAdd` and `v1:batchRemove`.
    Batch(Change),
    /// `v1/{registration}/rel/topics/{topic}`.
    Subscribe { registration: String, topic: String },
    /// `info/{registration}`.
    Info { registration: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Add,
    Remove,
}

impl Call {
    /// None for another path, or a method that it doesn't have.
    pub(super) fn of(method: &Method, path: &str) -> Option<Call> {
        let path = path.strip_prefix("/iid/")?;
        if method == Method::GET {
            let registration = path.strip_prefix("info/").filter(|rest| !rest.contains('/'))?;
            return Some(Call::Info { registration: decode(registration) });
        }
        if method != Method::POST {
            return None;
        }
        match decode(path).as_str() {
            "v1:batchAdd" => return Some(Call::Batch(Change::Add)),
            "v1:batchRemove" => return Some(Call::Batch(Change::Remove)),
            _ => {}
        }
        let (registration, topic) = path.strip_prefix("v1/")?.split_once("/rel/topics/")?;
        Some(Call::Subscribe { registration: decode(registration), topic: decode(topic) })
    }
}

/// The codes of `{"error": …}`.
type Code = &'static str;

const INVALID_ARGUMENT: Code = "INVALID_ARGUMENT";

#[derive(Deserialize)]
struct Batch {
    to: String,
    registration_tokens: Vec<String>,
}

pub(super) fn answer(state: &State, call: &Call, head: &Parts, body: &Bytes) -> Answer {
    let faults = state.faults();
    let has_header = head.headers.get(OAUTH_HEADER).is_some_and(|value| value == "true");
    let project = match bearer::account(state, &head.headers, Operation::TOPICS) {
        Ok(project) if has_header => project,
        Err(error) if error.http() == StatusCode::FORBIDDEN => {
            return refused(StatusCode::FORBIDDEN, "PERMISSION_DENIED");
        }
        Ok(_) | Err(_) => return answer::challenge(bearer::unauthorized_page()),
    };
    let request = Request { state, faults: &faults, project };
    match call {
        Call::Batch(change) => match read_batch(body) {
            Some((topic, registrations)) => request.batch(*change, topic, &registrations),
            None => refused(StatusCode::BAD_REQUEST, INVALID_ARGUMENT),
        },
        Call::Subscribe { registration, topic } => request.single(registration, topic),
        Call::Info { registration } => request.info(registration, asks_for_details(head)),
    }
}

fn refused(status: StatusCode, code: &str) -> Answer {
    answer::json(status, &json!({"error": code}))
}

/// The topic's name and the registrations, if the request can be answered at all.
fn read_batch(body: &[u8]) -> Option<(String, Vec<String>)> {
    let Batch { to, registration_tokens } = serde_json::from_slice(body).ok()?;
    let topic = to.strip_prefix("/topics/").filter(|topic| is_topic_name(topic))?;
    let is_possible = (1..=MAX_BATCH_REGISTRATIONS).contains(&registration_tokens.len());
    is_possible.then(|| (topic.to_owned(), registration_tokens))
}

fn asks_for_details(head: &Parts) -> bool {
    let query = head.uri.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).any(|(name, value)| name == "details" && value == "true")
}

/// A call by someone who may make it.
struct Request<'r> {
    state: &'r State,
    faults: &'r ActiveFaults,
    project: usize,
}

impl Request<'_> {
    fn batch(&self, change: Change, topic: String, registrations: &[String]) -> Answer {
        let results =
            registrations.iter().map(|registration| match self.change(change, registration, &topic) {
                Ok(()) => json!({}),
                Err(code) => json!({"error": code}),
            });
        answer::json(StatusCode::OK, &json!({"results": results.collect::<Vec<_>>()}))
    }

    fn single(&self, registration: &str, topic: &str) -> Answer {
        if !is_topic_name(topic) {
            return refused(StatusCode::BAD_REQUEST, INVALID_ARGUMENT);
        }
        match self.change(Change::Add, registration, topic) {
            Ok(()) => answer::json(StatusCode::OK, &json!({})),
            Err(code) => refused(status_of(code), code),
        }
    }

    /// What isn't subscribed is unsubscribed without complaint.
    fn change(&self, change: Change, registration: &str, topic: &str) -> Result<(), Code> {
        self.known(registration)?;
        self.faults.admit_subscription(self.project, Instant::now()).map_err(|_| "RESOURCE_EXHAUSTED")?;
        let subscriptions = &self.state.subscriptions;
        match change {
            Change::Add => match subscriptions.subscribe(self.project, registration, topic) {
                Ok(_) => Ok(()),
                Err(SubscribeError::TooManyTopics) => Err("TOO_MANY_TOPICS"),
                Err(SubscribeError::Full) => Err("RESOURCE_EXHAUSTED"),
            },
            Change::Remove => {
                subscriptions.unsubscribe(self.project, registration, topic);
                Ok(())
            }
        }
    }

    /// Every registration is, unless a rule says otherwise.
    fn known(&self, registration: &str) -> Result<(), Code> {
        if !is_token(registration) {
            return Err(INVALID_ARGUMENT);
        }
        let Some((kind, _)) = self.faults.of_registration(registration, &self.state.hasher) else {
            return Ok(());
        };
        Err(match kind {
            FaultKind::Unregistered if self.faults.faults().dead_tokens_as_400 => INVALID_ARGUMENT,
            FaultKind::Unregistered => "NOT_FOUND",
            FaultKind::InvalidToken => INVALID_ARGUMENT,
            FaultKind::SenderMismatch => "PERMISSION_DENIED",
            FaultKind::Quota => "RESOURCE_EXHAUSTED",
            FaultKind::Unavailable => "DEADLINE_EXCEEDED",
            FaultKind::Internal => "INTERNAL",
            FaultKind::ThirdPartyAuth
            | FaultKind::Html502
            | FaultKind::Goaway
            | FaultKind::ResetBefore
            | FaultKind::ResetAfter
            | FaultKind::RefusedStream => "UNKNOWN",
        })
    }

    /// The emulator knows of no apps or platforms; what it says of them is always the same.
    fn info(&self, registration: &str, details: bool) -> Answer {
        match self.known(registration) {
            Ok(()) => {}
            Err(INVALID_ARGUMENT) => return refused(StatusCode::BAD_REQUEST, "InvalidToken"),
            Err("NOT_FOUND") => {
                return refused(StatusCode::NOT_FOUND, "No information found about this instance id.");
            }
            Err(code) => return refused(status_of(code), code),
        }
        let number = self.state.accounts[self.project].project_number;
        let mut info = json!({
            "application": "com.example.app", "authorizedEntity": number.to_string(), "platform": "ANDROID",
        });
        if details {
            info["rel"] = json!({"topics": self.topics(registration)});
        }
        answer::json(StatusCode::OK, &info)
    }

    fn topics(&self, registration: &str) -> Map<String, Value> {
        let subscriptions = &self.state.subscriptions;
        let (topics, _) =
            subscriptions.topics_of(self.project, registration, "", MAX_TOPICS_PER_REGISTRATION);
        let with_date = |created_at_ms: i64| json!({"addDate": rfc3339_ms(created_at_ms).get(..10)});
        topics.into_iter().map(|(topic, created)| (topic.to_string(), with_date(created))).collect()
    }
}

fn status_of(code: Code) -> StatusCode {
    match code {
        "NOT_FOUND" => StatusCode::NOT_FOUND,
        "PERMISSION_DENIED" => StatusCode::FORBIDDEN,
        "RESOURCE_EXHAUSTED" => StatusCode::TOO_MANY_REQUESTS,
        "DEADLINE_EXCEEDED" => StatusCode::SERVICE_UNAVAILABLE,
        "INTERNAL" | "UNKNOWN" => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_methods() {
        let check = |method: Method, path: &str, expected: Option<Call>| {
            assert_eq!(Call::of(&method, path), expected, "{method} {path}");
        };
        let registration = || "a:b".to_owned();
        check(Method::POST, "/iid/v1:batchAdd", Some(Call::Batch(Change::Add)));
        check(Method::POST, "/iid/v1%3AbatchRemove", Some(Call::Batch(Change::Remove)));
        check(Method::GET, "/iid/info/a%3Ab", Some(Call::Info { registration: registration() }));
        let subscribe = Call::Subscribe { registration: registration(), topic: "t".to_owned() };
        check(Method::POST, "/iid/v1/a:b/rel/topics/t", Some(subscribe));
        check(Method::GET, "/iid/v1:batchAdd", None);
        check(Method::POST, "/iid/info/a", None);
        check(Method::POST, "/iid/v1:batchImport", None);
    }

    #[test]
    fn batches_are_bounded() {
        let batch = |to: &str, count: usize| {
            let body = json!({"to": to, "registration_tokens": vec!["r"; count]}).to_string();
            read_batch(body.as_bytes()).is_some()
        };
        assert!(batch("/topics/t", 1));
        assert!(batch("/topics/t", MAX_BATCH_REGISTRATIONS));
        assert!(!batch("/topics/t", MAX_BATCH_REGISTRATIONS + 1));
        assert!(!batch("/topics/t", 0));
        assert!(!batch("t", 1));
        assert!(!batch("/topics/a b", 1));
        assert!(read_batch(b"nope").is_none());
    }
}
