//! A process: starts an engine, dies or stops, and is started again by whoever keeps it running.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use pabal_core::chance::SeededChance;
use pabal_core::route::ChannelKind;
use pabal_core::seam::Channel;
use pabal_engine::{Engine, Parts};
use tokio::sync::Notify;

use super::gate::Gate;
use super::invariant::Invariant;
use super::layers::channel::ChannelLayer;
use super::plan::stream;
use super::servers::Servers;
use super::witness::Boot;
use super::world::World;

/// A place where one process runs at a time.
pub(crate) struct Node {
    number: usize,
    world: Arc<World>,
    servers: Arc<Servers>,
    running: Mutex<Option<Running>>,
    stop: Notify,
}

/// A process that runs.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) engine: Arc<Engine>,
    pub(crate) gate: Arc<Gate>,
}

impl Node {
    pub(crate) fn new(number: usize, world: &Arc<World>, servers: &Arc<Servers>) -> Arc<Self> {
        Arc::new(Self {
            number,
            world: Arc::clone(world),
            servers: Arc::clone(servers),
            running: Mutex::default(),
            stop: Notify::new(),
        })
    }

    /// The process that runs, if one does.
    pub(crate) fn running(&self) -> Option<Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Kills the process where it is.
    pub(crate) fn kill(&self) {
        if let Some(running) = self.running() {
            running.gate.die(false, "killed");
        }
    }

    /// Asks the process to stop.
    pub(crate) fn ask_to_stop(&self) {
        self.stop.notify_waiters();
    }

    /// Runs one process after the other, for ever.
    pub(crate) async fn live(self: Arc<Self>) {
        for boot in 0.. {
            let gate = Gate::new(Arc::clone(&self.world), Boot { node: self.number, number: boot });
            if let Err(error) = self.servers.boot() {
                self.world.witness(|witness| {
                    witness.tally.check(Invariant::NothingBreaks, false, || format!("at a start: {error}"));
                });
            }
            if let Some(running) = self.start(&gate).await {
                self.set(Some(running.clone()));
                let stop = self.stop.notified();
                tokio::select! {
                    biased;
                    () = gate.ended() => {}
                    () = stop => self.stop(&running).await,
                }
                self.set(None);
            }
            gate.exit();
            let pause = self.world.draw(|dice| dice.ms(20..=3000));
            tokio::time::sleep(pause).await;
        }
    }

    async fn start(&self, gate: &Arc<Gate>) -> Option<Running> {
        let seed = self.world.plan.seed
            ^ stream::ENGINE
            ^ u64::from(gate.boot.number) << 16
            ^ (self.number as u64) << 8;
        let channel: Arc<dyn Channel> = Arc::new(ChannelLayer { gate: Arc::clone(gate) });
        let parts = Parts {
            ledger: self.servers.ledger(gate),
            pauses: self.servers.pauses(gate),
            dead_letters: self.servers.upkeep(gate),
            retention: self.servers.upkeep(gate),
            channels: BTreeMap::from([(ChannelKind::Fcm, channel)]),
            clock: self.world.node_clock.clone(),
            chance: Arc::new(SeededChance::from_seed(seed)),
        };
        let config = self.world.plan.engine.clone();
        tokio::select! {
            biased;
            () = gate.ended() => None,
            started = Engine::start(parts, config) => match started {
                Ok(engine) => {
                    self.world.log(|| format!("{} runs", gate.boot));
                    Some(Running { engine: Arc::new(engine), gate: Arc::clone(gate) })
                }
                Err(error) => {
                    self.world.log(|| format!("{} does not start: {error}", gate.boot));
                    None
                }
            },
        }
    }

    async fn stop(&self, running: &Running) {
        let gate = &running.gate;
        self.world.log(|| format!("{} stops", gate.boot));
        let was_troubled = gate.is_troubled();
        tokio::select! {
            biased;
            () = gate.ended() => return,
            () = running.engine.drain() => {}
        }
        self.world.log(|| format!("{} has stopped", gate.boot));
        if !was_troubled && !gate.is_troubled() {
            let moment = self.world.moment();
            self.world.witness(|witness| witness.stopped(gate.boot, moment));
        }
    }

    fn set(&self, running: Option<Running>) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = running;
    }
}
