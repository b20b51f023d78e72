//! What maintenance and operators read and write in the store, behind a process's gate: redrive jobs, and all that makes
//! the store forget.

use std::sync::Arc;

use async_trait::async_trait;
use pabal_core::Result;
use pabal_core::ids::{AppId, ItemId, RedriveId, UserId};
use pabal_core::seam::store::{
    DeadFilter, DeadLetter, Erased, NewRedrive, Prune, Pruned, Purged, RedriveJob, StoreSize,
};
use pabal_core::seam::{DeadLetters, Erasure, Listed, Retention, Store};

use crate::sim::eyes::Eyes;
use crate::sim::gate::{Call, Gate, Server};
use crate::sim::invariant::Invariant;
use crate::sim::planted::{Plant, upkeep as planted};
use crate::sim::witness::forgetting::Removal;
use crate::sim::witness::state::During;

/// The store's upkeep behind a gate.
pub(crate) struct UpkeepLayer {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) eyes: Eyes,
    /// A bug to run with.
    pub(crate) plant: Option<Plant>,
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
        let purging = async {
            self.eyes.everything();
            planted::purge_dead(self.plant, &*self.inner, app, filter, after, max).await
        };
        let see = |purged: &Purged| {
            if purged.purged > 0 {
                self.eyes.removed(&Removal::Purge(filter.clone()));
            }
        };
        self.gate.call(write("purge_dead"), purging, see).await
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
        let rows_max = prune.rows_max.min(self.gate.world.plan.prune_rows_max);
        let prune = Prune { rows_max, ..*prune };
        let pruning = async {
            if self.gate.world.plan.forgets {
                self.eyes.everything();
            }
            planted::prune(self.plant, &*self.inner, &prune).await
        };
        let see = |pruned: &Pruned| {
            let told = (pruned.deliveries, pruned.notifications);
            if told != (0, 0) {
                let gone = self.eyes.removed(&Removal::Prune(prune));
                let found = (gone.deliveries.len() as u64, gone.notifications.len() as u64);
                self.gate.world.witness(|witness| {
                    witness.tally.check(Invariant::CountersEqualARecount, told == found, || {
                        format!("{told:?} were pruned, as the store tells, and {found:?} are gone")
                    });
                });
            }
        };
        self.gate.call(write("prune"), pruning, see).await
    }

    async fn size(&self) -> Result<StoreSize> {
        self.gate.call(read("size"), self.inner.size(), |_| {}).await
    }
}

#[async_trait]
impl Erasure for UpkeepLayer {
    async fn erase_user(&self, app: AppId, user: &UserId, after: Option<String>) -> Result<Erased> {
        let is_first = after.is_none();
        let erasing = planted::erase_user(self.plant, &*self.inner, app, user, after);
        let see = |erased: &Erased| {
            let world = &self.gate.world;
            let moment = world.moment();
            world.log(|| format!("{} erases {user}: {erased:?}", self.gate.boot));
            if is_first {
                world.witness(|witness| witness.devices.erased(user, moment));
            }
            self.eyes.open(During::AnyStep);
        };
        self.gate.call(write("erase_user"), erasing, see).await
    }
}
