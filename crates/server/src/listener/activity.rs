//! What goes on on one connection: which requests are open, whose turn it is, and since when nothing happens.
//!
//! ```text
//!   begin ──► ours: being worked on ◄── ours / theirs ──► theirs: to be taken ── whole ──► ended
//!     └───────────────────────┴── dropped before it was whole: taken back ──┘
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::limits;

/// Why a connection is ended by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// No request for so long.
    Idle,
    /// An answer is not taken.
    NotTaken,
    /// Too many requests were taken back.
    TakenBack,
}

/// The bounds of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) idle: Duration,
    pub(super) write: Duration,
}

/// What goes on on a connection.
pub(super) struct Activity {
    state: Mutex<State>,
    first: Notify,
    taken_back: Notify,
}

struct State {
    next: u64,
    /// Each open request: since when the client has taken nothing of its answer, or `None` while it is our turn.
    open: HashMap<u64, Option<Instant>>,
    idle_since: Instant,
    taken_back: usize,
}

/// A request that is open, from its head until its answer was handed over whole.
pub(super) struct Exchange {
    number: u64,
    activity: Arc<Activity>,
    is_whole: bool,
}

impl Activity {
    pub(super) fn new() -> Self {
        let state = State { next: 0, open: HashMap::new(), idle_since: Instant::now(), taken_back: 0 };
        Self { state: Mutex::new(state), first: Notify::new(), taken_back: Notify::new() }
    }

    /// The head of a request is there.
    pub(super) fn begin(self: &Arc<Self>) -> Exchange {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.open.insert(number, None);
        drop(state);
        if number == 0 {
            self.first.notify_one();
        }
        Exchange { number, activity: Arc::clone(self), is_whole: false }
    }

    /// Ends with the first head. To be asked once.
    pub(super) async fn first_head(&self) {
        self.first.notified().await;
    }

    /// Ends when the connection is to be ended.
    pub(super) async fn lost_patience(&self, patience: Patience) -> Cause {
        // Often enough for the shorter one, and seldom enough for many connections.
        let every =
            (patience.idle.min(patience.write) / 4).clamp(Duration::from_millis(10), Duration::from_secs(5));
        loop {
            tokio::select! {
                biased;
                () = self.taken_back.notified() => return Cause::TakenBack,
                () = tokio::time::sleep(every) => {}
            }
            if let Some(cause) = self.lock().judge(Instant::now(), patience) {
                return cause;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn judge(&self, now: Instant, patience: Patience) -> Option<Cause> {
        let is_over = |since: Instant, patience| now.saturating_duration_since(since) >= patience;
        if self.open.is_empty() {
            return is_over(self.idle_since, patience.idle).then_some(Cause::Idle);
        }
        let oldest = self.open.values().flatten().min()?;
        is_over(*oldest, patience.write).then_some(Cause::NotTaken)
    }
}

impl Exchange {
    /// The answer was handed over whole: whatever ends it now, nobody took it back.
    pub(super) fn whole(&mut self) {
        self.is_whole = true;
    }

    /// Some of the answer is there: it is the client's turn to take it.
    pub(super) fn theirs(&self) {
        self.activity.lock().open.insert(self.number, Some(Instant::now()));
    }

    /// All of the answer that is there was taken.
    pub(super) fn ours(&self) {
        self.activity.lock().open.insert(self.number, None);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let mut state = self.activity.lock();
        state.open.remove(&self.number);
        if state.open.is_empty() {
            state.idle_since = Instant::now();
        }
        if !self.is_whole {
            state.taken_back += 1;
            if state.taken_back > limits::TAKEN_BACK_PER_CONNECTION_MAX {
                self.activity.taken_back.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { idle: Duration::from_secs(60), write: Duration::from_secs(10) };

    async fn lost_after(activity: &Activity) -> (Cause, Duration) {
        let began = Instant::now();
        let cause = activity.lost_patience(PATIENCE).await;
        (cause, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_at_all_is_idle() {
        let activity = Arc::new(Activity::new());
        let (cause, after) = lost_after(&activity).await;
        assert_eq!(cause, Cause::Idle);
        assert!((60..65).contains(&after.as_secs()), "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn while_it_is_our_turn_nobody_is_blamed() {
        let activity = Arc::new(Activity::new());
        let exchange = activity.begin();
        assert!(tokio::time::timeout(PATIENCE.idle * 5, activity.lost_patience(PATIENCE)).await.is_err());
        exchange.theirs();
        exchange.ours();
        assert!(tokio::time::timeout(PATIENCE.idle * 5, activity.lost_patience(PATIENCE)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_taken_ends_it_whatever_else_goes_on() {
        let activity = Arc::new(Activity::new());
        let stuck = activity.begin();
        stuck.theirs();
        let busy = tokio::spawn({
            let activity = Arc::clone(&activity);
            async move {
                loop {
                    activity.begin().theirs();
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        });
        let (cause, after) = lost_after(&activity).await;
        assert_eq!(cause, Cause::NotTaken);
        assert!((10..13).contains(&after.as_secs()), "{after:?}");
        busy.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_taken_bit_by_bit_goes_on() {
        let activity = Arc::new(Activity::new());
        let exchange = activity.begin();
        exchange.theirs();
        for _ in 0..20 {
            let waited = tokio::time::timeout(PATIENCE.write / 2, activity.lost_patience(PATIENCE)).await;
            assert!(waited.is_err());
            exchange.theirs();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_too_much_back_is_cut() {
        let activity = Arc::new(Activity::new());
        for _ in 0..limits::TAKEN_BACK_PER_CONNECTION_MAX {
            activity.begin().whole();
            activity.begin().theirs();
        }
        assert!(tokio::time::timeout(PATIENCE.write, activity.lost_patience(PATIENCE)).await.is_err());
        drop(activity.begin());
        assert_eq!(lost_after(&activity).await, (Cause::TakenBack, Duration::ZERO));
    }
}
