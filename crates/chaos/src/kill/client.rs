//! A client of the API as a careful team writes it: a connection that is kept, and a request that is repeated with its
//! key until it is answered.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// No answer within this long is none.
const ANSWER_DEADLINE: Duration = Duration::from_secs(40);
/// The wait before another try, where the server names none.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest wait that a server may name.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A connection that is kept open between requests.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
    host: String,
    authorization: String,
}

/// A request.
#[derive(Clone)]
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    /// The `Idempotency-Key`.
    pub(crate) key: Option<&'a str>,
    pub(crate) body: Option<Bytes>,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) replayed: bool,
    pub(crate) body: Value,
    retry_after: Option<Duration>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr, api_key: &str) -> Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Why it broke is told to whoever waits for an answer.
        let driver = tokio::spawn(async move { drop(connection.await) });
        let authorization = format!("Bearer {api_key}");
        Ok(Connection { sender, driver, host: address.to_string(), authorization })
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn call(&mut self, call: Call<'_>) -> Result<Answer> {
        let mut request = Request::builder()
            .method(call.method)
            .uri(call.path)
            .header(HOST, &self.host)
            .header(AUTHORIZATION, &self.authorization)
            .header(CONTENT_TYPE, "application/json");
        if let Some(key) = call.key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(Full::new(call.body.unwrap_or_default()))?;
        timeout(ANSWER_DEADLINE, self.exchange(request)).await.context("no answer in time")?
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer> {
        self.sender.ready().await?;
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        let bytes = body.collect().await?.to_bytes();
        let seconds = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Answer {
            status: head.status,
            replayed: head.headers.contains_key("idempotency-replayed"),
            body: if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes)? },
            retry_after: seconds.map(Duration::from_secs),
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A client with one connection, opened again whenever it broke.
pub(crate) struct Client {
    address: SocketAddr,
    api_key: &'static str,
    connection: Option<Connection>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, api_key: &'static str) -> Client {
        Client { address, api_key, connection: None }
    }

    /// Repeats a request until it is answered with more than "not now". Never gives up: whoever waits has a deadline.
    pub(crate) async fn call_until_answered(&mut self, call: Call<'_>) -> Answer {
        loop {
            let pause = match self.call(call.clone()).await {
                Ok(answer) if !answer.is_not_now() => return answer,
                Ok(answer) => answer.retry_after.map_or(PAUSE, |pause| pause.min(PAUSE_MAX)),
                Err(_) => {
                    self.connection = None;
                    PAUSE
                }
            };
            sleep(pause).await;
        }
    }

    async fn call(&mut self, call: Call<'_>) -> Result<Answer> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(Connection::open(self.address, self.api_key).await?),
        };
        connection.call(call).await
    }
}

impl Answer {
    /// Whether the same request is worth repeating, as the error reference has it.
    fn is_not_now(&self) -> bool {
        matches!(
            self.status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT
        )
    }
}
