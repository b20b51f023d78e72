//! How long what has ended is kept. What is still open is never touched.

use async_trait::async_trait;

use crate::error::Result;
use crate::ids::NotificationId;

/// A request to prune.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prune {
    /// A notification goes, with all its deliveries, when the last of them, and its fan-out, ended this long ago…
    pub ended_ms_ago: u64,
    /// …and where one of them is dead, or the fan-out is, only when it ended this long ago.
    pub dead_ms_ago: u64,
    /// After which notification to begin.
    pub after: Option<NotificationId>,
    /// How many rows one step removes at most; it looks at [`crate::limits::LIST_SCAN_MAX`] at most.
    pub rows_max: usize,
}

/// What a step of pruning removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Notifications.
    pub notifications: u64,
    /// Deliveries.
    pub deliveries: u64,
    /// Where the next step begins; `None` when everything was looked at.
    pub next: Option<NotificationId>,
}

/// How big a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreSize {
    /// Bytes in use: what is free within a file doesn't count.
    pub used_bytes: u64,
    /// Bytes that the disk still has, where the store can tell.
    pub disk_free_bytes: Option<u64>,
}

/// Keeping a store small.
#[async_trait]
pub trait Retention: Send + Sync {
    /// One step of pruning, oldest notifications first; also forgets redrive jobs that ended as long ago, and at least
    /// [`crate::limits::REDRIVE_KEPT_MS`]. Counters follow
    /// what is removed. A notification whose deliveries don't fit into one step loses them over several.
    async fn prune(&self, prune: &Prune) -> Result<Pruned>;

    /// How big the store is.
    async fn size(&self) -> Result<StoreSize>;
}
