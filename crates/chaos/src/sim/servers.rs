//! What survives every crash of a process: the store and the queue, as servers of their own or, embedded, as what is
//! on disk.

use std::sync::Arc;

use pabal_core::Result;
use pabal_core::chance::SeededChance;
use pabal_core::seam::{Claim, Ledger, Pauses, Queue, Records, Store, Want, Worker};
use pabal_core::steps::complete_now;
use pabal_engine::Composite;
use pabal_memory::{MemoryLedger, MemoryQueue, MemoryStore};
use pabal_sqlite::{CommitHook, Fate, Sqlite};

use super::eyes::Eyes;
use super::gate::Gate;
use super::layers::ledger::LedgerLayer;
use super::layers::pauses::PausesLayer;
use super::layers::queue::QueueLayer;
use super::layers::records::RecordsLayer;
use super::layers::upkeep::UpkeepLayer;
use super::plan::{LedgerKind, stream};
use super::planted::Plant;
use super::world::World;

/// The servers of one world.
pub(crate) struct Servers {
    world: Arc<World>,
    store: Arc<dyn Store>,
    kind: Kind,
    /// What is embedded in a process, and starts with it.
    embedded: Embedded,
    plant: Option<Plant>,
}

enum Kind {
    /// Queue and store are one.
    Unified(Arc<dyn Ledger>),
    /// The queue is a server that can be wiped.
    Composite { server: Arc<MemoryQueue>, queue: Arc<dyn Queue>, records: Arc<dyn Records> },
}

enum Embedded {
    Nothing,
    Memory(Arc<MemoryQueue>),
    Sqlite(Box<Sqlite>),
}

impl Servers {
    /// Starts the servers of a world.
    pub(crate) fn start(world: &Arc<World>, plant: Option<Plant>) -> Result<Self> {
        let chance = Arc::new(SeededChance::from_seed(world.plan.seed ^ stream::ENGINE));
        let queue = || Arc::new(MemoryQueue::new(world.queue_clock.clone()));
        let memory = || Arc::new(MemoryStore::new(world.store_clock.clone(), &chance));
        let hook = Arc::new(CommitOfWorld(Arc::clone(world)));
        let sqlite = || Sqlite::in_memory(world.store_clock.clone(), chance.clone(), hook);
        let (store, kind, embedded): (Arc<dyn Store>, Kind, Embedded) = match world.plan.kind {
            LedgerKind::Memory => {
                let (queue, store) = (queue(), memory());
                let ledger = Arc::new(MemoryLedger::new(Arc::clone(&queue), Arc::clone(&store)));
                (store, unified(ledger, plant), Embedded::Memory(queue))
            }
            LedgerKind::MemoryComposite => {
                let store = memory();
                (store.clone(), composite(queue(), store, plant), Embedded::Nothing)
            }
            LedgerKind::Sqlite => {
                let sqlite = sqlite()?;
                let (store, ledger) = (Arc::new(sqlite.store()), Arc::new(sqlite.ledger()));
                (store, unified(ledger, plant), Embedded::Sqlite(Box::new(sqlite)))
            }
            LedgerKind::SqliteComposite => {
                let sqlite = sqlite()?;
                let store = Arc::new(sqlite.store());
                (store.clone(), composite(queue(), store, plant), Embedded::Sqlite(Box::new(sqlite)))
            }
        };
        Ok(Self { world: Arc::clone(world), store, kind, embedded, plant })
    }

    pub(crate) fn eyes(&self) -> Eyes {
        Eyes { world: Arc::clone(&self.world), store: Arc::clone(&self.store) }
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// A process starts. What is embedded in a single process starts with it, and knows that the leases of its
    /// earlier boots are nobody's.
    pub(crate) fn boot(&self) -> Result<()> {
        if self.world.plan.nodes > 1 {
            return Ok(());
        }
        match &self.embedded {
            Embedded::Nothing => {}
            Embedded::Memory(queue) => queue.end_leases(),
            Embedded::Sqlite(sqlite) => sqlite.restart()?,
        }
        if let Kind::Unified(_) = self.kind {
            self.world.witness(|witness| witness.leases_freed());
        }
        Ok(())
    }

    /// The ledger as a process reaches it.
    pub(crate) fn ledger(&self, gate: &Arc<Gate>) -> Arc<dyn Ledger> {
        let ledger: Arc<dyn Ledger> = match &self.kind {
            Kind::Unified(ledger) => {
                let (inner, gate) = (Arc::clone(ledger), Arc::clone(gate));
                Arc::new(LedgerLayer { inner, gate, eyes: self.eyes() })
            }
            Kind::Composite { queue, records, .. } => self.composite(queue, records, gate),
        };
        match self.plant {
            Some(plant) => plant.in_ledger(ledger),
            None => ledger,
        }
    }

    fn composite(
        &self,
        queue: &Arc<dyn Queue>,
        records: &Arc<dyn Records>,
        gate: &Arc<Gate>,
    ) -> Arc<dyn Ledger> {
        let eyes = self.eyes();
        let queue = QueueLayer { inner: Arc::clone(queue), gate: Arc::clone(gate), eyes: eyes.clone() };
        let records = RecordsLayer { inner: Arc::clone(records), gate: Arc::clone(gate), eyes };
        let (queue, records) = (Arc::new(queue), Arc::new(records));
        let boot = (u64::from(gate.boot.number) << 8 | gate.boot.node as u64) << 32;
        let chance = Arc::new(SeededChance::from_seed(self.world.plan.seed ^ stream::ENGINE ^ boot));
        match self.plant {
            Some(plant) => plant.in_composite(queue, records, chance),
            None => Arc::new(Composite::new(queue, records, chance)),
        }
    }

    /// Redrive jobs, purges, erasures and retention as a process reaches them.
    pub(crate) fn upkeep(&self, gate: &Arc<Gate>) -> Arc<UpkeepLayer> {
        let (inner, gate) = (Arc::clone(&self.store), Arc::clone(gate));
        Arc::new(UpkeepLayer { inner, gate, eyes: self.eyes(), plant: self.plant })
    }

    /// The pauses as a process reaches them.
    pub(crate) fn pauses(&self, gate: &Arc<Gate>) -> Arc<dyn Pauses> {
        let inner: Arc<dyn Pauses> = Arc::clone(&self.store) as Arc<dyn Pauses>;
        Arc::new(PausesLayer { inner, gate: Arc::clone(gate) })
    }

    /// The queue's server forgets everything, where there is one.
    pub(crate) fn wipe(&self) {
        if let Kind::Composite { server, .. } = &self.kind {
            self.world.log(|| "the queue is wiped".to_owned());
            server.wipe();
            let moment = self.world.moment();
            self.world.witness(|witness| witness.wiped(moment));
        }
    }

    /// Entries that the queue holds.
    pub(crate) fn entries(&self) -> Result<u64> {
        let counts = match &self.kind {
            Kind::Unified(ledger) => complete_now("counts", ledger.counts())?,
            Kind::Composite { server, .. } => complete_now("counts", server.counts())?,
        };
        Ok(counts.iter().map(|count| count.entries).sum())
    }

    /// Whether the queue says that it holds all that it should. Over one server it always does.
    pub(crate) fn is_complete(&self) -> Result<bool> {
        let Kind::Composite { server, .. } = &self.kind else { return Ok(true) };
        let nothing = Claim { want: Want::Ordinary(Vec::new()), worker: Worker(0), visibility_ms: 1 };
        Ok(complete_now("claim", server.claim(&nothing))?.generation.is_some())
    }

    /// Whether there is any open work.
    pub(crate) fn has_open_work(&self) -> Result<bool> {
        let open = complete_now("scan_open", self.store.scan_open(None, None, 1))?;
        let redrives = complete_now("running_redrives", self.store.running_redrives())?;
        Ok(!open.is_empty() || !redrives.is_empty())
    }
}

fn unified(ledger: Arc<dyn Ledger>, plant: Option<Plant>) -> Kind {
    Kind::Unified(plant.map_or(Arc::clone(&ledger), |plant| plant.in_unified(ledger)))
}

fn composite(server: Arc<MemoryQueue>, records: Arc<dyn Records>, plant: Option<Plant>) -> Kind {
    let queue: Arc<dyn Queue> = server.clone();
    match plant {
        Some(plant) => {
            Kind::Composite { server, queue: plant.in_queue(queue), records: plant.in_records(records) }
        }
        None => Kind::Composite { server, queue, records },
    }
}

/// Around each commit of SQLite the calling process may die or the disk be full, with the work done and not committed.
/// After a commit it may die at its gate, once the witness has seen what is there now.
struct CommitOfWorld(Arc<World>);

impl CommitHook for CommitOfWorld {
    fn before_commit(&self) -> Fate {
        let Some(gate) = self.0.caller() else { return Fate::GoOn };
        if gate.commit_crashes() {
            return Fate::Die;
        }
        if gate.commit_fails() { Fate::Fail } else { Fate::GoOn }
    }

    fn after_commit(&self) -> Fate {
        Fate::GoOn
    }
}
