//! The accept loop: connections are counted, timed and, at the end, let go in order.
//!
//! ```text
//!   listening ── stop() ──► closed to new connections; requests under way finish ── deadline ──► cut off
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tower::ServiceExt;

use crate::config::HttpSection;
use crate::limits;

/// How long to wait after the system refused a connection (no file handles left, most likely).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often an idle HTTP/2 connection is asked whether it lives.
const PING_EVERY: Duration = Duration::from_secs(30);

/// A server that listens.
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Serving {
    /// Serves `router` on a listener that is bound already.
    pub(crate) fn start(listener: TcpListener, router: Router, http: &HttpSection) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run(listener, Connections::new(router, http), stopped));
        Ok(Self { address, stop, task })
    }

    /// Takes no more connections, lets requests under way finish up to the deadline, and returns.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the accept loop ended badly");
        }
    }
}

async fn run(listener: TcpListener, mut connections: Connections, mut stopped: watch::Receiver<bool>) {
    loop {
        // A place first: what can't be served waits in the kernel's backlog.
        let place = tokio::select! {
            place = Arc::clone(&connections.places).acquire_owned() => place,
            _ = stopped.changed() => break,
        };
        let Ok(place) = place else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => break,
        };
        match accepted {
            Ok((stream, _)) => connections.serve(stream, place),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.finish().await;
}

/// The connections that are open.
struct Connections {
    router: Router,
    places: Arc<Semaphore>,
    tasks: JoinSet<()>,
    builder: auto::Builder<TokioExecutor>,
    graceful: GracefulShutdown,
    header_timeout: Duration,
    drain_deadline: Duration,
}

impl Connections {
    fn new(router: Router, http: &HttpSection) -> Self {
        let header_timeout = Duration::from_millis(http.header_timeout_ms);
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_millis(http.idle_timeout_ms))
            .max_buf_size(limits::HEAD_BYTES_MAX);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(header_timeout)
            .max_header_list_size(limits::HEAD_BYTES_MAX as u32)
            .max_concurrent_streams(limits::STREAMS_PER_CONNECTION_MAX);
        Self {
            router,
            places: Arc::new(Semaphore::new(http.connections_max)),
            tasks: JoinSet::new(),
            builder,
            graceful: GracefulShutdown::new(),
            header_timeout,
            drain_deadline: Duration::from_millis(http.drain_deadline_ms),
        }
    }

    fn serve(&mut self, stream: TcpStream, place: OwnedSemaphorePermit) {
        // Those that have ended since; there are never more than places.
        while self.tasks.try_join_next().is_some() {}
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let heard = Arc::new(AtomicBool::new(false));
        let router = self.router.clone();
        let service = {
            let heard = Arc::clone(&heard);
            hyper::service::service_fn(move |request: Request<Incoming>| {
                heard.store(true, Ordering::Relaxed);
                router.clone().oneshot(request)
            })
        };
        let connection = self.builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = self.graceful.watch(connection);
        let silence = tokio::time::sleep(self.header_timeout);
        self.tasks.spawn(async move {
            let _place = place;
            let mut connection = std::pin::pin!(connection);
            // The library tells HTTP/1 from HTTP/2 without a time limit: a client that says nothing at all, or only
            // half a preface, would hold its place for ever.
            let ended = tokio::select! {
                ended = &mut connection => ended,
                () = silence => {
                    if !heard.load(Ordering::Relaxed) {
                        return;
                    }
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection broke");
            }
        });
    }

    async fn finish(mut self) {
        if tokio::time::timeout(self.drain_deadline, self.graceful.shutdown()).await.is_err() {
            tracing::warn!("requests were still under way at the deadline and are cut off");
        }
        self.tasks.shutdown().await;
    }
}
