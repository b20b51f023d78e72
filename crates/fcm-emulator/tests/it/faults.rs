//! What goes wrong on purpose, and what is counted while it does.

use std::time::Duration;

use fcm_emulator::{Faults, Rates};
use http::Method;
use serde_json::json;

use crate::client::{Client, DEADLINE, start};

fn script(json: &str) -> Faults {
    Faults::from_json(json.as_bytes()).unwrap()
}

fn reset_reason(error: &hyper::Error) -> Option<h2::Reason> {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return error.reason();
        }
        source = error.source();
    }
    None
}

#[tokio::test]
async fn resets_before_and_after_acceptance_differ_in_the_counts() {
    let emulator = start(Faults::default()).await;
    let mut client = Client::connect(&emulator).await;
    let message = r#"{"message":{"token":"t","data":{"pabal_id":"1"}}}"#;
    let table = [
        (Rates { reset_before: 1.0, ..Rates::default() }, h2::Reason::INTERNAL_ERROR, (0, 0, 0)),
        (Rates { refused_stream: 1.0, ..Rates::default() }, h2::Reason::REFUSED_STREAM, (0, 0, 0)),
        (Rates { reset_after: 1.0, ..Rates::default() }, h2::Reason::INTERNAL_ERROR, (1, 1, 1)),
    ];
    for (rates, reason, expected) in table {
        emulator.set_faults(Faults { rates, ..Faults::default() }).unwrap();
        let error = client.try_send(message).await.unwrap_err();
        assert_eq!(reset_reason(&error), Some(reason), "{rates:?}");
        let counts = emulator.count();
        assert_eq!((counts.accepted, counts.unique, counts.answers_lost), expected, "{rates:?}");
    }
    emulator.set_faults(Faults::default()).unwrap();
    assert_eq!(client.try_send(message).await.unwrap().status, 200, "the connection lives on");
    let counts = emulator.count();
    assert_eq!((counts.accepted, counts.unique, counts.answers_lost), (2, 1, 1));
    assert_eq!(emulator.connections(), 1);
}

#[tokio::test]
async fn many_resets_do_not_end_a_connection() {
    let rates = Rates { reset_before: 0.5, reset_after: 0.5, ..Rates::default() };
    let emulator = start(Faults { rates, ..Faults::default() }).await;
    let mut client = Client::connect(&emulator).await;
    for _ in 0..3_000 {
        client.try_send(r#"{"message":{"token":"t"}}"#).await.unwrap_err();
    }
    emulator.set_faults(Faults::default()).unwrap();
    assert_eq!(client.send(json!({"token": "t"})).await.status, 200);
    let counts = emulator.count();
    assert_eq!(counts.accepted, counts.answers_lost + 1);
    assert!((1_200..1_800).contains(&counts.answers_lost), "{counts:?}");
}

#[tokio::test]
async fn on_http1_a_reset_closes_the_connection() {
    let rates = Rates { reset_after: 1.0, ..Rates::default() };
    let emulator = start(Faults { rates, ..Faults::default() }).await;
    let mut client = Client::http1(&emulator).await;
    client.token = Some(client.access_token(&emulator.service_account("demo")).await);
    client.try_send(r#"{"message":{"token":"t"}}"#).await.unwrap_err();
    assert_eq!(emulator.count().answers_lost, 1);
}

#[tokio::test]
async fn goaway_comes_after_the_answer() {
    let rates = Rates { goaway: 1.0, ..Rates::default() };
    let emulator = start(Faults { rates, ..Faults::default() }).await;
    let mut client = Client::connect(&emulator).await;
    assert_eq!(client.send(json!({"token": "t"})).await.status, 200);
    let ended = tokio::time::timeout(DEADLINE, &mut client.connection).await.expect("the connection ends");
    ended.unwrap().expect("gracefully");
    assert_eq!(emulator.count().accepted, 1);

    let mut old = Client::http1(&emulator).await;
    old.token = client.token.clone();
    let answer = old.send(json!({"token": "t"})).await;
    assert_eq!((answer.status.as_u16(), answer.header("connection")), (200, Some("close")));
}

#[tokio::test]
async fn a_bad_request_is_a_bad_request_whatever_the_rates() {
    let rates = Rates { reset_before: 1.0, ..Rates::default() };
    let emulator = start(Faults { rates, ..Faults::default() }).await;
    let mut client = Client::connect(&emulator).await;
    assert_eq!(client.send(json!({"data": {}})).await.status, 400);
}

#[tokio::test]
async fn an_empty_bucket_says_when_to_come_back() {
    let emulator = start(script(r#"{"quota":{"per_minute":1,"burst":2}}"#)).await;
    let mut client = Client::connect(&emulator).await;
    assert_eq!(client.send(json!({"token": "t"})).await.status, 200);
    assert_eq!(
        client.send(json!({"token": "not a token"})).await.status,
        400,
        "counts against the quota too"
    );
    let answer = client.send(json!({"token": "t"})).await;
    assert_eq!(answer.status, 429);
    let retry_after_s: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((30..=60).contains(&retry_after_s), "{retry_after_s}");
    let error = &answer.json()["error"];
    assert_eq!(error["status"], "RESOURCE_EXHAUSTED");
    assert_eq!(error["details"][0]["errorCode"], "QUOTA_EXCEEDED");
    assert_eq!(error["details"][1]["@type"], "type.googleapis.com/google.rpc.QuotaFailure");
}

#[tokio::test]
async fn throttling_answers_carry_the_scripted_retry_after() {
    let emulator = start(Faults::default()).await;
    let mut client = Client::connect(&emulator).await;
    for (rate, status, expected) in
        [("unavailable", 503, Some("7")), ("quota", 429, Some("7")), ("internal", 500, None)]
    {
        let faults = format!(r#"{{"rates":{{"{rate}":1}},"retry_after_s":{{"min":7,"max":7}}}}"#);
        emulator.set_faults(script(&faults)).unwrap();
        let answer = client.send(json!({"token": "t"})).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (status, expected));
    }
}

#[tokio::test]
async fn tokens_behave_by_their_prefix() {
    let emulator = start(script(
        r#"{"tokens":[
            {"prefix":"dead-","answer":"unregistered"},
            {"prefix":"flaky-","answer":"unavailable","first":2},
            {"prefix":"odd-","answer":"unregistered","status":410},
            {"prefix":"bad-","answer":"invalid_token"}
        ]}"#,
    ))
    .await;
    let mut client = Client::connect(&emulator).await;
    for token in ["flaky-a", "flaky-b"] {
        for expected in [503, 503, 200, 200] {
            assert_eq!(client.send(json!({"token": token})).await.status, expected, "{token}");
        }
    }
    for (target, expected) in [
        (json!({"token": "dead-1"}), 404),
        (json!({"fid": "dead-1"}), 404),
        (json!({"topic": "dead-1"}), 200),
        (json!({"token": "odd-1"}), 410),
        (json!({"token": "bad-1"}), 400),
        (json!({"token": "good"}), 200),
    ] {
        assert_eq!(client.send(target.clone()).await.status, expected, "{target}");
    }
    assert_eq!(emulator.count().accepted, 6);
}

#[tokio::test]
async fn the_outage_that_called_dead_tokens_malformed() {
    let emulator =
        start(script(r#"{"dead_tokens_as_400":true,"tokens":[{"prefix":"d","answer":"unregistered"}]}"#))
            .await;
    let answer = Client::connect(&emulator).await.send(json!({"token": "d"})).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["details"][0]["errorCode"], "INVALID_ARGUMENT");
}

#[tokio::test]
async fn a_gateways_error_is_html() {
    let emulator = start(script(r#"{"rates":{"html_502":1}}"#)).await;
    let answer = Client::connect(&emulator).await.send(json!({"token": "t"})).await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.header("content-type"), Some("text/html; charset=UTF-8"));
    assert!(answer.text().contains("Please try again in 30 seconds."));
}

#[tokio::test]
async fn latency_delays_the_answer() {
    let emulator = start(script(r#"{"latency_ms":{"min":60,"max":60}}"#)).await;
    let mut client = Client::connect(&emulator).await;
    let started = std::time::Instant::now();
    assert_eq!(client.send(json!({"token": "t"})).await.status, 200);
    assert!(started.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn faults_are_read_and_set_at_run_time() {
    const PATH: &str = "/emulator/v1/faults";
    let emulator = start(Faults::default()).await;
    let mut client = Client::connect(&emulator).await;
    let answer = client.call(Method::PUT, PATH, r#"{"rates":{"internal":1}}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(client.get(PATH).await.json()["rates"]["internal"], 1.0);
    assert_eq!(client.send(json!({"token": "t"})).await.status, 500);

    let answer = client.call(Method::PUT, PATH, r#"{"rates":{"internal":2}}"#).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json(), json!({"error": "rates.internal: 2 is not between 0 and 1"}));
    let answer = client.call(Method::PUT, PATH, r#"{"rate":{}}"#).await;
    assert!(answer.json()["error"].as_str().unwrap().starts_with("rate: unknown field `rate`"));
    assert_eq!(emulator.faults().rates.internal, 1.0, "what was in force stays");
}
