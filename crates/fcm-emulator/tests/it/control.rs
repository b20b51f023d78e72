//! What the emulator received: counted, listed, awaited, cleared.

use std::time::Duration;

use fcm_emulator::{Faults, limits};
use http::Method;
use serde_json::{Value, json};

use crate::client::{Answer, Client, DEADLINE, start};

const COUNT: &str = "/emulator/v1/messages/count";
const MESSAGES: &str = "/emulator/v1/messages";

fn lines(answer: &Answer) -> Vec<Value> {
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn counts_are_exact_and_keep_their_keys() {
    let emulator = start(Faults::default()).await;
    let mut client = Client::connect(&emulator).await;
    assert_eq!(client.get(COUNT).await.text(), r#"{"accepted":0,"unique":0,"answers_lost":0}"#);
    for (target, pabal_id) in [("a", "1"), ("a", "1"), ("a", "2"), ("b", "1"), ("b", "")] {
        client.send(json!({"token": target, "data": {"pabal_id": pabal_id}})).await;
    }
    client.send(json!({"topic": "a", "data": {"pabal_id": "1"}})).await;
    client.send(json!({"token": "b"})).await;
    assert_eq!(client.get(COUNT).await.text(), r#"{"accepted":7,"unique":5,"answers_lost":0}"#);
    assert_eq!(client.call(Method::DELETE, MESSAGES, "").await.status, 204);
    assert_eq!(client.get(COUNT).await.json()["accepted"], 0);
}

#[tokio::test]
async fn messages_are_listed_by_cursor() {
    let emulator = start(Faults::default()).await;
    let mut client = Client::connect(&emulator).await;
    for n in 1..=3 {
        client.send(json!({"token": format!("t{n}"), "data": {"pabal_id": n.to_string()}})).await;
    }
    let answer = client.get("/emulator/v1/messages?after=1&limit=1").await;
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(
        (answer.header("x-emulator-cursor"), answer.header("x-emulator-dropped")),
        (Some("2"), Some("0"))
    );
    let line = lines(&answer).remove(0);
    let received_at = line["received_at"].as_str().unwrap();
    assert_eq!((received_at.len(), received_at.ends_with('Z')), (24, true), "{received_at}");
    assert_eq!(
        line,
        json!({
            "cursor": 2, "target": "t2", "target_kind": "token", "project": "demo", "pabal_id": "2",
            "received_at": received_at, "message": {"token": "t2", "data": {"pabal_id": "2"}},
        })
    );
    let answer = client.get("/emulator/v1/messages?after=2&fields=ids").await;
    assert_eq!(answer.text(), "{\"target\":\"t3\",\"pabal_id\":\"3\"}\n");
    assert_eq!(answer.header("x-emulator-cursor"), Some("3"));

    let messages = emulator.messages(0, 10);
    assert_eq!(messages.len(), 3);
    assert_eq!(emulator.ids(2, 10)[0].target.as_ref(), "t3");
    emulator.clear();
    assert_eq!(lines(&client.get(MESSAGES).await).len(), 0);
    client.send(json!({"token": "t4"})).await;
    assert_eq!(lines(&client.get("/emulator/v1/messages?after=3").await)[0]["cursor"], 4);
}

#[tokio::test]
async fn a_long_poll_ends_when_something_comes() {
    let emulator = start(Faults::default()).await;
    let mut client = Client::connect(&emulator).await;
    let mut waiter = Client::h2c(&emulator).await;
    let waiting = tokio::spawn(async move { waiter.get("/emulator/v1/messages?wait_ms=30000").await });
    client.send(json!({"token": "t"})).await;
    assert_eq!(lines(&waiting.await.unwrap()).len(), 1);
    let empty = client.get("/emulator/v1/messages?after=1&wait_ms=1").await;
    assert_eq!((empty.status.as_u16(), empty.text()), (200, ""));

    assert_eq!(emulator.wait_for(1, DEADLINE).await.unwrap().accepted, 1);
    let error = emulator.wait_for(2, Duration::from_millis(1)).await.unwrap_err();
    assert_eq!((error.wanted, error.counts.accepted), (2, 1));
}

#[tokio::test]
async fn ids_stay_complete_when_bodies_are_dropped() {
    // Big bodies reach the bound on bytes sooner than the one on their number.
    let emulator = start(Faults::default()).await;
    let mut client = Client::connect(&emulator).await;
    let padding = " ".repeat(limits::MAX_BODY_BYTES - 100);
    let sends = limits::MAX_KEPT_BODY_BYTES / limits::MAX_BODY_BYTES + 10;
    for n in 0..sends {
        let body = format!(r#"{{"message":{{"token":"t","data":{{"pabal_id":"{n}"}}}}{padding}}}"#);
        assert_eq!(client.try_send(body).await.unwrap().status, 200);
    }
    let counts = emulator.count();
    assert_eq!((counts.accepted, counts.unique), (sends as u64, sends as u64));
    assert!((5..15).contains(&counts.dropped.bodies), "{counts:?}");
    let answer = client.get("/emulator/v1/messages?fields=ids&limit=200000").await;
    let ids: Vec<Value> = lines(&answer);
    assert_eq!(ids.len(), sends);
    assert_eq!(ids[0], json!({"target": "t", "pabal_id": "0"}));
    assert_eq!(answer.header("x-emulator-dropped"), Some("0"));

    // Pages are bounded in bytes too; the cursor leads through them.
    let (mut cursor, mut listed) = ("0".to_owned(), 0);
    while cursor != sends.to_string() {
        let page = client.get(&format!("/emulator/v1/messages?limit=10000&after={cursor}")).await;
        assert_eq!(page.header("x-emulator-dropped"), Some(counts.dropped.bodies.to_string().as_str()));
        assert_ne!(page.header("x-emulator-cursor"), Some(cursor.as_str()));
        cursor = page.header("x-emulator-cursor").unwrap().to_owned();
        listed += lines(&page).len() as u64;
    }
    assert_eq!(listed, counts.accepted - counts.dropped.bodies);
    assert_eq!(client.get(COUNT).await.json()["dropped"]["bodies"], counts.dropped.bodies);
}

#[tokio::test]
async fn what_cannot_be_asked_is_explained() {
    let emulator = start(Faults::default()).await;
    let mut client = Client::h2c(&emulator).await;
    assert_eq!(client.get("/emulator/v1/healthz").await.json(), json!({"status": "ok"}));
    let answer = client.get("/emulator/v1/messages?limit=x").await;
    assert_eq!((answer.status.as_u16(), answer.json()), (400, json!({"error": "limit: `x` is no number"})));
    assert_eq!(client.call(Method::POST, MESSAGES, "").await.status, 405);
    assert_eq!(client.get("/emulator/v1/nothing").await.status, 404);
    let answer = client.get("/elsewhere").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (404, Some("text/html; charset=UTF-8"))
    );
}
