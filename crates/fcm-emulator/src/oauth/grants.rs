//! Access tokens given out, each with its account and its end.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use crate::limits::MAX_ACCESS_TOKENS;

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Grant {
    /// Index of the account, which is also its project's.
    account: usize,
    /// Whether its scopes let it send.
    may_send: bool,
    expires_at_s: i64,
}

/// Why a token doesn't let its bearer send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Unknown,
    Expired,
    Scope,
}

#[derive(Debug, Default)]
pub(crate) struct Grants {
    by_token: RwLock<HashMap<Box<str>, Grant>>,
}

impl Grants {
    /// Beyond [`MAX_ACCESS_TOKENS`] the one that ends first is forgotten.
    pub(super) fn remember(&self, token: &str, account: usize, may_send: bool, expires_at_s: i64) {
        let mut by_token = self.by_token.write().unwrap_or_else(PoisonError::into_inner);
        if by_token.len() >= MAX_ACCESS_TOKENS {
            let first =
                by_token.iter().min_by_key(|(_, grant)| grant.expires_at_s).map(|(token, _)| token.clone());
            if let Some(first) = first {
                by_token.remove(&first);
            }
        }
        by_token.insert(token.into(), Grant { account, may_send, expires_at_s });
    }

    /// The account that may send with this token.
    pub(crate) fn sender(&self, token: &str, now_s: i64) -> Result<usize, Refusal> {
        let by_token = self.by_token.read().unwrap_or_else(PoisonError::into_inner);
        let grant = by_token.get(token).ok_or(Refusal::Unknown)?;
        if now_s >= grant.expires_at_s {
            return Err(Refusal::Expired);
        }
        if grant.may_send { Ok(grant.account) } else { Err(Refusal::Scope) }
    }

    /// Ends every token now.
    pub(crate) fn expire_all(&self) {
        let mut by_token = self.by_token.write().unwrap_or_else(PoisonError::into_inner);
        for grant in by_token.values_mut() {
            grant.expires_at_s = i64::MIN;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_end() {
        let grants = Grants::default();
        grants.remember("a", 3, true, 100);
        grants.remember("b", 3, false, 100);
        assert_eq!(grants.sender("a", 99), Ok(3));
        assert_eq!(grants.sender("a", 100), Err(Refusal::Expired));
        assert_eq!(grants.sender("b", 99), Err(Refusal::Scope));
        assert_eq!(grants.sender("c", 99), Err(Refusal::Unknown));
        grants.expire_all();
        assert_eq!(grants.sender("a", 99), Err(Refusal::Expired));
    }

    #[test]
    fn the_first_to_end_is_forgotten_when_there_are_too_many() {
        let grants = Grants::default();
        for n in 0..=MAX_ACCESS_TOKENS {
            grants.remember(&n.to_string(), 0, true, 1_000 + n as i64);
        }
        assert_eq!(grants.sender("0", 0), Err(Refusal::Unknown));
        assert_eq!(grants.sender("1", 0), Ok(0));
        assert_eq!(grants.sender(&MAX_ACCESS_TOKENS.to_string(), 0), Ok(0));
    }
}
