//! The listener: connections are accepted, counted and timed, and at the end let go in order. TLS, if there is any, and
//! HTTP are spoken in [`connection`].
//!
//! ```text
//!               ┌─ newcomers_max ─┐   whole head   ┌─ connections_max ─┐
//!   accept() ──►│    newcomer     │───────────────►│      served       │──► idle, stalled, closed
//!               └────────┬────────┘                └───────────────────┘
//!                        └──► no head in time, or the oldest of too many: closed
//! ```
//!
//! A connection that has not sent a whole head has no place among those that are served: it is a *newcomer*, and costs
//! its sender nothing but a packet. Of newcomers there may be [`HttpSection::newcomers_max`]. One more, and the oldest
//! is closed, unless it came only just now ([`limits::NEWCOMER_GRACE`]): then the new one waits that long. So whoever
//! opens connections and says nothing, or half of something, pushes out his own, and a client that speaks is served.
//!
//! A stop closes the port, then lets requests under way finish up to a deadline, then cuts off.

mod activity;
mod answer;
mod connection;
mod newcomers;
mod stall;
mod tls;
mod validity;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use pabal_core::clock::Clock;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use self::connection::House;
use self::newcomers::Newcomers;
pub(crate) use self::tls::{Pair, Tls};
use crate::config::HttpSection;
use crate::metrics::HttpMetrics;

/// How long to wait after the system refused a connection (no file handles left, most likely).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server that listens.
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    tls: Option<Tls>,
}

impl Serving {
    /// Serves `router` on a listener that is bound already.
    pub(crate) fn start(
        listener: TcpListener,
        router: Router,
        http: &HttpSection,
        counted: HttpMetrics,
        pair: Option<Pair>,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let tls = pair.map(|pair| Tls::start(pair, clock));
        let house = House::new(router, http, counted, tls.as_ref().map(Tls::current), stopped.clone());
        let task = tokio::spawn(run(listener, Arc::new(house), stopped));
        Ok(Self { address, stop, task, tls })
    }

    /// Whether TLS is spoken.
    pub(crate) fn is_secured(&self) -> bool {
        self.tls.is_some()
    }

    /// Reads certificate and key anew, without waiting for the next look at their files.
    pub(crate) fn reload(&self) {
        self.tls.iter().for_each(Tls::reload);
    }

    /// Takes no more connections, lets requests under way finish up to the deadline, and returns.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the accept loop ended badly");
        }
    }
}

async fn run(listener: TcpListener, house: Arc<House>, mut stopped: watch::Receiver<bool>) {
    let mut tasks = JoinSet::new();
    let newcomers = Arc::clone(&house.newcomers);
    loop {
        let next = async {
            // Where nobody more can be served, the next ones wait in the kernel's backlog.
            house.until_there_is_a_place().await;
            let accepted = listener.accept().await;
            (accepted, newcomers.admit().await)
        };
        let (accepted, (newcomer, hold)) = tokio::select! {
            biased;
            _ = stopped.changed() => break,
            next = next => next,
        };
        // Those that have ended since; there are never more than places and newcomers.
        while tasks.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                tasks.spawn(Arc::clone(&house).serve(stream, newcomer, hold));
            }
            Err(error) => {
                drop(newcomer);
                refused(&error, &newcomers).await;
            }
        }
    }
    drop(listener);
    finish(tasks, house.drain_deadline).await;
}

/// The system has no room for another connection: the one that is of least use makes some.
async fn refused(error: &std::io::Error, newcomers: &Newcomers) {
    tracing::warn!(%error, "a connection could not be accepted");
    newcomers.turn_one_away();
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

async fn finish(mut tasks: JoinSet<()>, deadline: Duration) {
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(deadline, all).await.is_err() {
        tracing::warn!("requests were still under way at the deadline and are cut off");
    }
    tasks.shutdown().await;
}
