//! How many deliveries are in which state: per notification, and per app and reason. Counters are what keeps stats,
//! metrics and the API from scanning; they are collected while a call works and moved once at its end, because many
//! deliveries of one call belong to the same few rows.

use std::collections::BTreeMap;

use pabal_core::Result;
use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::ids::{AppId, NotificationId};
use rusqlite::params;

use crate::rows::state_code;
use crate::tx::Tx;

pub(super) const MOVE_NOTIFICATION: &str = "
    UPDATE notification_states SET scheduled = scheduled + ?2, retrying = retrying + ?3,
        delivered = delivered + ?4, dead = dead + ?5, expired = expired + ?6, cancelled = cancelled + ?7,
        undeliverable = undeliverable + ?8, ended_at = ?9
    WHERE id = ?1";

/// What is removed ends nothing, and may have been what ended last.
pub(super) const THIN_NOTIFICATION: &str = "
    UPDATE notification_states SET scheduled = scheduled + ?2, retrying = retrying + ?3,
        delivered = delivered + ?4, dead = dead + ?5, expired = expired + ?6, cancelled = cancelled + ?7,
        undeliverable = undeliverable + ?8, thinned = 1, ended_at = NULL
    WHERE id = ?1";

pub(super) const MOVE_TOTAL: &str = "
    INSERT INTO totals (app, state, reason, count) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (app, state, reason) DO UPDATE SET count = count + excluded.count";

/// A number for each state, in the order of [`DeliveryState::ALL`].
pub(super) type PerState = [i64; DeliveryState::ALL.len()];

/// What a delivery counts as: its state, and why where it ended otherwise than delivered.
pub(super) type Counted = (DeliveryState, Option<Reason>);

/// What is yet to be added to the counters.
#[derive(Default)]
pub(super) struct Moves {
    notifications: BTreeMap<NotificationId, PerState>,
    /// Of notifications that lose deliveries.
    thinned: BTreeMap<NotificationId, PerState>,
    totals: BTreeMap<(AppId, Counted), i64>,
}

/// Runs a call and then moves the counters as it asked.
pub(super) fn counting<T>(tx: &Tx<'_>, run: impl FnOnce(&mut Moves) -> Result<T>) -> Result<T> {
    let mut moves = Moves::default();
    let value = run(&mut moves)?;
    moves.write(tx)?;
    Ok(value)
}

impl Moves {
    /// A delivery is new.
    pub(super) fn made(&mut self, app: AppId, notification: NotificationId, counted: Counted) {
        self.add(app, notification, counted, 1);
    }

    /// A delivery is no more.
    pub(super) fn removed(&mut self, app: AppId, notification: NotificationId, counted: Counted) {
        add_to(self.thinned.entry(notification).or_default(), counted, -1);
        *self.totals.entry((app, counted)).or_default() -= 1;
    }

    /// A delivery counts as something else now.
    pub(super) fn moved(&mut self, app: AppId, notification: NotificationId, from: Counted, to: Counted) {
        self.add(app, notification, from, -1);
        self.add(app, notification, to, 1);
    }

    /// Takes what a notification's own counters are to gain, for whoever writes its row anyway.
    pub(super) fn take(&mut self, notification: NotificationId) -> PerState {
        self.notifications.remove(&notification).unwrap_or_default()
    }

    fn add(&mut self, app: AppId, notification: NotificationId, counted: Counted, by: i64) {
        add_to(self.notifications.entry(notification).or_default(), counted, by);
        *self.totals.entry((app, counted)).or_default() += by;
    }

    fn write(&self, tx: &Tx<'_>) -> Result<()> {
        for (notification, by) in self.notifications.iter().filter(|(_, by)| **by != PerState::default()) {
            let [scheduled, retrying, delivered, dead, expired, cancelled, undeliverable] = by;
            let values = params![
                notification.as_bytes(),
                scheduled,
                retrying,
                delivered,
                dead,
                expired,
                cancelled,
                undeliverable,
                tx.now.as_ms()
            ];
            tx.run("count", MOVE_NOTIFICATION, values)?;
        }
        for (notification, by) in &self.thinned {
            let [scheduled, retrying, delivered, dead, expired, cancelled, undeliverable] = by;
            let values = params![
                notification.as_bytes(),
                scheduled,
                retrying,
                delivered,
                dead,
                expired,
                cancelled,
                undeliverable
            ];
            tx.run("count", THIN_NOTIFICATION, values)?;
        }
        for ((app, (state, reason)), by) in self.totals.iter().filter(|(_, by)| **by != 0) {
            let reason = reason.map_or("", Reason::as_str);
            tx.run("count", MOVE_TOTAL, params![app.0, state_code(*state), reason, by])?;
        }
        Ok(())
    }
}

fn add_to(per_state: &mut PerState, counted: Counted, by: i64) {
    if let Some(index) = DeliveryState::ALL.into_iter().position(|state| state == counted.0) {
        per_state[index] += by;
    }
}
