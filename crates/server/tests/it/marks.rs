//! What providers said of devices: polled for, and taken back.

use fcm_emulator::{FaultKind, Faults, TokenRule};
use http::Method;
use http_body_util::Full;
use pabal_server::limits;
use serde_json::{Value, json};

use crate::world::{Answer, DEADLINE, World, eventually, request, settled_shape};

fn faults() -> Faults {
    let rule = |prefix: &str, answer| TokenRule { prefix: prefix.into(), answer, first: None, status: None };
    let tokens = vec![rule("gone-", FaultKind::Unregistered), rule("bad-", FaultKind::InvalidToken)];
    Faults { tokens, ..Faults::default() }
}

/// A user of one device that the provider marks.
async fn mark(world: &World, user: &str, token: &str) {
    world.register(user, "phone", token).await;
    let id = world.accepted(json!({ "to": { "user": user }, "title": "t" })).await;
    world.settled(&id).await;
}

fn users(answer: &Answer) -> Vec<&str> {
    let devices = answer.body["devices"].as_array().unwrap().iter();
    devices.map(|device| device["user"].as_str().unwrap()).collect()
}

async fn restore(world: &World, body: Value) -> Answer {
    world.call(Method::POST, "/v1/devices/restore", Some(body)).await
}

#[tokio::test]
async fn marks_come_oldest_first_and_a_poller_goes_on() {
    let world = World::start_with(faults(), |_| {}).await;
    let nothing = world.get("/v1/devices").await.body;
    assert_eq!(nothing, json!({ "devices": [], "next_cursor": null, "since": null }));
    mark(&world, "zoe", "gone-1").await;
    mark(&world, "bea", "bad-1").await;
    mark(&world, "ann", "gone-2").await;
    world.register("cho", "phone", "good-token").await;

    let all = world.get("/v1/devices").await;
    assert_eq!(users(&all), ["zoe", "bea", "ann"]);
    let mut first = settled_shape(all.body["devices"][0].clone());
    assert_eq!(first["mark"].take(), json!({ "kind": "retired", "reason": "UNREGISTERED", "at": "TIME" }));
    let expect = json!({
        "user": "zoe", "device": "phone", "channel": "fcm", "platform": "android", "project": "demo",
        "token": "gone-1", "locale": null, "time_zone": null, "mark": null,
        "created_at": "TIME", "seen_at": "TIME",
    });
    assert_eq!(first, expect);
    assert_eq!(users(&world.get("/v1/devices?state=quarantined").await), ["bea"]);
    assert_eq!(users(&world.get("/v1/devices?state=retired").await), ["zoe", "ann"]);
    assert_eq!(
        users(&world.get("/v1/devices?reason=UNREGISTERED&until=2999-01-01T00:00:00Z").await),
        ["zoe", "ann"]
    );

    let page = world.get("/v1/devices?limit=2").await;
    assert_eq!(users(&page), ["zoe", "bea"]);
    let cursor = page.body["next_cursor"].as_str().unwrap();
    let rest = world.get(&format!("/v1/devices?limit=2&cursor={cursor}")).await;
    assert_eq!((users(&rest), &rest.body["next_cursor"]), (vec!["ann"], &Value::Null));

    // Once the last mark is old enough that no other can share its time, a poll begins behind it.
    let since = eventually("the last mark is no news any more", || async {
        let page = world.get("/v1/devices").await.body;
        let since = page["since"].as_str().unwrap().to_owned();
        (since.as_str() > page["devices"][2]["mark"]["at"].as_str().unwrap()).then_some(since)
    })
    .await;
    let poll = world.get(&format!("/v1/devices?since={since}")).await;
    assert_eq!((users(&poll), &poll.body["since"]), (vec![], &json!(since)));
    mark(&world, "dan", "gone-3").await;
    assert_eq!(users(&world.get(&format!("/v1/devices?since={since}")).await), ["dan"]);
}

#[tokio::test]
async fn marks_can_be_taken_back() {
    let world = World::start_with(faults(), |_| {}).await;
    for user in ["ann", "bea", "cho"] {
        mark(&world, user, &format!("gone-{user}")).await;
    }
    mark(&world, "dan", "bad-dan").await;
    let named =
        json!({ "devices": [{ "user": "ann", "device": "phone" }, { "user": "nobody", "device": "phone" }] });
    let restored = restore(&world, named.clone()).await;
    assert_eq!((restored.status.as_u16(), restored.body), (200, json!({ "restored": 1 })));
    assert_eq!(restore(&world, named).await.body, json!({ "restored": 0 }));
    assert_eq!(world.get("/v1/users/ann/devices/phone").await.body["mark"], Value::Null);
    assert_eq!(users(&world.get("/v1/devices").await), ["bea", "cho", "dan"]);

    for (filter, restored) in [
        (json!({ "state": "retired", "until": "2020-01-01T00:00:00Z" }), 0),
        (json!({ "state": "retired", "reason": "SENDER_ID_MISMATCH" }), 0),
        (json!({ "state": "retired", "reason": "UNREGISTERED", "since": "2020-01-01T00:00:00+09:00" }), 2),
        (json!({ "state": "retired" }), 0),
        (json!({ "state": "quarantined" }), 1),
    ] {
        assert_eq!(restore(&world, filter.clone()).await.body, json!({ "restored": restored }), "{filter}");
    }
    assert_eq!(users(&world.get("/v1/devices").await), [""; 0]);
    world.emulator.set_faults(Faults::default()).unwrap();
    let id = world.accepted(json!({ "to": { "user": "bea" }, "title": "t" })).await;
    assert_eq!(world.settled(&id).await["counts"], json!({ "delivered": 1 }), "it is sent to again");
}

#[tokio::test]
async fn what_needs_many_requests_is_restored_by_them() {
    let world = World::start_with(faults(), |_| {}).await;
    mark(&world, "ann", "gone-0").await;
    let marked = json!({ "state": "retired", "reason": "UNREGISTERED" });
    let path = "/v1/devices/restore";
    mark_many(&world, limits::STEP_ROWS_MAX + 5);
    let world = world.in_a_hurry().await;
    let first = restore(&world, marked.clone()).await;
    assert_eq!(
        (first.status.as_u16(), &first.body["type"]),
        (503, &json!("urn:pabal:problem:unfinished")),
        "{:#}",
        first.body
    );
    let next = format!("{path}?cursor={}", first.body["cursor"].as_str().unwrap());
    let cases = [
        (json!({ "state": "quarantined" }), "cursor belongs to another list or other filters"),
        (
            json!({ "devices": [{ "user": "ann", "device": "phone" }] }),
            "cursor is given beside devices; it is for filters",
        ),
    ];
    for (body, detail) in cases {
        let refused = world.call(Method::POST, &next, Some(body)).await;
        assert_eq!((refused.status.as_u16(), &refused.body["detail"]), (422, &json!(detail)));
    }
    let last = world.call(Method::POST, &next, Some(marked)).await;
    assert_eq!((last.status.as_u16(), last.body), (200, json!({ "restored": limits::STEP_ROWS_MAX + 6 })));
    assert_eq!(users(&world.get("/v1/devices").await), [""; 0]);
}

/// Gives as many users a device that is marked like the one that is.
fn mark_many(world: &World, count: usize) {
    let database = rusqlite::Connection::open(world.database()).unwrap();
    database.busy_timeout(DEADLINE).unwrap();
    let sql = "
        WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)
        INSERT INTO devices (app, user, device, channel, credential, platform, target_kind, target, mark,
            mark_reason, mark_at, created_at, seen_at)
        SELECT app, 'user-' || n, device, channel, credential, platform, target_kind, target || n, mark,
            mark_reason, mark_at + n, created_at, seen_at
        FROM numbers, (SELECT * FROM devices WHERE mark = 'retired')";
    assert_eq!(database.execute(sql, [i64::try_from(count).unwrap()]).unwrap(), count);
}

#[tokio::test]
async fn what_to_restore_is_checked() {
    let world = World::start().await;
    let device = json!({ "user": "ann", "device": "phone" });
    let many = vec![device.clone(); limits::RESTORE_DEVICES_MAX + 1];
    let cases = [
        (json!({}), 422, "state", "state is missing: give it, or devices"),
        (json!({ "reason": "UNREGISTERED" }), 422, "state", "state is missing: give it, or devices"),
        (json!({ "devices": many }), 422, "devices", "devices names more than 1000 devices"),
        (
            json!({ "devices": [device], "state": "retired" }),
            422,
            "state",
            "state is given beside devices; give one of them",
        ),
        (
            json!({ "devices": [device, { "user": "" , "device": "d" }] }),
            422,
            "devices[1].user",
            "devices[1].user is empty",
        ),
        (
            json!({ "devices": [["ann", "phone"]] }),
            400,
            "devices[0]",
            "devices[0] must be an object, not an array",
        ),
        (json!({ "state": "new" }), 422, "state", "state: must be one of retired, quarantined"),
        (
            json!({ "state": "retired", "since": "now" }),
            422,
            "since",
            "since must be a time with its offset, as 2026-11-22T18:30:00+09:00 (RFC 3339)",
        ),
        (
            json!({ "stat": 1 }),
            400,
            "stat",
            "stat is not known; known here: devices, state, reason, since, until",
        ),
    ];
    for (body, status, field, detail) in cases {
        let answer = restore(&world, body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["field"], &answer.body["detail"]),
            (status, &json!(field), &json!(detail))
        );
    }
    let just_fits = restore(&world, json!({ "devices": vec![device; limits::RESTORE_DEVICES_MAX] })).await;
    assert_eq!(just_fits.body, json!({ "restored": 0 }));
    let large = request(Method::POST, "/v1/devices/restore").header("content-type", "application/json");
    let large = large.body(Full::from(" ".repeat(limits::RESTORE_BODY_BYTES_MAX + 1))).unwrap();
    assert_eq!(world.problem(large).await["status"], 413);
}
