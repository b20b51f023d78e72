//! `GET /v1/notifications`: those of an app, newest first, without their deliveries.

use std::io::{self, Write};

use axum::extract::{RawQuery, State};
use axum::response::Json;
use pabal_core::ids::{AppId, NotificationId};
use pabal_core::seam::store::NotificationFilter;

use super::view::{NotificationsBody, SummaryBody};
use crate::api::problem::Problem;
use crate::api::query::{Page, Query};
use crate::api::{Api, Shared};
use crate::auth::{Granted, Reads};
use crate::limits;

pub(super) async fn list(
    caller: Granted<Reads>,
    State(api): State<Shared>,
    RawQuery(query): RawQuery,
) -> Result<Json<NotificationsBody>, Problem> {
    let mut query = Query::parse(query.as_deref());
    let filter = NotificationFilter {
        state: query.take("state")?,
        since: query.take_time("since")?,
        until: query.take_time("until")?,
    };
    let page = query.take_page("notifications", caller.app)?;
    query.finish()?;
    let (notifications, next) = fill(&api, caller.app, &filter, &page).await?;
    Ok(Json(NotificationsBody { notifications, next_cursor: page.next_cursor(next) }))
}

/// Reads a page step by step, because a notification may name a thousand users and say a lot: the page ends where it
/// has its items, where the store has looked at enough, and where it would become too large.
async fn fill(
    api: &Api,
    app: AppId,
    filter: &NotificationFilter,
    page: &Page<NotificationId>,
) -> Result<(Vec<SummaryBody>, Option<NotificationId>), Problem> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    let mut before = page.from;
    loop {
        let step = (page.max - found.len()).min(limits::PAGE_STEP_ITEMS);
        let listed = api.store.list_notifications(app, filter, before, step).await?;
        let is_full_step = listed.items.len() == step;
        for view in listed.items {
            let summary = SummaryBody::from(view);
            bytes += written_bytes(&summary);
            if bytes > limits::PAGE_BYTES_MAX && !found.is_empty() {
                return Ok((found, before));
            }
            before = Some(summary.id());
            found.push(summary);
        }
        before = listed.next;
        if before.is_none() || found.len() == page.max || !is_full_step {
            return Ok((found, before));
        }
    }
}

/// How long something is as JSON.
fn written_bytes(summary: &SummaryBody) -> usize {
    struct Counter(usize);

    impl Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut counter = Counter(0);
    // A counter takes everything; what could not be written would not be answered either.
    serde_json::to_writer(&mut counter, summary).map_or(limits::PAGE_BYTES_MAX, |()| counter.0)
}
