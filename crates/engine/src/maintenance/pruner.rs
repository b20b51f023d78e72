//! The pruner: forgets what ended long ago, and, where the store has grown beyond its size, what ended first. What is
//! still open is never touched; that is the store's promise ([`Retention::prune`](pabal_core::seam::Retention::prune)).
//!
//! ```text
//!   round ──► by age, from the oldest to the end ──► over its size? ──► ended of any age ──► dead of any age ──► wait
//! ```

use std::sync::Arc;
use std::time::Duration;

use pabal_core::Result;
use pabal_core::ids::NotificationId;
use pabal_core::seam::store::{Prune, Pruned};

use crate::shared::{Phase, Shared};

/// Rows that one step removes: a step is one write, and nobody's settle should wait long for it.
const STEP_ROWS_MAX: usize = 1000;
/// How long the store is left to others between two steps.
const STEP_PAUSE: Duration = Duration::from_millis(20);

/// Prunes until the engine drains.
pub(crate) async fn run(shared: Arc<Shared>) {
    let every = Duration::from_millis(shared.config.prune_every_ms);
    loop {
        if let Err(error) = round(&shared).await {
            tracing::warn!(%error, "what ended long ago could not be forgotten; it is tried again");
        }
        if rest(&shared, every).await {
            return;
        }
    }
}

/// Waits. Answers whether the engine drains.
async fn rest(shared: &Shared, pause: Duration) -> bool {
    tokio::select! {
        biased;
        () = shared.reached(Phase::Draining) => true,
        () = tokio::time::sleep(pause) => false,
    }
}

async fn round(shared: &Shared) -> Result<()> {
    let keep = &shared.config.retention;
    let mut sum = prune(shared, keep.ended_ms, keep.dead_ms, u64::MAX).await?;
    if let Some(bytes_max) = keep.size_bytes_max {
        for dead_ms in [keep.dead_ms, 0] {
            if shared.retention.size().await?.used_bytes > bytes_max {
                let early = prune(shared, 0, dead_ms, bytes_max).await?;
                if early.deliveries > 0 {
                    tracing::warn!(
                        notifications = early.notifications,
                        deliveries = early.deliveries,
                        "the store is bigger than retention.size_max_mb: what ended first was forgotten early"
                    );
                }
                sum.notifications += early.notifications;
                sum.deliveries += early.deliveries;
            }
        }
    }
    if sum.notifications + sum.deliveries > 0 {
        tracing::info!(notifications = sum.notifications, deliveries = sum.deliveries, "pruned");
    }
    Ok(())
}

/// Prunes from the oldest on, to the end or, below `u64::MAX`, until the store is no bigger than `bytes_max`.
async fn prune(shared: &Shared, ended_ms_ago: u64, dead_ms_ago: u64, bytes_max: u64) -> Result<Pruned> {
    let mut sum = Pruned::default();
    let mut after: Option<NotificationId> = None;
    loop {
        let step = Prune { ended_ms_ago, dead_ms_ago, after, rows_max: STEP_ROWS_MAX };
        let step = shared.retention.prune(&step).await?;
        shared.metrics.pruned(&step);
        sum.notifications += step.notifications;
        sum.deliveries += step.deliveries;
        after = step.next;
        let small_enough = bytes_max < u64::MAX && shared.retention.size().await?.used_bytes <= bytes_max;
        if after.is_none() || small_enough || rest(shared, STEP_PAUSE).await {
            return Ok(sum);
        }
    }
}
