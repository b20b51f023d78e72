//! Running a case, and waiting for things: always with a deadline, never by sleeping for what should have happened.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// How long a test waits for something to become true.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// How long one case may take in all, on a machine that is busy with others.
pub const CASE_DEADLINE: Duration = Duration::from_secs(300);

/// Runs one case on a runtime of several threads, so that what can race does.
///
/// # Panics
/// If the case panics, or has not ended by [`CASE_DEADLINE`].
pub fn run<T>(case: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let case = Box::pin(case);
        tokio::time::timeout(CASE_DEADLINE, case).await.expect("the case did not end in time")
    })
}

/// Asks `probe` until it answers, and gives that answer. `what` names what is awaited, for whoever reads the failure.
///
/// # Panics
/// If there is no answer by [`DEADLINE`], of the runtime's clock, which may be paused.
pub async fn eventually<T, F>(what: &str, mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let give_up_at = Instant::now() + DEADLINE;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(answer) = probe().await {
            return answer;
        }
        assert!(Instant::now() < give_up_at, "waited {DEADLINE:?} in vain for: {what}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_answer_is_given_as_soon_as_there_is_one() {
        let asked = Cell::new(0);
        let answer = eventually("the third time", || {
            asked.set(asked.get() + 1);
            std::future::ready((asked.get() == 3).then_some("here"))
        });
        assert_eq!(answer.await, "here");
        assert_eq!(asked.get(), 3);
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "in vain for: nothing")]
    async fn waiting_in_vain_says_for_what() {
        eventually("nothing", || std::future::ready(None::<()>)).await;
    }
}
