//! API keys: how they are drawn, hashed, and where the first one comes from.
//!
//! A key is 256 random bits, so a fast hash is enough to keep it by: there is nothing to guess from. The store holds
//! hashes only, and looks a key up by its hash, so that no comparison of secrets can be timed (the gate in `auth`).

use pabal_core::clock::{Clock, Timestamp};
use pabal_core::ids::{AppId, KeyId};
use pabal_core::seam::Keys;
use pabal_core::seam::store::KeyRecord;
use pabal_core::{Error, ErrorKind, Result};
use rand::TryRngCore;
use secrecy::{ExposeSecret, SecretString};

use crate::auth::ScopeWord;

/// What every drawn key begins with, so that scanners of leaked secrets find it.
const PREFIX: &str = "pabal_";

/// Draws a key.
///
/// # Errors
/// If the operating system gives no random bits.
pub fn draw() -> Result<SecretString> {
    let hex: String = random::<32>()?.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(SecretString::from(format!("{PREFIX}{hex}")))
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    rand::rngs::OsRng.try_fill_bytes(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Unexpected, "draw a key", "the system gives no random bits").with_source(error)
    })?;
    Ok(bytes)
}

/// What a key is kept and found by.
pub(crate) fn hash(secret: &str) -> [u8; 32] {
    *blake3::hash(secret.as_bytes()).as_bytes()
}

/// A key that nobody has used yet, and its secret, which is shown once and kept nowhere.
pub(crate) fn make(
    app: AppId,
    name: &str,
    scopes: Vec<String>,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(KeyRecord, SecretString)> {
    let secret = draw()?;
    let record = KeyRecord {
        id: KeyId::new(now, random()?),
        hash: hash(secret.expose_secret()),
        app,
        name: name.to_owned(),
        scopes,
        created_at: now,
        expires_at,
        revoked_at: None,
        last_used_at: None,
    };
    Ok((record, secret))
}

/// The record of the key that the operator has configured: an admin key of the app `default` that the store does not
/// have.
pub(crate) fn configured(secret: &SecretString, now: Timestamp) -> KeyRecord {
    KeyRecord {
        id: KeyId::from_bytes([0; 16]),
        hash: hash(secret.expose_secret()),
        app: AppId::DEFAULT,
        name: "configured key".to_owned(),
        scopes: vec![ScopeWord::Admin.to_string()],
        created_at: now,
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
    }
}

/// Makes an admin key where there is none at all: nobody could use the server otherwise, and it is never open.
/// Answers the key, which is shown once and kept nowhere.
pub(crate) async fn first_key(keys: &dyn Keys, clock: &dyn Clock) -> Result<Option<SecretString>> {
    if keys.keys().await? > 0 {
        return Ok(None);
    }
    let scopes = vec![ScopeWord::Admin.to_string()];
    let (record, secret) = make(AppId::DEFAULT, "first admin key", scopes, None, clock.now())?;
    keys.put_key(&record).await?;
    Ok(Some(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_long_and_never_the_same() {
        let (one, other) = (draw().unwrap(), draw().unwrap());
        assert_eq!(one.expose_secret().len(), PREFIX.len() + 64);
        assert!(one.expose_secret().starts_with("pabal_"));
        assert_ne!(one.expose_secret(), other.expose_secret());
    }
}
