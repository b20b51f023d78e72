//! The JWT of the jwt-bearer grant: RS256, claims `iss, scope, aud, iat, exp`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::OAuthError;
use crate::identity::Account;
use crate::limits::{MAX_ASSERTION_LIFETIME_S, MAX_IAT_SKEW_S};

/// Claims whose signature, account and window are good.
#[derive(Debug)]
pub(super) struct Claims {
    pub(super) scope: String,
    audience: String,
}

/// Checks structure, signature, account and window, in this order; gives the account's index.
pub(super) fn verify(
    assertion: &str,
    accounts: &[Account],
    now_s: i64,
) -> Result<(usize, Claims), OAuthError> {
    let jwt = Jwt::decode(assertion).ok_or_else(OAuthError::bad_request)?;
    let signer = accounts
        .iter()
        .position(|account| account.verifies(jwt.signed, &jwt.signature))
        .ok_or_else(|| OAuthError::invalid_grant("Invalid JWT Signature."))?;
    let issuer = jwt.claims["iss"].as_str().unwrap_or_default();
    let account = accounts
        .iter()
        .position(|account| account.client_email == issuer)
        .ok_or_else(|| OAuthError::invalid_grant("Invalid grant: account not found"))?;
    if account != signer {
        return Err(OAuthError::invalid_grant("Invalid JWT Signature."));
    }
    let window = seconds(&jwt.claims["iat"]).zip(seconds(&jwt.claims["exp"]));
    if !window.is_some_and(|(iat, exp)| is_reasonable(iat, exp, now_s)) {
        return Err(OAuthError::invalid_grant(
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your \
             iat and exp values in the JWT claim.",
        ));
    }
    let text = |claim: &str| jwt.claims[claim].as_str().unwrap_or_default().to_owned();
    Ok((account, Claims { scope: text("scope"), audience: text("aud") }))
}

impl Claims {
    pub(super) fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scope.split_ascii_whitespace()
    }

    pub(super) fn check_scope(&self) -> Result<(), OAuthError> {
        if self.scopes().next().is_none() {
            return Err(OAuthError::new(
                "invalid_scope",
                "Invalid OAuth scope or ID token audience provided.",
            ));
        }
        Ok(())
    }

    pub(super) fn check_audience(&self, audiences: &[&str]) -> Result<(), OAuthError> {
        if !audiences.contains(&self.audience.as_str()) {
            return Err(OAuthError::invalid_grant("Invalid JWT: Failed audience check."));
        }
        Ok(())
    }
}

struct Jwt<'j> {
    signed: &'j [u8],
    signature: Vec<u8>,
    claims: Value,
}

impl<'j> Jwt<'j> {
    fn decode(jwt: &'j str) -> Option<Jwt<'j>> {
        let (signed, signature) = jwt.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let json = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        let claims = json(payload)?;
        let is_rs256 = json(header)?["alg"] == "RS256";
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        (is_rs256 && claims.is_object()).then_some(Jwt { signed: signed.as_bytes(), signature, claims })
    }
}

/// Some libraries write times with decimals.
fn seconds(claim: &Value) -> Option<i64> {
    claim.as_i64().or_else(|| claim.as_f64().map(|seconds| seconds as i64))
}

fn is_reasonable(iat: i64, exp: i64, now_s: i64) -> bool {
    let lifetime_s = exp.saturating_sub(iat);
    (1..=MAX_ASSERTION_LIFETIME_S).contains(&lifetime_s)
        && iat <= now_s.saturating_add(MAX_IAT_SKEW_S)
        && exp > now_s
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows() {
        const NOW_S: i64 = 1_800_000_000;
        let check = |iat: i64, exp: i64, expected: bool| {
            assert_eq!(is_reasonable(NOW_S + iat, NOW_S + exp, NOW_S), expected, "{iat} {exp}");
        };
        check(0, MAX_ASSERTION_LIFETIME_S, true);
        check(0, MAX_ASSERTION_LIFETIME_S + 1, false);
        check(MAX_IAT_SKEW_S, MAX_IAT_SKEW_S + 60, true);
        check(MAX_IAT_SKEW_S + 1, MAX_IAT_SKEW_S + 60, false);
        check(-3_599, 1, true);
        check(-3_600, 0, false);
        check(10, 10, false);
        assert!(!is_reasonable(i64::MIN, i64::MAX, NOW_S));
    }

    #[test]
    fn what_is_no_jwt_is_a_bad_request() {
        for text in ["", "a", "a.b", "a.b.c", "e30.e30.", "bnVsbA.bnVsbA.AAAA"] {
            assert_eq!(verify(text, &[], 0).unwrap_err(), OAuthError::bad_request(), "{text}");
        }
    }
}
