//! The store of a composite, behind a process's gate.

use std::sync::Arc;

use async_trait::async_trait;
use pabal_core::Result;
use pabal_core::clock::Timestamp;
use pabal_core::delivery::Reason;
use pabal_core::ids::{AppId, ItemId, StoreId};
use pabal_core::seam::{
    Acceptance, Answer, Content, Cursor, DeadFilter, Ending, Lease, Loaded, OpenItem, Page, PageMade, Paged,
    QueueItem, Recorded, Records, Reopened, Selection, Settlement,
};

use crate::sim::eyes::Eyes;
use crate::sim::gate::{Call, Gate, Server};

/// A store's records behind a gate.
pub(crate) struct RecordsLayer {
    pub(crate) inner: Arc<dyn Records>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) eyes: Eyes,
}

const fn read(name: &'static str) -> Call {
    Call::read(Server::Store, name)
}

const fn write(name: &'static str) -> Call {
    Call::write(Server::Store, name)
}

#[async_trait]
impl Records for RecordsLayer {
    async fn store_id(&self) -> Result<StoreId> {
        self.gate.call(read("store_id"), self.inner.store_id(), |_| {}).await
    }

    async fn accept(&self, batch: &[Acceptance]) -> Result<Vec<(Answer, Vec<QueueItem>)>> {
        let see = |answers: &Vec<(Answer, _)>| {
            answers.iter().for_each(|(answer, _)| super::ledger::see_accepted(&self.eyes, answer));
        };
        self.gate.call(write("accept"), self.inner.accept(batch), see).await
    }

    async fn load(&self, leases: &[Lease]) -> Result<Vec<Loaded>> {
        let see = |loaded: &Vec<Loaded>| {
            let world = &self.gate.world;
            for (lease, loaded) in leases.iter().zip(loaded) {
                match loaded {
                    Loaded::Content(Content::Delivery(content)) => {
                        let moment = world.moment();
                        world.witness(|witness| witness.loaded(self.gate.boot, lease, content, moment));
                    }
                    Loaded::Content(Content::FanOut(_)) => {}
                    Loaded::Settled(_) | Loaded::Unreadable | Loaded::Unknown => self.eyes.items([lease.id]),
                }
            }
        };
        self.gate.call(read("load"), self.inner.load(leases), see).await
    }

    async fn record(&self, batch: &[Settlement]) -> Result<Vec<Recorded>> {
        let world = &self.gate.world;
        let see = |recorded: &Vec<Recorded>| {
            for (settlement, recorded) in batch.iter().zip(recorded) {
                let moment = world.moment();
                world.witness(|witness| witness.recorded(self.gate.boot, settlement, recorded.taken, moment));
            }
            self.eyes.items(batch.iter().map(|settlement| settlement.lease.id));
        };
        let answer = self.gate.call(write("record"), self.inner.record(batch), see).await;
        world.witness(|witness| witness.writes_fail(self.gate.boot, answer.is_err()));
        answer
    }

    async fn page(&self, lease: &Lease, from: &Cursor, users_max: usize) -> Result<PageMade> {
        let users_max = users_max.min(self.gate.world.plan.page_users_max);
        super::ledger::may_be_poison(&self.gate, lease.id, "paging it").await;
        let see = |made: &PageMade| {
            let page = Page { lease: lease.clone(), from: from.clone(), users_max };
            let paged = match made {
                PageMade::Made { cursor, last, .. } => {
                    Paged::Made { cursor: cursor.clone(), last: *last, waiting: Vec::new() }
                }
                PageMade::Refused(_) => Paged::Refused,
            };
            self.gate.world.witness(|witness| witness.paged(&page, &paged));
            self.eyes.items([lease.id]);
        };
        self.gate.call(write("page"), self.inner.page(lease, from, users_max), see).await
    }

    async fn open_work(
        &self,
        selection: &Selection,
        reason: Reason,
        after: Option<(Timestamp, ItemId)>,
        max: usize,
    ) -> Result<Vec<OpenItem>> {
        let marks = reason == Reason::CancelRequested;
        let call = if marks { write("open_work") } else { read("open_work") };
        self.gate.call(call, self.inner.open_work(selection, reason, after, max), |_| {}).await
    }

    async fn end(&self, items: &[Ending], reason: Reason) -> Result<u64> {
        let see = |_: &u64| {
            self.gate.world.witness(|witness| witness.ending(self.gate.boot, items));
            self.eyes.items(items.iter().map(|ending| ending.id));
        };
        self.gate.call(write("end"), self.inner.end(items, reason), see).await
    }

    async fn reopen(
        &self,
        app: AppId,
        filter: &DeadFilter,
        after: Option<ItemId>,
        max: usize,
    ) -> Result<Reopened> {
        let see = |reopened: &Reopened| {
            let ids = reopened.work.iter().map(|item| item.id).collect();
            super::ledger::see_reopened(&self.eyes, ids);
        };
        self.gate.call(write("reopen"), self.inner.reopen(app, filter, after, max), see).await
    }

    async fn scan_open(
        &self,
        after: Option<(Timestamp, ItemId)>,
        overdue_by_ms: Option<u64>,
        max: usize,
    ) -> Result<Vec<OpenItem>> {
        self.gate.call(read("scan_open"), self.inner.scan_open(after, overdue_by_ms, max), |_| {}).await
    }
}
