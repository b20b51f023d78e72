//! What is nobody's business stays out of the log, the metrics and the errors, whatever is logged and whatever goes
//! wrong. Every secret of this run has [`MARK`] in it.

use std::io::Write;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fcm_emulator::{FaultKind, Faults, Rates, TokenRule};
use http::{Method, Request};
use http_body_util::Full;
use pabal_server::config::ProxySetting;
use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::accept::in_an_hour;
use crate::world::{KEY, World, eventually, request};

const MARK: &str = "secret-";

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Everything, of every part of the program, but for the emulator: that is no part of it.
fn listen() -> Lines {
    let lines = Lines::default();
    let writer = lines.clone();
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(EnvFilter::new("trace,fcm_emulator=off"))
        .with_writer(move || writer.clone())
        .finish()
        .init();
    lines
}

/// Calls, and keeps what went wrong.
struct Run<'w> {
    world: &'w World,
    problems: Vec<Value>,
}

impl Run<'_> {
    async fn send(&mut self, request: Request<Full<Bytes>>) -> Value {
        let answer = self.world.exchange(request).await;
        if !answer.status.is_success() {
            self.problems.push(answer.body.clone());
        }
        answer.body
    }

    async fn call(&mut self, method: Method, path: &str, body: Value) -> Value {
        self.raw(method, path, "application/json", &body.to_string()).await
    }

    async fn raw(&mut self, method: Method, path: &str, kind: &str, body: &str) -> Value {
        let request = request(method, path).header("content-type", kind);
        self.send(request.body(Full::from(body.to_owned())).unwrap()).await
    }

    async fn get(&mut self, path: &str) -> Value {
        self.send(request(Method::GET, path).body(Full::default()).unwrap()).await
    }
}

fn faults() -> Faults {
    let rule = |prefix: &str, answer| TokenRule { prefix: prefix.into(), answer, first: None, status: None };
    Faults {
        rates: Rates { unavailable: 0.3, ..Rates::default() },
        tokens: vec![
            rule("secret-gone", FaultKind::Unregistered),
            rule("secret-bad", FaultKind::InvalidToken),
            rule("secret-foreign", FaultKind::SenderMismatch),
            rule("secret-apns", FaultKind::ThirdPartyAuth),
        ],
        ..Faults::default()
    }
}

fn message(to: Value) -> Value {
    json!({
        "to": to, "title": "secret-title", "body": "secret-body", "data": { "secret-name": "secret-data" },
        "link": "https://example.com/secret-link", "collapse_key": "secret-collapse",
    })
}

/// The only test of this binary that listens to the log: what the others log at the same time has no part of its
/// secrets in it.
#[tokio::test]
async fn the_log_the_metrics_and_the_errors_hold_no_secret() {
    let lines = listen();
    let world = World::start_with(faults(), |_| {}).await;
    let mut run = Run { world: &world, problems: Vec::new() };
    deliver(&mut run).await;
    refuse(&mut run).await;
    let key = administer(&mut run).await;
    let metrics = run.get("/metrics").await.as_str().unwrap().to_owned();
    let problems = run.problems;
    let account = std::fs::read_to_string(world.folder.path().join("service-account.json")).unwrap();
    world.running.stop().await;
    through_a_proxy_that_is_not_there().await;

    assert!(problems.len() >= 15, "{problems:#?}");
    for problem in &problems {
        assert!(!problem.to_string().contains(MARK), "{problem:#}");
    }
    assert!(metrics.contains("pabal_http_requests"), "{metrics}");
    assert!(!metrics.contains(MARK), "{metrics}");

    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("/v1/users/{user}/devices/{device}"), "requests are logged by their route");
    for part in ["pabal_server", "pabal_engine", "pabal_sqlite", "pabal_fcm", "h2"] {
        assert!(log.contains(&format!("\"target\":\"{part}")), "{part} is heard");
    }
    let account: Value = serde_json::from_str(&account).unwrap();
    let pem = account["private_key"].as_str().unwrap().lines().filter(|line| line.len() > 40);
    for secret in [MARK, KEY, &key].into_iter().chain(pem) {
        assert_eq!(log.lines().find(|line| line.contains(secret)), None);
    }
}

/// Everything that can become of a notification.
async fn deliver(run: &mut Run<'_>) {
    for token in ["secret-good", "secret-gone", "secret-bad", "secret-foreign"] {
        run.world.register("secret-user", token, token).await;
    }
    // Another platform: the route that its refused credential holds up is its own.
    let device = json!({ "channel": "fcm", "platform": "ios", "token": "secret-apns", "locale": "ko-KR" });
    run.call(Method::PUT, "/v1/users/secret-user/devices/secret-apns", device).await;
    let to_user = message(json!({ "user": "secret-user" }));
    let idempotent = |body: &Value| {
        let builder = request(Method::POST, "/v1/notifications").header("idempotency-key", "secret-key");
        builder.header("content-type", "application/json").body(Full::from(body.to_string())).unwrap()
    };
    let accepted = run.send(idempotent(&to_user)).await;
    run.send(idempotent(&to_user)).await;
    run.send(idempotent(&message(json!({ "token": "secret-other" })))).await;
    let id = accepted["id"].as_str().unwrap().to_owned();
    // The one for APNs waits for its credential; the others end.
    eventually("all but one have ended", || async {
        let counts = run.world.get(&format!("/v1/notifications/{id}")).await.body["counts"].clone();
        (counts["delivered"] == 1 && counts["dead"] == 3).then_some(())
    })
    .await;
    let batch =
        json!([message(json!({ "token": "secret-batch" })), message(json!({ "to": "secret-wrong" }))]);
    run.call(Method::POST, "/v1/notifications/batch", batch).await;
    let lines = format!("{}\n{{\"to\": \"secret-half\n", message(json!({ "fid": "secret-fid" })));
    run.raw(Method::POST, "/v1/notifications/batch", "application/x-ndjson", &lines).await;
    let mut later = message(json!({ "users": ["secret-user", "secret-nobody"] }));
    later["send_at"] = in_an_hour().into();
    let later = run.call(Method::POST, "/v1/notifications", later).await;
    let later = later["id"].as_str().unwrap();
    run.send(request(Method::DELETE, &format!("/v1/notifications/{later}")).body(Full::default()).unwrap())
        .await;
    for path in ["/v1/notifications", "/v1/deliveries?user=secret-user", "/v1/devices", "/v1/stats"] {
        run.get(path).await;
    }
}

/// Everything that a caller can do wrong, with a secret in it.
async fn refuse(run: &mut Run<'_>) {
    let path = "/v1/notifications";
    for body in [
        json!({ "to": { "user": "secret-user" }, "title": ["secret-wrong"] }),
        json!({ "to": { "user": "secret-user\n" }, "title": "secret-title" }),
        json!({ "to": "secret-user", "title": "secret-title" }),
        json!({ "to": { "token": "secret token" }, "title": "secret-title" }),
        json!({ "to": { "user": "secret-user" }, "title": "secret-".repeat(1000) }),
        json!({ "to": { "user": "u" }, "title": "t", "image": "secret-image" }),
        json!({ "to": { "user": "u" }, "title": "t", "lane": "secret-lane" }),
        json!({ "to": { "user": "u" }, "title": "t", "project": "secret-project" }),
        json!({ "to": { "user": "u" }, "title": "t", "send_at": "secret-time" }),
        json!("secret-body"),
    ] {
        run.call(Method::POST, path, body).await;
    }
    for (kind, body) in [
        ("application/json", "{\"title\": secret-syntax}"),
        ("application/json", "{\"title\": \"secret-a\", \"title\": \"secret-b\"}"),
        ("text/secret-kind", "secret-body"),
        ("application/json", &"secret-".repeat(20_000)),
    ] {
        run.raw(Method::POST, path, kind, body).await;
    }
    for path in [
        "/v1/secret-path",
        "/v1/notifications/secret-id",
        "/v1/deliveries/secret-id",
        "/v1/dead-letters/secret-id",
        "/v1/keys/secret-id",
        "/v1/deliveries?cursor=secret-cursor",
        "/v1/deliveries?state=secret-state",
        "/v1/users/secret-user/devices/secret-unknown",
        "/v1/users/secret-%0A/devices",
    ] {
        run.get(path).await;
    }
    for authorization in ["Bearer secret-guess", "Basic secret-basic", "secret-nothing"] {
        let request = Request::builder().uri("/v1/stats").header("host", "pabal");
        let request = request.header("authorization", authorization).header("cookie", "secret-cookie");
        run.send(request.body(Full::default()).unwrap()).await;
    }
}

/// Keys, dead letters, and a person who is forgotten. Answers a key that was made.
async fn administer(run: &mut Run<'_>) -> String {
    run.call(Method::POST, "/v1/apps", json!({ "name": "other" })).await;
    let made = run.call(Method::POST, "/v1/keys", json!({ "name": "secret-name", "scopes": ["read"] })).await;
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let with_key = || {
        let request = Request::builder().uri("/v1/stats").header("host", "pabal");
        request.header("authorization", format!("Bearer {key}")).body(Full::default()).unwrap()
    };
    run.send(with_key()).await;
    run.send(request(Method::DELETE, &format!("/v1/keys/{id}")).body(Full::default()).unwrap()).await;
    run.send(with_key()).await;
    run.get("/v1/keys?revoked=true").await;
    run.call(Method::POST, "/v1/keys", json!({ "name": "secret-\n", "scopes": ["secret-scope"] })).await;

    let dead = run.get("/v1/dead-letters?user=secret-user").await;
    let dead = dead["dead_letters"][0]["id"].as_str().unwrap().to_owned();
    run.get(&format!("/v1/dead-letters/{dead}")).await;
    run.call(Method::POST, "/v1/dead-letters/redrive", json!({ "filter": { "user": "secret-user" } })).await;
    run.call(Method::POST, "/v1/devices/restore", json!({ "state": "retired", "reason": "secret-reason" }))
        .await;
    for path in [
        "/v1/dead-letters?user=secret-user",
        "/v1/users/secret-user/devices/secret-gone",
        "/v1/users/secret-user",
    ] {
        run.send(request(Method::DELETE, path).body(Full::default()).unwrap()).await;
    }
    key.to_owned()
}

/// Attempts that fail on a way whose URL has a password.
async fn through_a_proxy_that_is_not_there() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://secret-proxy-user:secret-proxy-password@{nobody}");
    let change = |config: &mut pabal_server::Config| config.fcm.proxy = Some(ProxySetting::from(url));
    let world = World::start_with(Faults::default(), change).await;
    let id = world.accepted(message(json!({ "token": "secret-token" }))).await;
    eventually("an attempt has failed", || async {
        let view = world.get(&format!("/v1/notifications/{id}")).await.body;
        (view["deliveries"][0]["attempts"] != 0 || view["counts"]["retrying"] == 1).then_some(())
    })
    .await;
    world.running.stop().await;
}
