//! A delivery's timeline: every attempt with what came of it.

use fcm_emulator::{FaultKind, Faults, TokenRule};
use serde_json::{Value, json};

use crate::world::{World, settled_shape};

async fn timeline(world: &World, token: &str) -> Value {
    let id = world.accepted(json!({ "to": { "token": token }, "title": "t" })).await;
    let delivery = world.settled(&id).await["deliveries"][0]["id"].as_str().unwrap().to_owned();
    let answer = world.get(&format!("/v1/deliveries/{delivery}")).await;
    assert_eq!(answer.status, 200);
    settled_shape(answer.body)
}

fn faults() -> Faults {
    let rule = |prefix: &str, answer, first| TokenRule { prefix: prefix.into(), answer, first, status: None };
    Faults {
        tokens: vec![
            rule("flaky-", FaultKind::Unavailable, Some(1)),
            rule("gone-", FaultKind::Unregistered, None),
            rule("broken-", FaultKind::Internal, None),
        ],
        ..Faults::default()
    }
}

#[tokio::test]
async fn a_retried_delivery_shows_each_attempt() {
    let world = World::start_with(faults(), |_| {}).await;
    let body = timeline(&world, "flaky-token").await;
    assert_eq!((&body["state"], &body["attempts"]), (&json!("delivered"), &json!(2)));
    let attempts = body["timeline"].as_array().unwrap();
    assert_eq!(attempts.len(), 2, "{body:#}");
    let first = json!({
        "number": 1, "at": "TIME", "outcome": "unavailable", "status": 503, "code": "UNAVAILABLE",
        "detail": "The service is currently unavailable.", "latency_ms": 0,
    });
    assert_eq!(attempts[0], first);
    assert_eq!((&attempts[1]["outcome"], &attempts[1]["status"]), (&json!("delivered"), &json!(200)));
}

#[tokio::test]
async fn one_that_arrived_at_once_has_a_complete_timeline_too() {
    let world = World::start().await;
    let body = timeline(&world, "good-token").await;
    assert_eq!(body["timeline"].as_array().unwrap().len(), 1, "{body:#}");
    assert_eq!(body["timeline"][0]["outcome"], "delivered");
}

#[tokio::test]
async fn a_dead_one_says_why() {
    let world = World::start_with(faults(), |config| config.retry.attempts_max = 3).await;
    let gone = timeline(&world, "gone-token").await;
    assert_eq!((&gone["state"], &gone["reason"]), (&json!("dead"), &json!("unregistered")));
    assert_eq!(gone["timeline"][0]["code"], "UNREGISTERED");
    let broken = timeline(&world, "broken-token").await;
    assert_eq!((&broken["state"], &broken["reason"]), (&json!("dead"), &json!("attempts_exhausted")));
    assert_eq!(broken["timeline"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_retired_device_shows_its_mark() {
    let world = World::start_with(faults(), |_| {}).await;
    world.register("ann", "phone", "gone-token").await;
    let id = world.accepted(json!({ "to": { "user": "ann" }, "title": "t" })).await;
    world.settled(&id).await;
    let device = world.get("/v1/users/ann/devices/phone").await.body;
    let expect = json!({ "kind": "retired", "reason": "UNREGISTERED", "at": "TIME" });
    assert_eq!(settled_shape(device)["mark"], expect);
}
