//! What is nobody's business stays out of the log, whatever is logged.

use std::io::Write;
use std::sync::{Arc, Mutex};

use fcm_emulator::{FaultKind, Faults, Rates, TokenRule};
use http::Method;
use http_body_util::Full;
use serde_json::json;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::world::{KEY, World, request};

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

/// The only test of this binary that listens to the log: what the others log at the same time has no part of its
/// secrets in it.
#[tokio::test]
async fn the_log_holds_no_token_no_text_no_key_and_no_user() {
    let lines = Lines::default();
    let writer = lines.clone();
    let ours =
        ["core", "engine", "server", "fcm", "sqlite"].map(|part| format!("pabal_{part}=trace")).join(",");
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(ours))
        .with_writer(move || writer.clone())
        .finish()
        .init();
    let rule = |prefix: &str, answer| TokenRule { prefix: prefix.into(), answer, first: None, status: None };
    let faults = Faults {
        rates: Rates { unavailable: 0.3, ..Rates::default() },
        tokens: vec![
            rule("secret-gone", FaultKind::Unregistered),
            rule("secret-bad", FaultKind::InvalidToken),
        ],
        ..Faults::default()
    };
    let world = World::start_with(faults, |_| {}).await;
    for token in ["secret-good-token", "secret-gone-token", "secret-bad-token"] {
        world.register("secret-user", token, token).await;
    }
    let body =
        json!({ "to": { "user": "secret-user" }, "title": "secret-title", "data": { "k": "secret-data" } });
    let id = world.accepted(body.clone()).await;
    world.settled(&id).await;
    let builder = request(Method::POST, "/v1/notifications").header("idempotency-key", "secret-key");
    let builder = builder.header("content-type", "application/json");
    world.exchange(builder.body(Full::from(body.to_string())).unwrap()).await;
    world.post(json!({ "to": { "user": "secret-user" }, "title": ["secret-wrong"] })).await;
    world.get("/v1/users/secret-user/devices/secret-good-token?secret-query").await;
    world.running.stop().await;

    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("/v1/users/{user}/devices/{device}"), "requests are logged by their route: {log}");
    for secret in ["secret-", KEY] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None);
    }
}
