//! Users and their devices. An address belongs to one device of an app, so a registration can move it; what waited for
//! the device that had it finds nobody at its next load, and ends there. Nothing is walked here.

use pabal_core::clock::Timestamp;
use pabal_core::device::{Device, Mark, Registration};
use pabal_core::ids::{AppId, DeviceId, UserId};
use pabal_core::limits;
use pabal_core::route::{Credential, Lane};
use pabal_core::{Error, ErrorKind, Result};
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use crate::errors::{corrupt, from_sqlite};
use crate::rows::{target_code, target_of, unsigned, word};
use crate::tx::Tx;

const HOLDER: &str = "SELECT user, device FROM devices
    WHERE app = ?1 AND channel = ?2 AND target_kind = ?3 AND target = ?4";

const COUNT_OTHERS: &str = "SELECT count(*) FROM devices WHERE app = ?1 AND user = ?2 AND device <> ?3";

const DELETE: &str = "DELETE FROM devices WHERE app = ?1 AND user = ?2 AND device = ?3";

/// A registration is news from the app itself: whatever mark there was is cleared, also with the same address.
const PUT: &str = "
    INSERT INTO devices (app, user, device, channel, credential, platform, target_kind, target, locale, time_zone,
        created_at, seen_at)
    VALUES (:app, :user, :device, :channel, :credential, :platform, :target_kind, :target, :locale, :time_zone,
        :now, :now)
    ON CONFLICT (app, user, device) DO UPDATE SET
        channel = excluded.channel, credential = excluded.credential, platform = excluded.platform,
        target_kind = excluded.target_kind, target = excluded.target,
        locale = excluded.locale, time_zone = excluded.time_zone,
        mark = NULL, mark_reason = NULL, mark_at = NULL, seen_at = excluded.seen_at
    RETURNING created_at";

/// `SELECT` of the columns that [`Stored`] is read from.
macro_rules! select_devices {
    ($rest:literal) => {
        concat!(
            "SELECT user, device, channel, credential, platform, target_kind, target, locale, time_zone,
                mark, mark_reason, mark_at, created_at, seen_at FROM devices ",
            $rest
        )
    };
}

const ONE: &str = select_devices!("WHERE app = ?1 AND user = ?2 AND device = ?3");
const OF_USER: &str = select_devices!("WHERE app = ?1 AND user = ?2 ORDER BY device");

/// Registers a device, or registers it anew; whoever had its address is gone.
pub(crate) fn put_device(
    tx: &Tx<'_>,
    app: AppId,
    user: &UserId,
    device: &DeviceId,
    registration: &Registration,
) -> Result<Device> {
    let holder = holder(tx, app, registration)?;
    let moves_from = holder.filter(|(holder, held)| (holder, held) != (user, device));
    let frees_one = moves_from.as_ref().is_some_and(|(holder, _)| holder == user);
    if others(tx, app, user, device)? - u64::from(frees_one) >= limits::DEVICES_PER_USER_MAX as u64 {
        let message = format!("a user has at most {} devices", limits::DEVICES_PER_USER_MAX);
        return Err(Error::new(ErrorKind::LimitReached, "put_device", message));
    }
    if let Some((user, device)) = moves_from {
        delete_device(tx, app, &user, &device)?;
    }
    // Its routes get their numbers here, where a caller can be told that there are too many.
    for lane in Lane::ALL {
        tx.routes.number(tx.connection, &registration.route(lane))?;
    }
    Ok(Device {
        user: user.clone(),
        id: device.clone(),
        registration: registration.clone(),
        mark: None,
        created_at: write(tx, app, user, device, registration)?,
        seen_at: tx.now,
    })
}

/// Registers many; the job that this runs in makes it all or nothing.
pub(crate) fn put_devices(
    tx: &Tx<'_>,
    app: AppId,
    devices: &[(UserId, DeviceId, Registration)],
) -> Result<()> {
    for (user, device, registration) in devices {
        put_device(tx, app, user, device, registration)?;
    }
    Ok(())
}

/// Removes a device. Answers whether it was there.
pub(crate) fn delete_device(tx: &Tx<'_>, app: AppId, user: &UserId, device: &DeviceId) -> Result<bool> {
    Ok(tx.run("delete_device", DELETE, params![app.0, user.as_str(), device.as_str()])? > 0)
}

/// One device.
pub(crate) fn device(
    connection: &Connection,
    app: AppId,
    user: &UserId,
    device: &DeviceId,
) -> Result<Option<Device>> {
    let found = connection.prepare_cached(ONE).and_then(|mut find| {
        find.query_row(params![app.0, user.as_str(), device.as_str()], Stored::read).optional()
    });
    found.map_err(|error| from_sqlite("device", error))?.map(Stored::device).transpose()
}

/// All devices of a user, by name.
pub(crate) fn devices(connection: &Connection, app: AppId, user: &UserId) -> Result<Vec<Device>> {
    let found = connection.prepare_cached(OF_USER).and_then(|mut find| {
        find.query_map(params![app.0, user.as_str()], Stored::read)?.collect::<rusqlite::Result<Vec<_>>>()
    });
    found.map_err(|error| from_sqlite("devices", error))?.into_iter().map(Stored::device).collect()
}

/// Who has the address of a registration now.
fn holder(tx: &Tx<'_>, app: AppId, registration: &Registration) -> Result<Option<(UserId, DeviceId)>> {
    let Registration { channel, target, .. } = registration;
    let address = params![app.0, channel.as_str(), target_code(target), target.address()];
    let found: Option<(String, String)> =
        tx.first("put_device", HOLDER, address, |row| Ok((row.get(0)?, row.get(1)?)))?;
    found.map(|(user, device)| Ok((word(&user)?, word(&device)?))).transpose()
}

/// How many devices the user has beside this one.
fn others(tx: &Tx<'_>, app: AppId, user: &UserId, device: &DeviceId) -> Result<u64> {
    let of = params![app.0, user.as_str(), device.as_str()];
    Ok(tx.first("put_device", COUNT_OTHERS, of, |row| row.get(0))?.map_or(0, unsigned))
}

/// Writes the row. Answers when the device was first registered.
fn write(
    tx: &Tx<'_>,
    app: AppId,
    user: &UserId,
    device: &DeviceId,
    registration: &Registration,
) -> Result<Timestamp> {
    let columns = named_params! {
        ":app": app.0,
        ":user": user.as_str(),
        ":device": device.as_str(),
        ":channel": registration.channel.as_str(),
        ":credential": registration.credential.as_str(),
        ":platform": registration.platform.as_str(),
        ":target_kind": target_code(&registration.target),
        ":target": registration.target.address(),
        ":locale": registration.locale,
        ":time_zone": registration.time_zone,
        ":now": tx.now.as_ms(),
    };
    let created_at = tx.first("put_device", PUT, columns, |row| row.get(0))?;
    Ok(created_at.map_or(tx.now, Timestamp::from_ms))
}

/// The columns of a device, not yet checked.
struct Stored {
    user: String,
    device: String,
    channel: String,
    credential: String,
    platform: String,
    target: (i64, String),
    locale: Option<String>,
    time_zone: Option<String>,
    mark: (Option<String>, Option<String>, Option<i64>),
    created_at: i64,
    seen_at: i64,
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            user: row.get(0)?,
            device: row.get(1)?,
            channel: row.get(2)?,
            credential: row.get(3)?,
            platform: row.get(4)?,
            target: (row.get(5)?, row.get(6)?),
            locale: row.get(7)?,
            time_zone: row.get(8)?,
            mark: (row.get(9)?, row.get(10)?, row.get(11)?),
            created_at: row.get(12)?,
            seen_at: row.get(13)?,
        })
    }

    fn device(self) -> Result<Device> {
        let mark = match self.mark {
            (None, None, None) => None,
            (Some(kind), Some(reason), Some(at)) => {
                Some(Mark { kind: word(&kind)?, reason, at: Timestamp::from_ms(at) })
            }
            _ => return Err(corrupt("device", "half a mark")),
        };
        Ok(Device {
            user: word(&self.user)?,
            id: word(&self.device)?,
            registration: Registration {
                channel: word(&self.channel)?,
                credential: Credential::new(&self.credential)
                    .map_err(|invalid| corrupt("device", invalid))?,
                platform: word(&self.platform)?,
                target: target_of(self.target.0, self.target.1)?,
                locale: self.locale,
                time_zone: self.time_zone,
            },
            mark,
            created_at: Timestamp::from_ms(self.created_at),
            seen_at: Timestamp::from_ms(self.seen_at),
        })
    }
}

#[cfg(test)]
mod tests {
    use pabal_core::device::Target;
    use pabal_core::route::{ChannelKind, Platform};

    use super::*;
    use crate::store::testing::Db;

    const APP: AppId = AppId::DEFAULT;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    fn device_id(name: &str) -> DeviceId {
        DeviceId::new(name).unwrap()
    }

    fn token(token: &str) -> Registration {
        Registration {
            channel: ChannelKind::Fcm,
            credential: Credential::new("my-project").unwrap(),
            platform: Platform::Android,
            target: Target::Token(token.into()),
            locale: Some("de-CH".into()),
            time_zone: None,
        }
    }

    fn put(db: &Db, now: i64, owner: &str, name: &str, address: &str) -> Result<Device> {
        put_device(&db.tx(now), APP, &user(owner), &device_id(name), &token(address))
    }

    fn names(db: &Db, owner: &str) -> Vec<String> {
        let devices = devices(&db.connection, APP, &user(owner)).unwrap();
        devices.into_iter().map(|device| device.id.to_string()).collect()
    }

    #[test]
    fn what_is_put_is_what_is_read() {
        let db = Db::new();
        let given = put(&db, 5, "u", "d", "t").unwrap();
        assert_eq!(device(&db.connection, APP, &user("u"), &device_id("d")).unwrap(), Some(given.clone()));
        assert_eq!((given.created_at, given.seen_at), (Timestamp::from_ms(5), Timestamp::from_ms(5)));
        assert_eq!(device(&db.connection, AppId(2), &user("u"), &device_id("d")).unwrap(), None);
    }

    #[test]
    fn a_token_that_moves_takes_its_former_device_away() {
        let db = Db::new();
        put(&db, 1, "a", "phone", "t").unwrap();
        put(&db, 1, "a", "tablet", "t2").unwrap();
        let moved = put(&db, 2, "b", "phone", "t").unwrap();
        assert_eq!(moved.created_at, Timestamp::from_ms(2));
        assert_eq!(names(&db, "a"), ["tablet"]);
        assert_eq!(names(&db, "b"), ["phone"]);
        put(&db, 3, "a", "tablet", "t").unwrap();
        assert_eq!((names(&db, "a"), names(&db, "b")), (vec!["tablet".to_owned()], vec![]));
        // Its own former address is free again.
        put(&db, 4, "b", "phone", "t2").unwrap();
        assert_eq!((names(&db, "a").len(), names(&db, "b").len()), (1, 1));
    }

    #[test]
    fn a_fid_and_a_token_of_the_same_text_are_two_addresses() {
        let db = Db::new();
        put(&db, 1, "a", "phone", "t").unwrap();
        let fid = Registration { target: Target::Fid("t".into()), ..token("t") };
        put_device(&db.tx(1), APP, &user("b"), &device_id("phone"), &fid).unwrap();
        assert_eq!((names(&db, "a").len(), names(&db, "b").len()), (1, 1));
    }

    #[test]
    fn any_registration_clears_the_mark_and_keeps_the_first_time() {
        let db = Db::new();
        for (now, address) in [(2, "same"), (3, "other")] {
            put(&db, 1, "u", "d", "same").unwrap();
            db.execute("UPDATE devices SET mark = 'retired', mark_reason = 'UNREGISTERED', mark_at = 1");
            let marked = device(&db.connection, APP, &user("u"), &device_id("d")).unwrap().unwrap();
            assert_eq!(marked.mark.unwrap().reason, "UNREGISTERED");
            let again = put(&db, now, "u", "d", address).unwrap();
            assert_eq!(
                (again.mark.as_ref(), again.created_at.as_ms(), again.seen_at.as_ms()),
                (None, 1, now)
            );
            assert_eq!(device(&db.connection, APP, &user("u"), &device_id("d")).unwrap(), Some(again));
        }
    }

    #[test]
    fn a_user_has_a_bounded_number_of_devices() {
        let db = Db::new();
        for n in 0..limits::DEVICES_PER_USER_MAX {
            put(&db, 1, "u", &format!("d{n}"), &format!("t{n}")).unwrap();
        }
        let refused = put(&db, 1, "u", "more", "more").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::LimitReached);
        assert_eq!(refused.to_string(), "put_device: a user has at most 50 devices");
        put(&db, 2, "u", "d0", "new").unwrap();
        // The device whose address it takes makes room for it.
        put(&db, 2, "u", "more", "t1").unwrap();
        assert_eq!(names(&db, "u").len(), limits::DEVICES_PER_USER_MAX);
        assert!(!names(&db, "u").contains(&"d1".to_owned()));
    }

    #[test]
    fn a_deleted_device_is_gone() {
        let db = Db::new();
        put(&db, 1, "u", "d", "t").unwrap();
        assert!(delete_device(&db.tx(2), APP, &user("u"), &device_id("d")).unwrap());
        assert!(!delete_device(&db.tx(2), APP, &user("u"), &device_id("d")).unwrap());
        assert_eq!(names(&db, "u").len(), 0);
    }

    #[test]
    fn many_are_put_in_their_order() {
        let db = Db::new();
        let many = [(user("a"), device_id("d"), token("t")), (user("b"), device_id("d"), token("t"))];
        put_devices(&db.tx(1), APP, &many).unwrap();
        assert_eq!((names(&db, "a").len(), names(&db, "b").len()), (0, 1));
    }
}
