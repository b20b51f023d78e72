//! Reading what leases are about, and ending what is over by then: cancelled, expired, its device gone or retired. A
//! lease that the record would refuse is not worked on: what came of it could not be kept. And what can't be read is
//! told of by itself: the others of its claim, and all later claims, go on.

use pabal_core::clock::Timestamp;
use pabal_core::delivery::Reason;
use pabal_core::ids::{DeliveryId, ItemId, NotificationId};
use pabal_core::route::Route;
use pabal_core::seam::{Content, DeliveryContent, Epoch, FanOutContent, Lease, Loaded};
use pabal_core::{Error, ErrorKind, Result};
use rusqlite::params;

use super::counters::{Moves, counting};
use super::delivery::{Delivery, To};
use super::fan_out::FanOut;
use super::messages::message_of;
use crate::tx::Tx;

const SET_ROUTE: &str = "UPDATE delivery_states SET route = ?2 WHERE id = ?1";

/// Reads what leases are about, in their order.
pub(super) fn load(tx: &Tx<'_>, leases: &[Lease]) -> Result<Vec<Loaded>> {
    counting(tx, |moves| {
        let one = |lease: &Lease| {
            match lease.id {
                ItemId::Delivery(id) => load_delivery(tx, moves, id, lease.epoch),
                ItemId::FanOut(id) => load_fan_out(tx, id, lease.epoch),
            }
            .or_else(|error| unreadable(lease.id, error))
        };
        leases.iter().map(one).collect()
    })
}

fn unreadable(id: ItemId, error: Error) -> Result<Loaded> {
    if error.kind() != ErrorKind::Corrupt {
        return Err(error);
    }
    tracing::error!(item = %id, %error, "what is stored of it can't be read");
    Ok(Loaded::Unreadable)
}

fn load_delivery(tx: &Tx<'_>, moves: &mut Moves, id: DeliveryId, epoch: Epoch) -> Result<Loaded> {
    let Some(mut delivery) = Delivery::read(tx, id)? else { return Ok(Loaded::Unknown) };
    if delivery.state.is_open()
        && let Some(reason) = over(&delivery, tx.now)
    {
        delivery.finish(tx, moves, reason)?;
    }
    if !delivery.state.is_open() || delivery.due_at > tx.now {
        return Ok(Loaded::Settled(delivery.then(tx)?));
    }
    if epoch <= delivery.epoch {
        return Ok(Loaded::Unknown);
    }
    let (Some(route), Some(target)) = (delivery.route_now(tx)?, delivery.target().cloned()) else {
        return Ok(Loaded::Unknown);
    };
    let kept = message_of(tx, delivery.notification)?;
    follow(tx, &mut delivery, &route)?;
    Ok(Loaded::Content(Content::Delivery(DeliveryContent {
        id,
        notification: delivery.notification,
        route,
        target,
        message: kept.message,
        attempts: delivery.attempts,
        counted: delivery.counted,
        ttl_ms: kept.ttl_ms,
        remaining_ms: tx.now.ms_until(delivery.expires_at),
    })))
}

/// Why an open delivery is not to be tried (again), if so.
fn over(delivery: &Delivery, now: Timestamp) -> Option<Reason> {
    if delivery.cancel_requested {
        return Some(Reason::CancelRequested);
    }
    if delivery.expires_at <= now {
        return Some(Reason::TtlEnded);
    }
    match &delivery.to {
        To::Literal(_) => None,
        To::Device(Some(device)) => device.retired.then_some(Reason::DeviceRetired),
        To::Device(None) => Some(Reason::DeviceGone),
        To::NoDevice => Some(Reason::NoDevice),
    }
}

/// Keeps the route that a delivery's device has now, where it is another than before.
fn follow(tx: &Tx<'_>, delivery: &mut Delivery, route: &Route) -> Result<()> {
    let number = tx.routes.number(tx.connection, route)?;
    if delivery.route != Some(number) {
        tx.run("load", SET_ROUTE, params![delivery.id.as_bytes(), number])?;
        delivery.route = Some(number);
    }
    Ok(())
}

fn load_fan_out(tx: &Tx<'_>, id: NotificationId, epoch: Epoch) -> Result<Loaded> {
    let Some(mut fan_out) = FanOut::read(tx, id)? else { return Ok(Loaded::Unknown) };
    fan_out.end_if_over(tx)?;
    if !fan_out.state.is_open() || fan_out.due_at > tx.now {
        return Ok(Loaded::Settled(fan_out.then(tx.now)));
    }
    if !fan_out.admits(epoch) {
        return Ok(Loaded::Unknown);
    }
    Ok(Loaded::Content(Content::FanOut(FanOutContent {
        notification: id,
        cursor: fan_out.cursor(),
        failures: fan_out.failures,
        remaining_ms: tx.now.ms_until(fan_out.expires_at),
    })))
}
