//! What every test stands in: emulator, server, folder, client. And how it waits: for the thing, with a deadline.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use fcm_emulator::{Emulator, Faults, Options};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use pabal_server::config::ProjectSection;
use pabal_server::{Config, Running, Server};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

/// By then everything that is waited for has to have happened.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
/// The key that the tests' server is configured with.
pub(crate) const KEY: &str = "a-key-for-tests-of-any-length";
const PROJECT: &str = "demo";

pub(crate) struct World {
    pub(crate) emulator: Emulator,
    pub(crate) running: Running,
    pub(crate) folder: TempDir,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl World {
    pub(crate) async fn start() -> World {
        World::start_with(Faults::default(), |_| {}).await
    }

    pub(crate) async fn start_with(faults: Faults, change: impl FnOnce(&mut Config)) -> World {
        let emulator = Emulator::start(Options { faults, ..Options::default() }).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut config = configuration(&folder, &emulator);
        change(&mut config);
        let running = Server::start(config).await.unwrap();
        World { emulator, running, folder }
    }

    /// The configuration that another start of the same world would have.
    pub(crate) fn configuration(&self) -> Config {
        configuration(&self.folder, &self.emulator)
    }

    /// The same world after a stop and another start, whose configuration is changed.
    pub(crate) async fn restarted(self, change: impl FnOnce(&mut Config)) -> World {
        let mut config = self.configuration();
        change(&mut config);
        let World { running, emulator, folder } = self;
        running.stop().await;
        World { running: Server::start(config).await.unwrap(), emulator, folder }
    }

    /// The same, and no request has time for more than one step.
    pub(crate) async fn in_a_hurry(self) -> World {
        self.restarted(|config| config.http.steps_time_ms = Some(0)).await
    }

    pub(crate) fn database(&self) -> PathBuf {
        database(&self.folder)
    }

    /// A request with the key.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = request(method, path);
        if let Some(body) = body {
            request = request.header("content-type", "application/json");
            return self.exchange(request.body(Full::from(body.to_string())).unwrap()).await;
        }
        self.exchange(request.body(Full::default()).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    /// Sends a notification.
    pub(crate) async fn post(&self, body: Value) -> Answer {
        self.call(Method::POST, "/v1/notifications", Some(body)).await
    }

    /// Sends a notification that has to be accepted; answers its id.
    pub(crate) async fn accepted(&self, body: Value) -> String {
        let answer = self.post(body).await;
        assert_eq!(answer.status, 202, "{:#}", answer.body);
        answer.body["id"].as_str().unwrap().to_owned()
    }

    /// Registers an Android device.
    pub(crate) async fn register(&self, user: &str, device: &str, token: &str) {
        let body = json!({ "channel": "fcm", "platform": "android", "token": token });
        let path = format!("/v1/users/{user}/devices/{device}");
        let answer = self.call(Method::PUT, &path, Some(body)).await;
        assert_eq!(answer.status, 200, "{:#}", answer.body);
    }

    /// The notification, once none of its deliveries is open any more.
    pub(crate) async fn settled(&self, id: &str) -> Value {
        eventually("everything is settled", || async {
            let view = self.get(&format!("/v1/notifications/{id}")).await.body;
            let counts = &view["counts"];
            let is_open = counts.get("scheduled").is_some() || counts.get("retrying").is_some();
            (view["state"] == "expanded" && !is_open).then_some(view)
        })
        .await
    }

    pub(crate) async fn exchange(&self, request: Request<Full<Bytes>>) -> Answer {
        exchange(self.running.address(), request).await
    }

    /// The request's problem, with the parts that differ from run to run taken out.
    pub(crate) async fn problem(&self, request: Request<Full<Bytes>>) -> Value {
        let answer = self.exchange(request).await;
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{:#}", answer.body);
        assert_eq!(answer.headers["x-request-id"], answer.body["request_id"].as_str().unwrap());
        let mut problem = answer.body;
        assert_eq!(problem["status"], answer.status.as_u16());
        problem.as_object_mut().unwrap().remove("request_id");
        problem
    }
}

fn configuration(folder: &TempDir, emulator: &Emulator) -> Config {
    let service_account = folder.path().join("service-account.json");
    std::fs::write(&service_account, emulator.service_account(PROJECT).to_string()).unwrap();
    let mut config = Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        store: format!("sqlite://{}", database(folder).display()),
        api_key: Some(KEY.into()),
        ..Config::default()
    };
    let project = ProjectSection { service_account, endpoint: Some(emulator.base_url()) };
    config.fcm.projects.insert(PROJECT.parse::<String>().unwrap().try_into().unwrap(), project);
    config.retry.backoff_base_ms = 1;
    config.retry.backoff_cap_ms = 20;
    config
}

fn database(folder: &TempDir) -> PathBuf {
    folder.path().join("pabal.db")
}

pub(crate) fn request(method: Method, path: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "pabal")
        .header("authorization", format!("Bearer {KEY}"))
}

pub(crate) async fn exchange(address: SocketAddr, request: Request<Full<Bytes>>) -> Answer {
    let mut sender = connect(address).await;
    let exchange = async {
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let kind = head.headers.get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        let body = match kind {
            _ if bytes.is_empty() => Value::Null,
            Some(kind) if kind.ends_with("json") => serde_json::from_slice(&bytes).unwrap(),
            _ => Value::from(String::from_utf8(bytes.to_vec()).unwrap()),
        };
        Answer { status: head.status, headers: head.headers, body }
    };
    tokio::time::timeout(DEADLINE, exchange).await.expect("an answer within the deadline")
}

pub(crate) async fn connect(address: SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Looks until there is something, and fails at the deadline.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let looking = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        loop {
            ticks.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    tokio::time::timeout(DEADLINE, looking)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

/// The value with every id, time and duration replaced by a word, so that the rest can be compared as a whole.
pub(crate) fn settled_shape(mut value: Value) -> Value {
    fn visit(key: &str, value: &mut Value) {
        match value {
            Value::Object(fields) => fields.iter_mut().for_each(|(key, value)| visit(key, value)),
            Value::Array(items) => items.iter_mut().for_each(|item| visit(key, item)),
            Value::String(text) if matches!(key, "id" | "notification" | "request_id") => {
                assert!(text.len() >= 16, "{text}");
                *value = json!("ID");
            }
            Value::String(text) if key == "at" || key.ends_with("_at") => {
                assert!(text.len() == 24 && text.ends_with('Z'), "{text}");
                *value = json!("TIME");
            }
            Value::Number(_) if key == "latency_ms" => *value = json!(0),
            Value::String(text) if key == "detail" && text.starts_with("projects/") => *value = json!("NAME"),
            _ => {}
        }
    }
    visit("", &mut value);
    value
}
