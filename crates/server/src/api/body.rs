//! JSON bodies: bounded in size and time, and read so that what is wrong is named by its path.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::problem::{Problem, ProblemKind};
use crate::shape::{self, Fault, Misfit, Object};

/// A body that was read.
#[derive(Debug)]
pub(super) struct Json<T> {
    pub(super) value: T,
    /// The bytes as they came, for the hash that tells a repeated request from another.
    pub(super) bytes: Bytes,
}

/// Reads a request's JSON body of at most `bytes_max` bytes within `timeout`.
pub(super) async fn read<T: DeserializeOwned>(
    request: Request<Body>,
    bytes_max: usize,
    timeout: Duration,
) -> Result<Json<T>, Problem> {
    if !is_of_type(request.headers(), "application/json") {
        let detail = "send JSON, with 'Content-Type: application/json'";
        return Err(Problem::new(ProblemKind::UnsupportedMediaType, detail));
    }
    let bytes = collect(request, bytes_max, timeout).await?;
    let value = parse(&bytes, "body").map_err(Problem::from)?;
    Ok(Json { value, bytes })
}

/// Whether a body is said to be of a media type, whatever its parameters.
pub(super) fn is_of_type(headers: &HeaderMap, media_type: &str) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media_type)
}

/// A request's body of at most `bytes_max` bytes, if it arrives within `timeout`.
pub(super) async fn collect(
    request: Request<Body>,
    bytes_max: usize,
    timeout: Duration,
) -> Result<Bytes, Problem> {
    let too_large = || {
        let detail = format!("the body is larger than {bytes_max} bytes");
        Problem::new(ProblemKind::BodyTooLarge, detail)
    };
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > bytes_max) {
        return Err(too_large());
    }
    let collected = tokio::time::timeout(timeout, Limited::new(request.into_body(), bytes_max).collect());
    match collected.await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(ProblemKind::InvalidRequest, "the body broke off")),
        Err(_) => {
            let detail = format!("the body did not arrive within {} ms", timeout.as_millis());
            Err(Problem::new(ProblemKind::BodyTimeout, detail))
        }
    }
}

/// Why bytes are not the JSON object that they should be.
#[derive(Debug)]
pub(super) enum Unread {
    /// They are JSON of another shape.
    Misfit(Misfit),
    /// They are not JSON, or not such an object as a whole.
    Whole(Problem),
}

impl From<Unread> for Problem {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Misfit(misfit) => misfit.into(),
            Unread::Whole(problem) => problem,
        }
    }
}

/// Reads a JSON object, called `what` where something is wrong with the whole of it. The ordinary case is read in one go;
/// only what does not fit is read again, to say where and why.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, Unread> {
    match serde_json::from_slice::<Object<T>>(bytes) {
        Ok(Object(value)) => Ok(value),
        Err(error) => Err(explain::<T>(bytes, &error, what)),
    }
}

/// That bytes are not JSON. Errors of syntax quote nothing of the body and name line and column.
pub(super) fn malformed(error: &serde_json::Error) -> Problem {
    let words = error.to_string().replace(TOO_DEEP, "arrays and objects are nested deeper than 127 levels");
    Problem::new(ProblemKind::MalformedJson, words)
}

/// How the parser says that it goes no deeper, which it does so that no body can exhaust the stack.
const TOO_DEEP: &str = "recursion limit exceeded";

fn explain<T: DeserializeOwned>(bytes: &[u8], error: &serde_json::Error, what: &str) -> Unread {
    let value: Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(error) => return Unread::Whole(malformed(&error)),
    };
    let invalid = |detail| Unread::Whole(Problem::new(ProblemKind::InvalidRequest, detail));
    match shape::read::<Object<T>>(&value) {
        Err(Misfit { path, fault: Fault::Type { found, .. } }) if path.is_empty() => {
            invalid(format!("the {what} must be a JSON object, not {found}"))
        }
        Err(misfit) => Unread::Misfit(misfit),
        // What a value can't show any more is a field that is there twice.
        Ok(_) => {
            let (line, column) = (error.line(), error.column());
            invalid(format!("a field is there twice, at line {line} column {column}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn depth_is_bounded_and_said_so() {
        let nested = |depth: usize| format!("{}{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let read = |text: String| parse::<BTreeMap<String, Value>>(text.as_bytes(), "body");
        let problem = Problem::from(read(nested(100_000)).unwrap_err());
        let expect = "arrays and objects are nested deeper than 127 levels at line 1 column 636";
        assert_eq!(problem, Problem::new(ProblemKind::MalformedJson, expect));
        let within = nested(127).replacen(":}", ":1}", 1);
        read(within).expect("what is at the limit");
    }
}
