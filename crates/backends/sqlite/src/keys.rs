//! API keys, by the hash of their secret: the secret itself is never here.

use pabal_core::clock::Timestamp;
use pabal_core::ids::{AppId, KeyId};
use pabal_core::seam::Listed;
use pabal_core::seam::store::KeyRecord;
use pabal_core::{Error, ErrorKind, Result, limits};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::errors::from_sqlite;
use crate::rows::{signed, unsigned};
use crate::tx::Tx;
use crate::walk::Ids;

/// `SELECT` of the columns that [`record`] reads.
macro_rules! select_keys {
    ($rest:literal) => {
        concat!(
            "SELECT id, hash, app, name, scopes, created_at, expires_at, revoked_at, last_used_at FROM keys ",
            $rest
        )
    };
}

pub(crate) const BY_HASH: &str = select_keys!("WHERE hash = ?1");
pub(crate) const BY_ID: &str = select_keys!("WHERE id = ?1 AND app = ?2");
pub(crate) const ALL_OF_APP: &str =
    select_keys!("INDEXED BY keys_of_app WHERE app = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3");
pub(crate) const USABLE_OF_APP: &str = select_keys!(
    "INDEXED BY keys_not_revoked WHERE app = ?1 AND id < ?2 AND revoked_at IS NULL ORDER BY id DESC LIMIT ?3"
);
pub(crate) const COUNT_OF_APP: &str =
    "SELECT count(*) FROM keys INDEXED BY keys_not_revoked WHERE app = ?1 AND revoked_at IS NULL";

const IS_KNOWN: &str = "SELECT 1 FROM keys WHERE id = ?1 OR hash = ?2";
const PUT: &str = "
    INSERT INTO keys (id, hash, app, name, scopes, created_at, expires_at, revoked_at, last_used_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
pub(crate) const REVOKE: &str =
    "UPDATE keys SET revoked_at = ?3 WHERE id = ?1 AND app = ?2 AND revoked_at IS NULL";
pub(crate) const TOUCH: &str =
    "UPDATE keys SET last_used_at = ?2 WHERE id = ?1 AND coalesce(last_used_at, ?2 - 1) < ?2";

/// Keeps a key that is new.
pub(crate) fn put_key(tx: &Tx<'_>, key: &KeyRecord) -> Result<()> {
    let scopes = joined(&key.scopes)?;
    if tx.first("put_key", IS_KNOWN, params![key.id.as_bytes(), key.hash], |_| Ok(()))?.is_some() {
        return Err(Error::new(ErrorKind::Conflict, "put_key", "there is a key of this id or secret"));
    }
    let usable = tx.first("put_key", COUNT_OF_APP, [key.app.0], |row| row.get(0))?.map_or(0, unsigned);
    if usable >= limits::KEYS_PER_APP_MAX as u64 {
        let message = format!("an app has at most {} keys that are not revoked", limits::KEYS_PER_APP_MAX);
        return Err(Error::new(ErrorKind::LimitReached, "put_key", message));
    }
    let columns = params![
        key.id.as_bytes(),
        key.hash,
        key.app.0,
        key.name,
        scopes,
        key.created_at.as_ms(),
        key.expires_at.map(Timestamp::as_ms),
        key.revoked_at.map(Timestamp::as_ms),
        key.last_used_at.map(Timestamp::as_ms),
    ];
    tx.run("put_key", PUT, columns).map(drop)
}

/// The key with this hash, revoked or expired ones included.
pub(crate) fn key(connection: &Connection, hash: &[u8; 32]) -> Result<Option<KeyRecord>> {
    let found =
        connection.prepare_cached(BY_HASH).and_then(|mut find| find.query_row([hash], record).optional());
    found.map_err(|error| from_sqlite("key", error))
}

/// Keys of an app, newest first, below the id `before`, at most `max`.
pub(crate) fn list_keys(
    connection: &Connection,
    app: AppId,
    with_revoked: bool,
    before: Option<KeyId>,
    max: usize,
) -> Result<Listed<KeyRecord, KeyId>> {
    let sql = if with_revoked { ALL_OF_APP } else { USABLE_OF_APP };
    let below = Ids::made(None, None).before(before.as_ref().map(KeyId::as_bytes)).below;
    // One more, to know whether the list goes on.
    let values = params![app.0, below, signed(max as u64).saturating_add(1)];
    let found = connection
        .prepare_cached(sql)
        .and_then(|mut find| find.query_map(values, record)?.collect::<rusqlite::Result<Vec<KeyRecord>>>());
    let mut items = found.map_err(|error| from_sqlite("list_keys", error))?;
    let goes_on = items.len() > max;
    items.truncate(max);
    let next = items.last().map(|last| last.id).filter(|_| goes_on);
    Ok(Listed { items, next })
}

/// Revokes a key for good; one that is revoked already keeps its time.
pub(crate) fn revoke_key(tx: &Tx<'_>, app: AppId, id: KeyId) -> Result<Option<KeyRecord>> {
    tx.run("revoke_key", REVOKE, params![id.as_bytes(), app.0, tx.now.as_ms()])?;
    tx.first("revoke_key", BY_ID, params![id.as_bytes(), app.0], record)
}

/// Writes when keys were last used; never sets a time back.
pub(crate) fn touch_keys(tx: &Tx<'_>, used: &[(KeyId, Timestamp)]) -> Result<()> {
    for (id, at) in used {
        tx.run("touch_keys", TOUCH, params![id.as_bytes(), at.as_ms()])?;
    }
    Ok(())
}

/// How many keys there are, over all apps.
pub(crate) fn keys(connection: &Connection) -> Result<u64> {
    connection
        .prepare_cached("SELECT count(*) FROM keys")
        .and_then(|mut count| count.query_row([], |row| row.get(0)))
        .map(unsigned)
        .map_err(|error| from_sqlite("keys", error))
}

fn record(row: &Row<'_>) -> rusqlite::Result<KeyRecord> {
    let scopes: String = row.get(4)?;
    let time = |column| row.get::<_, Option<i64>>(column).map(|ms| ms.map(Timestamp::from_ms));
    Ok(KeyRecord {
        id: KeyId::from_bytes(row.get(0)?),
        hash: row.get(1)?,
        app: AppId(row.get(2)?),
        name: row.get(3)?,
        scopes: scopes.split_whitespace().map(str::to_owned).collect(),
        created_at: Timestamp::from_ms(row.get(5)?),
        expires_at: time(6)?,
        revoked_at: time(7)?,
        last_used_at: time(8)?,
    })
}

/// Scopes as they are kept. One that is no single word would be read back as others than were given.
fn joined(scopes: &[String]) -> Result<String> {
    if scopes.iter().all(|scope| !scope.is_empty() && !scope.contains(char::is_whitespace)) {
        return Ok(scopes.join(" "));
    }
    Err(Error::new(ErrorKind::Conflict, "put_key", "a scope is one word"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::Db;

    const APP: AppId = AppId(3);

    fn id(n: u16) -> KeyId {
        KeyId::new(Timestamp::from_ms(n.into()), [0; 10])
    }

    fn of(n: u16, scopes: &[&str]) -> KeyRecord {
        let mut hash = [0; 32];
        hash[..2].copy_from_slice(&n.to_be_bytes());
        KeyRecord {
            id: id(n),
            hash,
            app: APP,
            name: "the billing team".into(),
            scopes: scopes.iter().map(ToString::to_string).collect(),
            created_at: Timestamp::from_ms(5),
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
        }
    }

    fn listed(db: &Db, with_revoked: bool, before: Option<u16>, max: usize) -> (Vec<KeyId>, Option<KeyId>) {
        let page = list_keys(&db.connection, APP, with_revoked, before.map(id), max).unwrap();
        (page.items.into_iter().map(|key| key.id).collect(), page.next)
    }

    #[test]
    fn keys_read_back_as_they_were_given() {
        let db = Db::new();
        let times = KeyRecord {
            expires_at: Some(Timestamp::from_ms(7)),
            revoked_at: Some(Timestamp::from_ms(8)),
            last_used_at: Some(Timestamp::from_ms(9)),
            ..of(4, &["read"])
        };
        let given = [of(1, &["send", "manage"]), of(2, &["admin"]), of(3, &[]), times];
        given.iter().for_each(|key| put_key(&db.tx(9), key).unwrap());
        for key in &given {
            assert_eq!(super::key(&db.connection, &key.hash).unwrap().as_ref(), Some(key));
        }
        assert_eq!(keys(&db.connection).unwrap(), 4);
        assert_eq!(key(&db.connection, &[9; 32]).unwrap(), None);
    }

    #[test]
    fn a_key_that_is_not_new_is_refused() {
        let db = Db::new();
        put_key(&db.tx(1), &of(1, &["admin"])).unwrap();
        let same_id = KeyRecord { hash: [7; 32], ..of(1, &["send"]) };
        let same_hash = KeyRecord { id: id(2), ..of(1, &["send"]) };
        for again in [same_id, same_hash] {
            assert_eq!(put_key(&db.tx(1), &again).unwrap_err().kind(), ErrorKind::Conflict);
        }
        assert_eq!(key(&db.connection, &of(1, &[]).hash).unwrap(), Some(of(1, &["admin"])));
        assert_eq!(keys(&db.connection).unwrap(), 1);
    }

    #[test]
    fn a_scope_that_would_read_back_as_two_is_refused() {
        let db = Db::new();
        for scope in ["send admin", "", "send\nadmin"] {
            let refused = put_key(&db.tx(1), &of(1, &[scope])).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Conflict);
        }
        assert_eq!(keys(&db.connection).unwrap(), 0);
    }

    #[test]
    fn an_app_has_a_bounded_number_of_keys_that_are_not_revoked() {
        let db = Db::new();
        let max = u16::try_from(limits::KEYS_PER_APP_MAX).unwrap();
        (0..max).for_each(|n| put_key(&db.tx(1), &of(n, &[])).unwrap());
        let refused = put_key(&db.tx(1), &of(max, &[])).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::LimitReached);
        put_key(&db.tx(1), &KeyRecord { app: AppId(4), ..of(max + 1, &[]) }).unwrap();
        revoke_key(&db.tx(1), APP, id(0)).unwrap();
        put_key(&db.tx(1), &of(max, &[])).unwrap();
    }

    #[test]
    fn a_key_is_revoked_once_and_stays() {
        let db = Db::new();
        put_key(&db.tx(1), &of(1, &[])).unwrap();
        assert_eq!(revoke_key(&db.tx(2), AppId(4), id(1)).unwrap(), None);
        for now in [3, 4] {
            let revoked = revoke_key(&db.tx(now), APP, id(1)).unwrap().unwrap();
            assert_eq!(revoked.revoked_at, Some(Timestamp::from_ms(3)));
        }
        let found = key(&db.connection, &of(1, &[]).hash).unwrap().unwrap();
        assert_eq!(found.revoked_at, Some(Timestamp::from_ms(3)));
    }

    #[test]
    fn keys_are_listed_newest_first() {
        let db = Db::new();
        (1..=5).for_each(|n| put_key(&db.tx(1), &of(n, &[])).unwrap());
        put_key(&db.tx(1), &KeyRecord { app: AppId(4), ..of(9, &[]) }).unwrap();
        revoke_key(&db.tx(1), APP, id(4)).unwrap();
        assert_eq!(listed(&db, false, None, 2), (vec![id(5), id(3)], Some(id(3))));
        assert_eq!(listed(&db, false, Some(3), 2), (vec![id(2), id(1)], None));
        assert_eq!(listed(&db, true, None, 9), (vec![id(5), id(4), id(3), id(2), id(1)], None));
    }

    #[test]
    fn the_time_of_the_last_use_is_never_set_back() {
        let db = Db::new();
        put_key(&db.tx(1), &of(1, &[])).unwrap();
        for (used, wanted) in [(7, 7), (5, 7), (9, 9)] {
            touch_keys(&db.tx(1), &[(id(1), Timestamp::from_ms(used)), (id(2), Timestamp::from_ms(1))])
                .unwrap();
            let found = key(&db.connection, &of(1, &[]).hash).unwrap().unwrap();
            assert_eq!(found.last_used_at, Some(Timestamp::from_ms(wanted)));
        }
    }
}
