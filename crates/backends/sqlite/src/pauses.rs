//! Pauses of routes. They are kept so that a restart does not send what an operator, or a provider that refused a
//! credential, had stopped.

use pabal_core::Result;
use pabal_core::clock::Timestamp;
use pabal_core::route::Route;
use pabal_core::seam::store::Pause;
use rusqlite::{Connection, params};

use crate::errors::from_sqlite;
use crate::rows::word;
use crate::tx::Tx;

const PUT: &str =
    "INSERT INTO pauses (route, reason, since) VALUES (?1, ?2, ?3) ON CONFLICT (route) DO NOTHING";

const ALL: &str = "SELECT r.name, p.reason, p.since FROM pauses p JOIN routes r ON r.route = p.route";

/// Keeps a pause; one that is there already stays as it is.
pub(crate) fn put_pause(tx: &Tx<'_>, pause: &Pause) -> Result<()> {
    let route = tx.routes.number(tx.connection, &pause.route)?;
    tx.run("put_pause", PUT, params![route, pause.reason, pause.since.as_ms()]).map(drop)
}

/// Ends the pause of a route. Answers whether there was one.
pub(crate) fn clear_pause(tx: &Tx<'_>, route: &Route) -> Result<bool> {
    let Some(route) = tx.routes.find(tx.connection, route)? else { return Ok(false) };
    Ok(tx.run("clear_pause", "DELETE FROM pauses WHERE route = ?1", [route])? > 0)
}

/// All pauses, in the order of their routes.
pub(crate) fn pauses(connection: &Connection) -> Result<Vec<Pause>> {
    let found = connection.prepare_cached(ALL).and_then(|mut find| {
        let rows = find.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect::<rusqlite::Result<Vec<(String, String, i64)>>>()
    });
    let mut pauses = Vec::new();
    for (route, reason, since) in found.map_err(|error| from_sqlite("pauses", error))? {
        pauses.push(Pause { route: word(&route)?, reason, since: Timestamp::from_ms(since) });
    }
    pauses.sort_unstable_by(|one, other| one.route.cmp(&other.route));
    Ok(pauses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::Db;

    fn route(text: &str) -> Route {
        text.parse().unwrap()
    }

    fn pause(text: &str, reason: &str, since: i64) -> Pause {
        Pause { route: route(text), reason: reason.into(), since: Timestamp::from_ms(since) }
    }

    #[test]
    fn pauses_stay_as_they_were_and_are_cleared_once() {
        let db = Db::new();
        let (bulk, ios) =
            (pause("bulk/fanout", "calm down", 2), pause("transactional/fcm/p/ios", "no APNs", 3));
        put_pause(&db.tx(1), &bulk).unwrap();
        put_pause(&db.tx(1), &ios).unwrap();
        put_pause(&db.tx(1), &pause("bulk/fanout", "another reason", 9)).unwrap();
        db.forget();
        assert_eq!(pauses(&db.connection).unwrap(), [ios.clone(), bulk.clone()]);
        assert!(clear_pause(&db.tx(1), &bulk.route).unwrap());
        assert!(!clear_pause(&db.tx(1), &bulk.route).unwrap());
        assert!(!clear_pause(&db.tx(1), &route("bulk/fcm/never-seen/web")).unwrap());
        assert_eq!(pauses(&db.connection).unwrap(), [ios]);
    }
}
