//! `/emulator/v1/…`: what tests and people ask of the emulator itself. Nothing here exists at Google.
//!
//! Errors are `{"error": "…"}` with a sentence that says what to change.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::Serialize;
use serde_json::json;

use super::answer::{self, Answer};
use crate::faults::Faults;
use crate::inbox::Page;
use crate::limits::{DEFAULT_LIST_LIMIT, MAX_ID_LIST_LIMIT, MAX_LIST_BYTES, MAX_LIST_LIMIT, MAX_WAIT_MS};
use crate::state::State;

/// Where the next page starts, also when this one is empty.
const CURSOR: HeaderName = HeaderName::from_static("x-emulator-cursor");
/// How much is not in the list because of a bound on memory.
const DROPPED: HeaderName = HeaderName::from_static("x-emulator-dropped");

pub(super) async fn answer(
    state: &State,
    method: &Method,
    path: &str,
    query: Option<&str>,
    body: &Bytes,
) -> Answer {
    match (path, method.as_str()) {
        ("healthz", "GET") => answer::json(StatusCode::OK, &json!({"status": "ok"})),
        ("faults", "GET") => answer::json(StatusCode::OK, state.faults().faults()),
        ("faults", "PUT") => put_faults(state, body),
        ("messages/count", "GET") => answer::json(StatusCode::OK, &state.inbox.count()),
        ("messages", "GET") => match ListQuery::parse(query.unwrap_or_default()) {
            Ok(query) => list(state, &query).await,
            Err(problem) => error(StatusCode::BAD_REQUEST, &problem),
        },
        ("messages", "DELETE") => {
            state.inbox.clear();
            answer::empty(StatusCode::NO_CONTENT)
        }
        ("subscriptions", "GET") => match ListQuery::parse(query.unwrap_or_default()) {
            Ok(query) => subscriptions(state, &query),
            Err(problem) => error(StatusCode::BAD_REQUEST, &problem),
        },
        ("subscriptions", "DELETE") => {
            state.subscriptions.clear();
            answer::empty(StatusCode::NO_CONTENT)
        }
        ("healthz" | "faults" | "messages/count" | "messages" | "subscriptions", _) => {
            error(StatusCode::METHOD_NOT_ALLOWED, &format!("{method} is not possible here"))
        }
        _ => error(StatusCode::NOT_FOUND, &format!("there is no /emulator/v1/{path}")),
    }
}

pub(super) fn error(status: StatusCode, problem: &str) -> Answer {
    answer::json(status, &json!({"error": problem}))
}

fn put_faults(state: &State, body: &[u8]) -> Answer {
    match Faults::from_json(body).and_then(|faults| state.set_faults(faults)) {
        Ok(()) => answer::json(StatusCode::OK, state.faults().faults()),
        Err(problem) => error(StatusCode::BAD_REQUEST, &problem.to_string()),
    }
}

/// `after`, `limit`, `wait_ms` and `fields=ids`.
#[derive(Debug, PartialEq, Eq)]
struct ListQuery {
    after: u64,
    limit: Option<usize>,
    wait: Duration,
    ids_only: bool,
}

impl ListQuery {
    fn parse(query: &str) -> Result<ListQuery, String> {
        let mut parsed = ListQuery { after: 0, limit: None, wait: Duration::ZERO, ids_only: false };
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let number = || value.parse::<u64>().map_err(|_| format!("{key}: `{value}` is no number"));
            match key.as_ref() {
                "after" => parsed.after = number()?,
                "limit" => parsed.limit = Some(usize::try_from(number()?).unwrap_or(usize::MAX)),
                "wait_ms" => parsed.wait = Duration::from_millis(number()?),
                "fields" if value == "ids" => parsed.ids_only = true,
                "fields" => return Err(format!("fields: `{value}` is unknown; `ids` is possible")),
                _ => {
                    return Err(format!("`{key}` is unknown; after, limit, wait_ms and fields are possible"));
                }
            }
        }
        let most = if parsed.ids_only { MAX_ID_LIST_LIMIT } else { MAX_LIST_LIMIT };
        if parsed.limit.is_some_and(|limit| !(1..=most).contains(&limit)) {
            return Err(format!("limit: 1 to {most} are possible"));
        }
        if parsed.wait > Duration::from_millis(MAX_WAIT_MS) {
            return Err(format!("wait_ms: at most {MAX_WAIT_MS} is possible"));
        }
        Ok(parsed)
    }
}

async fn list(state: &State, query: &ListQuery) -> Answer {
    if !query.wait.is_zero() {
        state.inbox.wait_beyond(query.after, query.wait).await;
    }
    if query.ids_only {
        let limit = query.limit.unwrap_or(MAX_ID_LIST_LIMIT);
        page(&state.inbox.ids(query.after, limit), |id| id.cursor)
    } else {
        let limit = query.limit.unwrap_or(DEFAULT_LIST_LIMIT);
        page(&state.inbox.messages(query.after, limit, &state.project_ids()), |message| message.cursor)
    }
}

/// Nothing waits here: `wait_ms` and `fields` are for messages.
fn subscriptions(state: &State, query: &ListQuery) -> Answer {
    if !query.wait.is_zero() || query.ids_only {
        return error(StatusCode::BAD_REQUEST, "subscriptions take after and limit");
    }
    let limit = query.limit.unwrap_or(DEFAULT_LIST_LIMIT);
    let listed = state.subscriptions.list(query.after, limit, &state.project_ids());
    page(&listed, |subscription| subscription.cursor)
}

/// NDJSON; cut short after [`MAX_LIST_BYTES`], where the cursor tells how to go on.
fn page<T: Serialize>(page: &Page<T>, cursor_of: impl Fn(&T) -> u64) -> Answer {
    let mut lines = Vec::new();
    let mut cursor = page.cursor;
    for item in &page.items {
        if let Err(problem) = serde_json::to_writer(&mut lines, item) {
            return error(StatusCode::INTERNAL_SERVER_ERROR, &problem.to_string());
        }
        lines.push(b'\n');
        if lines.len() > MAX_LIST_BYTES {
            cursor = cursor_of(item);
            break;
        }
    }
    let mut answer = answer::ndjson(lines);
    let headers = answer.headers_mut();
    headers.insert(CURSOR, HeaderValue::from(cursor));
    headers.insert(DROPPED, HeaderValue::from(page.dropped));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_cut_where_the_cursor_says() {
        let items: Vec<String> = vec!["x".repeat(MAX_LIST_BYTES / 2); 3];
        let whole = Page { items, cursor: 9, dropped: 0 };
        let answer = page(&whole, |_| 7);
        assert_eq!(answer.headers()[CURSOR], "7");
        let short = Page { items: vec!["x"], cursor: 9, dropped: 0 };
        assert_eq!(page(&short, |_| 7).headers()[CURSOR], "9");
    }

    #[test]
    fn queries() {
        let parsed = ListQuery::parse("after=7&limit=200000&wait_ms=60000&fields=ids").unwrap();
        let wait = Duration::from_millis(MAX_WAIT_MS);
        let expected = ListQuery { after: 7, limit: Some(MAX_ID_LIST_LIMIT), wait, ids_only: true };
        assert_eq!(parsed, expected);
        assert!(ListQuery::parse("").is_ok());
        for bad in [
            "after=x",
            "limit=0",
            "limit=10001",
            "limit=200001&fields=ids",
            "wait_ms=60001",
            "fields=all",
            "x=1",
        ] {
            assert!(ListQuery::parse(bad).is_err(), "{bad}");
        }
    }
}
