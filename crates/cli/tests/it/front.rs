//! A front before a server, as a proxy is, that has bad moments: each request in turn meets the next of its moves, and
//! when these have run out it is passed on.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a request meets.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Move {
    Pass,
    /// It is passed on, and its answer is lost.
    PassAndBreak,
    /// It is lost.
    Break,
    /// It is answered well, with this body.
    Say(&'static str),
    /// It is answered 503 `unfinished`, with a cursor to go on at.
    GoOn(&'static str),
    /// It is answered with a problem.
    Answer {
        status: u16,
        kind: &'static str,
        retry_after_s: u64,
    },
}

pub(crate) struct Front {
    pub(crate) url: String,
    requests: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Front {
    pub(crate) async fn start(behind: &str, moves: impl IntoIterator<Item = Move>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&asked);
        let moves: Arc<Mutex<VecDeque<Move>>> = Arc::new(Mutex::new(moves.into_iter().collect()));
        let (counted, behind) = (Arc::clone(&requests), behind.trim_start_matches("http://").to_owned());
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (moves, counted, behind) = (Arc::clone(&moves), Arc::clone(&counted), behind.clone());
                let heard = Arc::clone(&heard);
                let service = service_fn(move |request: Request<Incoming>| {
                    counted.fetch_add(1, Ordering::SeqCst);
                    heard.lock().unwrap().push(request.uri().to_string());
                    let next = moves.lock().unwrap().pop_front().unwrap_or(Move::Pass);
                    answer(next, request, behind.clone())
                });
                tokio::spawn(server::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { url, requests, asked, task }
    }

    /// The path and query of every request that came.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// How many requests came.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An error breaks the connection.
async fn answer(
    next: Move,
    request: Request<Incoming>,
    behind: String,
) -> Result<Response<Full<Bytes>>, Broken> {
    match next {
        Move::Pass => Ok(pass(request, &behind).await),
        Move::PassAndBreak => {
            pass(request, &behind).await;
            Err(Broken)
        }
        Move::Break => {
            request.into_body().collect().await.unwrap();
            Err(Broken)
        }
        Move::Say(body) => {
            request.into_body().collect().await.unwrap();
            Ok(Response::new(Full::new(Bytes::from_static(body.as_bytes()))))
        }
        Move::GoOn(cursor) => {
            request.into_body().collect().await.unwrap();
            let problem = json!({
                "type": "urn:pabal:problem:unfinished", "title": "t", "status": 503, "cursor": cursor,
            });
            let response = Response::builder().status(503).header("retry-after", 1);
            Ok(response.body(Full::new(Bytes::from(problem.to_string()))).unwrap())
        }
        Move::Answer { status, kind, retry_after_s } => {
            request.into_body().collect().await.unwrap();
            let problem =
                json!({ "type": format!("urn:pabal:problem:{kind}"), "title": "t", "status": status });
            let response = Response::builder().status(status).header("retry-after", retry_after_s);
            Ok(response.body(Full::new(Bytes::from(problem.to_string()))).unwrap())
        }
    }
}

async fn pass(request: Request<Incoming>, behind: &str) -> Response<Full<Bytes>> {
    let stream = TcpStream::connect(behind).await.unwrap();
    let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (head, body) = request.into_parts();
    let body = Full::new(body.collect().await.unwrap().to_bytes());
    let (head, body) = sender.send_request(Request::from_parts(head, body)).await.unwrap().into_parts();
    Response::from_parts(head, Full::new(body.collect().await.unwrap().to_bytes()))
}

#[derive(Debug, thiserror::Error)]
#[error("broken on purpose")]
struct Broken;
