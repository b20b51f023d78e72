//! API keys, by the hash of their secret: the secret itself is never here.

use pabal_core::clock::Timestamp;
use pabal_core::ids::AppId;
use pabal_core::seam::store::KeyRecord;
use pabal_core::{Error, ErrorKind, Result};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::errors::from_sqlite;
use crate::rows::unsigned;
use crate::tx::Tx;

const PUT: &str = "INSERT INTO keys (hash, app, name, scopes, created_at) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (hash) DO UPDATE SET app = excluded.app, name = excluded.name, scopes = excluded.scopes,
        created_at = excluded.created_at";

const GET: &str = "SELECT app, name, scopes, created_at FROM keys WHERE hash = ?1";

/// Keeps a key; one with the same hash gives way.
pub(crate) fn put_key(tx: &Tx<'_>, key: &KeyRecord) -> Result<()> {
    let scopes = joined(&key.scopes)?;
    let columns = params![key.hash, key.app.0, key.name, scopes, key.created_at.as_ms()];
    tx.run("put_key", PUT, columns).map(drop)
}

/// The key with this hash.
pub(crate) fn key(connection: &Connection, hash: &[u8; 32]) -> Result<Option<KeyRecord>> {
    let found = connection
        .prepare_cached(GET)
        .and_then(|mut find| find.query_row([hash], |row| record(*hash, row)).optional());
    found.map_err(|error| from_sqlite("key", error))
}

/// How many keys there are.
pub(crate) fn keys(connection: &Connection) -> Result<u64> {
    connection
        .prepare_cached("SELECT count(*) FROM keys")
        .and_then(|mut count| count.query_row([], |row| row.get(0)))
        .map(unsigned)
        .map_err(|error| from_sqlite("keys", error))
}

fn record(hash: [u8; 32], row: &Row<'_>) -> rusqlite::Result<KeyRecord> {
    let scopes: String = row.get(2)?;
    Ok(KeyRecord {
        hash,
        app: AppId(row.get(0)?),
        name: row.get(1)?,
        scopes: scopes.split_whitespace().map(str::to_owned).collect(),
        created_at: Timestamp::from_ms(row.get(3)?),
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

    fn of(hash: u8, scopes: &[&str]) -> KeyRecord {
        KeyRecord {
            hash: [hash; 32],
            app: AppId(3),
            name: "the billing team".into(),
            scopes: scopes.iter().map(ToString::to_string).collect(),
            created_at: Timestamp::from_ms(5),
        }
    }

    #[test]
    fn keys_read_back_as_they_were_given() {
        let db = Db::new();
        let given = [of(1, &["send", "devices"]), of(2, &["admin"]), of(3, &[])];
        given.iter().for_each(|key| put_key(&db.tx(9), key).unwrap());
        for key in &given {
            assert_eq!(super::key(&db.connection, &key.hash).unwrap().as_ref(), Some(key));
        }
        assert_eq!(keys(&db.connection).unwrap(), 3);
        assert_eq!(key(&db.connection, &[9; 32]).unwrap(), None);
    }

    #[test]
    fn a_key_put_again_is_replaced() {
        let db = Db::new();
        put_key(&db.tx(1), &of(1, &["admin"])).unwrap();
        put_key(&db.tx(1), &of(1, &["send"])).unwrap();
        assert_eq!(key(&db.connection, &[1; 32]).unwrap(), Some(of(1, &["send"])));
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
}
