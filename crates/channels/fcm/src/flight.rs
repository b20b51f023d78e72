//! Work that several wait for and one task does: a connection being opened, a token being fetched. Nobody who stops
//! waiting stops the work.

use std::future::Future;

use tokio::sync::watch;

/// Work in progress, or its result. Clones wait for the same work.
#[derive(Clone)]
pub(crate) struct Flight<T>(watch::Receiver<Option<T>>);

impl<T: Clone + Send + Sync + 'static> Flight<T> {
    /// Starts the work on a task of its own.
    pub(crate) fn start(work: impl Future<Output = T> + Send + 'static) -> Self {
        let (done, result) = watch::channel(None);
        tokio::spawn(async move { done.send_replace(Some(work.await)) });
        Self(result)
    }

    /// Whether there is nothing to wait for any more.
    pub(crate) fn is_over(&self) -> bool {
        self.0.borrow().is_some() || self.0.has_changed().is_err()
    }

    /// Waits for the result. `None` if the work panicked or the runtime is shutting down.
    pub(crate) async fn result(mut self) -> Option<T> {
        let result = self.0.wait_for(Option::is_some).await;
        result.ok().and_then(|result| result.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn all_get_the_one_result_even_if_the_first_leaves() {
        let go = Arc::new(Notify::new());
        let held = Arc::clone(&go);
        let flight = Flight::start(async move {
            held.notified().await;
            7
        });
        drop(flight.clone().result());
        assert!(!flight.is_over());
        let (one, two) = (tokio::spawn(flight.clone().result()), tokio::spawn(flight.clone().result()));
        go.notify_one();
        assert_eq!((one.await.unwrap(), two.await.unwrap()), (Some(7), Some(7)));
        assert!(flight.is_over());
    }

    #[tokio::test]
    async fn work_that_panics_leaves_nobody_waiting() {
        let flight: Flight<()> = Flight::start(async { panic!("on purpose") });
        assert_eq!(flight.clone().result().await, None);
        assert!(flight.is_over());
    }
}
