//! One seed: a world is drawn, runs until all is final, and is judged.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use pabal_core::Result;
use pabal_core::clock::Clock;
use tokio::task::JoinSet;

use super::client::Client;
use super::invariant::{Invariant, Tally};
use super::judge;
use super::node::Node;
use super::panics;
use super::plan::{LedgerKind, Plan};
use super::planted::Plant;
use super::servers::Servers;
use super::witness::Stats;
use super::world::World;

/// How long after it went quiet a world may take to come to rest: longer than a clock set back and every backoff.
const REST_WITHIN: Duration = Duration::from_secs(4 * 3600);
/// How long after its retention something may still be there: several rounds of the pruner, and a process's restart.
const FORGOTTEN_WITHIN_MS: u64 = 60_000;
/// How often it is looked whether it has.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How a seed is run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct How {
    /// Whether events are kept.
    pub(crate) logs: bool,
    /// Overrules the kind of ledger that the seed draws.
    pub(crate) kind: Option<LedgerKind>,
    /// A bug to run with.
    pub(crate) plant: Option<Plant>,
}

/// What came of a seed.
pub(crate) struct SeedReport {
    pub(crate) tally: Tally,
    pub(crate) stats: Stats,
    pub(crate) events: Vec<String>,
}

/// Runs a seed. Whatever happens in it depends on the seed alone.
pub(crate) fn run(seed: u64, how: How) -> Result<SeedReport> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().map_err(
            |error| pabal_core::Error::new(pabal_core::ErrorKind::Unexpected, "start", error.to_string()),
        )?;
    panics::keep();
    let ran = catch_unwind(AssertUnwindSafe(|| runtime.block_on(live(seed, how))));
    let panicked = panics::taken();
    let mut report = match ran {
        Ok(report) => report?,
        // What it was is among what panicked.
        Err(_) => SeedReport { tally: Tally::default(), stats: Stats::default(), events: Vec::new() },
    };
    for what in panicked {
        report.events.push(format!("          panicked: {what}"));
        report.tally.check(Invariant::NothingBreaks, false, || what);
    }
    Ok(report)
}

async fn live(seed: u64, how: How) -> Result<SeedReport> {
    let world = World::new(Plan::draw(seed, how.kind), how.logs);
    world.log(|| format!("{:#?}", world.plan));
    let servers = Arc::new(Servers::start(&world, how.plant)?);
    let nodes: Vec<Arc<Node>> =
        (0..world.plan.nodes).map(|number| Node::new(number, &world, &servers)).collect();
    let client = Client::new(&world, &servers, &nodes);
    client.register_all();
    let mut processes = JoinSet::new();
    for node in &nodes {
        processes.spawn(Arc::clone(node).live());
    }
    play(&world, &client).await;
    let rested = rest(&world, &servers).await?;
    world.witness(|witness| {
        witness.tally.check(Invariant::NothingBreaks, rested, || {
            format!("after {:?} the world has not come to rest", world.at())
        });
    });
    if rested {
        empties(&world, &servers).await?;
        forgets(&world).await;
        stop(&nodes).await;
    }
    judge::judge(&world, &servers.eyes());
    processes.shutdown().await;
    let events = world.events();
    let (tally, stats) = world.witness(|witness| (std::mem::take(&mut witness.tally), witness.stats));
    Ok(SeedReport { tally, stats, events })
}

/// Lets everything happen that the script says, each when it is time, however long the one before takes.
async fn play(world: &Arc<World>, client: &Arc<Client>) {
    let mut acts = JoinSet::new();
    for (at, event) in world.plan.script.events.clone() {
        let wait = at.saturating_sub(world.at());
        tokio::time::sleep(wait).await;
        acts.spawn(Arc::clone(client).perform(event));
    }
    while !world.is_exhausted()
        && !matches!(tokio::time::timeout(LOOK_EVERY, acts.join_next()).await, Ok(None))
    {}
    tokio::time::sleep(world.plan.quiet_at.saturating_sub(world.at())).await;
}

/// Waits until nothing is open. Answers whether it came to that.
async fn rest(world: &World, servers: &Servers) -> Result<bool> {
    let until = world.plan.quiet_at + REST_WITHIN;
    while servers.has_open_work()? {
        if world.is_exhausted() || world.at() > until {
            return Ok(false);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(true)
}

/// Once nothing is open, what is left in the queue goes with its due times and leases; and a queue that was wiped knows
/// itself to be complete.
async fn empties(world: &World, servers: &Servers) -> Result<()> {
    let until = world.at() + REST_WITHIN;
    while world.at() < until
        && !world.is_exhausted()
        && !(servers.entries()? == 0 && servers.is_complete()?)
    {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let (entries, complete) = (servers.entries()?, servers.is_complete()?);
    world.witness(|witness| {
        witness
            .tally
            .check(Invariant::QueueEmpties, entries == 0, || format!("{entries} entries stay in the queue"));
        if witness.stats.wipes > 0 {
            let what = || "the queue was wiped and is not complete again".to_owned();
            witness.tally.check(Invariant::WipedQueueIsRebuilt, complete, what);
        }
    });
    Ok(())
}

/// Where what ended is forgotten, all of it goes once the store's clock has passed whatever it ever showed by the time
/// that the dead are kept.
async fn forgets(world: &World) {
    let moment = world.moment();
    let kept_ms = world.plan.engine.retention.dead_ms + FORGOTTEN_WITHIN_MS;
    let last_end = world.witness(|witness| witness.store_has_shown_by(moment));
    let until = last_end.plus_ms(i64::try_from(kept_ms).unwrap_or(i64::MAX));
    let is_left = || {
        let kept = world.witness(|witness| witness.kept());
        !kept.deliveries.is_empty() || !kept.notifications.is_empty()
    };
    while world.plan.forgets && is_left() && world.store_clock.now() < until && !world.is_exhausted() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Stops the processes that run, gracefully.
async fn stop(nodes: &[Arc<Node>]) {
    for node in nodes {
        if let Some(running) = node.running() {
            node.ask_to_stop();
            running.gate.ended().await;
        }
    }
}
