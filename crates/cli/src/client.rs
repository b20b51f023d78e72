//! A small HTTP client for Pabal's own API: one connection, one request at a time, JSON both ways.
//!
//! It refuses to follow redirects and to pool: commands make one request after the other, and the demo's senders keep a
//! connection each. A [`Connection`] never repeats anything; a [`Client`] does, where that can do no harm.

mod advice;
mod patience;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;

pub(crate) use self::patience::{Client, WAIT_MAX};
use crate::failure::Failure;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Where a server listens that nobody told otherwise.
const USUAL_URL: &str = "http://127.0.0.1:8080";

/// Which server, and by which key.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ServerArgs {
    /// The server's address.
    #[arg(long, env = "PABAL_URL", default_value = USUAL_URL)]
    pub(crate) url: String,
    /// The API key.
    #[arg(long, env = "PABAL_API_KEY", hide_env_values = true)]
    pub(crate) api_key: Option<String>,
    /// PEM file of the authority that signed the server's certificate, where that is none of the public ones.
    #[arg(long, env = "PABAL_CA", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

impl ServerArgs {
    /// What another command needs on its line to reach the same server.
    pub(crate) fn as_option(&self) -> String {
        let is_set = |name: &str, value: &str| std::env::var(name).is_ok_and(|set| set == value);
        let is_known = self.url == USUAL_URL || is_set("PABAL_URL", &self.url);
        let url = if is_known { String::new() } else { format!(" --url {}", self.url) };
        let ca = self.ca.as_ref().map(|ca| ca.display().to_string()).filter(|ca| !is_set("PABAL_CA", ca));
        url + &ca.map(|ca| format!(" --ca {ca}")).unwrap_or_default()
    }
}

/// A connection to a server.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    prefix: String,
    authorization: Option<String>,
}

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(server: &ServerArgs) -> Result<Self> {
        let usage = |problem: &str| Failure::Usage(format!("--url '{}' {problem}", server.url));
        let uri: Uri = server.url.parse().map_err(|_| usage("is no URL, as http://127.0.0.1:8080"))?;
        let host = uri.host().ok_or_else(|| usage("has no host"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(usage("must begin with http:// or https://").into()),
        };
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let bare_host = host.trim_start_matches('[').trim_end_matches(']');
        let stream = connect(bare_host, port).await.map_err(|error| {
            Failure::Unavailable(format!(
                "no server answers at {}: {error}. Is it running ('pabal serve')? Another address is given with \
                 --url or PABAL_URL",
                server.url
            ))
        })?;
        let sender = if tls {
            handshake(TokioIo::new(secured(bare_host, stream, server.ca.as_deref()).await?)).await?
        } else {
            handshake(TokioIo::new(stream)).await?
        };
        Ok(Self {
            sender,
            host: uri.authority().map(ToString::to_string).unwrap_or_default(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            authorization: server.api_key.as_ref().map(|key| format!("Bearer {key}")),
        })
    }

    /// Sends a request and reads the whole answer, whatever its status.
    pub(crate) async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        idempotency_key: Option<&str>,
    ) -> Result<Answer> {
        let mut request = self.request(method, path);
        if let Some(key) = idempotency_key {
            request = request.header("idempotency-key", key);
        }
        let bytes = match body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from(serde_json::to_vec(body)?)
            }
            None => Bytes::new(),
        };
        self.answer_to(request.body(Full::new(bytes))).await
    }

    /// Posts lines of JSON, which are sent as they are.
    pub(crate) async fn post_lines(&mut self, path: &str, lines: Bytes) -> Result<Answer> {
        let request = self.request(Method::POST, path).header(CONTENT_TYPE, "application/x-ndjson");
        self.answer_to(request.body(Full::new(lines))).await
    }

    /// Whether the other side has ended the connection.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let uri = format!("{}{path}", self.prefix);
        let request = Request::builder().method(method).uri(uri).header(HOST, &self.host);
        match &self.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization),
            None => request,
        }
    }

    async fn answer_to(&mut self, request: http::Result<Request<Full<Bytes>>>) -> Result<Answer> {
        let request = request.context("a header can't be sent as it is")?;
        tokio::time::timeout(ANSWER_TIMEOUT, self.exchange(request))
            .await
            .map_err(|_| Failure::Unavailable(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())))?
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer> {
        let broke = |error: hyper::Error| Failure::Unavailable(format!("the connection broke: {error}"));
        self.sender.ready().await.map_err(broke)?;
        let (head, body) = self.sender.send_request(request).await.map_err(broke)?.into_parts();
        let bytes = body.collect().await.map_err(broke)?.to_bytes();
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).map_err(|_| {
                Failure::Unavailable(format!(
                    "{} answered {} without JSON: is that Pabal?",
                    self.host, head.status
                ))
            })?
        };
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}

impl Answer {
    /// The body of a good answer, or the failure that its problem means.
    pub(crate) fn expect_success(self) -> Result<Value, Failure> {
        if self.status.is_success() { Ok(self.body) } else { Err(self.failure()) }
    }

    /// How long the server asks to wait, if it does.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
        Some(Duration::from_secs(seconds))
    }

    /// What kind of problem it is, as `unfinished`; empty where it is none of Pabal's.
    pub(crate) fn problem_kind(&self) -> &str {
        let kind = self.body["type"].as_str().unwrap_or_default();
        kind.strip_prefix("urn:pabal:problem:").unwrap_or_default()
    }

    /// Whether the server can't do it at the moment, and asks to come back.
    pub(crate) fn is_not_now(&self) -> bool {
        let later = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::BAD_GATEWAY,
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::GATEWAY_TIMEOUT,
        ];
        later.contains(&self.status)
    }

    /// The failure that its problem means, with what to do about it.
    pub(crate) fn failure(&self) -> Failure {
        let message = advice::message(self);
        match self.status {
            StatusCode::NOT_FOUND => Failure::NotFound(message),
            StatusCode::CONFLICT if self.problem_kind() == "limit_reached" => Failure::LimitReached(message),
            StatusCode::CONFLICT => Failure::Conflict(message),
            status if status.is_client_error() && !self.is_not_now() => Failure::Refused(message),
            _ => Failure::Unavailable(message),
        }
    }
}

async fn connect(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect((host, port)))
        .await
        .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn secured(
    host: &str,
    stream: TcpStream,
    ca: Option<&Path>,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = ca {
        let refuse = |problem: String| Failure::Configuration(format!("--ca {}: {problem}", path.display()));
        for certificate in authority(path).map_err(refuse)? {
            roots.add(certificate).map_err(|error| refuse(format!("holds no authority: {error}")))?;
        }
    }
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).context("the host is no name for TLS")?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let connecting = tokio::time::timeout(CONNECT_TIMEOUT, connector.connect(name, stream));
    let failed = |problem: String| Failure::Unavailable(format!("TLS with {host} failed: {problem}"));
    let connected =
        connecting.await.map_err(|_| failed("no answer; is that a server with TLS?".to_owned()))?;
    connected.map_err(|error| {
        let text = error.to_string();
        if text.contains("CaUsedAsEndEntity") {
            let problem = "the server's certificate says that it is an authority's (CA:TRUE); make one with \
                           basicConstraints=critical,CA:FALSE";
            return failed(problem.to_owned()).into();
        }
        let is_unknown = ca.is_none() && text.contains("UnknownIssuer");
        let hint = if is_unknown { ". An authority of your own is given with --ca or PABAL_CA" } else { "" };
        failed(format!("{text}{hint}")).into()
    })
}

fn authority(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| format!("can't be read as PEM: {error}"))?;
    if certificates.is_empty() { Err("holds no certificate".to_owned()) } else { Ok(certificates) }
}

async fn handshake<T>(io: TokioIo<T>) -> Result<SendRequest<Full<Bytes>>>
where
    TokioIo<T>: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
{
    let (sender, connection) = http1::handshake(io).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to the server broke");
        }
    });
    Ok(sender)
}
