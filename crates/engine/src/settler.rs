//! The settler: gathers what came of attempts and writes it in batches. No linger: a batch is what has come in while
//! the one before was being written.
//!
//! A store that fails loses nothing: the batch is kept and tried again, and the permits that it holds keep new
//! attempts from beginning. A settlement that the store refuses by itself, while others pass, is dropped loudly: its
//! lease ends, and another claim follows.

use std::sync::Arc;
use std::time::Duration;

use pabal_core::seam::{Lease, SettledItem, Settlement};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::permits::Permit;
use crate::shared::Shared;

/// The first and the longest pause between two tries of a failed batch.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LONGEST: Duration = Duration::from_secs(2);

/// Where attempts hand over what came of them. Bounded by the permits that each entry carries.
#[derive(Clone)]
pub(crate) struct SettlerHandle(mpsc::UnboundedSender<Entry>);

/// What came of one lease.
pub(crate) enum Outcome {
    /// It is to be recorded.
    Settle(Box<Settlement>),
    /// It goes back unused.
    Release(Lease),
}

struct Entry {
    outcome: Outcome,
    permit: Permit,
}

impl SettlerHandle {
    /// Hands over an outcome with the permit that is given back once it is written.
    pub(crate) fn hand_over(&self, outcome: Outcome, permit: Permit) {
        if self.0.send(Entry { outcome, permit }).is_err() {
            tracing::warn!("an outcome came after the settler had stopped; its lease will end");
        }
    }
}

/// The receiving end, which [`run`] works on.
pub(crate) struct Inbox(mpsc::UnboundedReceiver<Entry>);

/// Both ends.
pub(crate) fn channel() -> (SettlerHandle, Inbox) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (SettlerHandle(sender), Inbox(receiver))
}

/// Settles until the task is ended.
pub(crate) async fn run(shared: Arc<Shared>, mut inbox: Inbox) {
    let mut entries = Vec::new();
    while inbox.0.recv_many(&mut entries, shared.config.settle_batch_max).await > 0 {
        let (mut settlements, mut leases, mut permits) = (Vec::new(), Vec::new(), Vec::new());
        for entry in entries.drain(..) {
            permits.push(entry.permit);
            match entry.outcome {
                Outcome::Settle(settlement) => settlements.push(*settlement),
                Outcome::Release(lease) => leases.push(lease),
            }
        }
        if !settlements.is_empty() {
            settle(&shared, settlements).await;
        }
        if !leases.is_empty() {
            release(&shared, leases).await;
        }
        // Only once nothing waits: the leases of what still does may have ended, and a claim would hand it out again.
        if inbox.0.is_empty() {
            shared.health.settle_fails(false);
        }
        drop(permits);
    }
}

async fn settle(shared: &Shared, batch: Vec<Settlement>) {
    let mut pause = RETRY_FIRST;
    loop {
        let began = Instant::now();
        let settled = shared.ledger.settle(batch.clone()).await;
        shared.metrics.settled(&batch, began, &settled);
        let error = match settled {
            Ok(items) => return wake(shared, &items),
            Err(error) => error,
        };
        if !error.is_temporary() && batch.len() > 1 {
            tracing::error!(%error, items = batch.len(), "a batch can't be settled; settling item by item");
            return settle_singly(shared, batch).await;
        }
        if !error.is_temporary() {
            tracing::error!(%error, id = %batch[0].lease.id, "a settlement is refused; its lease will end");
            shared.metrics.lost();
            return;
        }
        shared.health.settle_fails(true);
        tracing::error!(%error, items = batch.len(), "the store takes no writes; outcomes are kept in memory");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_LONGEST);
    }
}

async fn settle_singly(shared: &Shared, batch: Vec<Settlement>) {
    for settlement in batch {
        Box::pin(settle(shared, vec![settlement])).await;
    }
}

/// Gives leases back unused. Like outcomes they are kept while the store is away: a lease that ended instead would count
/// as abandoned.
async fn release(shared: &Shared, leases: Vec<Lease>) {
    let mut pause = RETRY_FIRST;
    while let Err(error) = shared.ledger.release(leases.clone()).await {
        if !error.is_temporary() {
            tracing::error!(%error, leases = leases.len(), "leases can't be released; they will end");
            break;
        }
        shared.health.settle_fails(true);
        tracing::warn!(%error, leases = leases.len(), "leases are not released yet");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_LONGEST);
    }
    for lease in &leases {
        shared.wakes.wake(&lease.route, 0);
    }
}

fn wake(shared: &Shared, items: &[SettledItem]) {
    shared.wakes.wake_all(items.iter().filter_map(|item| item.waiting.as_ref()));
}
