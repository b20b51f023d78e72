//! Paging a notification into deliveries. Each page is one step, fenced by the lease's epoch and by the cursor that it
//! names, so that a page run twice, or by a worker that was overtaken, changes nothing.

use pabal_core::Result;
use pabal_core::ids::ItemId;
use pabal_core::notification::NotificationState;
use pabal_core::route::ChannelKind;
use pabal_core::seam::{Cursor, Lease, PageMade, Then};
use rusqlite::params;

use super::counters::counting;
use super::fan_out::{FanOut, cursor_at};
use super::resolve::{Audience, units_of};
use crate::errors::corrupt;
use crate::recipients::KeptRecipients;
use crate::rows::{notification_state_code, signed};
use crate::tx::Tx;

pub(super) const RECIPIENTS: &str = "SELECT recipients, channels FROM notifications WHERE id = ?1";

/// The fence stands in the statement itself: whatever was read before, no older lease moves the cursor.
pub(super) const TURN: &str = "
    UPDATE notification_states SET state = ?2, cursor = ?3, page_epoch = ?4, finished_at = ?6
    WHERE id = ?1 AND state < 2 AND cursor = ?5 AND page_epoch <= ?4 AND epoch < ?4";

/// Resolves up to `users_max` more users.
pub(super) fn page(tx: &Tx<'_>, lease: &Lease, from: &Cursor, users_max: usize) -> Result<PageMade> {
    let ItemId::FanOut(id) = lease.id else { return Ok(PageMade::Refused(Then::Done)) };
    let Some(mut fan_out) = FanOut::read(tx, id)? else { return Ok(PageMade::Refused(Then::Done)) };
    fan_out.end_if_over(tx)?;
    if !fan_out.state.is_open() || *from != fan_out.cursor() {
        return Ok(PageMade::Refused(fan_out.then(tx.now)));
    }
    let (recipients, channels) = audience(tx, &fan_out)?;
    let units = recipients.places();
    let until = fan_out.resolved.saturating_add(users_max.max(1)).min(units);
    let last = until == units;
    let state = if last { NotificationState::Expanded } else { NotificationState::Expanding };
    let (code, cursor) = (notification_state_code(state), signed(until as u64));
    let from = signed(fan_out.resolved as u64);
    let finished_at = last.then_some(tx.now.as_ms());
    let turn = params![id.as_bytes(), code, cursor, lease.epoch.0, from, finished_at];
    if tx.run("page", TURN, turn)? == 0 {
        return Ok(PageMade::Refused(fan_out.then(tx.now)));
    }
    let living = recipients.living(fan_out.resolved..until);
    let audience = Audience {
        app: fan_out.app,
        notification: id,
        lane: fan_out.lane,
        channels: channels.as_deref(),
        recipients: &living,
    };
    let made = counting(tx, |moves| audience.deliver(tx, moves, 0..units_of(&living)))?;
    Ok(PageMade::Made { work: made.work, cursor: cursor_at(until), last })
}

/// Whom a notification is for, and over which channels.
fn audience(tx: &Tx<'_>, fan_out: &FanOut) -> Result<(KeptRecipients, Option<Vec<ChannelKind>>)> {
    let read = tx.first("page", RECIPIENTS, [fan_out.id.as_bytes()], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?))
    })?;
    let (recipients, channels) =
        read.ok_or_else(|| corrupt("page", "a notification has lost its recipients"))?;
    let unreadable = |error: serde_json::Error| {
        corrupt("page", format!("channels: {:?} error in their JSON", error.classify()))
    };
    let channels = channels.as_deref().map(serde_json::from_str).transpose().map_err(unreadable)?;
    Ok((KeptRecipients::read("page", &recipients)?, channels))
}
