//! A connection against a server whose every frame is ours to choose, over a pipe and in paused time.

use h2::server::{self, SendResponse};
use http::Response;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::*;

const PIPE_BYTES: usize = 1 << 20;

type Server = server::Connection<DuplexStream, Bytes>;
type Asked = (Request<RecvStream>, SendResponse<Bytes>);

/// A connection that assumes five streams, and the server's end of it.
async fn pair(limit: Option<u32>) -> (Arc<Connection>, Server) {
    let (ours, theirs) = duplex(PIPE_BYTES);
    let mut builder = server::Builder::new();
    if let Some(limit) = limit {
        builder.max_concurrent_streams(limit);
    }
    let (connection, server) = tokio::join!(Connection::open(Box::new(ours), 5), builder.handshake(theirs));
    (connection.unwrap(), server.unwrap())
}

fn ask(connection: &Arc<Connection>) -> JoinHandle<Result<Answer, Failure>> {
    let connection = Arc::clone(connection);
    tokio::spawn(async move {
        let stream = connection.stream().await.expect("the connection is open");
        let request = Request::post("https://example.com/send").body(()).unwrap();
        stream.send(request, Bytes::from_static(b"{}")).await
    })
}

async fn asked(server: &mut Server) -> Asked {
    server.accept().await.expect("the connection is open").expect("no error")
}

fn answer((_, mut respond): Asked, body: Vec<u8>) {
    let head = Response::builder().header("retry-after", "7").body(()).unwrap();
    respond.send_response(head, false).unwrap().send_data(Bytes::from(body), true).unwrap();
}

/// Moves the server's bytes until it closes, or for the task it belongs to.
fn keep_moving(mut server: Server) -> JoinHandle<()> {
    tokio::spawn(async move { while server.accept().await.is_some() {} })
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_read_with_what_matters() {
    let (connection, mut server) = pair(None).await;
    let sent = ask(&connection);
    let request = asked(&mut server).await;
    assert_eq!(request.0.uri().path(), "/send");
    answer(request, b"hello".to_vec());
    keep_moving(server);
    let answer = sent.await.unwrap().unwrap();
    assert_eq!((answer.status, answer.body.as_ref()), (200, b"hello".as_slice()));
    assert_eq!(answer.retry_after.as_deref(), Some("7"));
    assert_eq!(connection.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_long_answer_is_cut_and_does_not_starve_the_connection() {
    let (connection, mut server) = pair(None).await;
    for _ in 0..4 {
        let sent = ask(&connection);
        let request = asked(&mut server).await;
        answer(request, vec![b'x'; ANSWER_BYTES_MAX * 2]);
        let answer = tokio::select! {
            answer = sent => answer.unwrap().unwrap(),
            _ = server.accept() => panic!("nothing more is asked"),
        };
        assert_eq!(answer.body.len(), ANSWER_BYTES_MAX);
    }
}

#[tokio::test(start_paused = true)]
async fn streams_wait_for_each_other_at_the_assumed_limit() {
    let (connection, mut server) = pair(None).await;
    let sent: Vec<_> = (0..12).map(|_| ask(&connection)).collect();
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(asked(&mut server).await);
    }
    assert!(connection.try_stream().is_none());
    let sixth = timeout(Duration::from_secs(1), server.accept()).await;
    assert!(sixth.is_err(), "a sixth stream was opened");
    open.into_iter().for_each(|request| answer(request, Vec::new()));
    for _ in 5..12 {
        let request = asked(&mut server).await;
        answer(request, Vec::new());
    }
    keep_moving(server);
    for sent in sent {
        assert!(sent.await.unwrap().is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_frees_its_stream() {
    let (connection, mut server) = pair(None).await;
    let given_up: Vec<_> = (0..5).map(|_| ask(&connection)).collect();
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(asked(&mut server).await);
    }
    let waiting = ask(&connection);
    given_up.iter().for_each(JoinHandle::abort);
    let request = asked(&mut server).await;
    answer(request, b"late".to_vec());
    keep_moving(server);
    assert_eq!(waiting.await.unwrap().unwrap().body.as_ref(), b"late");
}

#[tokio::test(start_paused = true)]
async fn the_servers_own_limit_is_followed_up_and_down() {
    for limit in [2, 9] {
        let (connection, mut server) = pair(Some(limit)).await;
        let sent = ask(&connection);
        let request = asked(&mut server).await;
        answer(request, Vec::new());
        keep_moving(server);
        sent.await.unwrap().unwrap();
        assert_eq!(connection.limit(), limit as usize);
        let streams: Vec<_> = std::iter::from_fn(|| connection.try_stream()).collect();
        assert_eq!(streams.len(), limit as usize);
    }
}

#[test]
fn a_limit_that_falls_below_what_is_in_use_is_reached_as_streams_end() {
    let connection = Arc::new(Connection {
        sender: Mutex::new(None),
        streams: Arc::new(Semaphore::new(5)),
        limit: AtomicUsize::new(5),
        answers: AtomicU64::new(0),
    });
    let mut streams: Vec<_> = std::iter::from_fn(|| connection.try_stream()).collect();
    connection.follow_limit(2);
    assert_eq!((connection.limit(), connection.in_flight()), (5, 5));
    streams.truncate(1);
    connection.follow_limit(2);
    assert_eq!((connection.limit(), connection.in_flight()), (2, 1));
    connection.follow_limit(4);
    assert_eq!((connection.limit(), connection.in_flight()), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn a_refused_stream_was_not_processed_and_the_connection_goes_on() {
    let (connection, mut server) = pair(None).await;
    let sent = ask(&connection);
    asked(&mut server).await.1.send_reset(Reason::REFUSED_STREAM);
    keep_moving(server);
    assert!(matches!(sent.await.unwrap(), Err(Failure::NotProcessed(_))));
    assert!(connection.is_open());
}

#[tokio::test(start_paused = true)]
async fn any_other_reset_leaves_the_fate_unknown() {
    for reason in [Reason::INTERNAL_ERROR, Reason::CANCEL, Reason::ENHANCE_YOUR_CALM, Reason::NO_ERROR] {
        let (connection, mut server) = pair(None).await;
        let sent = ask(&connection);
        asked(&mut server).await.1.send_reset(reason);
        keep_moving(server);
        assert!(matches!(sent.await.unwrap(), Err(Failure::Unknown(_))), "{reason}");
        assert!(connection.is_open());
    }
}

#[tokio::test(start_paused = true)]
async fn a_goaway_finishes_what_it_names_and_gives_back_the_rest() {
    let (connection, mut server) = pair(None).await;
    let first = ask(&connection);
    let request = asked(&mut server).await;
    // Says goodbye after this stream; what comes now is above its last id.
    server.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
    let second = ask(&connection);
    keep_moving(server);
    assert!(matches!(second.await.unwrap(), Err(Failure::NotProcessed(_))));
    assert!(!connection.is_open());
    drop(request);
    assert!(matches!(first.await.unwrap(), Err(Failure::Unknown(_))));
}

#[tokio::test(start_paused = true)]
async fn a_graceful_goaway_lets_the_open_streams_end() {
    let (connection, mut server) = pair(None).await;
    let sent = ask(&connection);
    let request = asked(&mut server).await;
    server.graceful_shutdown();
    let server = keep_moving(server);
    // The next one is turned away before anything is queued, on this connection.
    while connection.is_open() {
        match ask(&connection).await.unwrap() {
            Err(Failure::NotProcessed(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    answer(request, b"kept".to_vec());
    assert_eq!(sent.await.unwrap().unwrap().body.as_ref(), b"kept");
    server.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_leaves_the_fate_unknown() {
    let (connection, mut server) = pair(None).await;
    let sent = ask(&connection);
    let request = asked(&mut server).await;
    drop((server, request));
    assert!(matches!(sent.await.unwrap(), Err(Failure::Unknown(_))));
    assert!(connection.stream().await.is_none(), "a broken connection takes nothing");
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_politely() {
    let (connection, server) = pair(None).await;
    let closed = keep_moving(server);
    assert!(connection.is_open());
    let idle = Duration::from_secs(170);
    timeout(idle, closed).await.expect("closed before FCM would").unwrap();
    assert!(!connection.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_falls_silent_is_given_up() {
    let (connection, server) = pair(None).await;
    let sent = ask(&connection);
    // The server's end is there, and nobody moves it: not even pings are answered.
    let given_up = timeout(Duration::from_secs(60), sent).await.expect("given up within a minute");
    assert!(matches!(given_up.unwrap(), Err(Failure::Unknown(_))));
    assert!(!connection.is_open());
    drop(server);
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_waited_for_while_pings_are_answered() {
    let (connection, mut server) = pair(None).await;
    let mut sent = ask(&connection);
    let request = asked(&mut server).await;
    keep_moving(server);
    assert!(timeout(Duration::from_secs(600), &mut sent).await.is_err(), "given up while it was alive");
    answer(request, Vec::new());
    assert!(sent.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_greet_gets_no_request() {
    let (ours, theirs) = duplex(PIPE_BYTES);
    drop(theirs);
    assert!(Connection::open(Box::new(ours), 5).await.is_err());
    let (ours, mut theirs) = duplex(PIPE_BYTES);
    theirs.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    assert!(Connection::open(Box::new(ours), 5).await.is_err());
    let (ours, _theirs) = duplex(PIPE_BYTES);
    let silent = timeout(Duration::from_secs(60), Connection::open(Box::new(ours), 5)).await;
    assert!(silent.is_err());
}
