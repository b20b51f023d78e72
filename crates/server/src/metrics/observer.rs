//! The observer: reads in the background what a scrape shows of queue and store, so that no scrape waits for either. And
//! says in the log when the disk fills up, because it is still early then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pabal_core::Result;
use pabal_core::seam::Store;
use pabal_core::seam::store::StoreSize;
use pabal_engine::Engine;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How often each number is read…
const EVERY: Duration = Duration::from_secs(5);
/// …and how many times longer than a reading took is waited before the next, so that observing costs a twentieth at most.
const REST_TO_WORK: u32 = 19;
/// How often it is said again that the disk fills up.
const SAY_EVERY: Duration = Duration::from_secs(300);

/// Observes for as long as it lives.
pub(crate) struct Observer {
    tasks: JoinSet<()>,
}

impl Observer {
    /// Begins at once. `disk_free_warn_bytes` is what the disk is to have left; 0 asks for nothing.
    pub(crate) fn start(engine: &Arc<Engine>, store: &Arc<dyn Store>, disk_free_warn_bytes: u64) -> Self {
        let mut tasks = JoinSet::new();
        let of_queue = Arc::clone(engine);
        tasks.spawn(repeat("the queue", move || observe_queue(Arc::clone(&of_queue))));
        let (of_store, read) = (Arc::clone(engine), Arc::clone(store));
        let disk = Arc::new(std::sync::Mutex::new(Disk { warn_bytes: disk_free_warn_bytes, said_at: None }));
        tasks.spawn(repeat("the store's size", move || {
            observe_size(Arc::clone(&of_store), Arc::clone(&read), Arc::clone(&disk))
        }));
        let (of_kept, read) = (Arc::clone(engine), Arc::clone(store));
        tasks.spawn(repeat("the counters", move || observe_kept(Arc::clone(&of_kept), Arc::clone(&read))));
        Self { tasks }
    }

    /// Stops, and lets go of engine and store.
    pub(crate) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Reads again and again. Each kind of number has its own loop: one that hangs holds up no other, and its age shows.
async fn repeat<F: Future<Output = Result<()>>>(what: &'static str, read: impl Fn() -> F) {
    loop {
        let began = Instant::now();
        if let Err(error) = read().await {
            tracing::debug!(%error, what, "not observed; it is tried again");
        }
        tokio::time::sleep(EVERY.max(began.elapsed() * REST_TO_WORK)).await;
    }
}

async fn observe_queue(engine: Arc<Engine>) -> Result<()> {
    let counts = engine.counts().await?;
    engine.metrics().observe_queue(counts);
    Ok(())
}

async fn observe_size(
    engine: Arc<Engine>,
    store: Arc<dyn Store>,
    disk: Arc<std::sync::Mutex<Disk>>,
) -> Result<()> {
    let size = store.size().await?;
    engine.metrics().observe_size(size);
    let mut disk = disk.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    disk.say(size, Instant::now());
    Ok(())
}

/// Over all apps: an app's name or number would be a label without a bound.
async fn observe_kept(engine: Arc<Engine>, store: Arc<dyn Store>) -> Result<()> {
    let mut kept = BTreeMap::new();
    for app in store.apps().await? {
        for (state, reason, count) in store.totals(app.id).await? {
            *kept.entry((state, reason)).or_insert(0) += count;
        }
    }
    let kept = kept.into_iter().map(|((state, reason), count)| (state, reason, count));
    engine.metrics().observe_kept(kept.collect());
    Ok(())
}

/// Whether there is something to say of the disk.
struct Disk {
    warn_bytes: u64,
    said_at: Option<Instant>,
}

impl Disk {
    fn say(&mut self, size: StoreSize, now: Instant) {
        const MB: u64 = 1024 * 1024;
        let Some(free_bytes) = size.disk_free_bytes else { return };
        if self.is_to_be_said(free_bytes, now) {
            tracing::warn!(
                free_mb = free_bytes / MB,
                used_mb = size.used_bytes / MB,
                "the store's disk fills up: once it is full, nothing is accepted or sent until there is room"
            );
        }
    }

    fn is_to_be_said(&mut self, free_bytes: u64, now: Instant) -> bool {
        if free_bytes >= self.warn_bytes {
            self.said_at = None;
            return false;
        }
        let is_due = self.said_at.is_none_or(|said| now - said >= SAY_EVERY);
        if is_due {
            self.said_at = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_fills_up_is_said_now_and_then_and_anew_after_it_had_room() {
        let start = Instant::now();
        let mut disk = Disk { warn_bytes: 100, said_at: None };
        let mut said = |free, s: u64| disk.is_to_be_said(free, start + Duration::from_secs(s));
        assert_eq!([said(100, 0), said(99, 5), said(98, 10), said(97, 305)], [false, true, false, true]);
        assert_eq!([said(200, 310), said(99, 315)], [false, true]);
    }

    #[test]
    fn no_threshold_says_nothing() {
        let mut disk = Disk { warn_bytes: 0, said_at: None };
        assert!(!disk.is_to_be_said(0, Instant::now()));
    }
}
