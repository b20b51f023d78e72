//! Apps, by name. Their numbers are what every other row begins with.

use pabal_core::ids::{AppId, AppName};
use pabal_core::seam::store::App;
use pabal_core::{Error, ErrorKind, Result, limits};
use rusqlite::{Connection, params};

use crate::errors::from_sqlite;
use crate::rows::{unsigned, word};
use crate::tx::Tx;

const FIND: &str = "SELECT 1 FROM apps WHERE name = ?1";
const COUNT: &str = "SELECT count(*) FROM apps";
const PUT: &str = "INSERT INTO apps (name) VALUES (?1) RETURNING app";
const ALL: &str = "SELECT app, name FROM apps ORDER BY name";

/// Makes an app; `None` where there is one of this name.
pub(crate) fn put_app(tx: &Tx<'_>, name: &AppName) -> Result<Option<App>> {
    if tx.first("put_app", FIND, [name.as_str()], |_| Ok(()))?.is_some() {
        return Ok(None);
    }
    if tx.first("put_app", COUNT, [], |row| row.get(0))?.map_or(0, unsigned) >= limits::APPS_MAX as u64 {
        let message = format!("there are {} apps already, as many as there may be", limits::APPS_MAX);
        return Err(Error::new(ErrorKind::LimitReached, "put_app", message));
    }
    let made = tx.first("put_app", PUT, params![name.as_str()], |row| row.get(0))?;
    Ok(made.map(|id| App { id: AppId(id), name: name.clone() }))
}

/// All apps, by name.
pub(crate) fn apps(connection: &Connection) -> Result<Vec<App>> {
    let found = connection.prepare_cached(ALL).and_then(|mut find| {
        let rows = find.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<rusqlite::Result<Vec<(u32, String)>>>()
    });
    let found = found.map_err(|error| from_sqlite("apps", error))?;
    found.into_iter().map(|(id, name)| Ok(App { id: AppId(id), name: word(&name)? })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::Db;

    fn name(text: &str) -> AppName {
        AppName::new(text).unwrap()
    }

    fn names(db: &Db) -> Vec<String> {
        apps(&db.connection).unwrap().into_iter().map(|app| app.name.to_string()).collect()
    }

    #[test]
    fn an_app_is_made_once() {
        let db = Db::new();
        let made = put_app(&db.tx(1), &name("billing")).unwrap().unwrap();
        assert_ne!(made.id, AppId::DEFAULT);
        assert_eq!(put_app(&db.tx(1), &name("billing")).unwrap(), None);
        assert_eq!(put_app(&db.tx(1), &name("default")).unwrap(), None);
        assert_eq!(names(&db), ["billing", "default"]);
        assert_eq!(apps(&db.connection).unwrap()[0], made);
    }

    #[test]
    fn there_is_a_bounded_number_of_apps() {
        let db = Db::new();
        for n in 1..limits::APPS_MAX {
            put_app(&db.tx(1), &name(&format!("a{n}"))).unwrap().unwrap();
        }
        let refused = put_app(&db.tx(1), &name("more")).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::LimitReached);
        assert_eq!(put_app(&db.tx(1), &name("a1")).unwrap(), None, "it is there");
    }
}
