//! API keys: how they are drawn, hashed, and where the first one comes from.
//!
//! A key is 256 random bits, so a fast hash is enough to keep it by: there is nothing to guess from. The store holds
//! hashes only, and looks a key up by its hash, so that no comparison of secrets can be timed.

use pabal_core::clock::Clock;
use pabal_core::ids::AppId;
use pabal_core::seam::Keys;
use pabal_core::seam::store::KeyRecord;
use pabal_core::{Error, ErrorKind, Result};
use rand::TryRngCore;
use secrecy::{ExposeSecret, SecretString};

/// What every drawn key begins with, so that scanners of leaked secrets find it.
const PREFIX: &str = "pabal_";
/// The scope that includes all others.
pub(crate) const ADMIN: &str = "admin";

/// Draws a key.
///
/// # Errors
/// If the operating system gives no random bits.
pub fn draw() -> Result<SecretString> {
    let mut bits = [0_u8; 32];
    rand::rngs::OsRng.try_fill_bytes(&mut bits).map_err(|error| {
        Error::new(ErrorKind::Unexpected, "draw a key", "the system gives no random bits").with_source(error)
    })?;
    let hex: String = bits.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(SecretString::from(format!("{PREFIX}{hex}")))
}

/// What a key is kept and found by.
pub(crate) fn hash(secret: &str) -> [u8; 32] {
    *blake3::hash(secret.as_bytes()).as_bytes()
}

/// The record of an admin key of the app `default`.
pub(crate) fn admin_record(secret: &SecretString, name: &str, clock: &dyn Clock) -> KeyRecord {
    KeyRecord {
        hash: hash(secret.expose_secret()),
        app: AppId::DEFAULT,
        name: name.to_owned(),
        scopes: vec![ADMIN.to_owned()],
        created_at: clock.now(),
    }
}

/// Makes an admin key where there is none at all: nobody could use the server otherwise, and it is never open.
/// Answers the key, which is shown once and kept nowhere.
pub(crate) async fn first_key(keys: &dyn Keys, clock: &dyn Clock) -> Result<Option<SecretString>> {
    if keys.keys().await? > 0 {
        return Ok(None);
    }
    let secret = draw()?;
    keys.put_key(&admin_record(&secret, "first admin key", clock)).await?;
    Ok(Some(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_long_and_never_the_same() {
        let (one, other) = (draw().unwrap(), draw().unwrap());
        assert_eq!(one.expose_secret().len(), PREFIX.len() + 64);
        assert_ne!(one.expose_secret(), other.expose_secret());
    }
}
