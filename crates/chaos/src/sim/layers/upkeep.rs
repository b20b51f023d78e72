//! What maintenance reads and writes in the store, behind a process's gate: redrive jobs and retention.

use std::sync::Arc;

use async_trait::async_trait;
use pabal_core::Result;
use pabal_core::ids::{AppId, ItemId, RedriveId};
use pabal_core::seam::store::{
    DeadFilter, DeadLetter, NewRedrive, Prune, Pruned, Purged, RedriveJob, StoreSize,
};
use pabal_core::seam::{DeadLetters, Listed, Retention, Store};

use crate::sim::gate::{Call, Gate, Server};

/// The store's upkeep behind a gate.
pub(crate) struct UpkeepLayer {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) gate: Arc<Gate>,
}

fn read(what: &'static str) -> Call {
    Call::read(Server::Store, what)
}

fn write(what: &'static str) -> Call {
    Call::write(Server::Store, what)
}

#[async_trait]
impl DeadLetters for UpkeepLayer {
    async fn list_dead(
        &self,
        app: AppId,
        filter: &DeadFilter,
        before: Option<ItemId>,
        max: usize,
    ) -> Result<Listed<DeadLetter, ItemId>> {
        self.gate.call(read("list_dead"), self.inner.list_dead(app, filter, before, max), |_| {}).await
    }

    async fn purge_dead(
        &self,
        app: AppId,
        filter: &DeadFilter,
        after: Option<ItemId>,
        max: usize,
    ) -> Result<Purged> {
        self.gate.call(write("purge_dead"), self.inner.purge_dead(app, filter, after, max), |_| {}).await
    }

    async fn put_redrive(&self, new: &NewRedrive) -> Result<RedriveJob> {
        self.gate.call(write("put_redrive"), self.inner.put_redrive(new), |_| {}).await
    }

    async fn redrive(&self, app: AppId, id: RedriveId) -> Result<Option<RedriveJob>> {
        self.gate.call(read("redrive"), DeadLetters::redrive(&*self.inner, app, id), |_| {}).await
    }

    async fn list_redrives(
        &self,
        app: AppId,
        before: Option<RedriveId>,
        max: usize,
    ) -> Result<Listed<RedriveJob, RedriveId>> {
        self.gate.call(read("list_redrives"), self.inner.list_redrives(app, before, max), |_| {}).await
    }

    async fn running_redrives(&self) -> Result<Vec<RedriveJob>> {
        self.gate.call(read("running_redrives"), self.inner.running_redrives(), |_| {}).await
    }

    async fn advance_redrive(&self, id: RedriveId, reopened: u64, next: Option<ItemId>) -> Result<bool> {
        let advancing = self.inner.advance_redrive(id, reopened, next);
        self.gate.call(write("advance_redrive"), advancing, |_| {}).await
    }

    async fn stop_redrive(&self, app: AppId, id: RedriveId) -> Result<Option<RedriveJob>> {
        self.gate.call(write("stop_redrive"), self.inner.stop_redrive(app, id), |_| {}).await
    }
}

#[async_trait]
impl Retention for UpkeepLayer {
    async fn prune(&self, prune: &Prune) -> Result<Pruned> {
        self.gate.call(write("prune"), self.inner.prune(prune), |_| {}).await
    }

    async fn size(&self) -> Result<StoreSize> {
        self.gate.call(read("size"), self.inner.size(), |_| {}).await
    }
}
