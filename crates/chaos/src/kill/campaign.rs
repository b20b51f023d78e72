//! A run from start to verdict.
//!
//! ```text
//!   start, register ─► load ─► SIGKILL ─► look at the books ─► start, ready ─► first send ─┐
//!                       ▲                                                                  │ rounds
//!                       └──────────────────────────────────────────────────────────────────┘
//!   the rest of the load ─► all answered ─► all final ─► SIGTERM ─► verdict
//! ```

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fcm_emulator::ReceivedId;
use pabal_core::ids::NotificationId;
use rand::Rng;
use rand::rngs::SmallRng;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::judge::{Entry, Send, judge};
use super::load::{Load, register};
use super::plan::Plan;
use super::report::Report;
use super::server::{Program, Server};
use super::stage::Stage;
use super::store::{self, AtKill, Pair};

/// How long the load of one round lasts on average.
const ROUND: Duration = Duration::from_secs(4);
/// How much of the load is sent before the last kill, in a hundred.
const BEFORE_LAST_KILL: u32 = 92;
/// How unequal rounds are: shares of the load are drawn from this range.
const SHARES: std::ops::Range<f64> = 0.3..1.7;
/// How long to wait for a send before the server is killed.
const SEND_DEADLINE: Duration = Duration::from_secs(1);
/// The emulator has got everything that a killed server sent once its count stands still for this long: longer than
/// its longest latency.
const QUIET: Duration = Duration::from_millis(150);
/// How long the first send after a start is waited for.
const RECOVERY_DEADLINE: Duration = Duration::from_secs(30);
/// How long everything may take to become final, how often to look and how often to tell.
const FINAL_DEADLINE: Duration = Duration::from_secs(300);
const FINAL_POLL: Duration = Duration::from_millis(250);
const FINAL_TOLD_EVERY: Duration = Duration::from_secs(5);

/// A run under way.
pub(crate) struct Campaign<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) program: &'a Program,
    pub(crate) plan: Arc<Plan>,
    pub(crate) report: Report,
    /// Where the emulator's list of ids was at the last start.
    pub(crate) cursor: u64,
}

impl Campaign<'_> {
    /// Runs so many rounds.
    pub(crate) async fn run(mut self, rounds: u32, mut rng: SmallRng) -> Result<Report> {
        let began = Instant::now();
        let mut server = Server::start(self.program, self.stage).await?;
        let devices = register(self.stage, &self.plan).await?;
        eprintln!("{} notifications for {devices} devices and some tokens", self.plan.len());
        let lasts = ROUND * rounds;
        let mut load = Load::start(self.stage, Arc::clone(&self.plan), lasts);
        for (round, share) in shares(&mut rng, rounds).into_iter().enumerate() {
            load.release_for(lasts.mul_f64(share)).await?;
            self.await_a_send().await;
            server.kill().await?;
            let killed = self.look().await?;
            let recovery;
            (server, recovery) = self.restart(&killed).await?;
            let (answered, replays) = load.answered();
            eprintln!(
                "round {:>2}/{rounds}: {killed}; {recovery}; {answered} answered, {replays} of them as repeats",
                round + 1
            );
        }
        let book = load.finish().await?;
        eprintln!("all {} requests are answered", book.len());
        self.await_final().await?;
        self.report.stop_code = server.stop().await?.code();
        let mut report = self.judge(book).await?;
        report.seconds = (began.elapsed().as_secs_f64() * 10.0).round() / 10.0;
        Ok(report)
    }

    /// Waits for the next send that the emulator accepts: the moment at which a kill does most harm. It comes within
    /// a millisecond or two, so the moment stays a random one; without it, one kill in thirty would find nothing under
    /// way.
    async fn await_a_send(&self) {
        let accepted = self.stage.emulator.count().accepted;
        if self.stage.emulator.wait_for(accepted + 1, SEND_DEADLINE).await.is_err() {
            eprintln!("nothing is sent for {SEND_DEADLINE:?} under load");
        }
    }

    /// Looks at what a kill has left.
    async fn look(&mut self) -> Result<Killed> {
        self.quiet().await;
        let (database, people) = (self.stage.database(), Arc::clone(&self.plan.people));
        let at_kill = spawn_blocking(move || AtKill::read(&database, &people)).await??;
        let received = self.stage.emulator.ids(self.cursor, usize::MAX);
        self.cursor = received.last().map_or(self.cursor, |id| id.cursor);
        let in_flight = in_flight(&at_kill.leased, &sends(received));
        self.report.kill(in_flight);
        Ok(Killed { in_flight, leased: at_kill.leased.len(), open: at_kill.open })
    }

    /// Waits until nothing that was under way between the dead server and the emulator can arrive any more.
    async fn quiet(&self) {
        let mut before = self.stage.emulator.count().accepted;
        loop {
            sleep(QUIET).await;
            let now = self.stage.emulator.count().accepted;
            if now == before {
                return;
            }
            before = now;
        }
    }

    /// Starts the server again, and waits until a send arrives, if any work waits.
    async fn restart(&mut self, killed: &Killed) -> Result<(Server, Recovery)> {
        let (accepted, began) = (self.stage.emulator.count().accepted, Instant::now());
        let server = Server::start(self.program, self.stage).await?;
        let ready = Instant::now();
        let mut recovery = Recovery { ready_ms: ms(ready - began), first_send_ms: None };
        if killed.open > 0 {
            if self.stage.emulator.wait_for(accepted + 1, RECOVERY_DEADLINE).await.is_err() {
                eprintln!("nothing arrives within {RECOVERY_DEADLINE:?} of a start");
            }
            recovery.first_send_ms = Some(ms(ready.elapsed()));
        }
        self.report.recovery(recovery.first_send_ms.unwrap_or(0));
        Ok((server, recovery))
    }

    /// Waits until nothing is open any more. What still is at the deadline is lost, and the verdict says so.
    async fn await_final(&self) -> Result<()> {
        let (deadline, mut told) = (Instant::now() + FINAL_DEADLINE, Instant::now());
        loop {
            let database = self.stage.database();
            let open = spawn_blocking(move || store::open_work(&database)).await??;
            if open == 0 || Instant::now() > deadline {
                return Ok(());
            }
            if told.elapsed() > FINAL_TOLD_EVERY {
                eprintln!("{open} are still open");
                told = Instant::now();
            }
            sleep(FINAL_POLL).await;
        }
    }

    async fn judge(mut self, book: Vec<Entry>) -> Result<Report> {
        let counts = self.stage.emulator.count();
        ensure!(
            counts.dropped.ids == 0,
            "the emulator remembers {} sends less than it got",
            counts.dropped.ids
        );
        self.report.answers_lost = counts.answers_lost;
        let received = self.stage.emulator.ids(0, usize::MAX);
        let (database, people) = (self.stage.database(), Arc::clone(&self.plan.people));
        let verdict = spawn_blocking(move || {
            let rows = store::rows(&database, &people)?;
            anyhow::Ok(judge(&book, &rows, &sends(received)))
        });
        Ok(self.report.close(verdict.await?.context("the final database")?))
    }
}

/// What a kill left behind.
struct Killed {
    in_flight: u64,
    leased: usize,
    open: u64,
}

/// How a start after a kill went.
struct Recovery {
    ready_ms: u64,
    first_send_ms: Option<u64>,
}

/// The share of the load that comes before each kill.
fn shares(rng: &mut SmallRng, rounds: u32) -> Vec<f64> {
    let drawn: Vec<f64> = (0..rounds).map(|_| rng.random_range(SHARES)).collect();
    let sum: f64 = drawn.iter().sum();
    drawn.into_iter().map(|share| share / sum * f64::from(BEFORE_LAST_KILL) / 100.0).collect()
}

/// How many deliveries a kill has cut off between the emulator's acceptance and the store's record.
fn in_flight(leased: &[Pair], since_start: &[Send]) -> u64 {
    let accepted: HashSet<(Option<NotificationId>, &str)> =
        since_start.iter().map(|send| (send.notification, &*send.token)).collect();
    leased.iter().filter(|(id, token)| accepted.contains(&(Some(*id), &**token))).count() as u64
}

fn sends(received: Vec<ReceivedId>) -> Vec<Send> {
    let send = |id: ReceivedId| Send { notification: id.pabal_id.parse().ok(), token: id.target };
    received.into_iter().map(send).collect()
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for Killed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Killed { in_flight, leased, open } = self;
        write!(f, "killed with {in_flight} in flight of {leased} leased of {open} open")
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ready after {} ms", self.ready_ms)?;
        match self.first_send_ms {
            Some(ms) => write!(f, ", first send {ms} ms later"),
            None => write!(f, ", nothing waited"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn in_flight_is_what_was_received_since_the_start_and_is_still_leased() {
        let id = |byte| NotificationId::from_bytes([byte; 16]);
        let send = |byte, token: &str| Send { notification: Some(id(byte)), token: token.into() };
        let leased = [(id(1), "a".into()), (id(1), "b".into()), (id(2), "a".into())];
        assert_eq!(in_flight(&leased, &[]), 0);
        // Settled meanwhile, sent twice, and of no notification.
        let nameless = Send { notification: None, token: "a".into() };
        let sends = [send(1, "a"), send(1, "a"), send(3, "a"), nameless];
        assert_eq!(in_flight(&leased, &sends), 1);
    }

    #[test]
    fn the_load_lasts_beyond_the_last_kill() {
        let shares = shares(&mut SmallRng::seed_from_u64(1), 20);
        assert_eq!(shares.len(), 20);
        assert!((shares.iter().sum::<f64>() - 0.92).abs() < 1e-9);
        assert!(shares.iter().all(|share| (0.005..0.2).contains(share)));
    }
}
