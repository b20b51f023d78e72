//! TLS of the listener: both versions of HTTP, certificates that are replaced under way, and clients that stop halfway.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fcm_emulator::Faults;
use http::{Request, Version};
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pabal_server::config::TlsSection;
use pabal_server::{Config, Server};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::world::{DEADLINE, World, eventually};

/// Where certificate and key of a test lie.
struct Files {
    folder: TempDir,
}

impl Files {
    /// With a first pair in them; answers its certificate.
    fn new() -> (Self, CertificateDer<'static>) {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        let first = files.replace();
        (files, first)
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("fullchain.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    fn section(&self) -> TlsSection {
        TlsSection { certificate: Some(self.certificate()), key: Some(self.key()) }
    }

    /// Writes a new pair over the old one; answers its certificate.
    fn replace(&self) -> CertificateDer<'static> {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(self.certificate(), certificate.pem()).unwrap();
        std::fs::write(self.key(), key.serialize_pem()).unwrap();
        certificate.der().clone()
    }
}

async fn world(files: &Files, change: impl FnOnce(&mut Config)) -> World {
    let change = |config: &mut Config| {
        config.tls = files.section();
        change(config);
    };
    World::start_with(Faults::default(), change).await
}

/// A connection whose server proved itself by one of these certificates.
async fn connect(
    world: &World,
    trusted: &[&CertificateDer<'static>],
    protocols: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    trusted.iter().for_each(|certificate| roots.add((*certificate).clone()).unwrap());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let tcp = TcpStream::connect(world.running.address()).await?;
    let name = ServerName::try_from("localhost").unwrap();
    tokio::time::timeout(DEADLINE, TlsConnector::from(Arc::new(config)).connect(name, tcp)).await.unwrap()
}

/// The certificate that the server shows now.
async fn shown(world: &World, trusted: &[&CertificateDer<'static>]) -> CertificateDer<'static> {
    let stream = connect(world, trusted, &[]).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone()
}

fn healthz() -> Request<Full<Bytes>> {
    Request::builder()
        .uri("https://localhost/healthz")
        .header("host", "localhost")
        .body(Full::default())
        .unwrap()
}

#[tokio::test]
async fn both_versions_of_http_are_spoken() {
    let (files, certificate) = Files::new();
    let world = world(&files, |_| {}).await;
    assert!(world.running.url().starts_with("https://127.0.0.1:"), "{}", world.running.url());

    let stream = connect(&world, &[&certificate], &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "the better one is chosen");
    let (mut http, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer = http.send_request(healthz()).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, Version::HTTP_2));

    for protocols in [&[&b"http/1.1"[..]][..], &[]] {
        let stream = connect(&world, &[&certificate], protocols).await.unwrap();
        let (mut http, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let answer = http.send_request(healthz()).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, Version::HTTP_11));
    }
}

#[tokio::test]
async fn nothing_is_said_without_tls() {
    let (files, certificate) = Files::new();
    let world = world(&files, |_| {}).await;
    let mut plain = TcpStream::connect(world.running.address()).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: pabal\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(DEADLINE, plain.read_to_end(&mut answer)).await.unwrap().unwrap_or_default();
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
    let (_, foreign) = Files::new();
    let error = connect(&world, &[&foreign], &[]).await.unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
    connect(&world, &[&certificate], &[]).await.unwrap();
}

#[tokio::test]
async fn a_replaced_pair_is_taken_and_open_connections_stay() {
    let (files, first) = Files::new();
    let world = world(&files, |_| {}).await;
    let stream = connect(&world, &[&first], &[b"http/1.1"]).await.unwrap();
    let (mut http, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(http.send_request(healthz()).await.unwrap().status(), 200);
    // Nobody is told; the files are looked at.
    let second = files.replace();
    eventually("the new certificate is shown", || async {
        (shown(&world, &[&first, &second]).await == second).then_some(())
    })
    .await;
    http.ready().await.unwrap();
    assert_eq!(http.send_request(healthz()).await.unwrap().status(), 200, "the old connection goes on");
}

#[tokio::test]
async fn a_pair_that_does_not_fit_changes_nothing() {
    let (files, first) = Files::new();
    let world = world(&files, |_| {}).await;
    let (other, _) = Files::new();
    let spoilers: [&dyn Fn(); 4] = [
        &|| {
            std::fs::copy(other.key(), files.key()).unwrap();
        },
        &|| std::fs::write(files.certificate(), "no certificate").unwrap(),
        &|| std::fs::write(files.key(), "").unwrap(),
        &|| std::fs::remove_file(files.certificate()).unwrap(),
    ];
    for spoil in spoilers {
        spoil();
        world.running.reload();
        for _ in 0..5 {
            assert_eq!(shown(&world, &[&first]).await, first);
        }
    }
    let second = files.replace();
    world.running.reload();
    eventually("the next good pair is shown", || async {
        (shown(&world, &[&first, &second]).await == second).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_server_with_a_bad_pair_does_not_start() {
    let (files, _) = Files::new();
    let world = World::start().await;
    let refusal = async |tls: TlsSection| {
        let config = Config { tls, ..world.configuration() };
        Server::start(config).await.err().expect("no start").to_string()
    };
    let (other, _) = Files::new();
    let mismatched = TlsSection { key: Some(other.key()), ..files.section() };
    let error = refusal(mismatched).await;
    assert!(error.starts_with("configuration: tls.key: "), "{error}");
    assert!(error.contains("is not the key of the certificate in"), "{error}");
    let missing =
        TlsSection { certificate: Some(Path::new("/nowhere/chain.pem").to_owned()), ..files.section() };
    let error = refusal(missing).await;
    assert!(error.starts_with("configuration: tls.certificate: /nowhere/chain.pem can't be read"), "{error}");
}

#[tokio::test]
async fn half_a_handshake_does_not_last() {
    let (files, certificate) = Files::new();
    let world = world(&files, |config| config.http.header_timeout_ms = 100).await;
    // Nothing; the beginning of a record; a record that promises more than comes.
    for said in [&b""[..], b"\x16\x03\x01", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"] {
        let mut stream = TcpStream::connect(world.running.address()).await.unwrap();
        stream.write_all(said).await.unwrap();
        let closed = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut Vec::new())).await;
        assert!(closed.is_ok(), "{said:?}");
    }
    // A whole handshake, and then nothing.
    let mut stream = connect(&world, &[&certificate], &[]).await.unwrap();
    let closed = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut Vec::new())).await;
    assert!(closed.is_ok());
}

#[tokio::test]
async fn half_handshakes_keep_nobody_out() {
    let (files, certificate) = Files::new();
    let world = world(&files, |config| config.http.connections_max = 4).await;
    let mut half = Vec::new();
    for _ in 0..500 {
        let mut stream = TcpStream::connect(world.running.address()).await.unwrap();
        stream.write_all(b"\x16\x03\x01\x02\x00\x01").await.unwrap();
        half.push(stream);
    }
    let began = std::time::Instant::now();
    connect(&world, &[&certificate], &[]).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_stop_does_not_wait_for_half_a_handshake() {
    let (files, _) = Files::new();
    let world = world(&files, |config| config.http.drain_deadline_ms = 60_000).await;
    let _half = TcpStream::connect(world.running.address()).await.unwrap();
    tokio::time::timeout(DEADLINE, world.running.stop()).await.unwrap();
}
