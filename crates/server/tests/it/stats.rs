//! The numbers of an app.

use fcm_emulator::{FaultKind, Faults};
use serde_json::json;

use crate::caller::Caller;
use crate::dead_letters::{die, rule};
use crate::world::{World, eventually};

#[tokio::test]
async fn numbers_say_how_an_app_stands() {
    let tokens =
        vec![rule("gone-", FaultKind::Unregistered, None), rule("apns-", FaultKind::ThirdPartyAuth, None)];
    let world = World::start_with(Faults { tokens, ..Faults::default() }, |_| {}).await;
    let nothing = json!({
        "app": "default", "deliveries": {}, "reasons": [], "paused": [],
        "queue": { "entries": { "transactional": 0, "bulk": 0 }, "oldest_due_age_ms": null, "in_flight": 0 },
    });
    assert_eq!(world.get("/v1/stats").await.body, nothing);

    die(&world, "gone-", 3).await;
    for user in ["nobody", "nobody-else"] {
        world.accepted(json!({ "to": { "user": user }, "title": "t" })).await;
    }
    world.register("ann", "phone", "apns-token").await;
    let send_at = crate::accept::in_an_hour();
    world
        .accepted(json!({ "to": { "user": "ann" }, "title": "t", "lane": "bulk", "send_at": send_at }))
        .await;
    world.accepted(json!({ "to": { "user": "ann" }, "title": "t" })).await;
    let stats = eventually("a route is paused", || async {
        let stats = world.get("/v1/stats").await.body;
        (stats["paused"] != json!([]) && stats["queue"]["in_flight"] == 0).then_some(stats)
    })
    .await;
    let reasons = json!([
        { "state": "dead", "reason": "unregistered", "count": 3 },
        { "state": "undeliverable", "reason": "no_device", "count": 2 },
    ]);
    assert_eq!(stats["reasons"], reasons);
    assert_eq!((&stats["deliveries"]["dead"], &stats["deliveries"]["undeliverable"]), (&json!(3), &json!(2)));
    assert_eq!(stats["queue"]["entries"], json!({ "transactional": 1, "bulk": 1 }));
    assert_eq!(stats["paused"][0]["route"], "transactional/fcm/demo/android");
    assert!(stats["paused"][0]["reason"].is_string() && stats["paused"][0]["since"].is_string());

    let other = Caller::of_app(&world, "other").await;
    let theirs = other.get("/v1/stats").await.body;
    assert_eq!(
        (&theirs["app"], &theirs["deliveries"], &theirs["reasons"]),
        (&json!("other"), &json!({}), &json!([]))
    );
    assert!(theirs.get("queue").is_none(), "the queue is the whole server's");
}
