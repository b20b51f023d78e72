//! Clients that are slow, silent, ambiguous or hostile: each costs little, and nobody else notices.

use std::net::SocketAddr;
use std::time::Duration;

use fcm_emulator::Faults;
use pabal_server::limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::frames::{self, ENHANCE_YOUR_CALM, GOAWAY, PROTOCOL_ERROR, REFUSED_STREAM, RST_STREAM};
use crate::world::{DEADLINE, KEY, World};

/// What a half-open connection has said: nothing; half a head; half of HTTP/2's preface; some of a TLS handshake.
const HALVES: [&[u8]; 4] =
    [b"", b"GET /healthz HTTP/1.1\r\nhost: pa", b"PRI * HTTP/2.0\r\n", b"\x16\x03\x01\x02"];

async fn half_open(address: SocketAddr, many: usize) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for n in 0..many {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(HALVES[n % HALVES.len()]).await.unwrap();
        streams.push(stream);
    }
    streams
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(DEADLINE, what).await.expect("within the deadline")
}

/// Whether the server has closed the connection; waits for it.
async fn closed(stream: &mut TcpStream) {
    let mut sink = Vec::new();
    // A reset is an end as well.
    within(stream.read_to_end(&mut sink)).await.unwrap_or_default();
}

#[tokio::test]
async fn a_thousand_half_open_connections_keep_nobody_out() {
    let change = |config: &mut pabal_server::Config| config.http.connections_max = 4;
    let world = World::start_with(Faults::default(), change).await;
    let _half_open = half_open(world.running.address(), 1000).await;
    let began = std::time::Instant::now();
    assert_eq!(world.get("/v1/users/ann/devices").await.status, 200);
    // The default for heads that do not come is 10 s: whoever waited for it would take that long.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn of_too_many_newcomers_the_oldest_gives_way() {
    let change = |config: &mut pabal_server::Config| config.http.newcomers_max = 250;
    let world = World::start_with(Faults::default(), change).await;
    let mut half_open = half_open(world.running.address(), 1000).await;
    let began = std::time::Instant::now();
    assert_eq!(world.get("/v1/users/ann/devices").await.status, 200);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    closed(&mut half_open[0]).await;
    let silent = &mut half_open[1000 - HALVES.len()];
    let stays = timeout(Duration::from_millis(20), silent.read(&mut [0; 1])).await;
    assert!(stays.is_err(), "the newest ones still have their time");
}

#[tokio::test]
async fn who_does_not_read_is_cut() {
    let change = |config: &mut pabal_server::Config| config.http.write_timeout_ms = 200;
    let world = World::start_with(Faults::default(), change).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(world.running.address()).await.unwrap();
    // Requests without end, one behind the other, and no look at what comes back.
    let requests = b"GET /healthz HTTP/1.1\r\nhost: pabal\r\n\r\n".repeat(1000);
    let flood = async { while stream.write_all(&requests).await.is_ok() {} };
    within(flood).await;
    assert_eq!(world.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn who_opens_no_window_is_cut() {
    let change = |config: &mut pabal_server::Config| config.http.write_timeout_ms = 200;
    let world = World::start_with(Faults::default(), change).await;
    let mut stream = TcpStream::connect(world.running.address()).await.unwrap();
    const INITIAL_WINDOW_SIZE: u16 = 4;
    stream.write_all(&frames::preface(&[(INITIAL_WINDOW_SIZE, 0)])).await.unwrap();
    stream.write_all(&frames::request(1, "GET", "/healthz", &[], true)).await.unwrap();
    let frames = within(frames::rest(&mut stream)).await;
    assert!(frames.iter().any(|frame| frame.kind == frames::HEADERS), "the head came: {frames:?}");
    assert!(!frames.iter().any(|frame| frame.kind == 0 && !frame.payload.is_empty()), "the body had no room");
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed_in_the_end() {
    let change = |config: &mut pabal_server::Config| config.http.idle_timeout_ms = 50;
    let world = World::start_with(Faults::default(), change).await;
    let mut stream = TcpStream::connect(world.running.address()).await.unwrap();
    stream.write_all(&frames::preface(&[])).await.unwrap();
    stream.write_all(&frames::request(1, "GET", "/healthz", &[], true)).await.unwrap();
    let frames = within(frames::rest(&mut stream)).await;
    assert!(frames.iter().any(|frame| frame.kind == GOAWAY && frame.code() == 0), "{frames:?}");
}

/// The status lines of all that is answered to these bytes until the server closes the connection.
async fn answers(world: &World, sent: &[u8]) -> Vec<String> {
    let mut stream = TcpStream::connect(world.running.address()).await.unwrap();
    stream.write_all(sent).await.unwrap();
    let mut answer = Vec::new();
    within(stream.read_to_end(&mut answer)).await.unwrap_or_default();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].to_owned()).collect()
}

/// A request of which nothing may be left over: it begins with these lines, and what follows it would be answered too.
fn with_smuggled(lines: &str, rest: &str) -> Vec<u8> {
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: pabal\r\n\r\n";
    format!("{lines}\r\n{rest}{smuggled}").into_bytes()
}

#[tokio::test]
async fn what_is_ambiguous_is_refused_and_its_connection_closed() {
    let world = World::start().await;
    let post = "POST /v1/notifications HTTP/1.1\r\nhost: pabal\r\n";
    let get = "GET /healthz HTTP/1.1\r\nhost: pabal\r\n";
    let chunked = "transfer-encoding: chunked\r\n";
    let heads = [
        ("lengths that differ", format!("{post}content-length: 3\r\ncontent-length: 5\r\n")),
        ("a list of lengths", format!("{post}content-length: 3, 3\r\n")),
        ("a length with a sign", format!("{post}content-length: +3\r\n")),
        ("a negative length", format!("{post}content-length: -3\r\n")),
        ("a length in another base", format!("{post}content-length: 0x3\r\n")),
        ("a length beyond all numbers", format!("{post}content-length: 99999999999999999999\r\n")),
        ("an encoding beside chunks", format!("{post}transfer-encoding: gzip, chunked\r\n")),
        ("chunks twice", format!("{post}{chunked}{chunked}")),
        ("chunks and then another encoding", format!("{post}{chunked}transfer-encoding: identity\r\n")),
        ("another encoding and then chunks", format!("{post}transfer-encoding: identity\r\n{chunked}")),
        ("an encoding that is none", format!("{post}transfer-encoding: xchunked\r\n")),
        ("chunks on HTTP/1.0", format!("POST /v1/notifications HTTP/1.0\r\nhost: pabal\r\n{chunked}")),
        ("a bare CR in a value", format!("{get}x: a\rb\r\n")),
        ("a bare CR for a line's end", format!("{get}x: a\ry: b\r\n")),
        ("a NUL in a value", format!("{get}x: a\0b\r\n")),
        ("a folded line", format!("{get}x: a\r\n b\r\n")),
        ("a space before the colon", format!("{get}content-length : 3\r\n")),
        ("a space before the first name", "GET /healthz HTTP/1.1\r\n host: pabal\r\n".to_owned()),
        ("a line without a colon", format!("{get}nothing\r\n")),
        ("no host", "GET /healthz HTTP/1.1\r\n".to_owned()),
        ("two hosts", format!("{get}host: other\r\n")),
        ("a version that is none", "GET /healthz HTTP/1.9\r\nhost: pabal\r\n".to_owned()),
        ("a method that is none", "G@T( /healthz HTTP/1.1\r\nhost: pabal\r\n".to_owned()),
    ];
    for (what, head) in heads {
        assert_eq!(answers(&world, &with_smuggled(&head, "")).await, ["400"], "{what}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_body_ends_its_connection() {
    let world = World::start().await;
    let head = format!(
        "POST /v1/notifications HTTP/1.1\r\nhost: pabal\r\nauthorization: Bearer {KEY}\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n"
    );
    for (what, body) in [
        ("a size that is none", "x\r\n"),
        ("a size with a sign", "+1\r\n{\r\n0\r\n\r\n"),
        ("a size beyond all numbers", "fffffffffffffffff\r\n"),
        ("a chunk longer than its size", "1\r\n{}\r\n0\r\n\r\n"),
        ("a bare CR behind the size", "1\r{\r\n0\r\n\r\n"),
    ] {
        assert_eq!(answers(&world, &with_smuggled(&head, body)).await, ["400"], "{what}");
    }
}

/// RFC 9112, section 6.1: chunks win over a length, and the connection ends with the answer: what follows may be what
/// another server on the way took for the body.
#[tokio::test]
async fn behind_a_body_with_both_length_and_chunks_nothing_is_read() {
    let world = World::start().await;
    let (length, chunked) = ("content-length: 4\r\n", "transfer-encoding: chunked\r\n");
    for lines in [[length, chunked].concat(), [chunked, length].concat()] {
        let head = format!("POST /v1/notifications HTTP/1.1\r\nhost: pabal\r\n{lines}");
        assert_eq!(answers(&world, &with_smuggled(&head, "0\r\n\r\n")).await, ["401"], "{lines}");
    }
}

/// RFC 9110, section 8.6: the same length twice is that length.
#[tokio::test]
async fn a_length_told_twice_is_one_length() {
    let world = World::start_with(Faults::default(), |config| config.http.idle_timeout_ms = 100).await;
    let head = "POST /nothing HTTP/1.1\r\nhost: pabal\r\ncontent-length: 3\r\ncontent-length: 3\r\n";
    assert_eq!(answers(&world, &with_smuggled(head, "abc")).await, ["404", "404"]);
}

#[tokio::test]
async fn endless_heads_are_cut_short() {
    let world = World::start().await;
    let long = "x".repeat(limits::HEAD_BYTES_MAX);
    let many = "x: y\r\n".repeat(101);
    for head in [
        format!("GET /healthz HTTP/1.1\r\nhost: pabal\r\nx: {long}\r\n"),
        format!("GET /{long} HTTP/1.1\r\nhost: pabal\r\n"),
        format!("GET /healthz HTTP/1.1\r\nhost: pabal\r\n{many}"),
        format!("GET /healthz HTTP/1.1\r\nhost: pabal\r\nx: {long}"),
    ] {
        let status = answers(&world, &with_smuggled(&head, "")).await;
        assert_eq!(status, ["431"], "{}", &head[..60]);
    }
}

#[tokio::test]
async fn requests_behind_each_other_are_answered_in_order() {
    let world = World::start_with(Faults::default(), |config| config.http.idle_timeout_ms = 100).await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: pabal\r\n\r\n");
    let sent = [get("/healthz"), get("/nothing"), get("/v1/stats"), get("/healthz")].concat();
    assert_eq!(answers(&world, sent.as_bytes()).await, ["200", "404", "401", "200"]);
}

async fn http2(world: &World) -> TcpStream {
    let mut stream = TcpStream::connect(world.running.address()).await.unwrap();
    stream.write_all(&frames::preface(&[])).await.unwrap();
    stream
}

#[tokio::test]
async fn http2_has_no_transfer_encoding() {
    let world = World::start().await;
    for header in [("transfer-encoding", "chunked"), ("connection", "close"), ("Upper", "case"), ("a b", "c")]
    {
        let mut stream = http2(&world).await;
        stream.write_all(&frames::request(1, "GET", "/healthz", &[header], true)).await.unwrap();
        let refused = async {
            loop {
                match frames::next(&mut stream).await {
                    Some(frame) if frame.kind == frames::HEADERS => panic!("{header:?} was let through"),
                    Some(frame) if [RST_STREAM, GOAWAY].contains(&frame.kind) => break frame,
                    Some(_) => {}
                    None => panic!("{header:?}: closed without a word"),
                }
            }
        };
        assert_eq!(within(refused).await.code(), PROTOCOL_ERROR, "{header:?}");
    }
}

/// A request whose body is yet to come, so that it stays open.
fn open_request(stream: u32) -> Vec<u8> {
    let key = format!("Bearer {KEY}");
    let headers = [("authorization", key.as_str()), ("content-type", "application/json")];
    frames::request(stream, "POST", "/v1/notifications", &headers, false)
}

#[tokio::test]
async fn one_connection_has_so_many_requests_open() {
    let world = World::start().await;
    let mut stream = http2(&world).await;
    let many = limits::STREAMS_PER_CONNECTION_MAX + 10;
    for n in 0..many {
        stream.write_all(&open_request(2 * n + 1)).await.unwrap();
    }
    let frames = within(frames::settled(&mut stream, 1)).await.expect("the connection stays");
    let refused = frames.iter().filter(|frame| frame.kind == RST_STREAM && frame.code() == REFUSED_STREAM);
    let refused: Vec<u32> = refused.map(|frame| frame.stream).collect();
    let last: Vec<u32> = (many - 10..many).map(|n| 2 * n + 1).collect();
    assert_eq!(refused, last);
    assert_eq!(world.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn who_resets_without_end_is_told_to_calm_down() {
    let world = World::start().await;
    let mut stream = http2(&world).await;
    let flood: Vec<u8> =
        (0..10_000).flat_map(|n| [open_request(2 * n + 1), frames::reset(2 * n + 1)].concat()).collect();
    // The server may hang up in the middle.
    within(stream.write_all(&flood)).await.unwrap_or_default();
    let frames = within(frames::rest(&mut stream)).await;
    if let Some(last) = frames.iter().find(|frame| frame.kind == GOAWAY) {
        assert_eq!(last.code(), ENHANCE_YOUR_CALM);
    }
    assert_eq!(world.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn who_takes_every_request_back_is_cut() {
    let world = World::start().await;
    let mut stream = http2(&world).await;
    let (mut next, mut rounds) = (1, 0);
    // Slowly enough that each request is begun before it is taken back.
    let ended = async {
        loop {
            let streams: Vec<u32> = (0..50).map(|n| next + 2 * n).collect();
            next += 100;
            rounds += 1;
            let open: Vec<u8> = streams.iter().flat_map(|id| open_request(*id)).collect();
            let back: Vec<u8> = streams.iter().flat_map(|id| frames::reset(*id)).collect();
            for bytes in [open, back] {
                let sent = stream.write_all(&bytes).await;
                if sent.is_err() || frames::settled(&mut stream, rounds).await.is_none() {
                    return;
                }
            }
        }
    };
    within(ended).await;
    let taken_back = rounds * 50;
    let bound = limits::TAKEN_BACK_PER_CONNECTION_MAX as u64;
    assert!((bound..=bound + 200).contains(&taken_back), "cut after {taken_back}");
    assert_eq!(world.get("/healthz").await.status, 200);
}
