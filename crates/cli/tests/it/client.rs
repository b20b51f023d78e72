//! `send` and `status` against a server in a process of its own.

use std::time::Duration;

use serde_json::{Value, json};

use crate::program::{Installation, pabal, run};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_can_be_followed() {
    let installation = Installation::make().await;
    let served = installation.serve();
    let arguments = ["send", "--to-token", "a-token", "--title", "오늘을 인증해 주세요", "--data", "day=3"];
    let (code, out, error) = run(&mut served.client(&arguments));
    assert_eq!((code, error.as_str()), (0, ""));
    let id = out.split_whitespace().nth(1).unwrap().to_owned();
    assert_eq!(out, format!("Accepted: {id} (1 delivery)\nSee what comes of it: pabal status {id}\n"));
    installation.emulator.wait_for(1, Duration::from_secs(30)).await.unwrap();
    let message = installation.emulator.messages(0, 1).remove(0).message;
    assert_eq!(message["notification"]["title"], "오늘을 인증해 주세요");
    assert_eq!(message["data"]["day"], "3");

    let (code, out, _) = run(&mut served.client(&["status", &id]));
    assert_eq!(code, 0);
    assert!(out.starts_with(&format!("notification {id}  expanded")), "{out}");
    assert!(out.contains("\nDELIVERY ") && out.contains("  token a-token  "), "{out}");
    let (_, out, _) = run(&mut served.client(&["status", &id, "--json"]));
    let shown: Value = serde_json::from_str(&out).unwrap();
    let delivery = shown["deliveries"][0]["id"].as_str().unwrap();
    let (code, out, _) = run(&mut served.client(&["status", delivery]));
    assert_eq!(code, 0);
    assert!(
        out.starts_with(&format!("delivery {delivery}  ")) && out.contains("by fcm, project demo"),
        "{out}"
    );
    assert!(out.contains("to token a-token\n") && out.contains("\n       projects/demo/messages/"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hint_reaches_the_same_server() {
    let installation = Installation::make().await;
    let served = installation.serve();
    let mut command = served.client(&["send", "--to-user", "ann", "--title", "t", "--url", &served.url]);
    let (_, out, _) = run(command.env_remove("PABAL_URL"));
    assert!(out.contains(&format!("pabal status --url {} ", served.url)), "{out}");
}

#[test]
fn with_json_failures_are_json_too() {
    for (arguments, code) in [
        (&["--json", "status", "--url", "http://127.0.0.1:1"][..], 4),
        (&["--json", "send", "--title", "t"], 2),
    ] {
        let (ended, out, error) = run(&mut pabal(arguments));
        assert_eq!((ended, out.as_str()), (code, ""));
        let shown: Value = serde_json::from_str(&error).unwrap();
        assert_eq!(shown["exit_code"], code);
        assert!(!shown["error"].as_str().unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_with_a_key_is_told() {
    let installation = Installation::make().await;
    let served = installation.serve();
    let send =
        || run(&mut served.client(&["send", "--to-user", "ann", "--body", "b", "--idempotency-key", "k"]));
    let (first, again) = (send().1, send().1);
    assert!(first.starts_with("Accepted: "), "{first}");
    assert!(again.starts_with("Accepted before, nothing is sent again: "), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recipient_has_its_option() {
    let installation = Installation::make().await;
    let served = installation.serve();
    let cases: [(&[&str], Value); 6] = [
        (&["--to-user", "ann"], json!({ "user": "ann" })),
        (&["--to-user", "ann", "--to-user", "bea"], json!({ "users": ["ann", "bea"] })),
        (&["--to-device", "ann", "phone"], json!({ "device": { "user": "ann", "device": "phone" } })),
        (&["--to-fid", "a-fid"], json!({ "fid": "a-fid" })),
        (&["--to-fcm-topic", "news"], json!({ "fcm_topic": "news" })),
        (&["--to-fcm-condition", "'a' in topics"], json!({ "fcm_condition": "'a' in topics" })),
    ];
    for (options, to) in cases {
        let arguments = [&["send", "--json", "--title", "t"], options].concat();
        let (code, out, error) = run(&mut served.client(&arguments));
        assert_eq!(code, 0, "{options:?}: {error}");
        let accepted: Value = serde_json::from_str(&out).unwrap();
        let id = accepted["id"].as_str().unwrap();
        let (_, out, _) = run(&mut served.client(&["status", "--json", id]));
        assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["to"], to);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_end_with_the_code_of_their_kind() {
    let installation = Installation::make().await;
    let served = installation.serve();
    let check = |mut command: std::process::Command, expect: i32, part: &str| {
        let (code, _, error) = run(&mut command);
        assert_eq!(code, expect, "{error}");
        assert!(error.contains(part), "{error}");
    };
    check(served.client(&["send", "--title", "t"]), 2, "required");
    check(served.client(&["send", "--to-user", "a", "--to-token", "b"]), 2, "cannot be used with");
    check(served.client(&["send", "--to-user", "a", "--data", "x"]), 2, "KEY=VALUE");
    check(served.client(&["status", "../../etc"]), 2, "is no id: one reads like 0192f0c1-");
    check(served.client(&["status", "0192f0c1"]), 2, "is no id: one reads like 0192f0c1-");
    check(
        served.client(&["send", "--to-user", "a", "--title", "t", "--ttl", "-1"]),
        3,
        "ttl: must be a whole number",
    );
    check(served.client(&["send", "--to-user", "a"]), 3, "title is missing");
    let mut foreign = served.client(&["send", "--to-user", "a", "--title", "t"]);
    foreign.env("PABAL_API_KEY", "wrong");
    check(foreign, 3, "Give the key with PABAL_API_KEY");
    check(
        served.client(&["status", "0192f0c1-2345-7000-8000-000000000000"]),
        5,
        "no notification and no delivery",
    );
    check(pabal(&["status", "--url", "http://127.0.0.1:1"]), 4, "Is it running");
    check(pabal(&["status", "--url", "127.0.0.1"]), 2, "--url");
    let (code, out, _) = run(&mut served.client(&["status"]));
    assert_eq!((code, out.as_str()), (0, "ready: 0 in flight, 0 routes paused\n"));
}
