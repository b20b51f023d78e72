//! Lists of what happened, newest first. A page is found first, along the narrowest index that its filter allows, and read
//! then: what the filter leaves out costs a look at its narrow columns and no more.

use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::ids::{AppId, DeliveryId, NotificationId};
use pabal_core::seam::Listed;
use pabal_core::seam::store::{DeliveryFilter, DeliveryView, NotificationFilter, NotificationView};
use pabal_core::{Error, ErrorKind, Result};
use rusqlite::{Connection, Row, named_params, params};

use crate::dead::routes_of;
use crate::reads::at_one_moment;
use crate::rows::{notification_state_code, state_code};
use crate::walk::{Bounds, Ids, Walked, walk};

/// The notifications of an app between two ids, newest first, and of each whether it is wanted.
pub(crate) const NOTIFICATIONS: &str = "
    SELECT m.id, ?4 IS NULL OR n.state = ?4
    FROM notifications m INDEXED BY notifications_of_app CROSS JOIN notification_states n ON n.id = m.id
    WHERE m.app = ?1 AND m.id >= ?2 AND m.id < ?3 ORDER BY m.id DESC";

/// The deliveries between two ids, newest first, and of each whether it is wanted. The id is that of the table which is
/// walked.
macro_rules! deliveries {
    ($id:literal, $from:literal, $which:literal) => {
        concat!(
            "SELECT ",
            $id,
            ", (d.app = :app
                AND (:state IS NULL OR s.state = :state)
                AND (:reason IS NULL OR s.reason = :reason)
                AND (:channel IS NULL OR EXISTS (SELECT 1 FROM routes r WHERE r.route = s.route AND r.name GLOB :channel))
                AND (:user IS NULL OR d.user = :user)
                AND (:notification IS NULL OR d.notification = :notification)) IS TRUE
            FROM ",
            $from,
            " WHERE ",
            $which,
            " AND ",
            $id,
            " >= :from AND ",
            $id,
            " < :below ORDER BY ",
            $id,
            " DESC"
        )
    };
}

pub(crate) const BY_ID: &str =
    deliveries!("d.id", "deliveries d CROSS JOIN delivery_states s ON s.id = d.id", "TRUE");
pub(crate) const OF_NOTIFICATION: &str = deliveries!(
    "d.id",
    "deliveries d INDEXED BY deliveries_of_notification CROSS JOIN delivery_states s ON s.id = d.id",
    "d.notification = :notification"
);
pub(crate) const OF_USER: &str = deliveries!(
    "d.id",
    "deliveries d INDEXED BY deliveries_of_user CROSS JOIN delivery_states s ON s.id = d.id",
    "d.app = :app AND d.user = :user"
);
pub(crate) const DEAD: &str = deliveries!(
    "s.id",
    "delivery_states s INDEXED BY delivery_states_dead CROSS JOIN deliveries d ON d.id = s.id",
    "s.state = 3"
);

/// Notifications of an app, newest first, below the id `before`, at most `max`. What can't be read is left out.
pub(crate) fn list_notifications(
    connection: &Connection,
    app: AppId,
    filter: &NotificationFilter,
    before: Option<NotificationId>,
    max: usize,
) -> Result<Listed<NotificationView, NotificationId>> {
    let NotificationFilter { state, since, until } = *filter;
    let ids = Ids::made(since, until).before(before.as_ref().map(NotificationId::as_bytes));
    at_one_moment(connection, "list_notifications", || {
        let values = params![app.0, ids.from, ids.below, state.map(notification_state_code)];
        let read = |row: &Row<'_>| Ok((NotificationId::from_bytes(row.get(0)?), row.get(1)?));
        let bounds = Bounds::of_page(max.max(1));
        let walked = walk(connection, "list_notifications", (NOTIFICATIONS, values), bounds, read)?;
        listed(walked, |id| super::notification(connection, app, id))
    })
}

/// Deliveries of an app, newest first, below the id `before`, at most `max`. What can't be read is left out.
pub(crate) fn list_deliveries(
    connection: &Connection,
    app: AppId,
    filter: &DeliveryFilter,
    before: Option<DeliveryId>,
    max: usize,
) -> Result<Listed<DeliveryView, DeliveryId>> {
    let DeliveryFilter { user, notification, state, reason, channel, since, until } = filter;
    let ids = Ids::made(*since, *until).before(before.as_ref().map(DeliveryId::as_bytes));
    at_one_moment(connection, "list_deliveries", || {
        let values = named_params! {
            ":app": app.0,
            ":state": state.map(state_code),
            ":reason": reason.map(Reason::as_str),
            ":channel": channel.map(routes_of),
            ":user": user.as_ref().map(|user| user.as_str()),
            ":notification": notification.as_ref().map(NotificationId::as_bytes),
            ":from": ids.from,
            ":below": ids.below,
        };
        let read = |row: &Row<'_>| Ok((DeliveryId::from_bytes(row.get(0)?), row.get(1)?));
        let bounds = Bounds::of_page(max.max(1));
        let walked = walk(connection, "list_deliveries", (statement(filter), values), bounds, read)?;
        listed(walked, |id| super::delivery_view(connection, app, id))
    })
}

/// The one that looks at the fewest rows.
fn statement(filter: &DeliveryFilter) -> &'static str {
    let dead = filter.state == Some(DeliveryState::Dead)
        || filter.reason.is_some_and(|reason| reason.state() == DeliveryState::Dead);
    match (&filter.notification, &filter.user) {
        (Some(_), _) => OF_NOTIFICATION,
        (None, Some(_)) => OF_USER,
        (None, None) if dead => DEAD,
        (None, None) => BY_ID,
    }
}

fn listed<T, C: std::fmt::Display + Copy>(
    walked: Walked<C>,
    view: impl Fn(C) -> Result<Option<T>>,
) -> Result<Listed<T, C>> {
    let read = |id: C| match view(id) {
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            left_out(id, &error);
            Ok(None)
        }
        view => view,
    };
    let views: Result<Vec<Option<T>>> = walked.found.into_iter().map(read).collect();
    Ok(Listed { items: views?.into_iter().flatten().collect(), next: walked.next })
}

fn left_out(id: impl std::fmt::Display, error: &Error) {
    tracing::error!(%id, %error, "what is stored of it can't be read, and it is left out of a list");
}
