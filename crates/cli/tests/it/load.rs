//! Clients of a server in another process: each keeps its connection and accepts nothing but a 202.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const CLIENTS: usize = 4;
/// How long anything may take before a test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A client of a server, with a key.
pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
    key: String,
}

impl Client {
    pub(crate) async fn connect(url: &str, key: &str) -> Self {
        let stream = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender, key: key.to_owned() }
    }

    pub(crate) async fn call(&mut self, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "pabal")
            .header("authorization", format!("Bearer {}", self.key))
            .header("content-type", "application/json")
            .header("idempotency-key", body["data"]["number"].as_str().unwrap_or("none"))
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        self.sender.ready().await.unwrap();
        let (head, body) = self.sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status, serde_json::from_slice(&body).unwrap())
    }

    /// Sends notification `number`, whose idempotency key is its number, and gives its id.
    pub(crate) async fn send(&mut self, number: usize) -> String {
        let body = json!({
            "to": { "token": format!("token-{number}") },
            "title": "Prove your day",
            "data": { "number": number.to_string() },
        });
        let (status, answer) = self.call(Method::POST, "/v1/notifications", &body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        answer["id"].as_str().unwrap().to_owned()
    }

    /// Waits until the one delivery of a notification is delivered.
    pub(crate) async fn await_delivered(&mut self, id: &str) {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        loop {
            let (status, shown) =
                self.call(Method::GET, &format!("/v1/notifications/{id}"), &Value::Null).await;
            assert_eq!(status, StatusCode::OK, "{shown}");
            if shown["counts"]["delivered"] == 1 {
                return;
            }
            ticks.tick().await;
        }
    }
}

/// Clients that send one notification after another until they are stopped.
pub(crate) struct Load {
    /// The number and id of each notification whose 202 has come.
    accepted: Arc<Mutex<Vec<(usize, String)>>>,
    count: watch::Receiver<usize>,
    is_over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(url: &str, key: &str) -> Self {
        let (accepted, is_over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (counted, count) = watch::channel(0);
        let (counted, next) = (Arc::new(counted), Arc::new(AtomicUsize::new(0)));
        let client = |_| {
            let (url, key) = (url.to_owned(), key.to_owned());
            let (accepted, is_over) = (Arc::clone(&accepted), Arc::clone(&is_over));
            let (counted, next) = (Arc::clone(&counted), Arc::clone(&next));
            tokio::spawn(async move {
                let mut client = Client::connect(&url, &key).await;
                while !is_over.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let id = client.send(number).await;
                    accepted.lock().unwrap().push((number, id));
                    counted.send_modify(|count| *count += 1);
                }
            })
        };
        Self { clients: (0..CLIENTS).map(client).collect(), accepted, count, is_over }
    }

    /// What is accepted so far.
    pub(crate) fn accepted(&self) -> Vec<(usize, String)> {
        self.accepted.lock().unwrap().clone()
    }

    pub(crate) async fn wait_for(&mut self, count: usize) {
        let reached = self.count.wait_for(|now| *now >= count);
        tokio::time::timeout(DEADLINE, reached).await.expect("the server goes on accepting").unwrap();
    }

    /// Stops the clients, none of which may have failed, and gives all that was accepted.
    pub(crate) async fn stop(self) -> Vec<(usize, String)> {
        self.is_over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
        Arc::try_unwrap(self.accepted).unwrap().into_inner().unwrap()
    }
}
