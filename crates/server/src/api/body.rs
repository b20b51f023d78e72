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
    expect_json(request.headers())?;
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
    let bytes = match collected.await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => return Err(too_large()),
        Ok(Err(_)) => return Err(Problem::new(ProblemKind::InvalidRequest, "the body broke off")),
        Err(_) => {
            let detail = format!("the body did not arrive within {} ms", timeout.as_millis());
            return Err(Problem::new(ProblemKind::BodyTimeout, detail));
        }
    };
    let value = parse(&bytes)?;
    Ok(Json { value, bytes })
}

fn expect_json(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Problem::new(ProblemKind::UnsupportedMediaType, "send JSON, with 'Content-Type: application/json'"))
}

/// The ordinary case is read in one go; only what does not fit is read again, to say where and why.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    match serde_json::from_slice::<Object<T>>(bytes) {
        Ok(Object(value)) => Ok(value),
        Err(error) => Err(explain::<T>(bytes, &error)),
    }
}

fn explain<T: DeserializeOwned>(bytes: &[u8], error: &serde_json::Error) -> Problem {
    let value: Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        // Errors of syntax quote nothing of the body and name line and column.
        Err(error) => return Problem::new(ProblemKind::MalformedJson, error.to_string()),
    };
    match shape::read::<Object<T>>(&value) {
        Err(Misfit { path, fault: Fault::Type { found, .. } }) if path.is_empty() => {
            let detail = format!("the body must be a JSON object, not {found}");
            Problem::new(ProblemKind::InvalidRequest, detail)
        }
        Err(misfit) => misfit.into(),
        // What a value can't show any more is a field that is there twice.
        Ok(_) => {
            let detail =
                format!("a field is there twice, at line {} column {}", error.line(), error.column());
            Problem::new(ProblemKind::InvalidRequest, detail)
        }
    }
}
