//! The simulator: the real engine over both kinds of ledger, in a world whose time, chance, provider, servers and
//! crashes all come from a seed.
//!
//! It exists because the states in which a queue loses things are combinations that nobody thinks of: a crash between
//! two calls while the queue is being rebuilt and a clock is set back. Twenty thousand small worlds find them, and each
//! is found again from its number.
//!
//! ```text
//!   script ──► client ──► Engine ──► seams ──► gate ──► store, queue        (what survives a crash)
//!                                               │  └──► provider
//!                            dies, stalls, errs ┘
//!                                               └─ every effect ──► witness ──► judge
//! ```
//!
//! Reading order: [`plan`] and [`script`] (what a seed draws) · [`gate`] (how a process dies) · `layers` (the seams
//! behind gates) · [`witness`] (what must hold at each effect) · [`judge`] (what must hold in the end) · [`seed`] (how
//! it runs) · [`planted`] (bugs to be found).
//!
//! What is deliberately absent: real time, real chance, a map without an order, and any trust in what the engine says
//! about itself.

mod client;
mod clock;
mod dice;
mod eyes;
mod gate;
mod invariant;
mod judge;
mod layers;
mod names;
mod node;
mod panics;
mod plan;
mod planted;
mod report;
mod script;
mod seed;
mod servers;
#[cfg(test)]
mod tests;
mod witness;
mod world;

use std::num::NonZero;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;

use self::plan::LedgerKind;
use self::planted::Plant;
use self::report::Report;
use self::seed::How;

/// Runs seeded worlds.
#[derive(Debug, Args)]
pub(crate) struct SimArgs {
    /// How many seeds to run.
    #[arg(long, default_value_t = 2000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    start_seed: u64,
    /// Replays one seed, and prints what happened in it.
    #[arg(long, conflicts_with_all = ["seeds", "start_seed"])]
    seed: Option<u64>,
    /// Runs over this ledger only, instead of the one that each seed draws.
    #[arg(long)]
    ledger: Option<LedgerKind>,
    /// Runs with a bug, which must be found.
    #[arg(long)]
    plant: Option<Plant>,
    /// Worlds at once; each has a thread of its own.
    #[arg(long)]
    threads: Option<NonZero<usize>>,
    /// Prints the report as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs what was asked for. Fails if something was lost, broken, or never put to the test.
pub(crate) fn run(args: &SimArgs) -> Result<ExitCode> {
    let began = Instant::now();
    let how = How { logs: args.seed.is_some(), kind: args.ledger, plant: args.plant };
    let mut report = match args.seed {
        Some(seed) => replay(seed, how)?,
        None => shard(args, how)?,
    };
    report.took(began.elapsed());
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        eprint!("{report}");
    }
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn replay(number: u64, how: How) -> Result<Report> {
    let seed = seed::run(number, how)?;
    for event in &seed.events {
        println!("{event}");
    }
    let mut report = Report::default();
    report.add(number, &seed);
    Ok(report)
}

/// Spreads the seeds over threads. What a seed does depends on its number alone, so the sum does not depend on how.
fn shard(args: &SimArgs, how: How) -> Result<Report> {
    let threads = match args.threads {
        Some(threads) => threads,
        None => std::thread::available_parallelism().context("how many threads there may be")?,
    };
    let (next, end) = (AtomicU64::new(args.start_seed), args.start_seed.saturating_add(args.seeds));
    let work = || -> Result<Report> {
        let mut report = Report::default();
        loop {
            let number = next.fetch_add(1, Ordering::SeqCst);
            if number >= end {
                return Ok(report);
            }
            report.add(number, &seed::run(number, how).with_context(|| format!("seed {number}"))?);
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.get()).map(|_| scope.spawn(work)).collect();
        let mut sum = Report::default();
        for worker in workers {
            let part = worker.join().map_err(|_| anyhow::anyhow!("a thread of the simulator panicked"))?;
            sum.merge(part?);
        }
        Ok(sum)
    })
}
