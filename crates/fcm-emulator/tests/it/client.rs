//! A client made of hyper and h2 alone, so that nothing between them and the emulator smooths anything over.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fcm_emulator::{Emulator, Faults, Options};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Nothing here takes longer, unless it hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";

pub(crate) async fn start(faults: Faults) -> Emulator {
    start_with(Options { faults, seed: Some(1), ..Options::default() }).await
}

pub(crate) async fn start_with(options: Options) -> Emulator {
    Emulator::start(options).await.unwrap()
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?}", self.body))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// One connection.
pub(crate) struct Client {
    sender: Sender,
    authority: String,
    pub(crate) token: Option<String>,
    /// Ends when the connection does.
    pub(crate) connection: tokio::task::JoinHandle<Result<(), hyper::Error>>,
}

impl Client {
    /// HTTP/2 with prior knowledge, with a fresh access token.
    pub(crate) async fn connect(emulator: &Emulator) -> Client {
        let mut client = Client::h2c(emulator).await;
        client.token = Some(client.access_token(&emulator.service_account("demo")).await);
        client
    }

    pub(crate) async fn h2c(emulator: &Emulator) -> Client {
        let stream = dial(emulator).await;
        Client::over_http2(stream, emulator.address().to_string()).await
    }

    pub(crate) async fn http1(emulator: &Emulator) -> Client {
        let stream = dial(emulator).await;
        Client::over_http1(stream, emulator.address().to_string()).await
    }

    /// TLS under one of Google's names; `alpn` is what the client offers.
    pub(crate) async fn tls(emulator: &Emulator, name: &'static str, alpn: &[u8]) -> Client {
        let ca = CertificateDer::from_pem_slice(emulator.ca_pem().unwrap().as_bytes()).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(ca).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        let stream = dial(emulator).await;
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect(ServerName::try_from(name).unwrap(), stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn));
        if alpn == b"h2" {
            Client::over_http2(stream, name.to_owned()).await
        } else {
            Client::over_http1(stream, name.to_owned()).await
        }
    }

    async fn over_http2<S>(stream: S, authority: String) -> Client
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) =
            http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(stream)).await.unwrap();
        Client { sender: Sender::Http2(sender), authority, token: None, connection: tokio::spawn(connection) }
    }

    async fn over_http1<S>(stream: S, authority: String) -> Client
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        Client { sender: Sender::Http1(sender), authority, token: None, connection: tokio::spawn(connection) }
    }

    pub(crate) async fn request(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, hyper::Error> {
        let exchange = async {
            let response = match &mut self.sender {
                Sender::Http1(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await?
                }
                Sender::Http2(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await?
                }
            };
            let (head, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Answer { status: head.status, headers: head.headers, body })
        };
        tokio::time::timeout(DEADLINE, exchange).await.expect("an answer within the deadline")
    }

    fn build(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        let builder = Request::builder().method(method);
        let builder = match &self.sender {
            Sender::Http1(_) => builder.uri(path).header("host", &self.authority),
            Sender::Http2(_) => builder.uri(format!("http://{}{path}", self.authority)),
        };
        builder.body(Full::new(body.into())).unwrap()
    }

    pub(crate) async fn call(&mut self, method: Method, path: &str, body: impl Into<Bytes>) -> Answer {
        let request = self.build(method, path, body);
        self.request(request).await.unwrap()
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.call(Method::GET, path, "").await
    }

    /// Sends a whole request body for the project `demo`.
    pub(crate) async fn try_send(&mut self, body: impl Into<Bytes>) -> Result<Answer, hyper::Error> {
        self.try_send_to("/v1/projects/demo/messages:send", body).await
    }

    pub(crate) async fn try_send_to(
        &mut self,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<Answer, hyper::Error> {
        let request = self.build_authorized(Method::POST, path, body);
        self.request(request).await
    }

    /// Any call with the access token.
    pub(crate) async fn authorized(&mut self, method: Method, path: &str, body: &'static str) -> Answer {
        let request = self.build_authorized(method, path, body);
        self.request(request).await.unwrap()
    }

    /// A call of the Instance ID service.
    pub(crate) async fn iid(&mut self, method: Method, path: &str, body: &str) -> Answer {
        let mut request = self.build_authorized(method, path, body.to_owned());
        request.headers_mut().insert("access_token_auth", "true".parse().unwrap());
        self.request(request).await.unwrap()
    }

    fn build_authorized(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        let mut request = self.build(method, path, body);
        request.headers_mut().insert(CONTENT_TYPE, "application/json".parse().unwrap());
        if let Some(token) = &self.token {
            request.headers_mut().insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        }
        request
    }

    pub(crate) async fn send(&mut self, message: Value) -> Answer {
        self.try_send(json!({"message": message}).to_string()).await.unwrap()
    }

    pub(crate) async fn token_request(&mut self, form: &str) -> Answer {
        self.call(Method::POST, "/token", form.to_owned()).await
    }

    pub(crate) async fn access_token(&mut self, service_account: &Value) -> String {
        let answer = self.token_request(&form(&assertion(service_account, json!({})))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }
}

async fn dial(emulator: &Emulator) -> TcpStream {
    let stream = TcpStream::connect(emulator.address()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

pub(crate) fn form(assertion: &str) -> String {
    format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}")
}

/// A good assertion, with some claims replaced (or removed by null).
pub(crate) fn assertion(service_account: &Value, replace: Value) -> String {
    let now_s = jsonwebtoken::get_current_timestamp();
    let mut claims = json!({
        "iss": service_account["client_email"], "scope": SCOPE, "aud": service_account["token_uri"],
        "iat": now_s, "exp": now_s + 3_600,
    });
    for (claim, value) in replace.as_object().unwrap() {
        claims[claim] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    let key = EncodingKey::from_rsa_pem(service_account["private_key"].as_str().unwrap().as_bytes()).unwrap();
    jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key).unwrap()
}
