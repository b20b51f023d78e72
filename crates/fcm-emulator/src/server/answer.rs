//! How answers look on the wire.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{Either, Full};
use serde::Serialize;

use crate::envelope::ApiError;
use crate::page::Asset;
use crate::page::events::EventBody;

/// Whole, but for the one that goes on as long as someone watches.
pub(super) type Answer = Response<Either<Full<Bytes>, EventBody>>;

/// A stream reset instead of an answer. hyper finds the reason in the source; on HTTP/1.1 the connection is closed.
#[derive(Debug, thiserror::Error)]
#[error("the stream is reset on purpose")]
pub(super) struct Reset(#[source] h2::Error);

impl Reset {
    pub(super) fn internal_error() -> Reset {
        Reset(h2::Reason::INTERNAL_ERROR.into())
    }

    /// Promises that nothing was done (RFC 9113, 8.7).
    pub(super) fn refused_stream() -> Reset {
        Reset(h2::Reason::REFUSED_STREAM.into())
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=UTF-8");
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=UTF-8");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");

fn answer(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Either::Left(Full::new(body.into())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    answer(status, JSON, serde_json::to_vec(value).unwrap_or_default())
}

/// JSON that is already text.
pub(super) fn json_text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    answer(status, JSON, text)
}

pub(super) fn ndjson(lines: Vec<u8>) -> Answer {
    answer(StatusCode::OK, NDJSON, lines)
}

pub(super) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Either::Left(Full::default()));
    *answer.status_mut() = status;
    answer
}

pub(super) fn events(body: EventBody) -> Answer {
    let mut answer = Response::new(Either::Right(body));
    answer.headers_mut().insert(CONTENT_TYPE, EVENTS);
    answer
}

pub(super) fn asset(asset: &Asset) -> Answer {
    answer(StatusCode::OK, HeaderValue::from_static(asset.content_type), asset.text)
}

/// What HEAD gets. hyper leaves the body out by itself on HTTP/1.1 only.
pub(super) fn headers_alone(answer: Answer) -> Answer {
    answer.map(|_| Either::Left(Full::default()))
}

/// To another path of the emulator's own.
pub(super) fn moved(to: &'static str) -> Answer {
    let mut answer = empty(StatusCode::PERMANENT_REDIRECT);
    answer.headers_mut().insert(LOCATION, HeaderValue::from_static(to));
    answer
}

pub(super) fn api_error(error: &ApiError, retry_after_s: Option<u32>) -> Answer {
    let mut answer = answer(error.http(), JSON, error.to_json());
    let headers = answer.headers_mut();
    if let Some(retry_after_s) = retry_after_s {
        headers.insert(RETRY_AFTER, HeaderValue::from(retry_after_s));
    }
    answer
}

/// Marks a 401 about the access token (and not about a third party's credential).
pub(super) fn challenge(mut answer: Answer) -> Answer {
    const CHALLENGE: HeaderValue =
        HeaderValue::from_static("Bearer realm=\"https://accounts.google.com/\", error=\"invalid_token\"");
    answer.headers_mut().insert(WWW_AUTHENTICATE, CHALLENGE);
    answer
}

/// A page of Google's front end, which clients that expect JSON must survive.
pub(super) fn html_error(status: StatusCode, name: &str, text: &str) -> Answer {
    let code = status.as_u16();
    let page = format!(
        "<!DOCTYPE html>\n<html lang=en>\n<meta charset=utf-8>\n\
         <title>Error {code} ({name})!!1</title>\n\
         <p><b>{code}.</b> <ins>That\u{2019}s an error.</ins>\n\
         <p>{text}  <ins>That\u{2019}s all we know.</ins>\n"
    );
    answer(status, HTML, page)
}
