//! One HTTP/2 connection: it counts its streams, says what became of each request, and ends itself when it is idle or
//! dead.
//!
//! ```text
//! greeting ──SETTINGS──▶ open ──GOAWAY, error, idle──▶ retired ──last stream ends──▶ closed
//!                        takes requests                takes none, finishes its own
//! ```
//!
//! A connection is open when the server's SETTINGS have come, which are the first thing that it says (RFC 9113,
//! section 3.4): its stream limit is known then, and a server that accepts connections only to close them, or that
//! speaks something else, has got nothing yet.
//!
//! `h2` is used without a layer above it, because the difference between "surely not processed" and "perhaps" is the
//! whole point here, and a layer above blurs it: an error of [`SendRequest::send_request`] means that nothing was
//! queued; an error of the response means what RFC 9113 says about it (sections 6.8 and 8.7): a stream that is
//! refused, or above the last id of a GOAWAY, was not processed. `h2` gives a stream a *remote* GOAWAY error only if
//! its id is above that last id; the others keep waiting for their answers. Everything else is unknown.
//!
//! Streams are gated by a semaphore before `h2` would queue them: FCM closes a connection that has more than 100
//! open. A connection that answers is never pinged, as FCM takes many pings for an attack (ENHANCE_YOUR_CALM).

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use h2::{Ping, PingPong, Reason, RecvStream};
use http::{HeaderMap, HeaderName, Request, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::classify::Answer;
use crate::dial::Wire;

/// How often a connection is looked at: whether it is idle, and whether it still answers.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// Looks that find a connection idle before it is closed: 2 minutes, as FCM closes it after 3, and a request that
/// meets that closing is a request whose fate is unknown.
const IDLE_LOOKS: u32 = 8;
/// How long the answer to a ping may take.
const PONG_TIMEOUT: Duration = Duration::from_secs(15);
/// What `h2` tells as the stream limit until the server has spoken. No request is made before that.
const LIMIT_UNTOLD: usize = usize::MAX - 1;
/// What `h2` tells as the stream limit of a server that names none.
const LIMIT_NONE: usize = usize::MAX;
/// Bytes of an answer that are kept. FCM's answers have a few hundred.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server did not process the request: sending it again is no repetition.
    NotProcessed(String),
    /// It may have.
    Unknown(String),
}

/// One connection.
pub(crate) struct Connection {
    /// Gone when the connection is retired: `h2` closes what nobody can send on.
    sender: Mutex<Option<SendRequest<Bytes>>>,
    streams: Arc<Semaphore>,
    /// How many streams may be open at once.
    limit: AtomicUsize,
    /// Answers so far: a connection that answers is alive.
    answers: AtomicU64,
}

/// The right to open one stream. Ends when it is dropped.
pub(crate) struct Stream {
    pub(crate) connection: Arc<Connection>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    /// Exchanges greetings with the server, and drives the connection on a task until it ends.
    pub(crate) async fn open(wire: Box<dyn Wire>, streams_assumed: usize) -> io::Result<Arc<Self>> {
        let (sender, mut driver) = h2::client::Builder::new()
            .enable_push(false)
            .initial_max_send_streams(LIMIT_UNTOLD)
            .handshake(wire)
            .await
            .map_err(io::Error::other)?;
        let connection = Arc::new(Self {
            sender: Mutex::new(Some(sender)),
            streams: Arc::new(Semaphore::new(0)),
            limit: AtomicUsize::new(0),
            answers: AtomicU64::new(0),
        });
        greeted(&mut driver).await?;
        connection.follow_limit(limit_of(&driver, streams_assumed));
        let pings = driver.ping_pong();
        tokio::spawn(drive(driver, pings, Arc::clone(&connection), streams_assumed));
        Ok(connection)
    }

    /// Whether it takes requests.
    pub(crate) fn is_open(&self) -> bool {
        !self.streams.is_closed()
    }

    /// How many streams may be open at once.
    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// A stream, if one is free.
    pub(crate) fn try_stream(self: &Arc<Self>) -> Option<Stream> {
        let permit = Arc::clone(&self.streams).try_acquire_owned().ok()?;
        Some(Stream { connection: Arc::clone(self), _permit: permit })
    }

    /// A stream as soon as one is free; `None` if the connection is retired first.
    pub(crate) async fn stream(self: &Arc<Self>) -> Option<Stream> {
        let permit = Arc::clone(&self.streams).acquire_owned().await.ok()?;
        Some(Stream { connection: Arc::clone(self), _permit: permit })
    }

    /// Takes no more requests; those that are under way go on.
    pub(crate) fn retire(&self) {
        self.streams.close();
        drop(self.lock_sender().take());
    }

    fn lock_sender(&self) -> std::sync::MutexGuard<'_, Option<SendRequest<Bytes>>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_flight(&self) -> usize {
        self.limit().saturating_sub(self.streams.available_permits())
    }

    /// Brings the semaphore to the limit that the server has set.
    fn follow_limit(&self, limit: usize) {
        let current = self.limit();
        if limit > current {
            self.streams.add_permits(limit - current);
            self.limit.store(limit, Ordering::Relaxed);
        } else if limit < current {
            // Permits in use can't be taken away: what is left of the difference goes at a later call.
            let taken = self.streams.forget_permits(current - limit);
            self.limit.store(current - taken, Ordering::Relaxed);
        }
    }
}

impl Stream {
    /// Sends one request and reads its answer to the end.
    pub(crate) async fn send(self, request: Request<()>, body: Bytes) -> Result<Answer, Failure> {
        let connection = &self.connection;
        let not_processed = |error: h2::Error| {
            connection.retire();
            Failure::NotProcessed(format!("connection is closing: {error}"))
        };
        let Some(sender) = connection.lock_sender().clone() else {
            return Err(Failure::NotProcessed("connection is closing".to_owned()));
        };
        let mut sender = sender.ready().await.map_err(not_processed)?;
        let (response, mut upload) = sender.send_request(request, false).map_err(not_processed)?;
        drop(sender);
        if let Err(error) = upload.send_data(body, true) {
            // The stream was closed under our hands; the response knows why.
            tracing::debug!(%error, "request body was not taken");
        }
        let response = response.await.map_err(|error| self.failure(&error))?;
        connection.answers.fetch_add(1, Ordering::Relaxed);
        let (head, stream) = response.into_parts();
        let body = read_answer(stream).await;
        Ok(Answer {
            status: head.status.as_u16(),
            retry_after: text(&head.headers, &header::RETRY_AFTER),
            date: text(&head.headers, &header::DATE),
            body,
        })
    }

    /// What an error in place of a response means for the request, and for the connection.
    fn failure(&self, error: &h2::Error) -> Failure {
        if !error.is_reset() {
            self.connection.retire();
        }
        let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        if error.is_remote() && (refused || error.is_go_away()) {
            Failure::NotProcessed(error.to_string())
        } else {
            Failure::Unknown(error.to_string())
        }
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The body, as far as [`ANSWER_BYTES_MAX`] or to where it breaks off: the status counts for more.
async fn read_answer(mut stream: RecvStream) -> Bytes {
    let mut body = BytesMut::new();
    while let Some(Ok(chunk)) = stream.data().await {
        let room = ANSWER_BYTES_MAX - body.len();
        if chunk.len() > room {
            body.extend_from_slice(&chunk[..room]);
            break;
        }
        body.extend_from_slice(&chunk);
        if stream.flow_control().release_capacity(chunk.len()).is_err() {
            break;
        }
    }
    body.freeze()
}

type Driver = h2::client::Connection<Box<dyn Wire>, Bytes>;

/// Moves the connection's bytes until the server's first SETTINGS have come.
async fn greeted(driver: &mut Driver) -> io::Result<()> {
    poll_fn(|cx| match Pin::new(&mut *driver).poll(cx) {
        Poll::Ready(Ok(())) => Poll::Ready(Err(io::Error::other("closed without a greeting"))),
        Poll::Ready(Err(error)) => Poll::Ready(Err(io::Error::other(error))),
        Poll::Pending if driver.max_concurrent_send_streams() == LIMIT_UNTOLD => Poll::Pending,
        Poll::Pending => Poll::Ready(Ok(())),
    })
    .await
}

/// How many streams the server takes; one that names no limit is given what is assumed of FCM.
fn limit_of(driver: &Driver, streams_assumed: usize) -> usize {
    match driver.max_concurrent_send_streams() {
        LIMIT_NONE | LIMIT_UNTOLD => streams_assumed,
        limit => limit,
    }
}

/// Moves the connection's bytes until it ends, and follows the server's limit.
async fn drive(
    mut driver: Driver,
    pings: Option<PingPong>,
    connection: Arc<Connection>,
    streams_assumed: usize,
) {
    let moving = poll_fn(|cx| {
        let polled = Pin::new(&mut driver).poll(cx);
        connection.follow_limit(limit_of(&driver, streams_assumed));
        polled
    });
    tokio::select! {
        biased;
        result = moving => match result {
            Ok(()) => tracing::debug!("connection ended"),
            Err(error) => tracing::debug!(%error, "connection ended"),
        },
        () = watch(&connection, pings) => tracing::warn!("connection is dead: no answer to a ping"),
    }
    connection.retire();
}

/// Ends when the connection no longer answers. Retires it when it has long been idle.
async fn watch(connection: &Connection, mut pings: Option<PingPong>) {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut answers_seen, mut idle_looks) = (0, 0);
    loop {
        looks.tick().await;
        let answers = connection.answers.load(Ordering::Relaxed);
        let answered = answers != answers_seen;
        answers_seen = answers;
        if answered {
            idle_looks = 0;
        } else if connection.in_flight() == 0 {
            idle_looks += 1;
        } else if !is_alive(pings.as_mut()).await {
            return;
        }
        if idle_looks >= IDLE_LOOKS {
            connection.retire();
        }
    }
}

async fn is_alive(pings: Option<&mut PingPong>) -> bool {
    let Some(pings) = pings else { return true };
    matches!(timeout(PONG_TIMEOUT, pings.ping(Ping::opaque())).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests;
