//! Accepting: what is answered, what is sent, what is remembered.

use fcm_emulator::Faults;
use http::Method;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::world::{DEADLINE, World, request, settled_shape};

#[tokio::test]
async fn a_notification_reaches_every_device_of_its_user() {
    let world = World::start().await;
    world.register("ann", "phone", "token-of-anns-phone").await;
    world.register("ann", "tablet", "token-of-anns-tablet").await;
    let answer = world.post(json!({ "to": { "user": "ann" }, "title": "오늘을 인증해 주세요" })).await;
    assert_eq!(answer.status, 202);
    assert_eq!(settled_shape(answer.body.clone()), json!({ "id": "ID", "deliveries": 2 }));
    let id = answer.body["id"].as_str().unwrap();

    let view = world.settled(id).await;
    let delivery = |device: &str| {
        json!({
            "id": "ID", "notification": "ID", "to": { "user": "ann", "device": device },
            "lane": "transactional", "channel": "fcm", "project": "demo", "platform": "android",
            "state": "delivered", "reason": null, "attempts": 1, "paused": null,
            "created_at": "TIME", "next_attempt_at": null, "finished_at": "TIME",
        })
    };
    let mut shape = settled_shape(view);
    // Their order is that of their ids, which are hashes.
    let deliveries = shape["deliveries"].as_array_mut().unwrap();
    deliveries.sort_by_key(|delivery| delivery["to"]["device"].to_string());
    assert_eq!(
        shape,
        json!({
            "id": "ID", "state": "expanded", "lane": "transactional", "to": { "user": "ann" },
            "message": { "title": "오늘을 인증해 주세요" },
            "created_at": "TIME", "send_at": null, "expires_at": "TIME",
            "counts": { "delivered": 2 },
            "deliveries": [delivery("phone"), delivery("tablet")],
            "next_cursor": null,
        })
    );
    let received = world.emulator.messages(0, 10);
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].pabal_id, id);
}

#[tokio::test]
async fn every_field_arrives() {
    let world = World::start().await;
    let body = json!({
        "to": { "token": "a-token" }, "project": "demo", "title": "t", "body": "b", "data": { "k": "v" },
        "image": "https://example.com/i.png", "link": "https://example.com/", "channels": ["fcm"], "lane": "bulk",
        "ttl": 3600, "collapse_key": "c", "fcm": { "android": { "priority": "NORMAL" } }, "validate_only": false,
    });
    let id = world.accepted(body.clone()).await;
    let view = world.settled(&id).await;
    assert_eq!(view["lane"], "bulk");
    assert_eq!(view["to"], json!({ "token": "a-token" }));
    for field in ["title", "body", "data", "image", "link", "collapse_key", "fcm"] {
        assert_eq!(view["message"][field], body[field], "{field}");
    }
    let received = world.emulator.messages(0, 1).remove(0).message;
    assert_eq!(received["token"], "a-token");
    assert_eq!(received["data"]["k"], "v");
    assert_eq!(received["android"]["priority"], "NORMAL");
}

#[tokio::test]
async fn each_kind_of_recipient_is_sent_to() {
    let world = World::start().await;
    world.register("ann", "phone", "token-of-ann").await;
    world.register("bea", "phone", "token-of-bea").await;
    let recipients = [
        (json!({ "users": ["ann", "bea"] }), 2),
        (json!({ "device": { "user": "ann", "device": "phone" } }), 1),
        (json!({ "token": "bare-token" }), 1),
        (json!({ "fid": "an-installation-id" }), 1),
        (json!({ "fcm_topic": "news" }), 1),
        (json!({ "fcm_condition": "'news' in topics" }), 1),
    ];
    for (to, deliveries) in recipients {
        let answer = world.post(json!({ "to": to, "title": "t" })).await;
        assert_eq!((answer.status.as_u16(), &answer.body["deliveries"]), (202, &json!(deliveries)), "{to}");
        let view = world.settled(answer.body["id"].as_str().unwrap()).await;
        assert_eq!((&view["counts"], &view["to"]), (&json!({ "delivered": deliveries }), &to));
    }
}

#[tokio::test]
async fn a_user_without_a_device_is_not_left_out_silently() {
    let world = World::start().await;
    let id = world.accepted(json!({ "to": { "user": "nobody" }, "title": "t" })).await;
    let view = world.settled(&id).await;
    assert_eq!(
        settled_shape(view)["deliveries"],
        json!([{
            "id": "ID", "notification": "ID", "to": { "user": "nobody" },
            "state": "undeliverable", "reason": "no_device", "attempts": 0, "paused": null,
            "created_at": "TIME", "next_attempt_at": null, "finished_at": "TIME",
        }])
    );
}

#[tokio::test]
async fn deliveries_come_in_pages() {
    let world = World::start().await;
    let users: Vec<String> = (0..7).map(|n| format!("user-{n}")).collect();
    for user in &users {
        world.register(user, "phone", &format!("token-of-{user}")).await;
    }
    let id = world.accepted(json!({ "to": { "users": users }, "title": "t" })).await;
    let (mut seen, mut query) = (std::collections::BTreeSet::new(), String::new());
    for expected in [3, 3, 1] {
        let page = world.get(&format!("/v1/notifications/{id}?limit=3{query}")).await.body;
        let ids = page["deliveries"].as_array().unwrap().iter().map(|delivery| delivery["id"].to_string());
        let before = seen.len();
        seen.extend(ids);
        assert_eq!(seen.len() - before, expected);
        query = format!("&cursor={}", page["next_cursor"].as_str().unwrap_or("none"));
    }
    assert_eq!(query, "&cursor=none");
}

#[tokio::test]
async fn what_is_scheduled_waits_for_its_time() {
    let world = World::start().await;
    let body = json!({ "to": { "token": "t" }, "title": "t", "send_at": in_an_hour() });
    let answer = world.post(body).await;
    assert_eq!(answer.body["deliveries"], Value::Null);
    let view = world.get(&format!("/v1/notifications/{}", answer.body["id"].as_str().unwrap())).await.body;
    assert_eq!((&view["state"], &view["counts"]), (&json!("scheduled"), &json!({})));
    assert_eq!(world.emulator.count().accepted, 0);
}

#[tokio::test]
async fn a_time_that_has_just_passed_means_now() {
    let world = World::start().await;
    let just_passed = (jiff::Timestamp::now() - jiff::Span::new().seconds(30)).to_string();
    let id = world
        .accepted(json!({ "to": { "token": "t" }, "title": "t", "ttl": 0, "send_at": just_passed }))
        .await;
    assert_eq!(world.settled(&id).await["counts"], json!({ "delivered": 1 }));
}

pub(crate) fn in_an_hour() -> String {
    (jiff::Timestamp::now() + jiff::Span::new().hours(1)).to_string()
}

#[tokio::test]
async fn a_repeated_request_is_one() {
    let world = World::start().await;
    let send = |key: &str, title: &str| {
        let body = json!({ "to": { "token": "t" }, "title": title }).to_string();
        let builder = request(Method::POST, "/v1/notifications");
        let builder = builder.header("idempotency-key", key).header("content-type", "application/json");
        builder.body(Full::from(body)).unwrap()
    };
    let long = "k".repeat(255);
    let first = world.exchange(send(&long, "one")).await;
    assert!(!first.headers.contains_key("idempotency-replayed"));
    let again = world.exchange(send(&long, "one")).await;
    assert_eq!((again.status.as_u16(), &again.body), (202, &first.body));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    let other = world.exchange(send("other", "one")).await;
    assert_ne!(other.body["id"], first.body["id"]);

    assert_eq!(
        world.problem(send(&long, "two")).await,
        json!({
            "type": "urn:pabal:problem:idempotency_key_reused", "title": "The key was used with another body",
            "status": 422, "field": "Idempotency-Key",
            "detail": "this Idempotency-Key came with another body within the last 24 hours; nothing was accepted",
        })
    );
    world.emulator.wait_for(2, DEADLINE).await.unwrap();
    for id in [&first.body["id"], &other.body["id"]] {
        world.settled(id.as_str().unwrap()).await;
    }
    assert_eq!(world.emulator.count().accepted, 2);
}

#[tokio::test]
async fn of_many_at_once_with_one_key_one_is_accepted() {
    let world = World::start().await;
    let body = json!({ "to": { "token": "t" }, "title": "t" }).to_string();
    let send = || {
        let builder = request(Method::POST, "/v1/notifications").header("idempotency-key", "same");
        let request = builder.header("content-type", "application/json").body(Full::from(body.clone()));
        crate::world::exchange(world.running.address(), request.unwrap())
    };
    let answers = tokio::join!(send(), send(), send(), send());
    let answers = [answers.0, answers.1, answers.2, answers.3];
    assert!(answers.iter().all(|answer| answer.status == 202 && answer.body == answers[0].body));
    let replayed = answers.iter().filter(|answer| answer.headers.contains_key("idempotency-replayed"));
    assert_eq!(replayed.count(), 3);
}

#[tokio::test]
async fn what_was_accepted_is_sent_after_a_restart() {
    let world = World::start_with(Faults::default(), |_| {}).await;
    let configuration = world.configuration();
    let id = world.accepted(json!({ "to": { "token": "t" }, "title": "t" })).await;
    let World { running, emulator, folder } = world;
    running.stop().await;
    let running = pabal_server::Server::start(configuration).await.unwrap();
    let world = World { running, emulator, folder };
    assert_eq!(world.settled(&id).await["counts"], json!({ "delivered": 1 }));
    assert_eq!(world.emulator.count().accepted, 1);
}
