//! Several connections to one server. Each is filled to its stream limit before the next is opened, and one that is
//! closing is replaced by the next request that needs it.
//!
//! A request that was surely not processed is sent again over another connection, a bounded number of times; one
//! whose fate is unknown is never repeated here: that is the policy's to decide.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::Request;
use tokio::time::timeout;

use crate::classify::Answer;
use crate::config::{Endpoint, FcmConfig};
use crate::connection::{Connection, Failure, Stream};
use crate::dial::{DialError, Dialer, Protocol};
use crate::flight::Flight;

/// Times that a request is put on a connection before it is given back as not sent.
const SENDS_MAX: usize = 4;
/// Times that a request may find no stream, beside once for each connection, before it is given back: connections
/// that close as soon as they open must not hold it for ever.
const WAITS_MAX: usize = 16;

/// Connections to one server.
pub(crate) struct Pool {
    endpoint: Endpoint,
    dialer: Arc<Dialer>,
    slots: Box<[Slot]>,
    streams_assumed: usize,
    /// Where the next search for a free stream begins, so that connections share the load.
    next: AtomicUsize,
}

/// The place of one connection.
struct Slot(Arc<Mutex<State>>);

#[derive(Clone)]
enum State {
    Closed,
    Opening(Flight<Result<Arc<Connection>, DialError>>),
    Open(Arc<Connection>),
}

impl Slot {
    fn get(&self) -> State {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn open_connection(&self) -> Option<Arc<Connection>> {
        match self.get() {
            State::Open(connection) if connection.is_open() => Some(connection),
            State::Open(_) | State::Opening(_) | State::Closed => None,
        }
    }
}

impl Pool {
    pub(crate) fn new(endpoint: Endpoint, dialer: Arc<Dialer>, config: &FcmConfig) -> Self {
        let slot = |_| Slot(Arc::new(Mutex::new(State::Closed)));
        Self {
            endpoint,
            dialer,
            slots: (0..config.connections_per_project).map(slot).collect(),
            streams_assumed: config.streams_assumed,
            next: AtomicUsize::new(0),
        }
    }

    /// How many requests may be under way at once, with what is known of the server now: connections that are not
    /// open yet will have the limit of those that are.
    pub(crate) fn capacity(&self) -> usize {
        let open: Vec<usize> =
            self.slots.iter().filter_map(Slot::open_connection).map(|open| open.limit()).collect();
        let expected = open.first().copied().unwrap_or(self.streams_assumed);
        open.iter().sum::<usize>() + (self.slots.len() - open.len()) * expected
    }

    /// Sends a request, made anew for each try.
    pub(crate) async fn send(
        &self,
        request: impl Fn() -> Request<()>,
        body: &Bytes,
    ) -> Result<Answer, Failure> {
        let mut refused_by: Option<Arc<Connection>> = None;
        let mut last = String::new();
        for _ in 0..SENDS_MAX {
            let stream = match self.stream(refused_by.as_ref()).await {
                Ok(stream) => stream,
                Err(error) => return Err(Failure::NotProcessed(error.to_string())),
            };
            refused_by = Some(Arc::clone(&stream.connection));
            match stream.send(request(), body.clone()).await {
                Err(Failure::NotProcessed(error)) => last = error,
                answered_or_unknown => return answered_or_unknown,
            }
        }
        Err(Failure::NotProcessed(format!("refused {SENDS_MAX} times, last: {last}")))
    }

    /// A stream on a connection other than `avoid`, if there can be one.
    async fn stream(&self, avoid: Option<&Arc<Connection>>) -> Result<Stream, DialError> {
        let mut dial_error = None;
        for _ in 0..self.slots.len() + WAITS_MAX {
            if let Some(stream) = self.free_stream(avoid) {
                return Ok(stream);
            }
            // A failed dial does not matter to a request that can wait for a stream elsewhere.
            let opening = if dial_error.is_none() { self.opening() } else { None };
            match opening {
                Some(opening) => dial_error = opening.result().await.and_then(Result::err),
                None => match self.any_open() {
                    Some(connection) => {
                        if let Some(stream) = connection.stream().await {
                            return Ok(stream);
                        }
                    }
                    None => break,
                },
            }
        }
        Err(dial_error.unwrap_or_else(|| {
            DialError::new(format!("connections to {} close as soon as they open", self.endpoint))
        }))
    }

    /// The slots, beginning at another one each time.
    fn turn(&self) -> impl Iterator<Item = &Slot> {
        let start = self.next.fetch_add(1, Ordering::Relaxed) % self.slots.len();
        self.slots[start..].iter().chain(&self.slots[..start])
    }

    fn free_stream(&self, avoid: Option<&Arc<Connection>>) -> Option<Stream> {
        let others = |open: &Arc<Connection>| avoid.is_none_or(|avoid| !Arc::ptr_eq(avoid, open));
        self.turn().filter_map(Slot::open_connection).filter(others).find_map(|open| open.try_stream())
    }

    fn any_open(&self) -> Option<Arc<Connection>> {
        self.turn().find_map(Slot::open_connection)
    }

    /// The opening of a connection: one that is under way, else of the first slot that has none.
    fn opening(&self) -> Option<Flight<Result<Arc<Connection>, DialError>>> {
        let under_way = self.slots.iter().find_map(|slot| match slot.get() {
            State::Opening(flight) if !flight.is_over() => Some(flight),
            State::Opening(_) | State::Open(_) | State::Closed => None,
        });
        under_way.or_else(|| self.slots.iter().find_map(|slot| self.open(slot)))
    }

    /// Opens a connection in a slot, unless it has one.
    fn open(&self, slot: &Slot) -> Option<Flight<Result<Arc<Connection>, DialError>>> {
        let mut state = slot.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Open(connection) if connection.is_open() => return None,
            State::Opening(flight) if !flight.is_over() => return Some(flight.clone()),
            State::Open(_) | State::Opening(_) | State::Closed => {}
        }
        let (dialer, endpoint) = (Arc::clone(&self.dialer), self.endpoint.clone());
        let (slot, streams_assumed) = (Arc::clone(&slot.0), self.streams_assumed);
        let flight = Flight::start(async move {
            let opened = connect(&dialer, &endpoint, streams_assumed).await;
            // The slot knows before the waiting do, so that they find the connection there.
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = match &opened {
                Ok(connection) => State::Open(Arc::clone(connection)),
                Err(_) => State::Closed,
            };
            opened
        });
        *state = State::Opening(flight.clone());
        Some(flight)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for connection in self.slots.iter().filter_map(Slot::open_connection) {
            connection.retire();
        }
    }
}

async fn connect(
    dialer: &Dialer,
    endpoint: &Endpoint,
    streams_assumed: usize,
) -> Result<Arc<Connection>, DialError> {
    let wire = dialer.dial(endpoint, Protocol::Http2).await?;
    let no_http2 = |error: String| DialError::new(format!("no HTTP/2 with {endpoint}: {error}"));
    match timeout(dialer.connect_timeout(), Connection::open(wire, streams_assumed)).await {
        Ok(Ok(connection)) => {
            tracing::debug!(%endpoint, "connection opened");
            Ok(connection)
        }
        Ok(Err(error)) => Err(no_http2(error.to_string())),
        Err(_) => Err(no_http2("no greeting in time".to_owned())),
    }
}
