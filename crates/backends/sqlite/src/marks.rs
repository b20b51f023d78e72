//! Devices by the marks that they bear: what providers said of them, for whoever polls for it, or takes it back.

use pabal_core::clock::Timestamp;
use pabal_core::device::{Device, MarkKind};
use pabal_core::ids::{AppId, DeviceId, UserId};
use pabal_core::seam::Listed;
use pabal_core::seam::store::{MarkFilter, MarkedAt};
use pabal_core::{ErrorKind, Result};
use rusqlite::{Connection, Row, named_params, params};

use crate::devices;
use crate::reads::at_one_moment;
use crate::rows::word;
use crate::tx::Tx;
use crate::walk::{Bounds, Walked, walk};

/// The marked devices of an app after a place, and of each whether it is wanted.
pub(crate) const MARKED: &str = "
    SELECT mark_at, user, device,
        (:kind IS NULL OR mark = :kind) AND (:reason IS NULL OR mark_reason = :reason)
    FROM devices INDEXED BY devices_marked
    WHERE app = :app AND mark IS NOT NULL AND (mark_at, user, device) > (:after, :user, :device) AND mark_at < :until
    ORDER BY mark_at, user, device";

pub(crate) const RESTORE: &str = "
    UPDATE devices SET mark = NULL, mark_reason = NULL, mark_at = NULL
    WHERE app = ?1 AND user = ?2 AND device = ?3 AND mark IS NOT NULL";

/// A place in the listing, as it is stored.
type Place = (i64, String, String);

/// The devices of an app that bear a mark, oldest mark first, after `after`, at most `max`. What can't be read is left
/// out.
pub(crate) fn marked_devices(
    connection: &Connection,
    app: AppId,
    filter: &MarkFilter,
    after: Option<&MarkedAt>,
    max: usize,
) -> Result<Listed<Device, MarkedAt>> {
    at_one_moment(connection, "marked_devices", || {
        let walked = marked(connection, app, filter, after.map(stored), max)?;
        let mut items = Vec::with_capacity(walked.found.len());
        for place in walked.found {
            match read(connection, app, place) {
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::error!(%error, "a marked device can't be read, and is left out of a list");
                }
                device => items.extend(device?),
            }
        }
        Ok(Listed { items, next: walked.next.map(marked_at).transpose()? })
    })
}

/// As [`marked_devices`], the names alone.
pub(crate) fn find_marked(
    connection: &Connection,
    app: AppId,
    filter: &MarkFilter,
    after: Option<MarkedAt>,
    max: usize,
) -> Result<Listed<(UserId, DeviceId), MarkedAt>> {
    let walked = marked(connection, app, filter, after.as_ref().map(stored), max)?;
    let name = |place| marked_at(place).map(|place| (place.user, place.device));
    let items: Result<Vec<_>> = walked.found.into_iter().map(name).collect();
    Ok(Listed { items: items?, next: walked.next.map(marked_at).transpose()? })
}

/// Takes the marks off these devices. Answers how many bore one.
pub(crate) fn restore(tx: &Tx<'_>, app: AppId, devices: &[(UserId, DeviceId)]) -> Result<u64> {
    let mut restored = 0;
    for (user, device) in devices {
        restored +=
            tx.run("restore_devices", RESTORE, params![app.0, user.as_str(), device.as_str()])? as u64;
    }
    Ok(restored)
}

fn marked(
    connection: &Connection,
    app: AppId,
    filter: &MarkFilter,
    after: Option<Place>,
    max: usize,
) -> Result<Walked<Place>> {
    let MarkFilter { kind, reason, since, until } = filter;
    // No name is empty: this lies before all that were marked at that time.
    let since = (since.map_or(i64::MIN, Timestamp::as_ms), String::new(), String::new());
    let (after, user, device) = after.map_or(since.clone(), |after| after.max(since));
    let values = named_params! {
        ":app": app.0,
        ":kind": kind.map(MarkKind::as_str),
        ":reason": reason,
        ":after": after,
        ":user": user,
        ":device": device,
        ":until": until.map_or(i64::MAX, Timestamp::as_ms),
    };
    let read = |row: &Row<'_>| Ok(((row.get(0)?, row.get(1)?, row.get(2)?), row.get(3)?));
    walk(connection, "marked_devices", (MARKED, values), Bounds::of_page(max.max(1)), read)
}

fn read(connection: &Connection, app: AppId, place: Place) -> Result<Option<Device>> {
    let MarkedAt { user, device, .. } = marked_at(place)?;
    devices::device(connection, app, &user, &device)
}

fn stored(place: &MarkedAt) -> Place {
    (place.at.as_ms(), place.user.to_string(), place.device.to_string())
}

fn marked_at((at, user, device): Place) -> Result<MarkedAt> {
    Ok(MarkedAt { at: Timestamp::from_ms(at), user: word(&user)?, device: word(&device)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::Db;

    const APP: AppId = AppId::DEFAULT;

    /// Devices of one user, all marked at their number, by turns retired and quarantined.
    fn marked_db(count: u32) -> Db {
        let db = Db::new();
        db.execute(&format!(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count})
            INSERT INTO devices (app, user, device, channel, credential, platform, target_kind, target,
                mark, mark_reason, mark_at, created_at, seen_at)
            SELECT 1, 'u' || n, 'd', 'fcm', 'main', 'ios', 0, 't' || n,
                iif(n % 2 = 0, 'retired', 'quarantined'), iif(n > {count} - 2, 'RARE', 'UNREGISTERED'), n / 2, 1, 1
            FROM n"
        ));
        db
    }

    fn users(devices: &[Device]) -> Vec<&str> {
        devices.iter().map(|device| device.user.as_str()).collect()
    }

    #[test]
    fn marked_devices_are_listed_by_the_time_of_their_mark() {
        let db = marked_db(6);
        let list = |filter: &MarkFilter, after: Option<&MarkedAt>, max| {
            marked_devices(&db.connection, APP, filter, after, max).unwrap()
        };
        let first = list(&MarkFilter::default(), None, 2);
        assert_eq!(users(&first.items), ["u1", "u2"], "and of those at once by name");
        let rest = list(&MarkFilter::default(), first.next.as_ref(), 9);
        assert_eq!((users(&rest.items), rest.next), (vec!["u3", "u4", "u5", "u6"], None));
        let at = |ms| Some(Timestamp::from_ms(ms));
        let within = MarkFilter { since: at(1), until: at(2), ..MarkFilter::default() };
        assert_eq!(users(&list(&within, None, 9).items), ["u2", "u3"]);
        assert_eq!(users(&list(&within, first.next.as_ref(), 9).items), ["u3"]);
        let retired = MarkFilter { kind: Some(MarkKind::Retired), ..MarkFilter::default() };
        assert_eq!(users(&list(&retired, None, 9).items), ["u2", "u4", "u6"]);
        assert_eq!(marked_devices(&db.connection, AppId(2), &retired, None, 9).unwrap().items, []);
        db.execute("UPDATE devices SET platform = 'abacus' WHERE user = 'u4'");
        assert_eq!(
            users(&list(&retired, None, 9).items),
            ["u2", "u6"],
            "what can't be read is left out alone"
        );
    }

    #[test]
    fn what_is_rare_is_found_in_bounded_pages() {
        let db = marked_db(25_000);
        let rare = MarkFilter { reason: Some("RARE".into()), ..MarkFilter::default() };
        let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = find_marked(&db.connection, APP, &rare, after, 9).unwrap();
            found.extend(page.items);
            (after, pages) = (page.next, pages + 1);
            if after.is_none() {
                break;
            }
        }
        assert_eq!((found.len(), pages), (2, 3));
        assert_eq!(restore(&db.tx(1), APP, &found).unwrap(), 2);
        assert_eq!(restore(&db.tx(1), APP, &found).unwrap(), 0, "they bear none any more");
        let restored = devices::device(&db.connection, APP, &found[0].0, &found[0].1).unwrap().unwrap();
        assert_eq!(restored.mark, None);
    }
}
