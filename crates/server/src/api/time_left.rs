//! Work in steps within one request: however much there is, it ends in time to say how far it came. A caller who is
//! told to come back can; one whose request was cut off knows nothing.

use std::time::Duration;

use tokio::time::Instant;

use super::Api;
use super::problem::{Problem, ProblemKind};

/// What is left of a request's time for steps of work.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeLeft {
    until: Instant,
}

impl TimeLeft {
    /// Begins to count; to be made first thing in a handler.
    pub(super) fn of(api: &Api) -> Self {
        Self::within(api.steps_time)
    }

    fn within(steps_time: Duration) -> Self {
        Self { until: Instant::now() + steps_time }
    }

    /// Whether no other step is to begin. Ask after a step: a request that makes none gets nowhere.
    pub(super) fn is_over(self) -> bool {
        Instant::now() >= self.until
    }

    /// A problem once there is no time for another step; `stopped` says what is done, and at which cursor it goes on.
    pub(super) fn check(self, stopped: impl FnOnce() -> (String, String)) -> Result<(), Problem> {
        if self.is_over() { Err(unfinished(stopped())) } else { Ok(()) }
    }
}

fn unfinished((done, cursor): (String, String)) -> Problem {
    let detail =
        format!("{done}; repeat the request with this document's cursor as ?cursor=: it goes on from there");
    Problem::new(ProblemKind::Unfinished, detail).going_on_at(cursor).retry_after(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_is_told_to_end_in_time_and_where_it_goes_on() {
        let time = TimeLeft::within(Duration::from_secs(21));
        let stopped = || ("7 steps are made".to_owned(), "the-eighth".to_owned());
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!((time.is_over(), time.check(stopped)), (false, Ok(())));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(time.is_over());
        let cut_off = time.check(stopped).unwrap_err();
        let document = serde_json::to_value(cut_off.document(None)).unwrap();
        let detail = "7 steps are made; repeat the request with this document's cursor as ?cursor=: it goes on from there";
        assert_eq!((&document["detail"], &document["cursor"]), (&detail.into(), &"the-eighth".into()));
        let response = cut_off.render("r1");
        assert_eq!(
            (response.status().as_u16(), &response.headers()["retry-after"]),
            (503, &"1".parse().unwrap())
        );
    }
}
