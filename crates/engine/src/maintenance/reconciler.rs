//! The reconciler: holds the queue against the store. What the store knows as open and the queue does not hold is put
//! back, idempotently by id. Over one database there is nothing to do.

use std::sync::Arc;
use std::time::Duration;

use pabal_core::seam::Scan;

use crate::shared::{Phase, Shared};

/// Reconciles until the engine drains. Starts from the oldest: another process may have left gaps.
pub(crate) async fn run(shared: Arc<Shared>) {
    let every = Duration::from_millis(shared.config.reconcile_every_ms);
    let mut scan = Scan::default();
    loop {
        let mut rebuilding = false;
        match shared.ledger.reconcile(scan.clone(), shared.config.reconcile_batch_max).await {
            Ok(step) => {
                shared.metrics.repaired(step.repaired);
                if step.repaired > 0 {
                    tracing::warn!(
                        repaired = step.repaired,
                        "items were missing in the queue and were put back"
                    );
                }
                shared.wakes.wake_all(&step.waiting);
                rebuilding = step.rebuilding;
                scan = step.scan;
            }
            Err(error) => {
                tracing::warn!(%error, "the queue could not be held against the store; it is tried again")
            }
        }
        if rebuilding && shared.phase() == Phase::Running {
            continue;
        }
        tokio::select! {
            biased;
            () = shared.reached(Phase::Draining) => return,
            () = tokio::time::sleep(every) => {}
        }
    }
}
