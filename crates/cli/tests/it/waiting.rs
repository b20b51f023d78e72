//! `status --wait`: ends with what it waits for, or in time.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use fcm_emulator::Faults;
use serde_json::{Value, json};

use crate::program::{Installation, Served, pabal, run};

/// A server over an emulator that takes its time, fails the first sends to `flaky`, and all to `down`.
async fn served() -> (Installation, Served) {
    let installation = Installation::make().await;
    let rules = json!({ "latency_ms": { "min": 200, "max": 200 }, "tokens": [
        { "prefix": "flaky", "answer": "unavailable", "first": 2 },
        { "prefix": "down", "answer": "unavailable" },
    ] });
    installation.emulator.set_faults(Faults::from_json(rules.to_string().as_bytes()).unwrap()).unwrap();
    let keys = "listen = '127.0.0.1:0'\nstore = 'sqlite://pabal.db'";
    installation.configure(&format!(
        "{keys}\n[retry]\nbackoff_base_ms = 10\nbackoff_cap_ms = 10\nattempts_max = 1000000"
    ));
    let served = installation.serve();
    (installation, served)
}

fn send(served: &Served, token: &str) -> String {
    let (code, out, error) =
        run(&mut served.client(&["send", "--json", "--to-token", token, "--title", "t"]));
    assert_eq!(code, 0, "{error}");
    serde_json::from_str::<Value>(&out).unwrap()["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_with_the_notification_and_with_the_delivery() {
    let (_installation, served) = served().await;
    let id = send(&served, "flaky");
    let (code, out, error) = run(&mut served.client(&["status", &id, "--wait", "--json"]));
    assert_eq!((code, error.as_str()), (0, ""));
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(shown["counts"], json!({ "delivered": 1 }));
    assert_eq!(shown["deliveries"][0]["attempts"], 3, "it did not wait for the retries");
    let delivery = shown["deliveries"][0]["id"].as_str().unwrap();
    let (code, out, _) = run(&mut served.client(&["status", delivery, "--wait"]));
    assert!(code == 0 && out.contains("  delivered after 3 attempts\n"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_in_time_is_shown_and_ends_with_4() {
    let (_installation, served) = served().await;
    let id = send(&served, "down");
    let started = Instant::now();
    let (code, out, error) = run(&mut served.client(&["status", &id, "--wait", "--timeout", "1"]));
    assert!(started.elapsed() >= Duration::from_secs(1), "it did not wait");
    assert_eq!((code, error.as_str()), (4, "pabal: it has not ended after 1 s\n"));
    assert!(out.starts_with(&format!("notification {id}  expanded\n")), "{out}");
    let unknown = "0192f0c1-2345-7000-8000-000000000000";
    assert_eq!(run(&mut served.client(&["status", unknown, "--wait"])).0, 5, "what is not there won't come");
    for arguments in [&["status", "--timeout", "1"][..], &["status", "--wait", "--timeout", "0"]] {
        assert_eq!(run(&mut pabal(arguments)).0, 2, "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_for_a_server_that_starts() {
    let installation = Installation::make().await;
    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let url = format!("http://{listen}");
    let (code, _, error) = run(&mut pabal(&["status", "--wait", "--timeout", "1", "--url", &url]));
    assert!(code == 4 && error.contains("no server answers"), "{error}");
    let waiter = pabal(&["status", "--wait", "--url", &url]).stdout(Stdio::piped()).spawn().unwrap();
    installation.configure(&format!("listen = '{listen}'\nstore = 'sqlite://pabal.db'"));
    let _served = installation.serve();
    let ended = waiter.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "ready: 0 in flight, 0 routes paused\n");
}
