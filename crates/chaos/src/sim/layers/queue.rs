//! The queue of a composite, behind a process's gate.

use std::sync::Arc;

use async_trait::async_trait;
use pabal_core::Result;
use pabal_core::ids::ItemId;
use pabal_core::seam::{
    Binding, Claim, Epoch, Generation, Lease, Leased, Queue, QueueItem, QueueSettle, Removed, RouteCount,
    Settle, Then,
};

use crate::sim::eyes::Eyes;
use crate::sim::gate::{Call, Gate, Server};
use crate::sim::witness::listed;

/// A queue behind a gate.
pub(crate) struct QueueLayer {
    pub(crate) inner: Arc<dyn Queue>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) eyes: Eyes,
}

const fn read(name: &'static str) -> Call {
    Call::read(Server::Queue, name)
}

const fn write(name: &'static str) -> Call {
    Call::write(Server::Queue, name)
}

impl QueueLayer {
    /// After a failed call its process can't know, or no longer cares, that these are leased.
    fn unknown_if_failed<T>(&self, answer: &Result<T>, leases: Vec<(ItemId, Epoch)>) {
        if answer.is_err() {
            self.gate.world.witness(|witness| witness.unknown_to_holder(&leases));
        }
    }
}

#[async_trait]
impl Queue for QueueLayer {
    async fn bind(&self, binding: &Binding) -> Result<Option<Generation>> {
        self.gate.call(write("bind"), self.inner.bind(binding), |_| {}).await
    }

    async fn open_generation(&self, generation: Generation) -> Result<()> {
        self.gate.call(write("open_generation"), self.inner.open_generation(generation), |()| {}).await
    }

    async fn enqueue(&self, items: &[QueueItem]) -> Result<()> {
        let see = |_: &()| self.gate.world.witness(|witness| witness.enqueued(items));
        self.gate.call(write("enqueue"), self.inner.enqueue(items), see).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Leased> {
        let mut given = Vec::new();
        let see = |leased: &Leased| {
            let world = &self.gate.world;
            let moment = world.moment();
            world.log(|| format!("{} leases {}", self.gate.boot, listed(&leased.leases)));
            given = leased.leases.iter().map(|lease| (lease.id, lease.epoch)).collect();
            world
                .witness(|witness| witness.leased(self.gate.boot, Some(&claim.want), &leased.leases, moment));
        };
        let answer = self.gate.call(write("claim"), self.inner.claim(claim), see).await;
        self.unknown_if_failed(&answer, given);
        answer
    }

    async fn settle(&self, items: &[QueueSettle]) -> Result<Vec<Settle>> {
        let see = |answers: &Vec<Settle>| {
            for (item, _) in items.iter().zip(answers).filter(|(_, answer)| **answer == Settle::Ok) {
                let (id, done) = (item.lease.id, item.then == Then::Done);
                let is_open = done && self.eyes.is_open(id);
                self.gate.world.witness(|witness| {
                    witness.given_back(id, item.lease.epoch);
                    if done {
                        witness.left_the_queue(id, is_open);
                    }
                });
            }
        };
        let answer = self.gate.call(write("settle the queue"), self.inner.settle(items), see).await;
        self.unknown_if_failed(&answer, items.iter().map(|item| (item.lease.id, item.lease.epoch)).collect());
        answer
    }

    async fn release(&self, leases: &[Lease]) -> Result<Vec<Settle>> {
        let see = |_: &Vec<Settle>| self.gate.world.witness(|witness| witness.released(leases));
        let answer = self.gate.call(write("release"), self.inner.release(leases), see).await;
        self.unknown_if_failed(&answer, leases.iter().map(|lease| (lease.id, lease.epoch)).collect());
        answer
    }

    async fn extend(&self, leases: &[Lease], visibility_ms: u64) -> Result<Vec<Option<Lease>>> {
        let see = |extended: &Vec<_>| self.gate.world.witness(|witness| witness.extended(extended));
        self.gate.call(write("extend"), self.inner.extend(leases, visibility_ms), see).await
    }

    async fn remove(&self, ids: &[ItemId]) -> Result<Vec<Removed>> {
        let see = |found: &Vec<Removed>| {
            let world = &self.gate.world;
            let moment = world.moment();
            world.witness(|witness| witness.removed(self.gate.boot, ids, found, moment));
        };
        self.gate.call(write("remove"), self.inner.remove(ids), see).await
    }

    async fn contains(&self, ids: &[ItemId]) -> Result<Vec<bool>> {
        self.gate.call(read("contains"), self.inner.contains(ids), |_| {}).await
    }

    async fn counts(&self) -> Result<Vec<RouteCount>> {
        self.gate.call(read("counts"), self.inner.counts(), |_| {}).await
    }
}
