//! Fan-out: pages a notification into deliveries. Each page and the cursor behind it are one commit, fenced by the
//! lease's epoch, so a crash goes on where the last page ended and a stale worker adds nothing.

use std::sync::Arc;
use std::time::Duration;

use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::limits;
use pabal_core::seam::{Change, EndAs, FanOutContent, Lease, Page, Paged, Settlement};
use pabal_core::{Error, Result};
use tokio::time::Instant;

use crate::permits::Permit;
use crate::settler::Outcome;
use crate::shared::{Phase, Shared};

/// A leased fan-out with the permit to page it.
pub(crate) struct FanOut {
    pub(crate) lease: Lease,
    pub(crate) content: FanOutContent,
    pub(crate) permit: Permit,
    /// When the lease ends at the latest, by this process's clock.
    pub(crate) lease_ends: Instant,
}

/// How paging ended.
enum End {
    /// The last page is made, or somebody else goes on: the page gave the lease back.
    Finished,
    /// The engine stops, or lets suspects run apart: go on later.
    Stopped(Lease),
    /// It failed: go on after a while.
    Failed(Lease, Error),
}

/// Pages until the end, and hands the lease back where no page did.
pub(crate) async fn run(shared: Arc<Shared>, fan_out: FanOut) {
    let FanOut { lease, content, permit, lease_ends } = fan_out;
    if lease.abandoned >= limits::ABANDONED_MAX {
        let end = EndAs { state: DeliveryState::Dead, reason: Reason::Abandoned };
        let settlement = Settlement { lease, change: Change::End(end) };
        return shared.settler.hand_over(Outcome::Settle(Box::new(settlement)), permit);
    }
    match page_on(&shared, lease, &content, lease_ends).await {
        End::Finished => drop(permit),
        End::Stopped(lease) => shared.settler.hand_over(Outcome::Release(lease), permit),
        End::Failed(lease, error) => {
            let failures = content.failures.saturating_add(1);
            let delay_ms = shared.config.retry_default.backoff.delay_ms(failures, 0, shared.chance.unit());
            tracing::warn!(%error, notification = %content.notification, delay_ms, "a fan-out failed and goes on later");
            let settlement = Settlement { lease, change: Change::Postpone { delay_ms } };
            shared.settler.hand_over(Outcome::Settle(Box::new(settlement)), permit);
        }
    }
}

async fn page_on(shared: &Shared, mut lease: Lease, content: &FanOutContent, mut lease_ends: Instant) -> End {
    let mut from = content.cursor.clone();
    loop {
        // A suspect is what the others make way for.
        let makes_way = shared.is_quiet() && lease.abandoned < limits::SUSPECT_AFTER;
        if shared.phase() != Phase::Running || makes_way || !shared.health.is_good() {
            return End::Stopped(lease);
        }
        match extended(shared, &lease, lease_ends).await {
            Ok(None) => {}
            Ok(Some((longer, ends))) => (lease, lease_ends) = (longer, ends),
            Err(error) => return End::Failed(lease, error),
        }
        let page = Page { lease: lease.clone(), from, users_max: limits::FAN_OUT_PAGE_USERS };
        match shared.ledger.page(page).await {
            Ok(Paged::Made { cursor, last, waiting }) => {
                shared.wakes.wake_all(&waiting);
                if last {
                    return End::Finished;
                }
                from = cursor;
            }
            Ok(Paged::Refused) => return End::Finished,
            Err(error) => return End::Failed(lease, error),
        }
    }
}

/// Lets the lease last longer once half of it is gone. A lost lease is left to the page, which will be refused.
async fn extended(shared: &Shared, lease: &Lease, lease_ends: Instant) -> Result<Option<(Lease, Instant)>> {
    let visibility = Duration::from_millis(shared.config.visibility_ms);
    let now = Instant::now();
    if lease_ends.saturating_duration_since(now) > visibility / 2 {
        return Ok(None);
    }
    let longer = shared.ledger.extend(vec![lease.clone()], shared.config.visibility_ms).await?;
    Ok(longer.into_iter().next().flatten().map(|lease| (lease, now + visibility)))
}
