//! The store's half of the ledger in SQL: the truth of notifications, deliveries and attempts.
//!
//! Each call is decided on rows that are read in the same transaction, and written there; nothing waits, and nothing
//! is scanned for counts: those are counters, moved once per call ([`counters`]). Who holds a lease, and what is due
//! when in the queue, is not known here.
//!
//! | file | what |
//! | --- | --- |
//! | `accept`, `keys`, `resolve` | notifications come in; their recipients become deliveries |
//! | `load`, `messages` | what a lease is about, and what of it is over by then |
//! | `record`, `page` | what came of a lease |
//! | `scan`, `past_expiry`, `end`, `reopen` | listing open work, ending it, opening dead work again |
//! | `remove`, `prune`, `erase` | purging dead work, forgetting what ended long ago, forgetting a person |
//! | `delivery`, `fan_out`, `counters` | the rows that all of these read and move |

mod accept;
mod counters;
mod delivery;
mod end;
mod erase;
mod fan_out;
mod keys;
mod load;
mod messages;
mod page;
mod past_expiry;
mod prune;
mod record;
mod remove;
mod reopen;
mod resolve;
mod scan;
#[cfg(test)]
mod tests;

pub(crate) use erase::{Place, Step as ErasureStep};
pub(crate) use prune::{find_ended, prune};
pub(crate) use remove::purge;
pub(crate) use reopen::reopen;

use async_trait::async_trait;
use pabal_core::Result;
use pabal_core::clock::Timestamp;
use pabal_core::delivery::Reason;
use pabal_core::ids::{AppId, ItemId, StoreId};
use pabal_core::seam::{
    Acceptance, Answer, Cursor, DeadFilter, Ending, Lease, Loaded, OpenItem, PageMade, QueueItem, Recorded,
    Records, Reopened, Selection, Settlement,
};

use crate::core::Core;
use crate::dead::Dead;
use crate::errors::corrupt;

const STORE_ID: &str = "SELECT id FROM store WHERE one = 1";

#[async_trait]
impl Records for Core {
    async fn store_id(&self) -> Result<StoreId> {
        let id = self.with(|tx| tx.first("store_id", STORE_ID, [], |row| row.get(0)))?;
        id.map(StoreId::from_bytes).ok_or_else(|| corrupt("store_id", "the store has no id"))
    }

    async fn accept(&self, batch: &[Acceptance]) -> Result<Vec<(Answer, Vec<QueueItem>)>> {
        self.with(|tx| accept::accept(tx, batch))
    }

    async fn load(&self, leases: &[Lease]) -> Result<Vec<Loaded>> {
        self.with(|tx| load::load(tx, leases))
    }

    async fn record(&self, batch: &[Settlement]) -> Result<Vec<Recorded>> {
        self.with(|tx| record::record(tx, batch))
    }

    async fn page(&self, lease: &Lease, from: &Cursor, users_max: usize) -> Result<PageMade> {
        self.with(|tx| page::page(tx, lease, from, users_max))
    }

    async fn open_work(
        &self,
        selection: &Selection,
        reason: Reason,
        after: Option<(Timestamp, ItemId)>,
        max: usize,
    ) -> Result<Vec<OpenItem>> {
        self.with(|tx| {
            if reason == Reason::CancelRequested {
                end::mark_open_fan_outs(tx, selection)?;
            }
            scan::open_work(tx, selection, after, max)
        })
    }

    async fn end(&self, items: &[Ending], reason: Reason) -> Result<u64> {
        self.with(|tx| end::end(tx, items, reason))
    }

    async fn reopen(
        &self,
        app: AppId,
        filter: &DeadFilter,
        after: Option<ItemId>,
        max: usize,
    ) -> Result<Reopened> {
        self.with(|tx| {
            let dead = Dead { app, filter }.to_do(tx.connection, after, max)?;
            Ok(Reopened { work: reopen(tx, &dead.found)?, next: dead.next })
        })
    }

    async fn scan_open(
        &self,
        after: Option<(Timestamp, ItemId)>,
        overdue_by_ms: Option<u64>,
        max: usize,
    ) -> Result<Vec<OpenItem>> {
        self.with(|tx| scan::scan_open(tx, after, overdue_by_ms, max))
    }
}
