//! When keys were last used: noted in memory with each request, and written once a minute, all keys together.
//!
//! ```text
//!   note ──► memory ──► each minute, and at the stop ──► store
//! ```
//!
//! It holds at most one time for each key that was used since the last write. What could not be written is kept and
//! written with the next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pabal_core::clock::Timestamp;
use pabal_core::ids::KeyId;
use pabal_core::seam::Keys;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::limits;

/// Uses that were not written yet.
#[derive(Default)]
pub(crate) struct Uses(Mutex<HashMap<KeyId, Timestamp>>);

/// The task that writes them.
pub(crate) struct UsesWriter {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Uses {
    /// Notes that a key was used.
    pub(super) fn note(&self, key: KeyId, at: Timestamp) {
        let mut noted = self.lock();
        let last = noted.entry(key).or_insert(at);
        *last = (*last).max(at);
    }

    /// Begins to write them each minute.
    pub(crate) fn write_to<K: Keys + ?Sized + 'static>(self: &Arc<Self>, keys: Arc<K>) -> UsesWriter {
        let (stop, mut stopped) = watch::channel(false);
        let uses = Arc::clone(self);
        let task = tokio::spawn(async move {
            let mut minutes = tokio::time::interval(limits::KEY_USES_WRITTEN_EVERY);
            minutes.tick().await;
            loop {
                let is_last = tokio::select! {
                    biased;
                    _ = stopped.changed() => true,
                    _ = minutes.tick() => false,
                };
                uses.write(&*keys).await;
                if is_last {
                    return;
                }
            }
        });
        UsesWriter { stop, task }
    }

    async fn write(&self, keys: &(impl Keys + ?Sized)) {
        let noted: Vec<_> = std::mem::take(&mut *self.lock()).into_iter().collect();
        for batch in noted.chunks(limits::KEY_USES_BATCH_MAX) {
            if let Err(error) = keys.touch_keys(batch).await {
                tracing::warn!(%error, "the last uses of API keys could not be written; they are kept for the next time");
                batch.iter().for_each(|(key, at)| self.note(*key, *at));
            }
        }
    }

    /// What is noted and not written.
    #[cfg(test)]
    pub(super) fn noted(&self) -> Vec<(KeyId, Timestamp)> {
        self.lock().iter().map(|(key, at)| (*key, *at)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<KeyId, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UsesWriter {
    /// Writes what is left, and lets go of the store.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the task that writes the last uses of API keys ended badly");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::gate::tests::Book;
    use super::*;

    fn key(n: u8) -> KeyId {
        KeyId::from_bytes([n; 16])
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms(ms)
    }

    #[tokio::test(start_paused = true)]
    async fn uses_are_written_once_a_minute_and_at_the_stop() {
        let (uses, book) = (Arc::new(Uses::default()), Arc::new(Book::default()));
        let writer = uses.write_to(Arc::clone(&book));
        uses.note(key(1), at(10));
        uses.note(key(1), at(30));
        uses.note(key(1), at(20));
        uses.note(key(2), at(5));
        tokio::time::sleep(limits::KEY_USES_WRITTEN_EVERY - std::time::Duration::from_millis(1)).await;
        assert_eq!(book.touched(), []);
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        assert_eq!(book.touched(), [(key(1), at(30)), (key(2), at(5))]);
        uses.note(key(3), at(40));
        writer.stop().await;
        assert_eq!(book.touched(), [(key(1), at(30)), (key(2), at(5)), (key(3), at(40))]);
        assert_eq!(Arc::strong_count(&book), 1, "the store is let go");
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_written_later() {
        let (uses, book) = (Uses::default(), Book::default());
        uses.note(key(1), at(10));
        book.fail(true);
        uses.write(&book).await;
        assert_eq!(book.touched(), []);
        book.fail(false);
        uses.write(&book).await;
        assert_eq!(book.touched(), [(key(1), at(10))]);
        uses.write(&book).await;
        assert_eq!(book.touched().len(), 1, "and once");
    }
}
