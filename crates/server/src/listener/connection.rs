//! One connection from its first byte to its last: TLS, HTTP/1.1 or HTTP/2, and every way in which a client can hold it
//! without being of use.
//!
//! | what a client does | what ends it |
//! | --- | --- |
//! | connects and says nothing; half a TLS handshake, a preface, a head | `http.header_timeout_ms`, or [`Newcomers`] sooner |
//! | sends a later head byte by byte, or nothing more | `http.idle_timeout_ms` |
//! | sends a body byte by byte | `http.body_timeout_ms`, in the handler |
//! | does not read its answer, or opens no window for it | `http.write_timeout_ms` |
//! | sends requests without awaiting answers | one at a time is read on HTTP/1.1; [`limits::STREAMS_PER_CONNECTION_MAX`] on HTTP/2 |
//! | opens streams and resets them | [`limits::RESETS_PENDING_MAX`], [`limits::TAKEN_BACK_PER_CONNECTION_MAX`] |
//! | sends endless heads | [`limits::HEAD_BYTES_MAX`] |
//!
//! What can be read in two ways is refused here or in the HTTP library, and its connection closed: whatever stands
//! behind an ambiguous head is never taken for a request. A body with both a length and chunks is read as chunks, and
//! nothing after it (RFC 9112, section 6.1).

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::activity::{Activity, Cause, Exchange, Patience};
use super::answer::AnswerBody;
use super::newcomers::{Hold, Newcomer, Newcomers};
use super::stall::NoStall;
use crate::config::HttpSection;
use crate::limits;
use crate::metrics::HttpMetrics;

/// How often an idle HTTP/2 connection is asked whether it lives.
const PING_EVERY: Duration = Duration::from_secs(30);

/// A byte stream, with or without TLS.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// What all connections have in common.
pub(super) struct House {
    pub(super) newcomers: Arc<Newcomers>,
    pub(super) drain_deadline: Duration,
    places: Arc<Semaphore>,
    router: Router,
    counted: HttpMetrics,
    builder: auto::Builder<TokioExecutor>,
    tls: Option<watch::Receiver<Arc<ServerConfig>>>,
    stopped: watch::Receiver<bool>,
    header_timeout: Duration,
    patience: Patience,
}

impl House {
    pub(super) fn new(
        router: Router,
        http: &HttpSection,
        counted: HttpMetrics,
        tls: Option<watch::Receiver<Arc<ServerConfig>>>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        let ms = Duration::from_millis;
        Self {
            newcomers: Arc::new(Newcomers::new(http.newcomers_max)),
            drain_deadline: ms(http.drain_deadline_ms),
            places: Arc::new(Semaphore::new(http.connections_max)),
            router,
            counted,
            builder: builder(http),
            tls,
            stopped,
            header_timeout: ms(http.header_timeout_ms),
            patience: Patience { idle: ms(http.idle_timeout_ms), write: ms(http.write_timeout_ms) },
        }
    }

    /// Waits until another connection could be served.
    pub(super) async fn until_there_is_a_place(&self) {
        // Never closed.
        drop(self.places.acquire().await);
    }

    /// Serves a connection until it ends.
    pub(super) async fn serve(self: Arc<Self>, stream: TcpStream, newcomer: Newcomer, mut hold: Hold) {
        let _connected = self.counted.connected();
        let until = Instant::now() + self.header_timeout;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let mut stopped = self.stopped.clone();
        let secured = tokio::select! {
            biased;
            secured = self.secure(NoStall::new(stream, self.patience.write)) => secured,
            () = gone(&mut hold, until, &mut stopped) => return,
        };
        match secured {
            Ok(wire) => self.speak(wire, newcomer, hold, until).await,
            Err(error) => tracing::debug!(%error, "no TLS with a client"),
        }
    }

    async fn secure(&self, stream: NoStall<TcpStream>) -> std::io::Result<Box<dyn Wire>> {
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let acceptor = TlsAcceptor::from(Arc::clone(&tls.borrow()));
        Ok(Box::new(acceptor.accept(stream).await?))
    }

    /// HTTP, of whichever version the client begins with; its first head has to be there in time.
    async fn speak(self: Arc<Self>, wire: Box<dyn Wire>, newcomer: Newcomer, mut hold: Hold, until: Instant) {
        let activity = Arc::new(Activity::new());
        let guest = Arc::new(Guest {
            router: self.router.clone(),
            places: Arc::clone(&self.places),
            place: OnceCell::new(),
            newcomer: Mutex::new(Some(newcomer)),
            activity: Arc::clone(&activity),
        });
        let service = hyper::service::service_fn(move |request| {
            let exchange = guest.begin();
            Arc::clone(&guest).answer(request, exchange)
        });
        let mut connection = pin!(self.builder.serve_connection(TokioIo::new(wire), service));
        let mut stopped = self.stopped.clone();
        tokio::select! {
            biased;
            ended = &mut connection => return report(ended),
            () = activity.first_head() => {}
            () = gone(&mut hold, until, &mut stopped) => return,
        }
        let cause = tokio::select! {
            biased;
            ended = &mut connection => return report(ended),
            cause = activity.lost_patience(self.patience) => Some(cause),
            _ = stopped.wait_for(|stopped| *stopped) => None,
        };
        tracing::trace!(?cause, "a connection is ended");
        if matches!(cause, Some(Cause::NotTaken | Cause::TakenBack)) {
            return;
        }
        // Idle, or the server stops: what is under way finishes, and nothing new begins.
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            biased;
            ended = &mut connection => report(ended),
            _ = activity.lost_patience(self.patience) => {}
        }
    }
}

/// What the requests of one connection have in common.
struct Guest {
    router: Router,
    places: Arc<Semaphore>,
    /// Its place among the connections that are served; the first request takes it.
    place: OnceCell<Option<OwnedSemaphorePermit>>,
    /// It is one until it has a place.
    newcomer: Mutex<Option<Newcomer>>,
    activity: Arc<Activity>,
}

impl Guest {
    /// A head is there.
    fn begin(&self) -> Exchange {
        let exchange = self.activity.begin();
        self.newcomer.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(Newcomer::heard);
        exchange
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        exchange: Exchange,
    ) -> Result<Response<AnswerBody>, Infallible> {
        self.take_a_place().await;
        let answer = match is_ambiguous(&request) {
            true => refusal(),
            false => self.router.clone().oneshot(request).await?,
        };
        exchange.theirs();
        Ok(answer.map(|body| AnswerBody::new(body, exchange)))
    }

    async fn take_a_place(&self) {
        // Never closed.
        self.place.get_or_init(async || Arc::clone(&self.places).acquire_owned().await.ok()).await;
        drop(self.newcomer.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// What the HTTP library lets through, and another server on the way may have read otherwise: encodings of the body
/// beside chunks, and no or several hosts (RFC 9112, sections 6.1 and 3.2).
fn is_ambiguous<B>(request: &Request<B>) -> bool {
    if request.version() == Version::HTTP_2 {
        return false;
    }
    let headers = request.headers();
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_chunked = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    let is_plain = encodings.next().is_none_or(is_chunked) && encodings.next().is_none();
    let hosts = headers.get_all(HOST).iter().count();
    let is_for_one = hosts == 1 || hosts == 0 && request.version() < Version::HTTP_11;
    !is_plain || !is_for_one
}

/// As the HTTP library refuses what is no HTTP: without a body, and for good.
fn refusal() -> Response<Body> {
    let mut refusal = Response::new(Body::empty());
    *refusal.status_mut() = StatusCode::BAD_REQUEST;
    refusal.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    refusal
}

/// Ends when a newcomer has to go: it is turned away, its time is over, or the server stops.
async fn gone(hold: &mut Hold, until: Instant, stopped: &mut watch::Receiver<bool>) {
    tokio::select! {
        biased;
        () = hold.turned_away() => {}
        () = tokio::time::sleep_until(until) => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
}

fn report(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

fn builder(http: &HttpSection) -> auto::Builder<TokioExecutor> {
    let ms = Duration::from_millis;
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(ms(http.idle_timeout_ms))
        .max_buf_size(limits::HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(ms(http.header_timeout_ms))
        .max_header_list_size(limits::HEAD_BYTES_MAX as u32)
        .max_concurrent_streams(limits::STREAMS_PER_CONNECTION_MAX)
        .max_pending_accept_reset_streams(limits::RESETS_PENDING_MAX)
        .max_local_error_reset_streams(limits::RESETS_FOR_ERRORS_MAX)
        .max_send_buf_size(limits::STREAM_SEND_BYTES_MAX);
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(version: Version, headers: &[(&'static str, &'static str)]) -> Request<()> {
        let mut builder = Request::builder().version(version);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap()
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        let host = ("host", "pabal");
        let te = |value| ("transfer-encoding", value);
        let good: [&[_]; 3] = [&[host], &[host, te("chunked")], &[host, te(" Chunked ")]];
        for headers in good {
            assert!(!is_ambiguous(&request(Version::HTTP_11, headers)), "{headers:?}");
        }
        let bad: [&[_]; 6] = [
            &[],
            &[host, host],
            &[host, te("gzip, chunked")],
            &[host, te("chunked, chunked")],
            &[host, te("identity")],
            &[host, te("chunked"), te("chunked")],
        ];
        for headers in bad {
            assert!(is_ambiguous(&request(Version::HTTP_11, headers)), "{headers:?}");
        }
        assert!(!is_ambiguous(&request(Version::HTTP_10, &[])), "there a host was not needed yet");
        assert!(!is_ambiguous(&request(Version::HTTP_2, &[])), "there the library sees to it");
    }
}
