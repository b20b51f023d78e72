//! Newcomers: connections that have not sent a whole head. There are so many, and the oldest gives way to the next.
//!
//! ```text
//!   admit() ──► silent ── heard() ──► spoke, waits for its place ── dropped
//!                 └── turned away: the oldest of too many
//! ```
//!
//! Who has spoken is not turned away any more, only has to wait for a place.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::limits;

/// All of them.
pub(super) struct Newcomers {
    max: usize,
    queue: Mutex<Queue>,
    one_left: Notify,
}

#[derive(Default)]
struct Queue {
    next: u64,
    /// Those that said nothing yet, by the order in which they came.
    silent: BTreeMap<u64, Silent>,
    /// Those that spoke, and wait for a place.
    spoke: BTreeMap<u64, oneshot::Sender<()>>,
}

struct Silent {
    since: Instant,
    /// Dropped, it turns the newcomer away.
    hold: oneshot::Sender<()>,
}

/// One of them, for as long as it is one.
pub(super) struct Newcomer {
    number: u64,
    newcomers: Arc<Newcomers>,
}

/// Tells a newcomer to go.
pub(super) struct Hold(oneshot::Receiver<()>);

impl Newcomers {
    pub(super) fn new(max: usize) -> Self {
        Self { max, queue: Mutex::default(), one_left: Notify::new() }
    }

    /// Lets one more in, as soon as there is room or one that can be turned away for it.
    pub(super) async fn admit(self: &Arc<Self>) -> (Newcomer, Hold) {
        loop {
            let one_left = self.one_left.notified();
            match self.try_admit(Instant::now()) {
                Ok(admitted) => return admitted,
                Err(None) => one_left.await,
                Err(Some(until)) => tokio::select! {
                    biased;
                    () = one_left => {}
                    () = tokio::time::sleep_until(until) => {}
                },
            }
        }
    }

    /// Turns the oldest away, if it had its time.
    pub(super) fn turn_one_away(&self) {
        self.lock().turn_one_away(Instant::now()).unwrap_or_default();
    }

    /// Or when to try again; `None` where only one that leaves makes room.
    fn try_admit(self: &Arc<Self>, now: Instant) -> Result<(Newcomer, Hold), Option<Instant>> {
        let mut queue = self.lock();
        if queue.silent.len() + queue.spoke.len() >= self.max {
            queue.turn_one_away(now)?;
        }
        let number = queue.next;
        queue.next += 1;
        let (hold, held) = oneshot::channel();
        queue.silent.insert(number, Silent { since: now, hold });
        Ok((Newcomer { number, newcomers: Arc::clone(self) }, Hold(held)))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn turn_one_away(&mut self, now: Instant) -> Result<(), Option<Instant>> {
        let oldest = self.silent.first_entry().ok_or(None)?;
        let had_its_time = oldest.get().since + limits::NEWCOMER_GRACE;
        if now < had_its_time {
            return Err(Some(had_its_time));
        }
        oldest.remove();
        Ok(())
    }
}

impl Newcomer {
    /// It has sent a whole head.
    pub(super) fn heard(&self) {
        let mut queue = self.newcomers.lock();
        if let Some(silent) = queue.silent.remove(&self.number) {
            queue.spoke.insert(self.number, silent.hold);
        }
    }
}

impl Hold {
    /// Ends when the newcomer has to go: another one needs the room, or it is none any more.
    pub(super) async fn turned_away(&mut self) {
        // Nothing is ever sent; the other end is dropped.
        (&mut self.0).await.unwrap_or_default();
    }
}

/// Makes room, whether it was heard, turned away, or has left by itself.
impl Drop for Newcomer {
    fn drop(&mut self) {
        let mut queue = self.newcomers.lock();
        queue.silent.remove(&self.number);
        queue.spoke.remove(&self.number);
        drop(queue);
        self.newcomers.one_left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn is_turned_away((_, hold): &mut (Newcomer, Hold)) -> bool {
        tokio::time::timeout(Duration::ZERO, hold.turned_away()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_gives_way_once_it_had_its_time() {
        let newcomers = Arc::new(Newcomers::new(2));
        let began = Instant::now();
        let (mut first, mut second) = (newcomers.admit().await, newcomers.admit().await);
        let _third = newcomers.admit().await;
        assert_eq!(began.elapsed().as_millis(), limits::NEWCOMER_GRACE.as_millis(), "it waited for that");
        assert!(is_turned_away(&mut first).await);
        assert!(!is_turned_away(&mut second).await);
        drop(first);
        assert_eq!(
            newcomers.lock().silent.len(),
            2,
            "one that was turned away makes no more room by leaving"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_leaves_makes_room_at_once() {
        let newcomers = Arc::new(Newcomers::new(1));
        let began = Instant::now();
        let first = newcomers.admit().await;
        drop(first);
        let second = newcomers.admit().await;
        let waiting = tokio::spawn({
            let newcomers = Arc::clone(&newcomers);
            async move { newcomers.admit().await }
        });
        tokio::task::yield_now().await;
        drop(second);
        waiting.await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_spoken_stays() {
        let newcomers = Arc::new(Newcomers::new(1));
        let mut first = newcomers.admit().await;
        first.0.heard();
        first.0.heard();
        let waiting = tokio::spawn({
            let newcomers = Arc::clone(&newcomers);
            async move { newcomers.admit().await }
        });
        tokio::time::sleep(limits::NEWCOMER_GRACE * 10).await;
        assert!(!waiting.is_finished());
        assert_eq!(newcomers.lock().spoke.len(), 1);
        assert!(!is_turned_away(&mut first).await);
        drop(first);
        drop(waiting.await.unwrap());
        let queue = newcomers.lock();
        assert_eq!((queue.spoke.len(), queue.silent.len()), (0, 0));
    }
}
