//! The gate that every call of a process over a seam goes through, where the plan has its say: at each await the
//! process may die, stand still, be overtaken, or be told that the other side is away.
//!
//! A process that has died never returns from a call: its tasks hang at their next await and have no further effect,
//! which is all that death means to the rest of the world.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use pabal_core::{Error, ErrorKind, Result};
use tokio::sync::Notify;

use super::invariant::Invariant;
use super::plan::{Part, ms};
use super::witness::Boot;
use super::world::World;

/// How long something that went wrong has its effect: longer than the engine's pauses between tries.
const AFTERMATH_MS: u64 = 5000;

/// A call over a seam.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) to: Server,
    pub(crate) writes: bool,
}

/// Whom a call goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    Store,
    Queue,
    Provider,
}

impl Call {
    pub(crate) const fn read(to: Server, name: &'static str) -> Self {
        Self { name, to, writes: false }
    }

    pub(crate) const fn write(to: Server, name: &'static str) -> Self {
        Self { name, to, writes: true }
    }
}

/// One life of one process, as the world sees it.
pub(crate) struct Gate {
    pub(crate) world: Arc<World>,
    pub(crate) boot: Boot,
    dead: AtomicBool,
    died: Notify,
    /// Until when, in milliseconds of the world, something that went wrong may have its effect.
    troubled_until_ms: AtomicU64,
}

impl Gate {
    pub(crate) fn new(world: Arc<World>, boot: Boot) -> Arc<Self> {
        let (dead, died) = (AtomicBool::new(false), Notify::new());
        let troubled_until_ms = AtomicU64::new(0);
        Arc::new(Self { world, boot, dead, died, troubled_until_ms })
    }

    /// Makes a call: what may happen before, the effect, what is seen of it, what may happen after.
    pub(crate) async fn call<T>(
        self: &Arc<Self>,
        call: Call,
        effect: impl Future<Output = Result<T>>,
        see: impl FnOnce(&T),
    ) -> Result<T> {
        self.enter(call).await?;
        let answer = self.take_effect(effect).await;
        match &answer {
            Ok(answer) => {
                self.world.log(|| format!("{} {}", self.boot, call.name));
                see(answer);
            }
            Err(error) => self.world.witness(|witness| {
                // The queue was wiped while it was being rebuilt, or the plan had the commit fail.
                let wiped = error.kind() == ErrorKind::Conflict && call.name == "open_generation";
                let expected = wiped || error.kind() == ErrorKind::Full;
                witness.tally.check(Invariant::NothingBreaks, expected, || format!("{error}"));
            }),
        }
        self.leave(call).await?;
        answer
    }

    /// The effect itself, which never waits; what decides about a commit within it is told whose it is.
    async fn take_effect<T>(self: &Arc<Self>, effect: impl Future<Output = T>) -> T {
        let mut effect = std::pin::pin!(effect);
        std::future::poll_fn(|context| {
            self.world.set_caller(Some(Arc::clone(self)));
            let polled = effect.as_mut().poll(context);
            self.world.set_caller(None);
            polled
        })
        .await
    }

    /// Whether the process dies with its work done and not committed.
    pub(crate) fn commit_crashes(&self) -> bool {
        let dies = self.world.fault(self.world.plan.faults.crash) && self.world.takes_crash();
        if dies {
            self.die(false, "before a commit");
        }
        dies
    }

    /// Whether the disk is full at a commit.
    pub(crate) fn commit_fails(&self) -> bool {
        let fails = self.world.fault(self.world.plan.faults.error);
        if fails {
            self.trouble(0);
            self.world.log(|| format!("{} can't commit", self.boot));
        }
        fails
    }

    /// Before a call takes effect.
    pub(crate) async fn enter(&self, call: Call) -> Result<()> {
        self.alive().await;
        if !self.world.step() {
            std::future::pending::<()>().await;
        }
        let faults = &self.world.plan.faults;
        self.hop().await;
        self.may_crash(call, "before").await;
        if self.world.fault(faults.pause) {
            self.trouble(faults.pause_ms);
            self.world.log(|| format!("{} stands still for {} ms", self.boot, faults.pause_ms));
            tokio::time::advance(Duration::from_millis(faults.pause_ms)).await;
        }
        if self.world.fault(faults.slow) {
            self.trouble(faults.slow_ms);
            self.world.log(|| format!("{} waits {} ms for {}", self.boot, faults.slow_ms, call.name));
            tokio::time::sleep(Duration::from_millis(faults.slow_ms)).await;
        }
        self.alive().await;
        let fails = call.to != Server::Provider && (self.is_away(call) || self.world.fault(faults.error));
        if fails { Err(self.failure(call, "is away")) } else { Ok(()) }
    }

    /// After a call took effect.
    pub(crate) async fn leave(&self, call: Call) -> Result<()> {
        self.alive().await;
        self.may_crash(call, "after").await;
        let lost = call.to != Server::Provider && self.world.fault(self.world.plan.faults.lost_answer);
        if lost {
            return Err(self.failure(call, "did not answer"));
        }
        self.hop().await;
        self.alive().await;
        Ok(())
    }

    /// Goes on only in a process that lives.
    pub(crate) async fn alive(&self) {
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    /// Ends the process, if it has not ended.
    pub(crate) fn die(&self, by_poison: bool, why: &str) {
        if self.dead.swap(true, Ordering::SeqCst) {
            return;
        }
        self.world.log(|| format!("{} dies: {why}", self.boot));
        let moment = self.world.moment();
        self.world.witness(|witness| {
            witness.stats.crashes += 1;
            witness.died(self.boot, by_poison, moment);
        });
        self.died.notify_waiters();
    }

    /// The process has ended by itself.
    pub(crate) fn exit(&self) {
        if !self.dead.swap(true, Ordering::SeqCst) {
            let moment = self.world.moment();
            self.world.witness(|witness| witness.died(self.boot, false, moment));
            self.died.notify_waiters();
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Waits for the end of the process.
    pub(crate) async fn ended(&self) {
        let died = self.died.notified();
        let mut died = std::pin::pin!(died);
        died.as_mut().enable();
        if !self.is_dead() {
            died.await;
        }
    }

    /// Whether something that went wrong may still have its effect in this process.
    pub(crate) fn is_troubled(&self) -> bool {
        self.troubled_until_ms.load(Ordering::SeqCst) > ms(self.world.at())
    }

    /// A crash point: dies here if the plan says so.
    pub(crate) async fn may_crash(&self, call: Call, when: &str) {
        if self.world.fault(self.world.plan.faults.crash) && self.world.takes_crash() {
            self.die(false, &format!("{when} {}", call.name));
            std::future::pending::<()>().await;
        }
    }

    fn trouble(&self, for_ms: u64) {
        let until = ms(self.world.at()) + for_ms + AFTERMATH_MS;
        self.troubled_until_ms.fetch_max(until, Ordering::SeqCst);
    }

    fn failure(&self, call: Call, what: &str) -> Error {
        self.trouble(0);
        self.world.log(|| format!("{} {}: {:?} {what}", self.boot, call.name, call.to));
        Error::new(ErrorKind::Unavailable, call.name, format!("the {:?} {what}", call.to))
    }

    fn is_away(&self, call: Call) -> bool {
        match call.to {
            Server::Store => {
                self.world.is_away(Part::Store) || (call.writes && self.world.is_away(Part::StoreWrites))
            }
            Server::Queue => self.world.is_away(Part::Queue),
            Server::Provider => false,
        }
    }

    /// Others run in between, for a moment or for the time a message takes.
    async fn hop(&self) {
        let world = &self.world;
        if world.draw(|dice| dice.chance(world.plan.faults.hop)) {
            let ms = world.draw(|dice| dice.within(0..=20));
            if ms == 0 {
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(Duration::from_millis(ms)).await;
            }
        }
    }
}
