//! Ending open work without an attempt. What somebody holds a lease on is only marked, if the caller takes it back:
//! the attempt that runs may still end delivered, and no other begins.

use pabal_core::Result;
use pabal_core::delivery::Reason;
use pabal_core::ids::{DeliveryId, ItemId, NotificationId};
use pabal_core::seam::{Ending, Selection};
use rusqlite::params;

use super::counters::{Moves, counting};
use super::delivery::Open;
use super::fan_out::FanOut;
use crate::tx::Tx;

const MARK_DELIVERY: &str = "UPDATE delivery_states SET cancel_requested = 1 WHERE id = ?1";
const MARK_FAN_OUT: &str = "UPDATE notification_states SET cancel_requested = 1 WHERE id = ?1";

pub(super) const MARK_FAN_OUT_OF_APP: &str = "
    UPDATE notification_states SET cancel_requested = 1
    WHERE id = ?2 AND state < 2 AND (SELECT app FROM notifications WHERE id = ?2) = ?1";
pub(super) const MARK_FAN_OUTS_OF_APP: &str = "
    UPDATE notification_states INDEXED BY notification_states_due SET cancel_requested = 1
    WHERE state < 2 AND cancel_requested = 0
        AND (SELECT m.app FROM notifications m WHERE m.id = notification_states.id) = ?1";
pub(super) const MARK_FAN_OUTS_PAST_EXPIRY: &str = "
    UPDATE notification_states INDEXED BY notification_states_open SET cancel_requested = 1
    WHERE expires_at <= ?1 AND state < 2 AND (state < 2 OR scheduled > 0 OR retrying > 0)";

/// Marks the open notifications of a selection, so that no later page adds to them.
pub(super) fn mark_open_fan_outs(tx: &Tx<'_>, selection: &Selection) -> Result<()> {
    let marked = match selection {
        Selection::Notification(app, id) => {
            tx.run("open_work", MARK_FAN_OUT_OF_APP, params![app.0, id.as_bytes()])
        }
        Selection::App(app) => tx.run("open_work", MARK_FAN_OUTS_OF_APP, [app.0]),
        Selection::PastExpiry => tx.run("open_work", MARK_FAN_OUTS_PAST_EXPIRY, [tx.now.as_ms()]),
        // The others that the notification is for keep it.
        Selection::User(..) | Selection::Delivery(..) => Ok(0),
    };
    marked.map(drop)
}

/// Ends items, or marks the leased ones. Answers how many were ended.
pub(super) fn end(tx: &Tx<'_>, items: &[Ending], reason: Reason) -> Result<u64> {
    counting(tx, |moves| {
        let mut ended = 0;
        for ending in items {
            let open = match ending.id {
                ItemId::Delivery(id) => end_delivery(tx, moves, id, ending.leased, reason)?,
                ItemId::FanOut(id) => end_fan_out(tx, id, ending.leased, reason)?,
            };
            ended += u64::from(open && !ending.leased);
        }
        Ok(ended)
    })
}

/// Answers whether it was open.
fn end_delivery(
    tx: &Tx<'_>,
    moves: &mut Moves,
    id: DeliveryId,
    leased: bool,
    reason: Reason,
) -> Result<bool> {
    let Some(delivery) = Open::read(tx, id)? else { return Ok(false) };
    if !leased {
        delivery.finish(tx, moves, reason)?;
    } else if reason == Reason::CancelRequested {
        tx.run("end", MARK_DELIVERY, [id.as_bytes()])?;
    }
    Ok(true)
}

/// Answers whether it was open.
fn end_fan_out(tx: &Tx<'_>, id: NotificationId, leased: bool, reason: Reason) -> Result<bool> {
    let Some(mut fan_out) = FanOut::read(tx, id)?.filter(|found| found.state.is_open()) else {
        return Ok(false);
    };
    if !leased {
        fan_out.finish(tx, reason)?;
    } else if reason == Reason::CancelRequested {
        tx.run("end", MARK_FAN_OUT, [id.as_bytes()])?;
    }
    Ok(true)
}
