//! Bugs to be found: wrappers over seams that do what careless code would do. A simulator that misses them proves
//! nothing by finding none.
//!
//! A bug of a backend sits behind the gate, where the witness sees it as it would see the backend's own; a bug of the
//! engine's sits before it.

mod backend;
mod ledger;
pub(crate) mod upkeep;

use std::sync::Arc;

use clap::ValueEnum;
use pabal_core::chance::Chance;
use pabal_core::seam::{Ledger, Queue, Records};
use pabal_engine::Composite;

use self::backend::{BadQueue, BadRecords};
use self::ledger::BadLedger;

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Plant {
    /// A settlement is taken whatever its epoch: a worker that was overtaken ends somebody else's attempt.
    SettleWithoutEpoch,
    /// The queue is settled before the store has recorded.
    QueueBeforeStore,
    /// An accept answers before it has committed.
    AnswerBeforeCommit,
    /// Nobody holds the queue against the store.
    NoReconciler,
    /// A page of a fan-out answers with the cursor it began at.
    CursorGoesBack,
    /// A cancel takes leased work out of the queue, and calls it cancelled.
    CancelTakesLeased,
    /// The pruner ends what is open, and takes it.
    PruneTakesOpen,
    /// What is dead is pruned as early as what is not.
    PruneIsEarly,
    /// Nothing is ever pruned.
    NothingIsPruned,
    /// A purge removes all that is dead, whatever it was asked for.
    PurgeTakesAll,
    /// An erasure says after its first step that it is done.
    EraseStopsHalfway,
}

impl Plant {
    /// A queue behind the gate, with this bug if it is one of a queue.
    pub(crate) fn in_queue(self, queue: Arc<dyn Queue>) -> Arc<dyn Queue> {
        if matches!(self, Plant::SettleWithoutEpoch | Plant::CancelTakesLeased) {
            Arc::new(BadQueue::new(queue, self))
        } else {
            queue
        }
    }

    /// A store's records behind the gate, with this bug if it is one of a store.
    pub(crate) fn in_records(self, records: Arc<dyn Records>) -> Arc<dyn Records> {
        if matches!(self, Plant::SettleWithoutEpoch | Plant::CursorGoesBack) {
            Arc::new(BadRecords::new(records, self))
        } else {
            records
        }
    }

    /// A ledger that is queue and store at once behind the gate, with this bug if it is one that such a ledger can have.
    pub(crate) fn in_unified(self, ledger: Arc<dyn Ledger>) -> Arc<dyn Ledger> {
        if matches!(self, Plant::SettleWithoutEpoch | Plant::CursorGoesBack) {
            Arc::new(BadLedger::new(ledger, self))
        } else {
            ledger
        }
    }

    /// The composite ledger before the gate, with this bug if it is one of its own.
    pub(crate) fn in_composite(
        self,
        queue: Arc<dyn Queue>,
        records: Arc<dyn Records>,
        chance: Arc<dyn Chance>,
    ) -> Arc<dyn Ledger> {
        let composite = Arc::new(Composite::new(Arc::clone(&queue), Arc::clone(&records), chance));
        if matches!(self, Plant::QueueBeforeStore | Plant::NoReconciler) {
            Arc::new(BadLedger::new(composite, self).over(queue, records))
        } else {
            composite
        }
    }

    /// Any ledger before the gate, with this bug if it is one of any.
    pub(crate) fn in_ledger(self, ledger: Arc<dyn Ledger>) -> Arc<dyn Ledger> {
        if matches!(self, Plant::AnswerBeforeCommit) {
            Arc::new(BadLedger::new(ledger, self))
        } else {
            ledger
        }
    }
}
