//! Connections: protocols, names, bounds, start and stop.

use std::net::SocketAddr;

use fcm_emulator::{Emulator, Faults, Options, StartError, limits};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Client, DEADLINE, start, start_with};

#[tokio::test]
async fn http1_and_http2_share_a_port() {
    let emulator = start(Faults::default()).await;
    for mut client in [Client::h2c(&emulator).await, Client::http1(&emulator).await] {
        client.token = Some(client.access_token(&emulator.service_account("demo")).await);
        let answer = client.send(json!({"token": "t"})).await;
        assert_eq!(answer.status, 200);
        assert!(answer.header("date").is_some());
    }
    assert_eq!(emulator.connections(), 2);
}

#[tokio::test]
async fn tls_is_good_for_googles_names() {
    let emulator = start_with(Options { tls: true, ..Options::default() }).await;
    assert!(emulator.base_url().starts_with("https://127.0.0.1:"));
    let account = emulator.service_account_with("demo", "https://oauth2.googleapis.com/token");
    for name in
        ["localhost", "127.0.0.1", "fcm.googleapis.com", "oauth2.googleapis.com", "iid.googleapis.com"]
    {
        for alpn in [&b"h2"[..], b"http/1.1"] {
            let mut client = Client::tls(&emulator, name, alpn).await;
            client.token = Some(client.access_token(&account).await);
            assert_eq!(client.send(json!({"token": "t"})).await.status, 200, "{name}");
        }
    }
}

#[tokio::test]
async fn fcms_stream_limit_is_advertised() {
    let emulator = start(Faults::default()).await;
    let stream = TcpStream::connect(emulator.address()).await.unwrap();
    let (mut client, mut connection) = h2::client::handshake(stream).await.unwrap();
    let request = http::Request::get("http://localhost/emulator/v1/healthz").body(()).unwrap();
    let (response, _) = client.send_request(request, true).unwrap();
    tokio::select! {
        answered = response => assert_eq!(answered.unwrap().status(), 200),
        ended = &mut connection => panic!("the connection ended: {ended:?}"),
    }
    assert_eq!(connection.max_concurrent_send_streams(), limits::MAX_CONCURRENT_STREAMS as usize);
}

#[tokio::test]
async fn connections_beyond_the_bound_wait() {
    let emulator = start_with(Options { max_connections: 1, ..Options::default() }).await;
    let first = Client::connect(&emulator).await;
    let mut second = TcpStream::connect(emulator.address()).await.unwrap();
    second
        .write_all(b"GET /emulator/v1/healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(emulator.connections(), 1, "the second one is in the backlog");
    let mut answer = String::new();
    drop(first);
    tokio::time::timeout(DEADLINE, second.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(emulator.connections(), 2);
}

#[tokio::test]
async fn stopping_closes_connections_and_frees_the_port() {
    let emulator = start(Faults::default()).await;
    let address = emulator.address();
    let mut client = Client::connect(&emulator).await;
    emulator.stop().await;
    client.try_send(r#"{"message":{"token":"t"}}"#).await.unwrap_err();
    assert!(TcpStream::connect(address).await.is_err());
    let again = start_with(Options { listen: address, ..Options::default() }).await;
    assert_eq!(again.address(), address);
}

#[tokio::test]
async fn a_state_folder_keeps_the_identity() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { tls: true, state_dir: Some(folder.path().to_owned()), ..Options::default() };
    let first = start_with(options.clone()).await;
    let (account, ca) = (first.service_account_with("demo", "u"), first.ca_pem().unwrap().to_owned());
    first.stop().await;
    let second = start_with(options).await;
    assert_eq!(second.service_account_with("demo", "u"), account);
    assert_eq!(second.ca_pem().unwrap(), ca);
    Client::tls(&second, "localhost", b"h2").await;
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let fails = async |options: Options| Emulator::start(options).await.unwrap_err();
    let open = SocketAddr::from(([0, 0, 0, 0], 0));
    let error = fails(Options { listen: open, ..Options::default() }).await;
    assert!(matches!(error, StartError::NotLoopback(_)));

    let running = start(Faults::default()).await;
    let error = fails(Options { listen: running.address(), ..Options::default() }).await.to_string();
    assert!(error.contains("another program listens there"), "{error}");

    for (projects, expected) in [
        (vec![], "0 projects given"),
        (vec!["a".to_owned(), "a".to_owned()], "the project `a` is given twice"),
        (vec!["a/b".to_owned()], "`a/b` is no project id"),
        (vec!["a".to_owned(); limits::MAX_PROJECTS + 1], "65 projects given"),
    ] {
        let error = fails(Options { projects, ..Options::default() }).await.to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
