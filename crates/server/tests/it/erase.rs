//! Forgetting a person: nothing is left of them, in any answer and in the file, but numbers.

use std::path::{Path, PathBuf};

use fcm_emulator::{FaultKind, Faults, Range};
use http::Method;
use serde_json::{Value, json};

use crate::accept::in_an_hour;
use crate::batch;
use crate::dead_letters::rule;
use crate::world::{Answer, World, eventually};

async fn erase(world: &World, user: &str) -> Answer {
    world.call(Method::DELETE, &format!("/v1/users/{user}"), None).await
}

/// How often a file holds some text, byte for byte: what was deleted in it too. One that isn't there holds nothing.
fn times(path: &Path, text: &str) -> usize {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        read => read.unwrap(),
    };
    bytes.windows(text.len()).filter(|window| *window == text.as_bytes()).count()
}

/// Copies the store of a running server.
async fn back_up(world: &World, name: &str) -> PathBuf {
    let (store, target) = (world.configuration().store, world.folder.path().join(name));
    let copy = target.clone();
    let mut look = |_, _| std::ops::ControlFlow::Continue(());
    let copying = tokio::task::spawn_blocking(move || pabal_server::back_up(&store, &copy, &mut look));
    copying.await.unwrap().unwrap().expect("nobody stopped it");
    target
}

#[tokio::test]
async fn nothing_is_left_of_a_person_but_numbers() {
    let tokens = vec![rule("secret-gone", FaultKind::Unregistered, None)];
    let world = World::start_with(Faults { tokens, ..Faults::default() }, |_| {}).await;
    for token in ["secret-good-1", "secret-good-2", "secret-gone-3"] {
        world.register("secret-person", &token.replace("secret-", "secret-device-"), token).await;
    }
    world.register("ann", "phone", "token-of-ann").await;
    let alone =
        json!({ "to": { "user": "secret-person" }, "title": "secret-title", "data": { "k": "secret-data" } });
    let shared = json!({ "to": { "users": ["ann", "secret-person"] }, "title": "for both" });
    let to_device = json!({
        "to": { "device": { "user": "secret-person", "device": "secret-device-good-1" } }, "title": "secret-title-2",
    });
    let (alone, shared, to_device) =
        (world.accepted(alone).await, world.accepted(shared).await, world.accepted(to_device).await);
    for id in [&alone, &shared, &to_device] {
        world.settled(id).await;
    }
    let later = |to: Value, title: &str| json!({ "to": to, "title": title, "send_at": in_an_hour() });
    let later_alone = world.accepted(later(json!({ "user": "secret-person" }), "secret-later")).await;
    let later_shared =
        world.accepted(later(json!({ "users": ["secret-person", "ann"] }), "later for both")).await;
    let many: Vec<Value> =
        (0..900).map(|_| json!({ "to": { "users": ["secret-person-too", "bea"] }, "title": "t" })).collect();
    batch::accepted(&world, &many).await;
    let redrive = json!({ "filter": { "user": "secret-person", "until": "2020-01-01T00:00:00Z" } });
    assert_eq!(world.call(Method::POST, "/v1/dead-letters/redrive", Some(redrive)).await.status, 202);

    let before = world.get("/v1/stats").await.body["deliveries"].clone();
    let there = times(&back_up(&world, "before.db").await, "secret-");
    let erased = erase(&world, "secret-person").await;
    assert_eq!(erased.status, 200, "{:#}", erased.body);
    let expect = json!({ "cancelled": 0, "in_flight": 0, "devices": 3, "deliveries": 7, "notifications": 5 });
    assert_eq!(erased.body, expect);
    let too = erase(&world, "secret-person-too").await.body;
    assert_eq!((&too["deliveries"], &too["notifications"]), (&json!(900), &json!(900)));
    for user in ["secret-person", "secret-person-too", "nobody"] {
        let none =
            json!({ "cancelled": 0, "in_flight": 0, "devices": 0, "deliveries": 0, "notifications": 0 });
        assert_eq!(erase(&world, user).await.body, none, "a repeat finds nothing");
    }
    assert_eq!(world.get("/v1/stats").await.body["deliveries"], before, "counts stay");

    for path in [
        "/v1/users/secret-person/devices".to_owned(),
        "/v1/deliveries?user=secret-person".to_owned(),
        "/v1/dead-letters?user=secret-person".to_owned(),
        "/v1/deliveries?limit=1000".to_owned(),
        "/v1/notifications?limit=1000".to_owned(),
        "/v1/dead-letters?limit=1000".to_owned(),
        "/v1/dead-letters/redrive".to_owned(),
        "/v1/devices".to_owned(),
        format!("/v1/notifications/{alone}"),
        format!("/v1/notifications/{later_alone}"),
    ] {
        let answer = world.get(&path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.body.to_string().contains("secret-"), "{path}: {:#}", answer.body);
    }
    let view = world.get(&format!("/v1/notifications/{alone}")).await.body;
    assert_eq!((&view["to"], &view["deliveries"][0]["to"]), (&Value::Null, &Value::Null), "{view:#}");
    assert_eq!(view["counts"], json!({ "delivered": 2, "dead": 1 }));
    let view = world.get(&format!("/v1/notifications/{shared}")).await.body;
    assert_eq!((&view["to"], &view["message"]["title"]), (&json!({ "user": "ann" }), &json!("for both")));
    let view = world.get(&format!("/v1/notifications/{later_shared}")).await.body;
    assert_eq!((&view["to"], &view["state"]), (&json!({ "user": "ann" }), &json!("scheduled")));

    let (database, backup) = (world.database(), back_up(&world, "after.db").await);
    let World { running, emulator: _emulator, folder: _folder } = world;
    running.stop().await;
    assert!(times(&database, "token-of-ann") > 0 && times(&backup, "token-of-ann") > 0, "they are searched");
    assert_eq!((times(&backup, "secret-"), times(&database.with_extension("db-wal"), "secret-")), (0, 0));
    // Where SQLite moves rows between pages it leaves a few bytes behind (docs/guide/operations.md).
    let left = times(&database, "secret-");
    assert!(there >= 1800 && left * 100 < there, "{left} of {there} are left");
}

#[tokio::test]
async fn what_is_open_is_ended_first() {
    let faults = Faults { latency_ms: Some(Range { min: 700, max: 700 }), ..Faults::default() };
    let world = World::start_with(faults, |config| config.engine.attempts_in_flight_max = 8).await;
    world.register("ann", "phone", "token-of-ann").await;
    let items: Vec<Value> = (0..40).map(|_| json!({ "to": { "user": "ann" }, "title": "t" })).collect();
    batch::accepted(&world, &items).await;
    eventually("some are under way", || async {
        (world.get("/v1/stats").await.body["queue"]["in_flight"].as_u64() >= Some(1)).then_some(())
    })
    .await;
    let erased = erase(&world, "ann").await.body;
    let number = |field: &str| erased[field].as_u64().unwrap();
    assert!(number("in_flight") >= 1, "{erased:#}");
    assert_eq!(number("deliveries"), 40);
    eventually("nothing is open", || async {
        let counts = world.get("/v1/stats").await.body["deliveries"].clone();
        let is_open = counts.get("scheduled").is_some() || counts.get("retrying").is_some();
        (!is_open).then_some(())
    })
    .await;
    let counts = world.get("/v1/stats").await.body["deliveries"].clone();
    let count = |state: &str| counts[state].as_u64().unwrap_or(0);
    assert_eq!(
        (count("cancelled") + count("delivered"), counts.as_object().unwrap().len()),
        (40, 2),
        "{counts}"
    );
    assert!(count("cancelled") >= number("cancelled") && number("cancelled") >= 20, "{erased:#} {counts}");
    assert_eq!(world.get("/v1/deliveries?user=ann").await.body["deliveries"], json!([]));
}

/// Repeats an erasure with the cursor of each answer until it is done. Answers how many requests it took.
async fn erase_step_by_step(world: &World, user: &str) -> (Value, usize) {
    let (mut query, mut requests) = (String::new(), 0);
    loop {
        requests += 1;
        assert!(requests < 50, "it never ends");
        let answer = erase(world, &format!("{user}{query}")).await;
        if answer.status == 200 {
            return (answer.body, requests);
        }
        assert_eq!(
            (answer.status.as_u16(), &answer.body["type"], &answer.headers["retry-after"]),
            (503, &json!("urn:pabal:problem:unfinished"), &"1".parse().unwrap())
        );
        let detail = answer.body["detail"].as_str().unwrap();
        let words = "; repeat the request with this document's cursor as ?cursor=: it goes on from there";
        assert!(detail.ends_with(words), "{detail}");
        query = format!("?cursor={}", answer.body["cursor"].as_str().unwrap());
    }
}

#[tokio::test]
async fn what_needs_many_requests_is_finished_by_them() {
    let tokens = vec![rule("away-", FaultKind::Unavailable, None)];
    let change = |config: &mut pabal_server::Config| {
        (config.retry.backoff_base_ms, config.retry.backoff_cap_ms) = (600_000, 600_000);
    };
    let world = World::start_with(Faults { tokens, ..Faults::default() }, change).await;
    world.register("ann", "phone", "away-phone").await;
    world.register("bea", "phone", "token-of-bea").await;
    let open: Vec<Value> = (0..600).map(|_| json!({ "to": { "user": "ann" }, "title": "t" })).collect();
    let done: Vec<Value> =
        (0..600).map(|_| json!({ "to": { "users": ["ann", "bea"] }, "title": "t" })).collect();
    batch::accepted(&world, &open).await;
    batch::accepted(&world, &done).await;
    let later = json!({ "to": { "users": ["bea", "ann"] }, "title": "t", "send_at": in_an_hour() });
    let later = world.accepted(later).await;

    let world = world.in_a_hurry().await;
    let foreign = erase(&world, "bea").await.body["cursor"].as_str().unwrap().to_owned();
    let refused = erase(&world, &format!("ann?cursor={foreign}")).await;
    assert_eq!((refused.status.as_u16(), &refused.body["field"]), (422, &json!("cursor")), "it is of bea");
    let (erased, requests) = erase_step_by_step(&world, "ann").await;
    assert!(requests >= 5, "{requests} requests");
    let number = |field: &str| erased[field].as_u64().unwrap();
    assert_eq!(number("cancelled") + number("in_flight"), 1200, "{erased:#}");
    assert_eq!((number("devices"), number("deliveries"), number("notifications")), (1, 1200, 1201));
    assert_eq!(world.get("/v1/deliveries?user=ann").await.body["deliveries"], json!([]));
    let view = world.get(&format!("/v1/notifications/{later}")).await.body;
    assert_eq!(view["to"], json!({ "user": "bea" }));
    let none = json!({ "cancelled": 0, "in_flight": 0, "devices": 0, "deliveries": 0, "notifications": 0 });
    assert_eq!(erase_step_by_step(&world, "ann").await.0, none, "another one finds nothing");
}

#[tokio::test]
async fn a_name_that_is_none_is_refused() {
    let world = World::start().await;
    let long = erase(&world, &"x".repeat(129)).await;
    assert_eq!((long.status.as_u16(), &long.body["detail"]), (422, &json!("user is longer than 128 bytes")));
    assert_eq!(world.call(Method::GET, "/v1/users/ann", None).await.status, 405);
}
