//! Dead letters: dead deliveries, and notifications whose fan-out is dead. One walk finds them for whoever lists, counts,
//! reopens or purges them: upwards deliveries come first and then fan-outs, downwards they are merged by their ids.
//!
//! A walk goes along the narrowest index that its filter allows and looks at what the filter leaves out too; so it is
//! bounded by the rows that it looks at, and says where it stopped.

mod list;
pub(crate) mod redrives;

pub(crate) use list::list_dead;
pub(crate) use redrives::{
    advance_redrive, count, list_redrives, put_redrive, redrive, running_redrives, stop_redrive,
};

use pabal_core::Result;
use pabal_core::clock::Timestamp;
use pabal_core::delivery::Reason;
use pabal_core::ids::{AppId, DeliveryId, ItemId, NotificationId};
use pabal_core::route::ChannelKind;
use pabal_core::seam::DeadFilter;
use rusqlite::{Connection, Row, named_params};

use crate::walk::{Bounds, Ids, Walked, walk};

/// The deliveries between two ids, and of each whether it is dead and wanted. The id is that of the table which is walked.
macro_rules! dead_deliveries {
    ($id:literal, $from:literal, $which:literal, $order:literal) => {
        concat!(
            "SELECT ",
            $id,
            ", (s.state = 3 AND d.app = :app
                AND (:reason IS NULL OR s.reason = :reason)
                AND (:channel IS NULL OR EXISTS (SELECT 1 FROM routes r WHERE r.route = s.route AND r.name GLOB :channel))
                AND (:user IS NULL OR d.user = :user)
                AND (:notification IS NULL OR d.notification = :notification)
                AND (:delivery IS NULL OR d.id = :delivery)
                AND (:since IS NULL OR s.finished_at >= :since)
                AND (:until IS NULL OR s.finished_at < :until)) IS TRUE
            FROM ",
            $from,
            " WHERE ",
            $which,
            " AND ",
            $id,
            " > :from AND ",
            $id,
            " < :below ORDER BY ",
            $id,
            $order
        )
    };
}

/// The same statement upwards and downwards.
macro_rules! both_ways {
    ($statement:ident, $($part:literal),+) => {
        [$statement!($($part),+, " ASC"), $statement!($($part),+, " DESC")]
    };
}

/// Statements by their direction: upwards, downwards.
type BothWays = [&'static str; 2];

pub(crate) const ONE: BothWays = both_ways!(
    dead_deliveries,
    "d.id",
    "deliveries d CROSS JOIN delivery_states s ON s.id = d.id",
    "d.id = :delivery"
);
pub(crate) const OF_NOTIFICATION: BothWays = both_ways!(
    dead_deliveries,
    "d.id",
    "deliveries d INDEXED BY deliveries_of_notification CROSS JOIN delivery_states s ON s.id = d.id",
    "d.notification = :notification"
);
pub(crate) const OF_USER: BothWays = both_ways!(
    dead_deliveries,
    "d.id",
    "deliveries d INDEXED BY deliveries_of_user CROSS JOIN delivery_states s ON s.id = d.id",
    "d.app = :app AND d.user = :user"
);
pub(crate) const OF_APP_DELIVERIES: BothWays = both_ways!(
    dead_deliveries,
    "s.id",
    "delivery_states s INDEXED BY delivery_states_dead CROSS JOIN deliveries d ON d.id = s.id",
    "s.state = 3"
);

/// The fan-outs between two ids, and of each whether it is dead and wanted.
macro_rules! dead_fan_outs {
    ($from:literal, $which:literal, $order:literal) => {
        concat!(
            "SELECT n.id, (n.state = 5 AND m.app = :app
                AND (:reason IS NULL OR n.reason = :reason)
                AND (:notification IS NULL OR n.id = :notification)
                AND (:since IS NULL OR n.finished_at >= :since)
                AND (:until IS NULL OR n.finished_at < :until)) IS TRUE
            FROM ",
            $from,
            " WHERE ",
            $which,
            " AND n.id > :from AND n.id < :below ORDER BY n.id",
            $order
        )
    };
}

pub(crate) const ONE_FAN_OUT: BothWays = both_ways!(
    dead_fan_outs,
    "notification_states n CROSS JOIN notifications m ON m.id = n.id",
    "n.id = :notification"
);
pub(crate) const OF_APP_FAN_OUTS: BothWays = both_ways!(
    dead_fan_outs,
    "notification_states n INDEXED BY notification_states_dead CROSS JOIN notifications m ON m.id = n.id",
    "n.state = 5"
);

const UP: usize = 0;
const DOWN: usize = 1;

/// Which dead letters.
pub(crate) struct Dead<'a> {
    pub(crate) app: AppId,
    pub(crate) filter: &'a DeadFilter,
}

impl Dead<'_> {
    /// What a step is to reopen or purge, at most `max`.
    pub(crate) fn to_do(
        &self,
        connection: &Connection,
        after: Option<ItemId>,
        max: usize,
    ) -> Result<Walked<ItemId>> {
        self.after(connection, after, Bounds::of_page(max.max(1)))
    }

    /// Upwards after an item: deliveries first, then fan-outs.
    pub(crate) fn after(
        &self,
        connection: &Connection,
        after: Option<ItemId>,
        bounds: Bounds,
    ) -> Result<Walked<ItemId>> {
        let above = |id: &[u8; 16]| Ids { from: id.to_vec(), ..Ids::made(None, None) };
        let mut walked = match &after {
            Some(ItemId::FanOut(id)) => return self.fan_outs(connection, UP, &above(id.as_bytes()), bounds),
            Some(ItemId::Delivery(id)) => self.deliveries(connection, UP, &above(id.as_bytes()), bounds)?,
            None => self.deliveries(connection, UP, &Ids::made(None, None), bounds)?,
        };
        if walked.next.is_some() || !self.filter.finds_fan_outs() {
            return Ok(walked);
        }
        let left = bounds.after(&walked);
        if left.is_spent() {
            // Whether fan-outs follow is the next step's to find out.
            walked.next = walked.last.or(after);
            return Ok(walked);
        }
        let fan_outs = self.fan_outs(connection, UP, &Ids::made(None, None), left)?;
        walked.found.extend(fan_outs.found);
        walked.looked += fan_outs.looked;
        walked.last = fan_outs.last.or(walked.last);
        walked.next = fan_outs.next;
        Ok(walked)
    }

    /// Downwards below an item, both kinds in one order. Each kind may look at half of the rows where both are wanted.
    pub(crate) fn before(
        &self,
        connection: &Connection,
        before: Option<ItemId>,
        max: usize,
    ) -> Result<(Vec<ItemId>, Option<ItemId>)> {
        let ids = Ids::made(None, None).before(before.as_ref().map(ItemId::as_bytes));
        let mut bounds = Bounds::of_page(max.max(1));
        if !self.filter.finds_fan_outs() {
            let walked = self.deliveries(connection, DOWN, &ids, bounds)?;
            return Ok((walked.found, walked.next));
        }
        bounds.looks /= 2;
        let deliveries = self.deliveries(connection, DOWN, &ids, bounds)?;
        let fan_outs = self.fan_outs(connection, DOWN, &ids, bounds)?;
        Ok(merged(deliveries, fan_outs, bounds.max))
    }

    fn deliveries(
        &self,
        connection: &Connection,
        way: usize,
        ids: &Ids,
        bounds: Bounds,
    ) -> Result<Walked<ItemId>> {
        let DeadFilter { reason, channel, user, notification, delivery, since, until } = self.filter;
        let statement = match (delivery, notification, user) {
            (Some(_), _, _) => ONE,
            (None, Some(_), _) => OF_NOTIFICATION,
            (None, None, Some(_)) => OF_USER,
            (None, None, None) => OF_APP_DELIVERIES,
        };
        let values = named_params! {
            ":app": self.app.0,
            ":reason": reason.map(Reason::as_str),
            ":channel": channel.map(routes_of),
            ":user": user.as_ref().map(|user| user.as_str()),
            ":notification": notification.as_ref().map(NotificationId::as_bytes),
            ":delivery": delivery.as_ref().map(DeliveryId::as_bytes),
            ":since": since.map(Timestamp::as_ms),
            ":until": until.map(Timestamp::as_ms),
            ":from": ids.from,
            ":below": ids.below,
        };
        let read = |row: &Row<'_>| Ok((ItemId::Delivery(DeliveryId::from_bytes(row.get(0)?)), row.get(1)?));
        walk(connection, "dead_letters", (statement[way], values), bounds, read)
    }

    fn fan_outs(
        &self,
        connection: &Connection,
        way: usize,
        ids: &Ids,
        bounds: Bounds,
    ) -> Result<Walked<ItemId>> {
        if !self.filter.finds_fan_outs() {
            return Ok(Walked::nothing());
        }
        let DeadFilter { reason, notification, since, until, .. } = self.filter;
        let statement = if notification.is_some() { ONE_FAN_OUT } else { OF_APP_FAN_OUTS };
        let values = named_params! {
            ":app": self.app.0,
            ":reason": reason.map(Reason::as_str),
            ":notification": notification.as_ref().map(NotificationId::as_bytes),
            ":since": since.map(Timestamp::as_ms),
            ":until": until.map(Timestamp::as_ms),
            ":from": ids.from,
            ":below": ids.below,
        };
        let read = |row: &Row<'_>| Ok((ItemId::FanOut(NotificationId::from_bytes(row.get(0)?)), row.get(1)?));
        walk(connection, "dead_letters", (statement[way], values), bounds, read)
    }
}

/// The names of a channel's routes, as a pattern: lane, channel, credential, platform, none of which holds a slash.
pub(crate) fn routes_of(channel: ChannelKind) -> String {
    format!("*/{channel}/*/*")
}

/// Two walks downwards as one. Below the place where either stopped nothing is known of it: that is the next page's.
fn merged(deliveries: Walked<ItemId>, fan_outs: Walked<ItemId>, max: usize) -> (Vec<ItemId>, Option<ItemId>) {
    let key = |id: &ItemId| *id.as_bytes();
    let mut next = [deliveries.next, fan_outs.next].into_iter().flatten().max_by_key(key);
    let mut found = deliveries.found;
    found.extend(fan_outs.found);
    found.retain(|id| next.is_none_or(|next| id.as_bytes() >= next.as_bytes()));
    found.sort_unstable_by_key(|id| std::cmp::Reverse(key(id)));
    if found.len() > max {
        found.truncate(max);
        next = found.last().copied();
    }
    (found, next)
}

#[cfg(test)]
mod tests;
