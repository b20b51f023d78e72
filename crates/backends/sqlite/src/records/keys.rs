//! What makes a repeated request the same request: the first answer under each `Idempotency-Key`, per app.
//!
//! Forgetting them waits for no timer, though pruning helps. A batch that brings keys takes away up to twice as many that
//! are too old, oldest first: so old ones never outgrow new ones, and a batch's work stays in proportion to its size.

use pabal_core::Result;
use pabal_core::clock::Timestamp;
use pabal_core::ids::{AppId, NotificationId};
use pabal_core::limits;
use pabal_core::seam::{Answer, Idempotency};
use rusqlite::{Row, params};

use crate::rows::signed;
use crate::tx::Tx;

/// Expired keys that are forgotten for each new one.
const FORGOTTEN_PER_KEY: usize = 2;

/// Keys are forgotten so long after they have expired, so that a clock that is set back a little finds them again.
const FORGOTTEN_AFTER_MS: i64 = 60 * 60 * 1000;

pub(super) const FIND: &str = "
    SELECT body_hash, notification, deliveries FROM idempotency WHERE app = ?1 AND key = ?2 AND created_at > ?3";

/// One that has expired gives way.
const KEEP: &str = "
    INSERT INTO idempotency (app, key, body_hash, notification, deliveries, created_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (app, key) DO UPDATE SET body_hash = excluded.body_hash, notification = excluded.notification,
        deliveries = excluded.deliveries, created_at = excluded.created_at";

pub(super) const TOO_OLD: &str = "
    SELECT app, key FROM idempotency WHERE created_at <= ?1 ORDER BY created_at LIMIT ?2";
pub(super) const FORGET: &str = "DELETE FROM idempotency WHERE app = ?1 AND key = ?2";

/// The answer that a key has had before, if it is remembered.
pub(super) fn earlier_answer(tx: &Tx<'_>, app: AppId, asked: &Idempotency) -> Result<Option<Answer>> {
    let find = params![app.0, asked.key.as_str(), expired_since(tx).as_ms()];
    let kept =
        tx.first("accept", FIND, find, |row| Ok((row.get::<_, [u8; 32]>(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(kept.map(|(body_hash, notification, deliveries)| {
        if body_hash == asked.body_hash {
            Answer::Replayed { id: NotificationId::from_bytes(notification), deliveries }
        } else {
            Answer::KeyReused
        }
    }))
}

/// Remembers the first answer under a key.
pub(super) fn keep(
    tx: &Tx<'_>,
    app: AppId,
    asked: &Idempotency,
    notification: NotificationId,
    deliveries: Option<u32>,
) -> Result<()> {
    let Idempotency { key, body_hash } = asked;
    let values = params![app.0, key.as_str(), body_hash, notification.as_bytes(), deliveries, tx.now.as_ms()];
    tx.run("accept", KEEP, values).map(drop)
}

/// Forgets some of the keys that are too old, for a batch that brings `new` ones.
pub(super) fn forget_some(tx: &Tx<'_>, new: usize) -> Result<()> {
    if new == 0 {
        return Ok(());
    }
    forget(tx, new.saturating_mul(FORGOTTEN_PER_KEY))
}

/// Forgets up to `max` of the keys that are too old.
pub(super) fn forget(tx: &Tx<'_>, max: usize) -> Result<()> {
    let max = signed(max as u64);
    let too_old = expired_since(tx).plus_ms(-FORGOTTEN_AFTER_MS).as_ms();
    let named = |row: &Row<'_>| Ok((row.get::<_, u32>(0)?, row.get::<_, String>(1)?));
    for (app, key) in tx.all("accept", TOO_OLD, params![too_old, max], named)? {
        tx.run("accept", FORGET, params![app, key])?;
    }
    Ok(())
}

/// What was kept then, or before, is no longer remembered.
fn expired_since(tx: &Tx<'_>) -> Timestamp {
    tx.now.plus_ms(-limits::IDEMPOTENCY_KEPT_MS)
}
