//! One request for an access token: the assertion, the exchange, and what the answer means.
//!
//! Sources: RFC 7523 (the JWT bearer grant), RFC 6749, section 5 (its answers), Google's "Using OAuth 2.0 for Server to
//! Server Applications". A token server may speak HTTP/1.1 only and is asked once an hour, so that is what is spoken,
//! on a connection that is closed afterwards.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use pabal_core::clock::Timestamp;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::account::ServiceAccount;
use crate::config::Endpoint;
use crate::detail::html_text;
use crate::dial::{Dialer, Protocol};

/// What the token allows: sending messages, and nothing else.
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
/// Seconds that an assertion is good for: the most that Google takes.
const ASSERTION_S: i64 = 3600;
/// How long the whole exchange may take.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of the largest answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Seconds of life of a token whose answer does not say.
const LIFE_S_DEFAULT: u64 = 3600;
/// Seconds of life that are believed.
const LIFE_S_MAX: u64 = 24 * 3600;

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// The token server could not be reached, or is not well: later it may be.
    Unavailable(String),
    /// It refuses this account.
    Refused {
        /// The `error` of RFC 6749, as `invalid_grant`.
        code: String,
        /// What it said.
        detail: String,
    },
}

/// A token, as it was given.
pub(crate) struct Grant {
    /// The `Authorization` header it makes.
    pub(crate) authorization: HeaderValue,
    /// How long it lives.
    pub(crate) life: Duration,
}

/// What the token server answered.
pub(crate) struct TokenAnswer {
    status: u16,
    /// The text of `Date`.
    pub(crate) date: Option<String>,
    body: Bytes,
}

/// The body of a request at `now`.
pub(crate) fn assertion(account: &ServiceAccount, now: Timestamp) -> Result<String, TokenError> {
    let iat = now.as_ms() / 1000;
    let claims = json!({
        "iss": account.client_email(),
        "scope": SCOPE,
        "aud": account.audience(),
        "iat": iat,
        "exp": iat + ASSERTION_S,
    });
    let jwt = account.sign(&claims).map_err(|error| TokenError::Refused {
        code: "invalid_grant".to_owned(),
        detail: error.to_string(),
    })?;
    // A JWT is URL-safe as it is.
    Ok(format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={jwt}"))
}

/// Asks for a token.
pub(crate) async fn exchange(dialer: &Dialer, uri: &Uri, form: String) -> Result<TokenAnswer, TokenError> {
    let unavailable = |error: String| TokenError::Unavailable(format!("no token from {uri}: {error}"));
    match timeout(EXCHANGE_TIMEOUT, post(dialer, uri, form)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(unavailable(error)),
        Err(_) => Err(unavailable(format!("no answer within {} s", EXCHANGE_TIMEOUT.as_secs()))),
    }
}

async fn post(dialer: &Dialer, uri: &Uri, form: String) -> Result<TokenAnswer, String> {
    let endpoint = Endpoint::of_uri(uri, "token_uri").map_err(|error| error.to_string())?;
    let wire = dialer.dial(&endpoint, Protocol::Http1).await.map_err(|error| error.to_string())?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::post(path)
        .header(header::HOST, uri.authority().map_or("", |authority| authority.as_str()))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::CONNECTION, "close")
        .body(Full::new(Bytes::from(form)))
        .map_err(|error| error.to_string())?;
    converse(TokioIo::new(wire), request).await.map_err(|error| error.to_string())
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

async fn converse(
    io: TokioIo<Box<dyn crate::dial::Wire>>,
    request: Request<Full<Bytes>>,
) -> Result<TokenAnswer, AnyError> {
    let (mut sender, connection) = http1::handshake(io).await?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
        let date = head.headers.get(header::DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
        Ok(TokenAnswer { status: head.status.as_u16(), date, body })
    };
    tokio::pin!(answer, connection);
    tokio::select! {
        biased;
        answer = &mut answer => return answer,
        ended = &mut connection => ended?,
    }
    // The connection has ended, and what it brought is there to be read.
    answer.await
}

impl TokenAnswer {
    /// The token, or why there is none.
    pub(crate) fn grant(&self) -> Result<Grant, TokenError> {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        match self.status {
            200 => grant_of(&body).ok_or_else(|| TokenError::Refused {
                code: "invalid_scope".to_owned(),
                detail: "the answer holds no access_token".to_owned(),
            }),
            // 408, 429 and 5xx are about the moment; the rest is about the account.
            status @ (408 | 429 | 500..) => {
                Err(TokenError::Unavailable(format!("no token: HTTP {status}: {}", self.text(&body))))
            }
            status => match body["error"].as_str() {
                Some(code) => Err(TokenError::Refused { code: code.to_owned(), detail: self.text(&body) }),
                // Whoever answers so is no token server: a proxy, a wrong URL that may be put right.
                None => {
                    Err(TokenError::Unavailable(format!("no token: HTTP {status}: {}", self.text(&body))))
                }
            },
        }
    }

    fn text(&self, body: &Value) -> String {
        match (body["error"].as_str(), body["error_description"].as_str()) {
            (_, Some(description)) => description.to_owned(),
            (Some(error), None) => error.to_owned(),
            (None, None) => html_text(&String::from_utf8_lossy(&self.body)),
        }
    }
}

fn grant_of(body: &Value) -> Option<Grant> {
    let token = body["access_token"].as_str().filter(|token| !token.is_empty())?;
    // Not marked as sensitive: HPACK would then send all of it with every message instead of one byte. Nobody but
    // the two ends sees this connection's compression; what must not be printed has no `Debug` here.
    let authorization = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    let life_s = body["expires_in"].as_u64().unwrap_or(LIFE_S_DEFAULT).min(LIFE_S_MAX);
    Some(Grant { authorization, life: Duration::from_secs(life_s) })
}

impl TokenError {
    /// Whether it is the time in the assertion that is refused.
    pub(crate) fn is_about_time(&self) -> bool {
        match self {
            TokenError::Refused { code, detail } => {
                code == "invalid_grant"
                    && (detail.contains("iat and exp") || detail.contains("reasonable timeframe"))
            }
            TokenError::Unavailable(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Result<Grant, TokenError> {
        TokenAnswer { status, date: None, body: Bytes::copy_from_slice(body.as_bytes()) }.grant()
    }

    fn refused(status: u16, body: &str) -> String {
        match answer(status, body) {
            Err(TokenError::Refused { code, .. }) => code,
            Err(TokenError::Unavailable(text)) => panic!("{text}"),
            Ok(_) => panic!("granted"),
        }
    }

    #[test]
    fn a_token_is_taken_with_its_life() {
        let grant =
            answer(200, r#"{"access_token":"ya29.x","expires_in":3599,"token_type":"Bearer"}"#).ok().unwrap();
        assert_eq!(grant.authorization, "Bearer ya29.x");
        assert_eq!(grant.life, Duration::from_secs(3599));
        let endless = json!({"access_token": "x", "expires_in": u64::MAX}).to_string();
        assert_eq!(answer(200, &endless).ok().unwrap().life, Duration::from_secs(LIFE_S_MAX));
    }

    #[test]
    fn refusals_of_the_account_and_troubles_of_the_server_are_told_apart() {
        assert_eq!(
            refused(400, r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#),
            "invalid_grant"
        );
        assert_eq!(refused(401, r#"{"error":"invalid_client"}"#), "invalid_client");
        assert_eq!(refused(200, r#"{"id_token":"x"}"#), "invalid_scope");
        for (status, body) in
            [(500, "{}"), (503, "<html>busy</html>"), (429, r#"{"error":"x"}"#), (404, "<h1>No</h1>")]
        {
            assert!(matches!(answer(status, body), Err(TokenError::Unavailable(_))), "{status}");
        }
    }

    #[test]
    fn only_the_complaint_about_time_is_about_time() {
        let complaint = |description: &str| {
            let body = json!({"error": "invalid_grant", "error_description": description}).to_string();
            answer(400, &body).err().unwrap().is_about_time()
        };
        assert!(complaint(
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your \
             iat and exp values in the JWT claim."
        ));
        assert!(!complaint("Invalid JWT Signature."));
    }
}
