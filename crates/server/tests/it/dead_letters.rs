//! Dead letters: looked at, removed.

use std::collections::BTreeSet;

use fcm_emulator::{FaultKind, Faults, TokenRule};
use http::Method;
use pabal_server::limits;
use serde_json::{Value, json};

use crate::batch;
use crate::world::{Answer, World, eventually, settled_shape};

const UNKNOWN: &str = "0192f0c1-2345-7000-8000-000000000000";

pub(crate) fn rule(prefix: &str, answer: FaultKind, first: Option<u32>) -> TokenRule {
    TokenRule { prefix: prefix.into(), answer, first, status: None }
}

fn faults() -> Faults {
    let tokens = vec![
        rule("gone-", FaultKind::Unregistered, None),
        rule("mismatch-", FaultKind::SenderMismatch, None),
    ];
    Faults { tokens, ..Faults::default() }
}

/// Sends to as many tokens, each of which turns out to be dead.
pub(crate) async fn die(world: &World, prefix: &str, count: usize) {
    let item = |n: usize| json!({ "to": { "token": format!("{prefix}{n}") }, "title": "t", "lane": "bulk" });
    let before = count_of(world, "dead").await;
    let numbers: Vec<usize> = (0..count).collect();
    for some in numbers.chunks(limits::BATCH_ITEMS_MAX) {
        batch::accepted(world, &some.iter().map(|n| item(*n)).collect::<Vec<_>>()).await;
    }
    dead(world, before + count as u64).await;
}

/// Waits until so many deliveries are dead.
pub(crate) async fn dead(world: &World, count: u64) {
    eventually("all are dead", || async { (count_of(world, "dead").await == count).then_some(()) }).await;
}

/// How many deliveries are in a state.
pub(crate) async fn count_of(world: &World, state: &str) -> u64 {
    world.get("/v1/stats").await.body["deliveries"][state].as_u64().unwrap_or(0)
}

async fn list(world: &World, query: &str) -> Vec<Value> {
    let answer = world.get(&format!("/v1/dead-letters?{query}")).await;
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    answer.body["dead_letters"].as_array().unwrap().clone()
}

async fn delete(world: &World, path: &str) -> Answer {
    world.call(Method::DELETE, &format!("/v1/dead-letters{path}"), None).await
}

#[tokio::test]
async fn what_died_is_listed_with_its_last_attempt() {
    let world = World::start_with(faults(), |_| {}).await;
    world.register("ann", "phone", "gone-phone").await;
    let of_ann = world.accepted(json!({ "to": { "user": "ann" }, "title": "t" })).await;
    world.settled(&of_ann).await;
    die(&world, "mismatch-", 2).await;
    let body = world.get("/v1/dead-letters?user=ann").await.body;
    let expect = json!({
        "dead_letters": [{
            "kind": "delivery",
            "id": "ID", "notification": "ID", "to": { "user": "ann", "device": "phone" },
            "lane": "transactional", "channel": "fcm", "project": "demo", "platform": "android",
            "state": "dead", "reason": "unregistered", "attempts": 1, "paused": null,
            "created_at": "TIME", "next_attempt_at": null, "finished_at": "TIME",
            "last_attempt": {
                "number": 1, "at": "TIME", "outcome": "unregistered", "status": 404, "code": "UNREGISTERED",
                "detail": "Requested entity was not found.", "latency_ms": 0,
            },
        }],
        "next_cursor": null,
    });
    assert_eq!(settled_shape(body.clone()), expect);
    let count = async |query: &str| list(&world, query).await.len();
    assert_eq!(count("").await, 3);
    assert_eq!(count("reason=sender_mismatch&channel=fcm").await, 2);
    assert_eq!(count(&format!("notification={of_ann}")).await, 1);
    assert_eq!(count("since=2999-01-01T00:00:00Z").await, 0);
    assert_eq!(count("since=2020-01-01T00:00:00Z&until=2999-01-01T00:00:00Z").await, 3);
    let page = world.get("/v1/dead-letters?limit=2").await.body;
    let rest = list(&world, &format!("cursor={}", page["next_cursor"].as_str().unwrap())).await;
    assert_eq!((page["dead_letters"].as_array().unwrap().len(), rest.len()), (2, 1));

    let id = body["dead_letters"][0]["id"].as_str().unwrap();
    let mut one = world.get(&format!("/v1/dead-letters/{id}")).await.body;
    assert_eq!((&one["kind"], one["timeline"].as_array().unwrap().len()), (&json!("delivery"), 1));
    one.as_object_mut().unwrap().remove("kind");
    assert_eq!(one, world.get(&format!("/v1/deliveries/{id}")).await.body);
}

#[tokio::test]
async fn what_is_not_dead_is_no_dead_letter() {
    let world = World::start().await;
    let id = world.accepted(json!({ "to": { "token": "t" }, "title": "t" })).await;
    let delivery = world.settled(&id).await["deliveries"][0]["id"].as_str().unwrap().to_owned();
    for method in [Method::GET, Method::DELETE] {
        for (id, status, detail) in [
            (delivery.as_str(), 409, "the delivery is delivered, not dead"),
            (id.as_str(), 409, "the notification is expanded, not dead"),
            (UNKNOWN, 404, "there is no such dead letter"),
            ("not-an-id", 404, "there is no such dead letter"),
        ] {
            let answer = world.call(method.clone(), &format!("/v1/dead-letters/{id}"), None).await;
            assert_eq!(
                (answer.status.as_u16(), &answer.body["detail"]),
                (status, &json!(detail)),
                "{method}"
            );
        }
    }
    assert_eq!(world.get(&format!("/v1/deliveries/{delivery}")).await.status, 200);
}

#[tokio::test]
async fn dead_letters_are_removed() {
    let world = World::start_with(faults(), |_| {}).await;
    let alive = world.accepted(json!({ "to": { "token": "alive" }, "title": "t" })).await;
    world.settled(&alive).await;
    die(&world, "gone-", 3).await;
    let unbounded = delete(&world, "").await;
    assert_eq!((unbounded.status.as_u16(), &unbounded.body["field"]), (422, &json!("confirm")));
    let detail = "confirm must be all where no filter is given: this removes every dead letter of the app";
    assert_eq!(unbounded.body["detail"], detail);
    assert_eq!(delete(&world, "?confirm=yes").await.body["detail"], "confirm must be all");
    assert_eq!(delete(&world, "?limit=1").await.status, 400);

    let letters = list(&world, "").await;
    let id = letters[0]["id"].as_str().unwrap();
    assert_eq!(delete(&world, &format!("/{id}")).await.status, 204);
    assert_eq!(delete(&world, &format!("/{id}")).await.status, 404);
    assert_eq!(world.get(&format!("/v1/deliveries/{id}")).await.status, 404);
    let notification = letters[1]["notification"].as_str().unwrap();
    let one = delete(&world, &format!("?notification={notification}")).await;
    assert_eq!((one.status.as_u16(), one.body), (200, all_of(1)));
    assert_eq!(delete(&world, "?reason=sender_mismatch").await.body, all_of(0));
    assert_eq!(delete(&world, "?confirm=all").await.body, all_of(1));
    assert_eq!(delete(&world, "?confirm=all").await.body, all_of(0));
    assert_eq!(world.get("/v1/stats").await.body["deliveries"], json!({ "delivered": 1 }), "counts follow");
}

#[tokio::test]
async fn a_request_removes_a_bounded_number() {
    let world = World::start_with(faults(), |_| {}).await;
    let more = limits::PURGE_ITEMS_MAX + 5;
    die(&world, "gone-", more).await;
    let first = delete(&world, "?reason=unregistered").await.body;
    assert_eq!((&first["purged"], &first["more"]), (&json!(limits::PURGE_ITEMS_MAX), &json!(true)));
    assert_eq!(count_of(&world, "dead").await, 5);
    let cursor = first["next_cursor"].as_str().unwrap();
    let elsewhere = delete(&world, &format!("?reason=sender_mismatch&cursor={cursor}")).await;
    assert_eq!((elsewhere.status.as_u16(), &elsewhere.body["field"]), (422, &json!("cursor")));
    assert_eq!(delete(&world, &format!("?reason=unregistered&cursor={cursor}")).await.body, all_of(5));
}

/// The answer of a purge that removed so many, and has seen all.
fn all_of(purged: usize) -> Value {
    json!({ "purged": purged, "more": false, "next_cursor": null })
}

#[tokio::test]
async fn what_lies_behind_many_others_is_reached_over_requests() {
    let world = World::start_with(faults(), |_| {}).await;
    die(&world, "gone-", pabal_core::limits::LIST_SCAN_MAX + 5).await;
    die(&world, "mismatch-", 3).await;
    let world = world.in_a_hurry().await;
    let filter = "?reason=sender_mismatch";
    let first = delete(&world, filter).await.body;
    assert_eq!((&first["purged"], &first["more"]), (&json!(0), &json!(true)));
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(delete(&world, &format!("{filter}&cursor={cursor}")).await.body, all_of(3));
}

/// A fan-out dies only where whole processes died of it. Here it is written into the database, as if they had.
async fn kill_fan_outs(world: World, ids: &[&str]) -> World {
    let config = world.configuration();
    let World { running, emulator, folder } = world;
    running.stop().await;
    let database = rusqlite::Connection::open(folder.path().join("pabal.db")).unwrap();
    for id in ids {
        let killed = database.execute(
            "UPDATE notification_states
             SET state = 5, reason = 'abandoned', finished_at = 1700000000000, ended_at = 1700000000000
             WHERE hex(id) = upper(replace(?1, '-', ''))",
            [id],
        );
        assert_eq!(killed.unwrap(), 1);
    }
    drop(database);
    World { running: pabal_server::Server::start(config).await.unwrap(), emulator, folder }
}

#[tokio::test]
async fn a_dead_fan_out_is_a_dead_letter_too() {
    let world = World::start().await;
    let body = json!({ "to": { "user": "ann" }, "title": "t", "send_at": crate::accept::in_an_hour() });
    let (id, other) = (world.accepted(body.clone()).await, world.accepted(body).await);
    let world = kill_fan_outs(world, &[&id]).await;
    let expect = json!({
        "kind": "notification", "id": "ID", "lane": "transactional", "reason": "abandoned",
        "created_at": "TIME", "finished_at": "TIME", "counts": {},
    });
    let letters = list(&world, "").await;
    assert_eq!(
        (letters[0]["id"].as_str(), settled_shape(json!(letters))),
        (Some(id.as_str()), json!([expect]))
    );
    assert_eq!(settled_shape(world.get(&format!("/v1/dead-letters/{id}")).await.body), expect);
    assert_eq!(list(&world, "channel=fcm").await, [Value::Null; 0], "a fan-out has no channel");
    assert_eq!(world.get(&format!("/v1/dead-letters/{other}")).await.status, 409);
    assert_eq!(delete(&world, &format!("/{id}")).await.status, 204);
    assert_eq!(world.get(&format!("/v1/notifications/{id}")).await.status, 404);
    assert_eq!(world.get(&format!("/v1/notifications/{other}")).await.status, 200);
}

#[tokio::test]
async fn a_fan_out_is_removed_without_the_deliveries_that_died_of_themselves() {
    let world = World::start_with(faults(), |_| {}).await;
    die(&world, "gone-", 3).await;
    let letters = list(&world, "").await;
    let ids: Vec<&str> = letters.iter().map(|letter| letter["notification"].as_str().unwrap()).collect();
    let world = kill_fan_outs(world, &ids).await;
    assert_eq!(list(&world, "").await.len(), 6);
    for id in &ids {
        let shown = world.get(&format!("/v1/dead-letters/{id}")).await.body;
        assert_eq!((&shown["kind"], &shown["id"]), (&json!("notification"), &json!(id)));
    }
    assert_eq!(delete(&world, &format!("/{}", ids[1])).await.status, 204);
    let left = list(&world, "").await;
    let is_fan_out = |letter: &&Value| letter["kind"] == "notification";
    let fan_outs: BTreeSet<&str> =
        left.iter().filter(is_fan_out).map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!((left.len(), fan_outs), (5, BTreeSet::from([ids[0], ids[2]])));
    let view = world.get(&format!("/v1/notifications/{}", ids[1])).await.body;
    assert_eq!((&view["state"], &view["counts"]), (&json!("cancelled"), &json!({ "dead": 1 })));
}
