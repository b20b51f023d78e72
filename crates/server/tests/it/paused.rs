//! A route whose credential was refused: the server stays ready, and both the health check and the deliveries say so.

use fcm_emulator::{FaultKind, Faults, TokenRule};
use serde_json::json;

use crate::world::{World, eventually};

#[tokio::test]
async fn a_paused_route_is_named_wherever_one_looks() {
    let answer = FaultKind::ThirdPartyAuth;
    let rule = TokenRule { prefix: "apns-".into(), answer, first: None, status: None };
    let world = World::start_with(Faults { tokens: vec![rule], ..Faults::default() }, |_| {}).await;
    world.register("ann", "phone", "apns-token").await;
    let id = world.accepted(json!({ "to": { "user": "ann" }, "title": "t" })).await;
    let ready = eventually("a route is paused", || async {
        let ready = world.get("/readyz").await;
        (ready.body["paused_routes"] != 0).then_some(ready)
    })
    .await;
    assert_eq!((ready.status.as_u16(), &ready.body["status"]), (200, &json!("ready")), "{}", ready.body);
    let reasons = ready.body["reasons"].to_string();
    assert!(reasons.contains("transactional/fcm/demo/android"), "{reasons}");

    let delivery = eventually("the delivery waits", || async {
        let view = world.get(&format!("/v1/notifications/{id}")).await.body;
        let delivery = &view["deliveries"][0];
        delivery["paused"].is_string().then(|| delivery.clone())
    })
    .await;
    let path = format!("/v1/deliveries/{}", delivery["id"].as_str().unwrap());
    let paused = world.get(&path).await.body["paused"].as_str().unwrap().to_owned();
    assert!(paused.starts_with("credential refused: "), "{paused}");
}
