//! The jobs that redrive dead letters: how far each has come, kept apart from the reopening itself.

use pabal_core::clock::Timestamp;
use pabal_core::ids::{AppId, ItemId, RedriveId};
use pabal_core::limits;
use pabal_core::seam::store::{NewRedrive, RedriveJob, RedriveState};
use pabal_core::seam::{DeadFilter, Listed};
use pabal_core::{Error, ErrorKind, Result};

use crate::lists::page_of;
use crate::rows::State;

impl State {
    pub(crate) fn put_redrive(&mut self, new: &NewRedrive, now: Timestamp) -> Result<RedriveJob> {
        let running = self.running_redrives().filter(|job| job.app == new.app).count();
        if running >= limits::REDRIVES_RUNNING_MAX {
            let message = format!("an app has at most {} redrives running", limits::REDRIVES_RUNNING_MAX);
            return Err(Error::new(ErrorKind::LimitReached, "put_redrive", message));
        }
        let filter = new.filter.clone().dead_by(now);
        let job = RedriveJob {
            id: new.id,
            app: new.app,
            total: self.count_dead(new.app, &filter),
            filter,
            rate_per_s: new.rate_per_s,
            state: RedriveState::Running,
            after: None,
            reopened: 0,
            created_at: now,
            finished_at: None,
        };
        self.redrives.insert(job.id, job.clone());
        Ok(job)
    }

    /// How many a filter finds; `None` where there are more to look at than one step may.
    fn count_dead(&self, app: AppId, filter: &DeadFilter) -> Option<u64> {
        let dead = self.dead(app);
        let count = || dead.iter().filter(|id| self.is_dead_among(**id, filter)).count() as u64;
        (dead.len() <= limits::LIST_SCAN_MAX).then(count)
    }

    pub(crate) fn redrive_job(&self, app: AppId, id: RedriveId) -> Option<RedriveJob> {
        self.redrives.get(&id).filter(|job| job.app == app).cloned()
    }

    pub(crate) fn list_redrives(
        &self,
        app: AppId,
        before: Option<RedriveId>,
        max: usize,
    ) -> Listed<RedriveJob, RedriveId> {
        let jobs = self.redrives.values().rev().filter(|job| job.app == app);
        let jobs = jobs.filter(|job| before.is_none_or(|before| job.id < before));
        page_of(jobs.map(|job| (job.id, Some(job.clone()))), max)
    }

    pub(crate) fn running_redrives(&self) -> impl Iterator<Item = &RedriveJob> {
        self.redrives.values().filter(|job| job.state == RedriveState::Running)
    }

    pub(crate) fn advance_redrive(
        &mut self,
        id: RedriveId,
        reopened: u64,
        next: Option<ItemId>,
        now: Timestamp,
    ) -> bool {
        let Some(job) = self.redrives.get_mut(&id).filter(|job| job.state != RedriveState::Done) else {
            return false;
        };
        job.reopened += reopened;
        if job.state == RedriveState::Stopped {
            return false;
        }
        match next {
            Some(next) => job.after = Some(next),
            None => finish(job, RedriveState::Done, now),
        }
        job.state == RedriveState::Running
    }

    pub(crate) fn stop_redrive(&mut self, app: AppId, id: RedriveId, now: Timestamp) -> Option<RedriveJob> {
        let job = self.redrives.get_mut(&id).filter(|job| job.app == app)?;
        if job.state == RedriveState::Running {
            finish(job, RedriveState::Stopped, now);
        }
        Some(job.clone())
    }
}

fn finish(job: &mut RedriveJob, state: RedriveState, now: Timestamp) {
    job.state = state;
    job.finished_at = Some(now);
}
