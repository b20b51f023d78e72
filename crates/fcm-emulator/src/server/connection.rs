//! One connection: HTTP/1.1 or HTTP/2, whichever the client speaks first, until it ends or is told to go away.

use std::pin::pin;
use std::sync::Arc;

use http::header::CONNECTION;
use http::{HeaderValue, Version};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::answer::Answer;
use super::route;
use crate::limits::{HEADER_READ_TIMEOUT, MAX_CONCURRENT_STREAMS, TLS_HANDSHAKE_TIMEOUT};
use crate::state::State;

/// How a connection is told to end after an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct GoAway<'c> {
    pub(super) notify: &'c Notify,
    pub(super) version: Version,
}

impl GoAway<'_> {
    /// HTTP/2 has a frame for it, HTTP/1.1 a header of the answer.
    pub(super) fn after(self, mut answer: Answer) -> Answer {
        if self.version == Version::HTTP_2 {
            self.notify.notify_one();
        } else {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

pub(super) async fn serve_tls<S>(stream: S, tls: TlsAcceptor, state: Arc<State>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    match tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => serve(stream, state).await,
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => tracing::debug!("TLS handshake took too long"),
    }
}

pub(super) async fn serve<S>(stream: S, state: Arc<State>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let go_away = Arc::new(Notify::new());
    let service = {
        let go_away = Arc::clone(&go_away);
        service_fn(move |request| route::answer(Arc::clone(&state), Arc::clone(&go_away), request))
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_READ_TIMEOUT);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(MAX_CONCURRENT_STREAMS);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut leaving = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            () = go_away.notified(), if !leaving => {
                leaving = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::time::Instant;

    use super::*;
    use crate::identity::Authority;
    use crate::schema::Schema;
    use crate::state::Beginnings;

    fn state() -> Arc<State> {
        Arc::new(State::new(Beginnings {
            base_url: String::new(),
            accounts: Vec::new(),
            token_lifetime_s: 1,
            schema: Schema::load().unwrap(),
            faults: Default::default(),
            seed: Some(1),
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_that_never_comes_is_given_up() {
        let tls = TlsAcceptor::from(Arc::new(Authority::generate().unwrap().server_config().unwrap()));
        let (_client, server) = tokio::io::duplex(1_024);
        let started = Instant::now();
        serve_tls(server, tls, state()).await;
        assert_eq!(started.elapsed().as_secs(), TLS_HANDSHAKE_TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_head_that_never_ends_is_given_up() {
        let (mut client, server) = tokio::io::duplex(1_024);
        client.write_all(b"GET /emulator/v1/healthz HTTP/1.1\r\nhost:").await.unwrap();
        let started = Instant::now();
        serve(server, state()).await;
        assert_eq!(started.elapsed().as_secs(), HEADER_READ_TIMEOUT.as_secs());
    }
}
