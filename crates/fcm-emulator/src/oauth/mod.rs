//! Google's token endpoint: a signed assertion in, an access token out.
//!
//! The checks come in the order production was observed to make them: structure, signature, account, window of
//! iat and exp, scope, audience. A client that gets two things wrong hears of the same one as it would from Google.

mod assertion;
mod grants;

pub(crate) use grants::{Grants, Refusal};

use std::borrow::Cow;

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::identity::Account;
use assertion::Claims;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const MESSAGING_SCOPES: [&str; 2] =
    ["https://www.googleapis.com/auth/firebase.messaging", "https://www.googleapis.com/auth/cloud-platform"];
const SCOPE_PREFIX: &str = "https://www.googleapis.com/auth/";
const TOKEN_BYTES: usize = 32;

/// A refusal in RFC 6749's shape; always HTTP 400.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OAuthError {
    pub(crate) error: &'static str,
    pub(crate) description: Cow<'static, str>,
}

impl OAuthError {
    fn new(error: &'static str, description: impl Into<Cow<'static, str>>) -> OAuthError {
        OAuthError { error, description: description.into() }
    }

    fn invalid_grant(description: &'static str) -> OAuthError {
        OAuthError::new("invalid_grant", description)
    }

    fn bad_request() -> OAuthError {
        OAuthError::new("invalid_request", "Bad Request")
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({"error": self.error, "error_description": self.description})
    }
}

/// What the endpoint needs to decide.
#[derive(Clone, Copy)]
pub(crate) struct TokenEndpoint<'e> {
    pub(crate) accounts: &'e [Account],
    pub(crate) grants: &'e Grants,
    pub(crate) lifetime_s: u32,
    pub(crate) now_s: i64,
}

impl TokenEndpoint<'_> {
    /// Answers a form-encoded request. `audiences` are the URLs this endpoint goes by.
    pub(crate) fn answer(&self, form: &[u8], audiences: &[&str]) -> Result<Value, OAuthError> {
        let field = |name: &str| {
            form_urlencoded::parse(form).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        let grant_type = field("grant_type").ok_or_else(OAuthError::bad_request)?;
        if grant_type != GRANT_TYPE {
            let description = format!("Invalid grant_type: {grant_type}");
            return Err(OAuthError::new("unsupported_grant_type", description));
        }
        let assertion = field("assertion").ok_or_else(OAuthError::bad_request)?;
        let (account, claims) = assertion::verify(&assertion, self.accounts, self.now_s)?;
        claims.check_scope()?;
        claims.check_audience(audiences)?;
        self.grant(account, &claims)
    }

    fn grant(&self, account: usize, claims: &Claims) -> Result<Value, OAuthError> {
        let failed = || OAuthError::new("internal_failure", "The emulator could not make a token.");
        let is_google_api = claims.scopes().any(|scope| scope.starts_with(SCOPE_PREFIX));
        if !is_google_api {
            let id_token = self.id_token(account, claims).ok_or_else(failed)?;
            return Ok(json!({"id_token": id_token}));
        }
        let mut random = [0; TOKEN_BYTES];
        rand::fill(&mut random).map_err(|_| failed())?;
        let access_token = format!("ya29.c.{}", URL_SAFE_NO_PAD.encode(random));
        let may_send = claims.scopes().any(|scope| MESSAGING_SCOPES.contains(&scope));
        self.grants.remember(&access_token, account, may_send, self.now_s + i64::from(self.lifetime_s));
        Ok(json!({"access_token": access_token, "expires_in": self.lifetime_s, "token_type": "Bearer"}))
    }

    /// What Google gives for a scope it doesn't know: proof of identity, good for no API.
    fn id_token(&self, account: usize, claims: &Claims) -> Option<String> {
        let account = self.accounts.get(account)?;
        let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let payload = json!({
            "iss": "https://accounts.google.com", "aud": claims.scope, "azp": account.client_email,
            "email": account.client_email, "iat": self.now_s, "exp": self.now_s + i64::from(self.lifetime_s),
        });
        let signed = format!("{}.{}", part(json!({"alg": "RS256", "typ": "JWT"})), part(payload));
        let signature = account.sign(signed.as_bytes())?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
