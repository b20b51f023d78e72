//! Recording what came of leases.
//!
//! What is recorded depends on the epoch of the settlement and on the state that the delivery is in by then:
//!
//! | | open | final |
//! | --- | --- | --- |
//! | epoch above the last settlement's | recorded | recorded if it delivered, else refused |
//! | any other | refused | refused |
//!
//! The ordinary case, delivered at the first attempt, costs one update of a narrow row: that attempt is kept in the
//! row itself, and only other attempts have rows of their own.

use pabal_core::Result;
use pabal_core::clock::Timestamp;
use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::device::MarkKind;
use pabal_core::ids::{DeliveryId, ItemId, NotificationId};
use pabal_core::notification::NotificationState;
use pabal_core::outcome::Outcome;
use pabal_core::seam::{AttemptRecord, Change, Epoch, Recorded, Settlement, Taken, Then};
use pabal_core::verdict::Next;
use rusqlite::params;

use super::counters::{Moves, counting};
use super::delivery::{Delivery, To};
use super::fan_out::{FanOut, death};
use crate::rows::{notification_state_code, signed, state_code};
use crate::tx::Tx;

/// The fence stands in the statement itself: whatever was read before, no settlement follows a later one.
pub(super) const SETTLE: &str = "
    UPDATE delivery_states SET state = ?2, reason = ?3, route = ?4, due_at = ?5, epoch = ?6, attempts = ?7,
        counted = ?8, finished_at = ?9, first_at = ?10, first_latency_ms = ?11, first_status = ?12, first_detail = ?13
    WHERE id = ?1 AND epoch < ?6";

const ATTEMPT: &str = "
    INSERT INTO attempts (delivery, number, at, outcome, status, code, detail, latency_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

/// The address stands in the statement: a device that has a newer one is left alone.
pub(super) const MARK: &str = "
    UPDATE devices SET mark = ?2, mark_reason = ?3, mark_at = ?4
    WHERE (app, user, device) = (SELECT app, user, device FROM deliveries WHERE id = ?1)
        AND target_kind = ?5 AND target = ?6";

pub(super) const SETTLE_FAN_OUT: &str = "
    UPDATE notification_states SET state = ?2, due_at = ?3, failures = ?4, epoch = ?5, reason = ?6, finished_at = ?7
    WHERE id = ?1 AND state < 2 AND epoch < ?5 AND page_epoch <= ?5";

/// Records a batch, in its order.
pub(super) fn record(tx: &Tx<'_>, batch: &[Settlement]) -> Result<Vec<Recorded>> {
    counting(tx, |moves| {
        let one = |settlement: &Settlement| match settlement.lease.id {
            ItemId::Delivery(id) => record_delivery(tx, moves, id, settlement),
            ItemId::FanOut(id) => record_fan_out(tx, id, settlement),
        };
        batch.iter().map(one).collect()
    })
}

const UNKNOWN: Recorded = Recorded { taken: Taken::Refused, then: Then::Done };

fn record_delivery(
    tx: &Tx<'_>,
    moves: &mut Moves,
    id: DeliveryId,
    settlement: &Settlement,
) -> Result<Recorded> {
    let Some(mut delivery) = Delivery::read(tx, id)? else { return Ok(UNKNOWN) };
    let Settlement { lease, change } = settlement;
    let superseded = superseded(&delivery, change);
    let before = delivery.counted_as();
    let first = first_success(&delivery, change);
    let settled = settled(&delivery, change, superseded, tx.now);
    let Some(settled) = settled.filter(|_| lease.epoch > delivery.epoch) else {
        return Ok(Recorded { taken: Taken::Refused, then: delivery.then(tx)? });
    };
    settled.apply(&mut delivery, lease.epoch);
    if !write(tx, &mut delivery, first)? {
        let as_it_is = Delivery::read(tx, id)?.map(|delivery| delivery.then(tx)).transpose()?;
        return Ok(Recorded { taken: Taken::Refused, then: as_it_is.unwrap_or(Then::Done) });
    }
    if let Change::Attempt(attempt) = change {
        if first.is_none() {
            keep_attempt(tx, &delivery, attempt)?;
        }
        mark(tx, &delivery, attempt)?;
    }
    moves.moved(delivery.app, delivery.notification, before, delivery.counted_as());
    let taken = if superseded && delivery.state.is_open() { Taken::Superseded } else { Taken::Recorded };
    Ok(Recorded { taken, then: delivery.then(tx)? })
}

/// What a settlement changes of a delivery.
#[derive(Clone, Copy)]
struct Settled {
    state: DeliveryState,
    reason: Option<Reason>,
    due_at: Timestamp,
    attempts: u32,
    counted: u32,
}

impl Settled {
    fn apply(self, delivery: &mut Delivery, epoch: Epoch) {
        delivery.state = self.state;
        delivery.reason = self.reason;
        delivery.due_at = self.due_at;
        delivery.attempts = self.attempts;
        delivery.counted = self.counted;
        delivery.epoch = epoch;
    }

    fn ended(self, state: DeliveryState, reason: Option<Reason>) -> Self {
        Self { state, reason, ..self }
    }

    fn ended_for(self, reason: Reason) -> Self {
        self.ended(reason.state(), Some(reason))
    }
}

/// What becomes of a delivery by this change; `None` if it may not.
fn settled(delivery: &Delivery, change: &Change, superseded: bool, now: Timestamp) -> Option<Settled> {
    let delivers = matches!(change, Change::Attempt(AttemptRecord { next: Next::Complete, .. }));
    let fits = delivery.state.is_open() || (delivers && delivery.state.may_become(DeliveryState::Delivered));
    if !fits {
        return None;
    }
    let &Delivery { state, reason, due_at, attempts, counted, .. } = delivery;
    let as_it_was = Settled { state, reason, due_at, attempts, counted };
    // Waits for another attempt, unless the caller has taken it back.
    let again = |settled: Settled, state, delay_ms| match delivery.cancel_requested {
        true => settled.ended_for(Reason::CancelRequested),
        false => Settled { state, due_at: now.plus_ms(signed(delay_ms)), ..settled },
    };
    let tried = Settled { attempts: attempts.saturating_add(1), ..as_it_was };
    match change {
        Change::Attempt(attempt) => Some(match attempt.next {
            Next::Complete => tried.ended(DeliveryState::Delivered, None),
            Next::Retry { delay_ms, counted: counts } => {
                let tried = Settled { counted: counted.saturating_add(u32::from(counts)), ..tried };
                again(tried, DeliveryState::Retrying, delay_ms)
            }
            Next::Dead(_) if superseded => again(tried, DeliveryState::Retrying, 0),
            Next::Dead(reason) => tried.ended_for(reason),
            Next::Expire => tried.ended_for(Reason::TtlEnded),
        }),
        // Nothing is open at its end, and nothing is delivered without an attempt.
        Change::End(end) if end.state.is_open() || end.state == DeliveryState::Delivered => None,
        Change::End(end) => Some(as_it_was.ended(end.state, Some(end.reason))),
        Change::Postpone { delay_ms } => Some(again(as_it_was, state, *delay_ms)),
    }
}

/// Whether an attempt killed the delivery for an address that its device no longer has.
fn superseded(delivery: &Delivery, change: &Change) -> bool {
    let Change::Attempt(attempt) = change else { return false };
    let for_its_address = matches!(
        attempt.next,
        Next::Dead(Reason::Unregistered | Reason::SenderMismatch | Reason::MalformedTarget)
    );
    match &delivery.to {
        To::Device(Some(device)) => for_its_address && device.target != attempt.target,
        To::Device(None) | To::Literal(_) | To::NoDevice => false,
    }
}

/// The attempt that delivers at once and is kept in the delivery's own row, which has no room for a code.
fn first_success<'a>(delivery: &Delivery, change: &'a Change) -> Option<&'a AttemptRecord> {
    match change {
        Change::Attempt(attempt) => Some(attempt).filter(|attempt| {
            delivery.attempts == 0
                && attempt.next == Next::Complete
                && attempt.report.outcome == Outcome::Delivered
                && attempt.report.code.is_none()
        }),
        Change::End(_) | Change::Postpone { .. } => None,
    }
}

/// Writes a settled delivery, on the route that its device has now if it comes back. Answers whether its epoch let it.
fn write(tx: &Tx<'_>, delivery: &mut Delivery, first: Option<&AttemptRecord>) -> Result<bool> {
    let open = delivery.state.is_open();
    if open && let Some(route) = delivery.route_now(tx)? {
        delivery.route = Some(tx.routes.number(tx.connection, &route)?);
    }
    let finished_at = if open { None } else { Some(tx.now.as_ms()) };
    let values = params![
        delivery.id.as_bytes(),
        state_code(delivery.state),
        delivery.reason.map(Reason::as_str),
        delivery.route,
        delivery.due_at.as_ms(),
        delivery.epoch.0,
        delivery.attempts,
        delivery.counted,
        finished_at,
        first.map(|first| began_at(first, tx.now)),
        first.map(|first| signed(first.latency_ms)),
        first.map(|first| first.report.status),
        first.map(|first| first.report.detail.as_deref()),
    ];
    Ok(tx.run("record", SETTLE, values)? > 0)
}

fn keep_attempt(tx: &Tx<'_>, delivery: &Delivery, attempt: &AttemptRecord) -> Result<()> {
    let report = &attempt.report;
    let values = params![
        delivery.id.as_bytes(),
        delivery.attempts,
        began_at(attempt, tx.now),
        report.outcome.kind().as_str(),
        report.status,
        report.code,
        report.detail,
        signed(attempt.latency_ms),
    ];
    tx.run("record", ATTEMPT, values).map(drop)
}

/// Marks the device of a delivery, if the address that was sent to is still its own.
fn mark(tx: &Tx<'_>, delivery: &Delivery, attempt: &AttemptRecord) -> Result<()> {
    let (To::Device(Some(device)), Some(kind)) = (&delivery.to, attempt.mark) else { return Ok(()) };
    if device.target != attempt.target {
        return Ok(());
    }
    let reason = attempt.report.code.as_deref().unwrap_or_else(|| attempt.report.outcome.kind().as_str());
    let (address_kind, address) = (crate::rows::target_code(&device.target), device.target.address());
    let values = params![
        delivery.id.as_bytes(),
        MarkKind::as_str(kind),
        reason,
        tx.now.as_ms(),
        address_kind,
        address
    ];
    tx.run("record", MARK, values).map(drop)
}

fn began_at(attempt: &AttemptRecord, now: Timestamp) -> i64 {
    now.plus_ms(-signed(attempt.began_ms_ago)).as_ms()
}

fn record_fan_out(tx: &Tx<'_>, id: NotificationId, settlement: &Settlement) -> Result<Recorded> {
    let Some(mut fan_out) = FanOut::read(tx, id)? else { return Ok(UNKNOWN) };
    let Settlement { lease, change } = settlement;
    let fits = fan_out.state.is_open() && fan_out.admits(lease.epoch);
    let settled = fits.then(|| fan_out_settled(&fan_out, change, tx.now)).flatten();
    let Some((state, due_at, failures)) = settled else {
        return Ok(Recorded { taken: Taken::Refused, then: fan_out.then(tx.now) });
    };
    let code = notification_state_code(state);
    let reason = if let Change::End(end) = change { death(state, end.reason) } else { None };
    let finished_at = if state.is_open() { None } else { Some(tx.now.as_ms()) };
    let values = params![id.as_bytes(), code, due_at.as_ms(), failures, lease.epoch.0, reason, finished_at];
    let taken = if tx.run("record", SETTLE_FAN_OUT, values)? > 0 {
        (fan_out.state, fan_out.due_at) = (state, due_at);
        Taken::Recorded
    } else {
        Taken::Refused
    };
    Ok(Recorded { taken, then: fan_out.then(tx.now) })
}

/// What becomes of an open fan-out by this change: its state, when it is due, how often it has failed.
fn fan_out_settled(
    fan_out: &FanOut,
    change: &Change,
    now: Timestamp,
) -> Option<(NotificationState, Timestamp, u32)> {
    let ended = |state| Some((state, fan_out.due_at, fan_out.failures));
    match change {
        Change::Attempt(_) => None,
        Change::Postpone { .. } if fan_out.cancel_requested => ended(NotificationState::Cancelled),
        Change::Postpone { delay_ms } => {
            Some((fan_out.state, now.plus_ms(signed(*delay_ms)), fan_out.failures.saturating_add(1)))
        }
        Change::End(end) => match end.state {
            DeliveryState::Dead => ended(NotificationState::Dead),
            DeliveryState::Expired => ended(NotificationState::Expired),
            DeliveryState::Cancelled => ended(NotificationState::Cancelled),
            DeliveryState::Scheduled
            | DeliveryState::Retrying
            | DeliveryState::Delivered
            | DeliveryState::Undeliverable => None,
        },
    }
}
