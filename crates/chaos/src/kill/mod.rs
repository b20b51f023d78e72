//! The kill test: the real server as a process, killed without warning in the middle of its work, again and again, while
//! its provider misbehaves too. In the end nothing may be lost.
//!
//! The simulator finds orders of events that nobody thinks of; what it can't show is that the real thing, with its
//! threads, its file and its sockets, keeps the promise when the operating system takes it away. Here three books are
//! held against each other: what was answered 202 ([`load`]), what the store says ([`store`]), what the provider got.
//!
//! ```text
//!   load ──HTTP──► pabal serve (child, SIGKILL) ──HTTP/2──► emulator (in this process, its own threads)
//!    │                    │                                    │
//!   book of 202s       database                           list of ids
//!    └────────────────────┴───────── judge ────────────────────┘
//! ```
//!
//! Reading order: [`campaign`] (a run) · [`people`] and [`plan`] (what is sent) · [`stage`] (emulator, faults,
//! configuration) · [`server`] (the child) · [`load`] and [`client`] · [`store`] · [`judge`] (the verdict) · [`report`]
//! (the gates).
//!
//! # What is counted
//!
//! - **accepted**: the deliveries of every request that was answered 202. Each is **delivered** (the store says so, and
//!   the emulator has it), **explained** (its token is bad for ever by the fault script, and it ended for that very
//!   reason), or **lost**.
//! - **duplicates**: sends that the emulator accepted beyond the first of the same delivery.
//! - **in flight**, at a kill: deliveries that the emulator has accepted since the server's start and whose attempt the
//!   store still shows as under way: they are not `delivered`, and their queue entry is leased. Just these are sent a
//!   second time. What was accepted and waits for its retry is not among them: there the attempt is recorded as
//!   `unknown`, because a fault took its answer away, and the emulator has counted that as one of the **answers lost**.
//! - So in an honest server each duplicate was in flight at some kill, or its answer was lost, and
//!   duplicates ≤ in flight (over all kills) + answers lost.
//! - **recovery**: from the moment that `/readyz` says yes after a kill to the first send that the emulator accepts.
//! - **strays**: deliveries and sends that nobody asked for. A repeated request that became a second notification would
//!   show here.
//!
//! What is deliberately absent: an end of the faults (all deliveries become final under them), a pause of the load
//! before a kill, and any trust in the server's own counts.

mod campaign;
mod client;
mod judge;
mod load;
mod people;
mod plan;
mod report;
mod server;
mod stage;
mod store;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use clap::Args;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use self::campaign::Campaign;
use self::plan::Plan;
use self::report::Report;
use self::server::Program;
use self::stage::Stage;

/// Deliveries per round, unless told otherwise.
const ACCEPTS_PER_ROUND: u64 = 8000;

/// Kills a real server under load.
#[derive(Debug, Args)]
pub(crate) struct KillArgs {
    /// How often the server is killed.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Deliveries in all; 8,000 a round if left out.
    #[arg(long)]
    accepts: Option<u64>,
    /// Draws the same people, notifications, faults and lengths of rounds again. What the processes make of it is
    /// theirs.
    #[arg(long)]
    seed: Option<u64>,
    /// The server's program, instead of the one beside this one.
    #[arg(long, value_name = "FILE")]
    pabal: Option<PathBuf>,
    /// Leaves the server's files behind even if all is well.
    #[arg(long)]
    keep: bool,
    /// Prints the report as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs what was asked for. Fails if a gate does not hold, and then leaves the server's files behind.
pub(crate) fn run(args: KillArgs) -> Result<ExitCode> {
    let seed = args.seed.unwrap_or_else(|| SmallRng::from_os_rng().random_range(1..1_000_000));
    let accepts = args.accepts.unwrap_or(ACCEPTS_PER_ROUND * u64::from(args.rounds));
    ensure!(accepts > 0, "--accepts 0 would test nothing");
    let mut rng = SmallRng::seed_from_u64(seed);
    let program = Program::find(args.pabal)?;
    let mut stage = Stage::set(seed, &mut rng)?;
    let plan = Arc::new(Plan::draw(seed, accepts));
    let campaign = Campaign {
        stage: &stage,
        program: &program,
        plan,
        report: Report { seed, ..Report::default() },
        cursor: 0,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ran = runtime.block_on(async {
        tokio::select! {
            biased;
            ended = interrupted() => ended.and_then(|()| bail!("interrupted")),
            report = campaign.run(args.rounds, rng) => report,
        }
    });
    drop(runtime);
    if args.keep || !ran.as_ref().is_ok_and(Report::holds) {
        eprintln!("seed {seed}; the server's files are left in {}", stage.keep().display());
    }
    tell(&ran?, args.json)
}

/// Ends when the run is to be given up: the server must not outlive it.
async fn interrupted() -> Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            biased;
            interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    Ok(tokio::signal::ctrl_c().await?)
}

fn tell(report: &Report, json: bool) -> Result<ExitCode> {
    match json {
        true => println!("{}", serde_json::to_string(report)?),
        false => println!("{report}"),
    }
    for finding in &report.findings {
        eprintln!("{finding}");
    }
    for gate in &report.failed {
        eprintln!("does not hold: {gate}");
    }
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
