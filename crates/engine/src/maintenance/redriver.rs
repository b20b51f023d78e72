//! The redriver: reopens dead letters for the jobs that were asked for, each at its own rate. A job's place is kept in the
//! store after every step, so that it goes on after a restart; a crash between a step and its place repeats nothing,
//! because what was reopened is dead no longer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pabal_core::Result;
use pabal_core::ids::RedriveId;
use pabal_core::limits;
use pabal_core::seam::store::RedriveJob;
use tokio::time::Instant;

use crate::shared::{Phase, Shared};

/// How often a running job makes a step.
const STEP_EVERY: Duration = Duration::from_millis(100);

/// Redrives until the engine drains. Jobs that another node made are found at the next idle poll.
pub(crate) async fn run(shared: Arc<Shared>) {
    let idle_poll = Duration::from_millis(shared.config.redrive_poll_ms);
    let mut allowances = BTreeMap::new();
    loop {
        let running = round(&shared, &mut allowances).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "redrive jobs could not be looked for; it is tried again");
            false
        });
        let wait = if running { STEP_EVERY } else { idle_poll };
        tokio::select! {
            biased;
            () = shared.reached(Phase::Draining) => return,
            () = shared.redrives.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// One step of each running job. Answers whether any still runs.
async fn round(shared: &Shared, allowances: &mut BTreeMap<RedriveId, Allowance>) -> Result<bool> {
    let jobs = shared.dead_letters.running_redrives().await?;
    allowances.retain(|id, _| jobs.iter().any(|job| job.id == *id));
    let mut running = false;
    for job in jobs {
        let allowance = allowances.entry(job.id).or_insert_with(|| Allowance::new(Instant::now()));
        // One that can't go on must not keep the others from it.
        running |= step(shared, &job, allowance).await.unwrap_or_else(|error| {
            tracing::warn!(job = %job.id, %error, "dead letters could not be redriven; it is tried again");
            true
        });
    }
    Ok(running)
}

/// Reopens as many as the job's rate allows now. Answers whether it still runs.
async fn step(shared: &Shared, job: &RedriveJob, allowance: &mut Allowance) -> Result<bool> {
    let max = allowance.take(job.rate_per_s, Instant::now());
    if max == 0 {
        return Ok(true);
    }
    let redriven = shared.redrive(job.app, job.filter.clone(), job.after, max).await?;
    let reopened = redriven.reopened.len();
    allowance.give_back(job.rate_per_s, max - reopened.min(max));
    let running = shared.dead_letters.advance_redrive(job.id, reopened as u64, redriven.next).await?;
    if !running {
        tracing::info!(job = %job.id, "a redrive has ended");
    }
    Ok(running)
}

/// How many a job may reopen: what its rate has added since the last step, at most two steps' worth and one item: late steps
/// cost no rate, and what was not needed for a while makes no burst later.
struct Allowance {
    since: Instant,
}

impl Allowance {
    /// Begins with one step's worth.
    fn new(now: Instant) -> Self {
        Self { since: now.checked_sub(STEP_EVERY).unwrap_or(now) }
    }

    /// Takes what has been added until now, at most what one step may reopen.
    fn take(&mut self, rate_per_s: u32, now: Instant) -> usize {
        let each = Self::each(rate_per_s);
        self.since = self.since.max(now.checked_sub(2 * STEP_EVERY + each).unwrap_or(now));
        let added = now.saturating_duration_since(self.since).as_nanos() / each.as_nanos().max(1);
        let taken = usize::try_from(added).unwrap_or(usize::MAX).min(limits::QUEUE_BATCH_MAX);
        self.since += each * u32::try_from(taken).unwrap_or(u32::MAX);
        taken
    }

    /// Gives back what a step did not need.
    fn give_back(&mut self, rate_per_s: u32, unused: usize) {
        let back = Self::each(rate_per_s) * u32::try_from(unused).unwrap_or(u32::MAX);
        self.since = self.since.checked_sub(back).unwrap_or(self.since);
    }

    fn each(rate_per_s: u32) -> Duration {
        Duration::from_secs(1) / rate_per_s.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a job may reopen over `seconds`, asked for at every step.
    fn over(rate_per_s: u32, seconds: u32) -> usize {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        (0..seconds * 10).map(|n| allowance.take(rate_per_s, start + STEP_EVERY * (n + 1))).sum()
    }

    #[test]
    fn a_rate_is_held() {
        for rate in [1, 7, 100, 5000] {
            let made = over(rate, 20);
            let expected = 20 * rate as usize;
            assert!(made.abs_diff(expected) <= 1 + rate as usize / 10, "{made} of {expected} at {rate}/s");
        }
    }

    #[test]
    fn a_long_wait_allows_no_burst() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        assert!(allowance.take(100, start + Duration::from_secs(3600)) <= 21);
        assert_eq!(Allowance::new(start).take(1, start + Duration::from_secs(3600)), 1);
    }

    #[test]
    fn what_was_not_needed_can_be_used_later() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        let taken = allowance.take(100, start + STEP_EVERY);
        allowance.give_back(100, taken);
        assert_eq!(allowance.take(100, start + STEP_EVERY), taken);
    }
}
