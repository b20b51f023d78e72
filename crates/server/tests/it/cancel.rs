//! Taking back.

use http::Method;
use serde_json::json;

use crate::accept::in_an_hour;
use crate::world::{World, settled_shape};

#[tokio::test]
async fn what_is_scheduled_can_be_taken_back() {
    let world = World::start().await;
    let id = world.accepted(json!({ "to": { "token": "t" }, "title": "t", "send_at": in_an_hour() })).await;
    let path = format!("/v1/notifications/{id}");
    let answer = world.call(Method::DELETE, &path, None).await;
    assert_eq!(answer.status, 200);
    let expect = json!({ "id": "ID", "cancelled": 1, "already_sent": 0, "already_final": 0, "in_flight": 0 });
    assert_eq!(settled_shape(answer.body), expect);
    assert_eq!(world.get(&path).await.body["state"], "cancelled");
    let again = world.call(Method::DELETE, &path, None).await.body;
    assert_eq!((&again["cancelled"], &again["already_final"]), (&json!(0), &json!(1)), "{again}");
}

#[tokio::test]
async fn what_is_sent_stays_sent() {
    let world = World::start().await;
    let body = json!({ "to": { "users": ["ann", "nobody"] }, "title": "t" });
    world.register("ann", "phone", "token-of-ann").await;
    let id = world.accepted(body).await;
    world.settled(&id).await;
    let answer = world.call(Method::DELETE, &format!("/v1/notifications/{id}"), None).await;
    let expect = json!({ "id": "ID", "cancelled": 0, "already_sent": 1, "already_final": 1, "in_flight": 0 });
    assert_eq!(settled_shape(answer.body), expect);
}
