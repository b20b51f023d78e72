//! Accepts connections, no more at once than allowed, until told to stop.
//!
//! Stopping closes the listener first and then every connection, whatever it is doing: a test that stops the
//! emulator wants an outage, and a demo that ends has nothing to lose.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::connection;
use crate::state::State;

/// How long to wait when the system has no sockets left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running listener; stops when dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Listening {
    /// Closes the listener and all connections; returns when they are closed.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the listener had failed");
        }
    }
}

pub(crate) fn listen(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    max_connections: usize,
    state: Arc<State>,
) -> Listening {
    let (stop, stopped) = oneshot::channel();
    let acceptor = Acceptor { listener, tls, slots: Arc::new(Semaphore::new(max_connections)), state };
    Listening { stop, task: tokio::spawn(acceptor.run(stopped)) }
}

struct Acceptor {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    slots: Arc<Semaphore>,
    state: Arc<State>,
}

impl Acceptor {
    async fn run(self, mut stopped: oneshot::Receiver<()>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                _ = &mut stopped => break,
                served = self.next(&mut connections) => {
                    if let Err(error) = served {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
        drop(self.listener);
        connections.shutdown().await;
    }

    /// Waits for a free slot, then for a connection, and serves it.
    async fn next(&self, connections: &mut JoinSet<()>) -> std::io::Result<()> {
        let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { return Ok(()) };
        let (stream, _) = self.listener.accept().await?;
        while connections.try_join_next().is_some() {} // forgets those that have ended
        self.state.connections.fetch_add(1, Ordering::Relaxed);
        let (tls, state) = (self.tls.clone(), Arc::clone(&self.state));
        connections.spawn(async move {
            serve(stream, tls, state).await;
            drop(slot);
        });
        Ok(())
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, state: Arc<State>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    match tls {
        None => connection::serve(stream, state).await,
        Some(tls) => connection::serve_tls(stream, tls, state).await,
    }
}
