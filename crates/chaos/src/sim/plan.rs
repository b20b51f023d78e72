//! What a seed draws before anything runs: the machines, how strong the engine is, and what goes wrong when.
//!
//! Faults are drawn as a swarm: each seed has some kinds of fault and lacks others, because a world in which
//! everything fails at once never gets to the states in which one fault alone does harm.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use clap::ValueEnum;
use pabal_core::backoff::Backoff;
use pabal_core::verdict::RetryPolicy;
use pabal_engine::{EngineConfig, RetentionPolicy};

use super::dice::Dice;
use super::script::Script;

/// The streams of chance that one seed is split into.
pub(crate) mod stream {
    pub(crate) const PLAN: u64 = 1;
    pub(crate) const SCRIPT: u64 = 2;
    pub(crate) const FAULTS: u64 = 3;
    pub(crate) const ENGINE: u64 = 4;
    pub(crate) const FORGETTING: u64 = 5;
}

/// Worlds in a thousand in which what ended is forgotten.
const WORLDS_THAT_FORGET: u32 = 350;

/// Which kind of ledger the engine runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LedgerKind {
    /// The reference model, queue and store as one.
    Memory,
    /// The composite of the reference model's two halves.
    MemoryComposite,
    /// SQLite, queue and store as one.
    Sqlite,
    /// The composite of a queue in memory (a server that can be wiped) over SQLite.
    SqliteComposite,
}

impl LedgerKind {
    /// Whether queue and store are two servers.
    pub(crate) const fn is_composite(self) -> bool {
        matches!(self, LedgerKind::MemoryComposite | LedgerKind::SqliteComposite)
    }
}

/// All that a seed draws.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) kind: LedgerKind,
    /// Processes that run an engine over the same ledger.
    pub(crate) nodes: usize,
    pub(crate) engine: EngineConfig,
    /// Users that one page of a fan-out resolves: few, so that small fan-outs have several pages.
    pub(crate) page_users_max: usize,
    /// Rows that one step of pruning removes: few, so that it may be stopped within a notification.
    pub(crate) prune_rows_max: usize,
    /// Whether what ended is forgotten while the world runs.
    pub(crate) forgets: bool,
    /// Attempts that the channel takes at once.
    pub(crate) channel_capacity: usize,
    pub(crate) faults: Faults,
    pub(crate) provider: ProviderFaults,
    pub(crate) outages: Vec<Outage>,
    /// From here on nothing goes wrong any more (but poison), so that everything can come to its end.
    pub(crate) quiet_at: Duration,
    pub(crate) script: Script,
}

/// What goes wrong at calls, in a thousand calls.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// The process dies, before or after the call takes effect.
    pub(crate) crash: u32,
    /// Crashes of the whole world at most, poison not counted.
    pub(crate) crashes_max: u32,
    /// The call fails, with nothing done.
    pub(crate) error: u32,
    /// The call takes effect, and its answer is lost.
    pub(crate) lost_answer: u32,
    /// Others run between the call and its effect.
    pub(crate) hop: u32,
    /// The call is slow while everything else goes on.
    pub(crate) slow: u32,
    /// How slow.
    pub(crate) slow_ms: u64,
    /// The whole process stands still.
    pub(crate) pause: u32,
    /// For how long.
    pub(crate) pause_ms: u64,
}

impl Faults {
    /// How long a few calls in a row can take.
    pub(crate) fn call_takes_ms_max(&self) -> u64 {
        let slow = if self.slow > 0 { self.slow_ms } else { 0 };
        let pause = if self.pause > 0 { self.pause_ms } else { 0 };
        2 * (slow + pause) + 200
    }
}

/// What the provider does instead of delivering, in a thousand sends.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProviderFaults {
    pub(crate) unavailable: u32,
    pub(crate) throttled: u32,
    pub(crate) unknown_arrived: u32,
    pub(crate) unknown_lost: u32,
    pub(crate) not_sent: u32,
    /// No answer within the attempt's deadline.
    pub(crate) silent: u32,
    /// The longest `Retry-After`.
    pub(crate) retry_after_ms_max: u64,
}

/// A time in which a part of the world is away.
#[derive(Debug, Clone)]
pub(crate) struct Outage {
    pub(crate) part: Part,
    pub(crate) from: Duration,
    pub(crate) until: Duration,
}

/// What can be away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The store takes no writes: disk full.
    StoreWrites,
    /// The store is down.
    Store,
    /// The queue's server is down.
    Queue,
    /// The provider is down.
    Provider,
    /// The provider refuses the first project's credential.
    Credential,
    /// The provider refuses the first project's credential for one platform.
    PlatformCredential,
}

impl Plan {
    /// The plan of a seed; `kind` overrules what it draws.
    pub(crate) fn draw(seed: u64, kind: Option<LedgerKind>) -> Self {
        let mut dice = Dice::new(seed, stream::PLAN);
        let drawn = if dice.chance(500) { LedgerKind::Sqlite } else { LedgerKind::SqliteComposite };
        let kind = kind.unwrap_or(drawn);
        let quiet_at = dice.ms(20_000..=90_000);
        let mut engine = draw_engine(&mut dice);
        let faults = draw_faults(&mut dice, &engine);
        let mut forgetting = Dice::new(seed, stream::FORGETTING);
        let forgets = forgetting.chance(WORLDS_THAT_FORGET);
        if forgets {
            draw_retention(&mut forgetting, &mut engine);
        }
        Self {
            seed,
            kind,
            nodes: if dice.chance(350) { 2 } else { 1 },
            page_users_max: dice.count(1..=3),
            prune_rows_max: forgetting.count(1..=6),
            forgets,
            channel_capacity: dice.count(1..=30),
            faults,
            provider: draw_provider(&mut dice),
            outages: draw_outages(&mut dice, kind, quiet_at),
            quiet_at,
            script: Script::draw(&mut Dice::new(seed, stream::SCRIPT), &mut forgetting, kind, quiet_at),
            engine,
        }
    }

    /// Whether a part of the world is away at this time.
    pub(crate) fn is_away(&self, part: Part, at: Duration) -> bool {
        self.outages.iter().any(|outage| outage.part == part && (outage.from..outage.until).contains(&at))
    }
}

/// Small numbers, so that limits are met; short times, so that a seed is over soon.
fn draw_engine(dice: &mut Dice) -> EngineConfig {
    let attempt_deadline_ms = dice.within(1500..=3000);
    let backoff =
        Backoff::new(dice.within(100..=500), dice.within(2000..=8000)).expect("the cap is above the base");
    let attempts_max = u32::try_from(dice.within(2..=9)).expect("a small number");
    let mut retry_default =
        RetryPolicy::new(backoff, attempts_max, dice.within(2000..=6000)).expect("at least one attempt");
    retry_default.credential_probe_ms = dice.within(2000..=6000);
    let visibility_ms = if dice.chance(250) { 45_000 } else { dice.within(6000..=12_000) };
    EngineConfig {
        attempts_in_flight_max: dice.count(1..=20),
        attempts_in_flight_per_route_max: dice.count(1..=10),
        fan_outs_per_lane_max: dice.count(1..=2),
        settle_batch_max: dice.count(1..=10),
        visibility_ms,
        attempt_deadline_ms,
        drain_deadline_ms: dice.within(500..=4000),
        idle_poll_ms: dice.within(1000..=5000),
        reconcile_every_ms: dice.within(1000..=4000),
        reconcile_batch_max: dice.count(2..=20),
        expire_every_ms: dice.within(1000..=5000),
        redrive_poll_ms: dice.within(500..=3000),
        prune_every_ms: dice.within(5000..=20_000),
        // Longer than any world; in some it is drawn.
        retention: RetentionPolicy::default(),
        retry: BTreeMap::new(),
        retry_default,
    }
}

/// So short that what ended goes while others of it are worked on, and while what was overtaken comes late.
fn draw_retention(dice: &mut Dice, engine: &mut EngineConfig) {
    let ended_ms = if dice.chance(500) { dice.within(1000..=3000) } else { dice.within(3000..=20_000) };
    let dead_ms = if dice.chance(500) { ended_ms } else { ended_ms + dice.within(0..=20_000) };
    engine.retention = RetentionPolicy { ended_ms, dead_ms, size_bytes_max: None };
    engine.prune_every_ms = dice.within(500..=4000);
}

fn draw_faults(dice: &mut Dice, engine: &EngineConfig) -> Faults {
    let beyond_the_lease = engine.visibility_ms..=engine.visibility_ms * 2;
    Faults {
        crash: some(dice, 700, 2..=25),
        crashes_max: u32::try_from(dice.within(1..=8)).expect("a small number"),
        error: some(dice, 300, 5..=60),
        lost_answer: some(dice, 300, 5..=60),
        hop: some(dice, 700, 50..=500),
        slow: some(dice, 300, 2..=25),
        slow_ms: dice.within(beyond_the_lease.clone()),
        pause: some(dice, 200, 2..=15),
        pause_ms: dice.within(beyond_the_lease),
    }
}

fn draw_provider(dice: &mut Dice) -> ProviderFaults {
    ProviderFaults {
        unavailable: some(dice, 500, 20..=300),
        throttled: some(dice, 400, 20..=200),
        unknown_arrived: some(dice, 400, 20..=150),
        unknown_lost: some(dice, 400, 20..=150),
        not_sent: some(dice, 300, 20..=150),
        silent: some(dice, 300, 10..=80),
        retry_after_ms_max: dice.within(1000..=20_000),
    }
}

fn draw_outages(dice: &mut Dice, kind: LedgerKind, quiet_at: Duration) -> Vec<Outage> {
    let parts = [
        (Part::StoreWrites, 250),
        (Part::Store, 150),
        (Part::Queue, if kind.is_composite() { 300 } else { 0 }),
        (Part::Provider, 200),
        (Part::Credential, 150),
        (Part::PlatformCredential, 150),
    ];
    let mut outages = Vec::new();
    for (part, per_mille) in parts {
        while dice.chance(per_mille) && outages.len() < 6 {
            let from = dice.ms(0..=ms(quiet_at));
            let until = (from + dice.ms(200..=25_000)).min(quiet_at);
            outages.push(Outage { part, from, until });
        }
    }
    outages
}

/// A rate of a kind of fault that only so many seeds in a thousand have.
fn some(dice: &mut Dice, seeds_per_mille: u32, per_mille: RangeInclusive<u64>) -> u32 {
    let rate = u32::try_from(dice.within(per_mille)).expect("under a thousand");
    if dice.chance(seeds_per_mille) { rate } else { 0 }
}

/// Whole milliseconds.
pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
