//! Chaos: what was accepted, held against what arrived, while everything that can break breaks.
//!
//! One program each: `sim` (seeded worlds in one process), `kill` (real processes, killed under load).

mod kill;
mod sim;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Breaks Pabal, and holds what was promised against what arrived.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    program: Program,
}

#[derive(Debug, Subcommand)]
enum Program {
    /// Runs the engine in seeded worlds: paused time, simulated provider, a crash at any await.
    Sim(sim::SimArgs),
    /// Kills a real server under load, again and again, while its provider misbehaves.
    Kill(kill::KillArgs),
}

fn main() -> Result<ExitCode> {
    match Cli::parse().program {
        Program::Sim(args) => sim::run(&args),
        Program::Kill(args) => kill::run(args),
    }
}
