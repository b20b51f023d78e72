//! Waiting by looking again and again, because the API has no way to be told. Pauses grow, so that waiting for something
//! that takes long costs the server next to nothing, and what is quick is seen at once.

use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

use super::Shown;
use crate::failure::Failure;

/// The pause before the second look; it doubles with each further one.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// What the last look may take beyond the time that was given.
const LAST_LOOK_MAX: Duration = Duration::from_secs(1);

/// Looks until nothing is pending, and gives what was seen last, with what is pending if the time ended first.
///
/// A server that can't be reached, or can't answer now, is looked for again. What it refuses ends the waiting.
pub(super) async fn until_nothing_is_pending(
    look: impl AsyncFn() -> Result<Shown>,
    at_most: Duration,
) -> Result<Shown> {
    let end = Instant::now() + at_most;
    let mut pause = PAUSE_MIN;
    loop {
        let answered_by = end.max(Instant::now() + LAST_LOOK_MAX);
        let seen = tokio::time::timeout_at(answered_by, look()).await;
        let seen = seen.unwrap_or_else(|_| Err(no_answer(at_most)));
        let left = end.saturating_duration_since(Instant::now());
        if !is_worth_another_look(&seen) || left.is_zero() {
            return seen;
        }
        tokio::time::sleep(pause.min(left)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn is_worth_another_look(seen: &Result<Shown>) -> bool {
    match seen {
        Ok(shown) => shown.pending.is_some(),
        Err(error) => matches!(error.downcast_ref::<Failure>(), Some(Failure::Unavailable(_))),
    }
}

fn no_answer(at_most: Duration) -> anyhow::Error {
    Failure::Unavailable(format!("no answer within {} s", at_most.as_secs())).into()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use serde_json::Value;

    use super::*;

    fn shown(pending: Option<&'static str>) -> Shown {
        Shown { body: Value::Null, as_text: |_| String::new(), pending }
    }

    /// Looks at what `answer` makes of the number of each look; tells how often.
    async fn wait(answer: impl Fn(u32) -> Result<Shown>) -> (Result<Shown>, u32) {
        let looks = Cell::new(0);
        let look = async || {
            looks.set(looks.get() + 1);
            answer(looks.get())
        };
        let seen = until_nothing_is_pending(look, Duration::from_secs(60)).await;
        (seen, looks.get())
    }

    fn unavailable() -> anyhow::Error {
        Failure::Unavailable("no server answers".to_owned()).into()
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_once_nothing_is_pending() {
        let (seen, looks) = wait(|look| match look {
            1 => Err(unavailable()),
            2..6 => Ok(shown(Some("it"))),
            _ => Ok(shown(None)),
        })
        .await;
        assert_eq!((seen.unwrap().pending, looks), (None, 6));
    }

    #[tokio::test(start_paused = true)]
    async fn it_gives_up_in_time_with_what_it_saw_last() {
        let started = Instant::now();
        let (seen, looks) = wait(|_| Ok(shown(Some("it")))).await;
        assert_eq!(seen.unwrap().pending, Some("it"));
        assert_eq!(started.elapsed().as_secs(), 60);
        assert!((20..40).contains(&looks), "{looks} looks");
        let (seen, _) = wait(|_| Err(unavailable())).await;
        assert!(seen.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_is_not_asked_again() {
        let (seen, looks) = wait(|_| Err(Failure::Refused("no".to_owned()).into())).await;
        assert_eq!((seen.is_err(), looks), (true, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_hangs_is_not_waited_for_for_ever() {
        let look = async || std::future::pending().await;
        let seen = until_nothing_is_pending(look, Duration::from_secs(5)).await;
        assert_eq!(seen.err().unwrap().to_string(), "no answer within 5 s");
    }
}
