//! The expirer: ends open work whose time to live is over, also on held routes that nobody claims.

use std::sync::Arc;
use std::time::Duration;

use pabal_core::delivery::Reason;
use pabal_core::seam::Selection;

use crate::shared::{Phase, Shared};

/// Items that one step ends.
const STEP_MAX: usize = 500;

/// Expires until the engine drains.
pub(crate) async fn run(shared: Arc<Shared>) {
    let every = Duration::from_millis(shared.config.expire_every_ms);
    let mut after = None;
    loop {
        match shared.ledger.end(Selection::PastExpiry, Reason::TtlEnded, after, STEP_MAX).await {
            Ok(step) => {
                shared.metrics.ended_waiting(Reason::TtlEnded, step.ended);
                if step.ended > 0 {
                    tracing::info!(ended = step.ended, "expired");
                }
                after = step.next;
            }
            Err(error) => {
                tracing::warn!(%error, "what is past its expiry could not be ended; it is tried again");
                after = None;
            }
        }
        if after.is_some() && shared.phase() == Phase::Running {
            continue;
        }
        tokio::select! {
            biased;
            () = shared.reached(Phase::Draining) => return,
            () = tokio::time::sleep(every) => {}
        }
    }
}
