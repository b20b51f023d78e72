//! Limits of the whole server: connections, requests in flight, slow clients; and a stop that finishes what is begun.

use std::time::Duration;

use bytes::Bytes;
use fcm_emulator::Faults;
use http::{Method, Request};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::world::{DEADLINE, World, connect, eventually, request};

/// A request whose body never ends, so that it stays in flight until the sender is dropped.
async fn hanging(world: &World) -> TcpStream {
    let mut stream = TcpStream::connect(world.running.address()).await.unwrap();
    let head = format!(
        "POST /v1/notifications HTTP/1.1\r\nhost: pabal\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 10\r\n\r\n{{",
        crate::world::KEY
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn requests_in_flight_are_bounded() {
    let world = World::start_with(Faults::default(), |config| config.http.requests_in_flight_max = 1).await;
    let hanging = hanging(&world).await;
    let refused = eventually("the place is taken", || async {
        let answer = world.get("/v1/users/ann/devices").await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert_eq!(
        (&refused.headers["retry-after"], &refused.body["type"]),
        (&"1".parse().unwrap(), &json!("urn:pabal:problem:overloaded"))
    );
    assert_eq!(world.get("/healthz").await.status, 200, "an overloaded server still says how it is");
    drop(hanging);
    eventually("the place is free", || async {
        (world.get("/v1/users/ann/devices").await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_key_can_not_take_every_place() {
    let change = |config: &mut pabal_server::Config| config.http.requests_in_flight_per_key_max = 1;
    let world = World::start_with(Faults::default(), change).await;
    let _hanging = hanging(&world).await;
    let refused = eventually("the key's place is taken", || async {
        let answer = world.get("/v1/users/ann/devices").await;
        (answer.status == 429).then_some(answer)
    })
    .await;
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(refused.body["type"], "urn:pabal:problem:too_many_requests");
}

#[tokio::test]
async fn connections_are_bounded_and_the_next_one_waits() {
    let world = World::start_with(Faults::default(), |config| config.http.connections_max = 1).await;
    let mut first = connect(world.running.address()).await;
    let healthz =
        || Request::builder().uri("/healthz").header("host", "pabal").body(Full::<Bytes>::default()).unwrap();
    assert_eq!(first.send_request(healthz()).await.unwrap().status(), 200);
    let mut second = connect(world.running.address()).await;
    let waiting = tokio::spawn(async move { second.send_request(healthz()).await.unwrap().status() });
    assert_eq!(first.send_request(healthz()).await.unwrap().status(), 200);
    assert!(!waiting.is_finished(), "the second connection has no place yet");
    drop(first);
    assert_eq!(tokio::time::timeout(DEADLINE, waiting).await.unwrap().unwrap(), 200);
}

#[tokio::test]
async fn who_says_nothing_is_shown_out() {
    let world = World::start_with(Faults::default(), |config| config.http.header_timeout_ms = 50).await;
    // Nothing at all; half of HTTP/2's preface; half a head.
    for said in ["", "PRI * HT", "GET /healthz HTTP/1.1\r\nhost: pa"] {
        let mut stream = TcpStream::connect(world.running.address()).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "{said:?}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_the_end() {
    let world = World::start_with(Faults::default(), |config| config.http.idle_timeout_ms = 50).await;
    let mut stream = TcpStream::connect(world.running.address()).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: pabal\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let world = World::start_with(Faults::default(), |config| config.http.body_timeout_ms = 50).await;
    let mut stream = hanging(&world).await;
    let mut head = [0; 12];
    tokio::time::timeout(DEADLINE, stream.read_exact(&mut head)).await.unwrap().unwrap();
    assert_eq!(&head, b"HTTP/1.1 408");
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up() {
    let world = World::start_with(Faults::default(), |config| config.http.request_timeout_ms = 50).await;
    let mut stream = hanging(&world).await;
    let mut head = [0; 12];
    tokio::time::timeout(DEADLINE, stream.read_exact(&mut head)).await.unwrap().unwrap();
    assert_eq!(&head, b"HTTP/1.1 503");
}

#[tokio::test]
async fn a_body_without_a_length_is_bounded_too() {
    let world = World::start().await;
    let (sender, mut receiver) = mpsc::channel::<Bytes>(1);
    tokio::spawn(async move { while sender.send(Bytes::from(vec![b' '; 8192])).await.is_ok() {} });
    let frames = futures_of(&mut receiver).await;
    let stream = TcpStream::connect(world.running.address()).await.unwrap();
    let (mut http, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let builder = request(Method::POST, "/v1/notifications").header("content-type", "application/json");
    let answer = http.send_request(builder.body(frames).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 413);
}

type Frames =
    StreamBody<futures::stream::Iter<std::vec::IntoIter<Result<hyper::body::Frame<Bytes>, std::io::Error>>>>;

async fn futures_of(receiver: &mut mpsc::Receiver<Bytes>) -> Frames {
    let mut frames = Vec::new();
    while frames.len() < 9 {
        frames.push(Ok(hyper::body::Frame::data(receiver.recv().await.unwrap())));
    }
    StreamBody::new(futures::stream::iter(frames))
}

#[tokio::test]
async fn http2_is_spoken_too() {
    let world = World::start().await;
    let stream = TcpStream::connect(world.running.address()).await.unwrap();
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut http, connection) =
        hyper::client::conn::http2::handshake(executor, TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder().uri("http://pabal/healthz").body(Full::<Bytes>::default()).unwrap();
    let answer = http.send_request(request).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, http::Version::HTTP_2));
}

#[tokio::test]
async fn a_stop_finishes_what_is_begun() {
    let world = World::start().await;
    let address = world.running.address();
    let mut stream = hanging(&world).await;
    // The request is under way once its place is taken; then the stop begins, and only then the body ends.
    let stopping = tokio::spawn(world.running.stop());
    eventually("the port is closed", || async { TcpStream::connect(address).await.err().map(drop) }).await;
    assert!(!stopping.is_finished());
    stream.write_all(b"\"to\" : 1 }").await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
    tokio::time::timeout(DEADLINE, stopping).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let world = World::start_with(Faults::default(), |config| config.http.drain_deadline_ms = 50).await;
    let _hanging = hanging(&world).await;
    tokio::time::timeout(Duration::from_secs(10), world.running.stop()).await.unwrap();
}

#[tokio::test]
async fn a_head_request_has_no_body() {
    let world = World::start().await;
    let mut http = connect(world.running.address()).await;
    let head = request(Method::HEAD, "/healthz").body(Full::default()).unwrap();
    let answer = http.send_request(head).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.into_body().collect().await.unwrap().to_bytes().is_empty());
}
