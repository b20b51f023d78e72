//! A ledger that is queue and store at once, behind a process's gate. Each call is one step: it dies before it or
//! after it, never in between.

use std::sync::Arc;

use async_trait::async_trait;
use pabal_core::Result;
use pabal_core::clock::Timestamp;
use pabal_core::delivery::Reason;
use pabal_core::ids::{AppId, ItemId};
use pabal_core::seam::{
    Acceptance, Accepted, Answer, Claim, Claimed, Content, DeadFilter, EndSummary, Epoch, Lease, Ledger,
    Page, Paged, Reconciled, Redriven, RouteCount, Scan, Selection, Settled, SettledItem, Settlement, Taken,
    Want, Work,
};

use crate::sim::eyes::Eyes;
use crate::sim::gate::{Call, Gate, Server};
use crate::sim::witness::listed;
use crate::sim::witness::state::During;

/// A ledger behind a gate.
pub(crate) struct LedgerLayer {
    pub(crate) inner: Arc<dyn Ledger>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) eyes: Eyes,
}

const fn read(name: &'static str) -> Call {
    Call::read(Server::Store, name)
}

const fn write(name: &'static str) -> Call {
    Call::write(Server::Store, name)
}

/// What an accept answered is looked at in the store.
pub(super) fn see_accepted(eyes: &Eyes, answer: &Answer) {
    if let Answer::Accepted { id, .. } | Answer::Replayed { id, .. } = answer {
        eyes.notification(*id);
    }
}

/// What a redrive reopened is looked at in the store.
pub(super) fn see_reopened(eyes: &Eyes, ids: Vec<ItemId>) {
    let moment = eyes.world.moment();
    eyes.world.witness(|witness| witness.reopened(&ids, moment));
    eyes.items(ids);
}

/// Dies where working on an item kills the process.
pub(super) async fn may_be_poison(gate: &Gate, id: ItemId, why: &str) {
    gate.alive().await;
    if gate.world.witness(|witness| witness.meets_poison(id)) {
        gate.die(true, why);
        gate.alive().await;
    }
}

impl LedgerLayer {
    /// After a failed call its process can't know, or no longer cares, that these are leased.
    fn unknown_if_failed<T>(&self, answer: &Result<T>, leases: Vec<(ItemId, Epoch)>) {
        if answer.is_err() {
            self.gate.world.witness(|witness| witness.unknown_to_holder(&leases));
        }
    }

    fn see_work(&self, want: Option<&Want>, work: &[Work]) -> Vec<(ItemId, Epoch)> {
        let world = &self.gate.world;
        let leases: Vec<Lease> = work.iter().map(|work| work.lease.clone()).collect();
        let moment = world.moment();
        world.log(|| format!("{} leases {}", self.gate.boot, listed(&leases)));
        world.witness(|witness| {
            witness.leased(self.gate.boot, want, &leases, moment);
            for Work { lease, content } in work {
                if let Content::Delivery(content) = content {
                    witness.loaded(self.gate.boot, lease, content, moment);
                }
            }
        });
        leases.iter().map(|lease| (lease.id, lease.epoch)).collect()
    }

    fn see_settled(&self, batch: &[Settlement], items: &[SettledItem]) {
        let world = &self.gate.world;
        for (settlement, item) in batch.iter().zip(items) {
            let taken = match item.settled {
                Settled::Settled | Settled::Overtaken => Taken::Recorded,
                Settled::Superseded => Taken::Superseded,
                Settled::Refused => Taken::Refused,
            };
            let moment = world.moment();
            world.witness(|witness| {
                witness.recorded(self.gate.boot, settlement, taken, moment);
                witness.given_back(settlement.lease.id, settlement.lease.epoch);
            });
        }
        self.eyes.items(batch.iter().map(|settlement| settlement.lease.id));
    }
}

#[async_trait]
impl Ledger for LedgerLayer {
    async fn accept(&self, batch: Vec<Acceptance>, take: Option<Claim>) -> Result<Accepted> {
        let mut given = Vec::new();
        let see = |accepted: &Accepted| {
            accepted.items.iter().for_each(|item| see_accepted(&self.eyes, &item.answer));
            given = self.see_work(None, &accepted.taken);
        };
        let answer = self.gate.call(write("accept"), self.inner.accept(batch, take), see).await;
        self.unknown_if_failed(&answer, given);
        answer
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed> {
        let want = claim.want.clone();
        let mut given = Vec::new();
        let see = |claimed: &Claimed| given = self.see_work(Some(&want), &claimed.work);
        let answer = self.gate.call(write("claim"), self.inner.claim(claim), see).await;
        self.unknown_if_failed(&answer, given);
        answer
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<SettledItem>> {
        let see = |items: &Vec<SettledItem>| self.see_settled(&batch, items);
        let answer = self.gate.call(write("settle"), self.inner.settle(batch.clone()), see).await;
        self.gate.world.witness(|witness| witness.writes_fail(self.gate.boot, answer.is_err()));
        answer
    }

    async fn page(&self, mut page: Page) -> Result<Paged> {
        page.users_max = page.users_max.min(self.gate.world.plan.page_users_max);
        may_be_poison(&self.gate, page.lease.id, "paging it").await;
        let asked = page.clone();
        let see = |paged: &Paged| {
            self.gate.world.witness(|witness| {
                witness.paged(&asked, paged);
                if matches!(paged, Paged::Made { last: true, .. } | Paged::Refused) {
                    witness.given_back(asked.lease.id, asked.lease.epoch);
                }
            });
            self.eyes.items([asked.lease.id]);
        };
        self.gate.call(write("page"), self.inner.page(page), see).await
    }

    async fn release(&self, leases: Vec<Lease>) -> Result<()> {
        let see = |_: &()| self.gate.world.witness(|witness| witness.released(&leases));
        let answer = self.gate.call(write("release"), self.inner.release(leases.clone()), see).await;
        self.unknown_if_failed(&answer, leases.iter().map(|lease| (lease.id, lease.epoch)).collect());
        answer
    }

    async fn extend(&self, leases: Vec<Lease>, visibility_ms: u64) -> Result<Vec<Option<Lease>>> {
        let see = |extended: &Vec<_>| self.gate.world.witness(|witness| witness.extended(extended));
        self.gate.call(write("extend"), self.inner.extend(leases, visibility_ms), see).await
    }

    async fn end(
        &self,
        selection: Selection,
        reason: Reason,
        after: Option<(Timestamp, ItemId)>,
        max: usize,
    ) -> Result<EndSummary> {
        let see = |summary: &EndSummary| {
            if summary.ended > 0 {
                self.eyes.open(During::EndInOneStep);
            }
        };
        self.gate.call(write("end"), self.inner.end(selection, reason, after, max), see).await
    }

    async fn redrive(
        &self,
        app: AppId,
        filter: DeadFilter,
        after: Option<ItemId>,
        max: usize,
    ) -> Result<Redriven> {
        let see = |redriven: &Redriven| see_reopened(&self.eyes, redriven.reopened.clone());
        self.gate.call(write("redrive"), self.inner.redrive(app, filter, after, max), see).await
    }

    async fn reconcile(&self, scan: Scan, max: usize) -> Result<Reconciled> {
        self.gate.call(read("reconcile"), self.inner.reconcile(scan, max), |_| {}).await
    }

    async fn counts(&self) -> Result<Vec<RouteCount>> {
        self.gate.call(read("counts"), self.inner.counts(), |_| {}).await
    }
}
