//! Columns and the words of core: how each is written and read. What can't be read is corrupt, and says where.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use pabal_core::delivery::DeliveryState;
use pabal_core::device::Target;
use pabal_core::ids::{DeliveryId, ItemId, NotificationId};
use pabal_core::notification::NotificationState;
use pabal_core::route::Route;
use pabal_core::{Error, ErrorKind, Result, limits};
use rusqlite::{Connection, OptionalExtension};

use crate::errors::{corrupt, from_sqlite};

/// The number that stands for a delivery's state.
pub(crate) const fn state_code(state: DeliveryState) -> i64 {
    match state {
        DeliveryState::Scheduled => 0,
        DeliveryState::Retrying => 1,
        DeliveryState::Delivered => 2,
        DeliveryState::Dead => 3,
        DeliveryState::Expired => 4,
        DeliveryState::Cancelled => 5,
        DeliveryState::Undeliverable => 6,
    }
}

/// A delivery's state by its number.
pub(crate) fn state_of(code: i64) -> Result<DeliveryState> {
    let known = DeliveryState::ALL.into_iter().find(|state| state_code(*state) == code);
    known.ok_or_else(|| corrupt("read", format!("delivery state {code}")))
}

/// The number that stands for a notification's state.
pub(crate) const fn notification_state_code(state: NotificationState) -> i64 {
    match state {
        NotificationState::Scheduled => 0,
        NotificationState::Expanding => 1,
        NotificationState::Expanded => 2,
        NotificationState::Cancelled => 3,
        NotificationState::Expired => 4,
        NotificationState::Dead => 5,
    }
}

/// A notification's state by its number.
pub(crate) fn notification_state_of(code: i64) -> Result<NotificationState> {
    use NotificationState::{Cancelled, Dead, Expanded, Expanding, Expired, Scheduled};
    let all = [Scheduled, Expanding, Expanded, Cancelled, Expired, Dead];
    let known = all.into_iter().find(|state| notification_state_code(*state) == code);
    known.ok_or_else(|| corrupt("read", format!("notification state {code}")))
}

/// The number that stands for the kind of an address.
pub(crate) const fn target_code(target: &Target) -> i64 {
    match target {
        Target::Token(_) => 0,
        Target::Fid(_) => 1,
        Target::FcmTopic(_) => 2,
        Target::FcmCondition(_) => 3,
    }
}

/// An address by the number of its kind.
pub(crate) fn target_of(code: i64, address: String) -> Result<Target> {
    match code {
        0 => Ok(Target::Token(address)),
        1 => Ok(Target::Fid(address)),
        2 => Ok(Target::FcmTopic(address)),
        3 => Ok(Target::FcmCondition(address)),
        _ => Err(corrupt("read", format!("kind of address {code}"))),
    }
}

/// A word of core by its text: a reason, an outcome, a platform.
pub(crate) fn word<T: FromStr<Err = pabal_core::ids::Invalid>>(text: &str) -> Result<T> {
    text.parse().map_err(|invalid: pabal_core::ids::Invalid| corrupt("read", invalid))
}

/// A queue's id by its bytes and kind.
pub(crate) fn item_of(bytes: [u8; 16], fan_out: bool) -> ItemId {
    if fan_out {
        ItemId::FanOut(NotificationId::from_bytes(bytes))
    } else {
        ItemId::Delivery(DeliveryId::from_bytes(bytes))
    }
}

/// A count or a number of milliseconds, which SQLite keeps with a sign.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The same, read.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Numbers of routes, both ways. A route gets its number when it is first used.
#[derive(Default)]
pub(crate) struct RouteNumbers(Mutex<Known>);

#[derive(Default)]
struct Known {
    by_route: BTreeMap<Route, i64>,
    by_number: BTreeMap<i64, Route>,
}

impl RouteNumbers {
    /// The number of a route, if it has one.
    pub(crate) fn find(&self, connection: &Connection, route: &Route) -> Result<Option<i64>> {
        if let Some(number) = self.known().by_route.get(route) {
            return Ok(Some(*number));
        }
        let find = "SELECT route FROM routes WHERE name = ?1";
        let found: Option<i64> = connection
            .prepare_cached(find)
            .and_then(|mut find| find.query_row([route.to_string()], |row| row.get(0)).optional())
            .map_err(|error| from_sqlite("route", error))?;
        if let Some(number) = found {
            self.remember(route, number);
        }
        Ok(found)
    }

    /// The number of a route, made if need be.
    pub(crate) fn number(&self, connection: &Connection, route: &Route) -> Result<i64> {
        if let Some(number) = self.find(connection, route)? {
            return Ok(number);
        }
        let count: i64 = connection
            .query_row("SELECT count(*) FROM routes", [], |row| row.get(0))
            .map_err(|error| from_sqlite("route", error))?;
        if count >= signed(limits::ROUTES_MAX as u64) {
            let message = format!("there are {} routes already, as many as there may be", limits::ROUTES_MAX);
            return Err(Error::new(ErrorKind::LimitReached, "route", message));
        }
        connection
            .execute("INSERT INTO routes (name) VALUES (?1)", [route.to_string()])
            .map_err(|error| from_sqlite("route", error))?;
        let number = connection.last_insert_rowid();
        self.remember(route, number);
        Ok(number)
    }

    /// The route of a number.
    pub(crate) fn route(&self, connection: &Connection, number: i64) -> Result<Route> {
        if let Some(route) = self.known().by_number.get(&number) {
            return Ok(route.clone());
        }
        let name: Option<String> = connection
            .prepare_cached("SELECT name FROM routes WHERE route = ?1")
            .and_then(|mut find| find.query_row([number], |row| row.get(0)).optional())
            .map_err(|error| from_sqlite("route", error))?;
        let name = name.ok_or_else(|| corrupt("route", format!("no route has the number {number}")))?;
        let route: Route = word(&name)?;
        self.remember(&route, number);
        Ok(route)
    }

    /// Forgets all: a rollback may have undone some.
    pub(crate) fn forget(&self) {
        *self.known() = Known::default();
    }

    fn remember(&self, route: &Route, number: i64) {
        let mut known = self.known();
        known.by_route.insert(route.clone(), number);
        known.by_number.insert(number, route.clone());
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
