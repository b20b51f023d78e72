//! Work in steps within one request: however much there is, it ends in time to say how far it came. A caller who is
//! told to come back can; one whose request was cut off knows nothing.

use std::time::Duration;

use tokio::time::Instant;

use super::Api;
use super::problem::{Problem, ProblemKind};
use crate::limits;

/// What is left of a request's time for steps of work.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeLeft {
    until: Instant,
}

impl TimeLeft {
    /// Begins to count; to be made first thing in a handler.
    pub(super) fn of(api: &Api) -> Self {
        Self::within(api.request_timeout)
    }

    fn within(request_timeout: Duration) -> Self {
        Self { until: Instant::now() + request_timeout * limits::STEPS_TIME_PERCENT / 100 }
    }

    /// Whether no other step is to begin.
    pub(super) fn is_over(self) -> bool {
        Instant::now() >= self.until
    }

    /// Lets something go on for as long as there is time; `done` says what is done when there is none.
    pub(super) async fn bound<T>(
        self,
        work: impl Future<Output = T>,
        done: impl FnOnce() -> String,
    ) -> Result<T, Problem> {
        tokio::time::timeout_at(self.until, work).await.map_err(|_| unfinished(&done()))
    }

    /// A problem once there is no time for another step.
    pub(super) fn check(self, done: impl FnOnce() -> String) -> Result<(), Problem> {
        if self.is_over() { Err(unfinished(&done())) } else { Ok(()) }
    }
}

fn unfinished(done: &str) -> Problem {
    let detail = format!("{done}; repeat the request: it goes on from there");
    Problem::new(ProblemKind::Unfinished, detail).retry_after(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_is_told_to_end_in_time() {
        let time = TimeLeft::within(Duration::from_secs(30));
        let steps = || "7 steps are made".to_owned();
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!((time.is_over(), time.check(steps)), (false, Ok(())));
        assert_eq!(time.bound(std::future::ready(5), steps).await, Ok(5));
        // Without a way to end by itself; time goes on as soon as nothing else can.
        let cut_off = time.bound(std::future::pending::<()>(), steps).await.unwrap_err();
        assert_eq!(time.until.elapsed(), Duration::ZERO, "at 70 percent of the request's time");
        assert!(time.is_over());
        assert_eq!(time.check(steps), Err(cut_off.clone()));
        assert_eq!(cut_off, unfinished("7 steps are made"));
        let response = cut_off.render("r1");
        assert_eq!(
            (response.status().as_u16(), &response.headers()["retry-after"]),
            (503, &"1".parse().unwrap())
        );
    }
}
