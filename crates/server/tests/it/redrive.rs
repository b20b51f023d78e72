//! Redrives: jobs that open dead letters again, at their rate, over a restart.

use fcm_emulator::{FaultKind, Faults};
use http::Method;
use http_body_util::Full;
use pabal_server::{Server, limits};
use serde_json::{Value, json};

use crate::dead_letters::{count_of, dead, die, rule};
use crate::world::{Answer, World, eventually, request, settled_shape};

const PATH: &str = "/v1/dead-letters/redrive";
const UNKNOWN: &str = "0192f0c1-2345-7000-8000-000000000000";

/// Tokens that die at their first attempt and are well at their second.
fn once_dead() -> Faults {
    Faults { tokens: vec![rule("once-", FaultKind::Unregistered, Some(1))], ..Faults::default() }
}

async fn begin(world: &World, body: Value) -> Answer {
    world.call(Method::POST, PATH, Some(body)).await
}

async fn begun(world: &World, body: Value) -> String {
    let answer = begin(world, body).await;
    assert_eq!(answer.status, 202, "{:#}", answer.body);
    answer.body["id"].as_str().unwrap().to_owned()
}

async fn look(world: &World, id: &str) -> Value {
    world.get(&format!("{PATH}/{id}")).await.body
}

async fn done(world: &World, id: &str) -> Value {
    eventually("the redrive is done", || async {
        let job = look(world, id).await;
        (job["state"] == "done").then_some(job)
    })
    .await
}

/// Milliseconds between two times of an answer.
fn took_ms(job: &Value) -> i64 {
    let time =
        |field: &str| job[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond();
    time("finished_at") - time("created_at")
}

#[tokio::test]
async fn everything_that_died_is_delivered_after_all() {
    let world = World::start_with(once_dead(), |_| {}).await;
    die(&world, "once-", 5).await;
    let answer = begin(&world, json!({ "filter": {} })).await;
    assert_eq!(answer.status, 202);
    let expect = json!({
        "id": "ID", "state": "running", "filter": { "until": "TIME" }, "rate": 100, "total": 5, "reopened": 0,
        "skipped": null, "created_at": "TIME", "finished_at": null, "eta_s": 1,
    });
    let mut shape = settled_shape(answer.body.clone());
    assert!(shape["filter"]["until"].take().is_string());
    shape["filter"]["until"] = json!("TIME");
    assert_eq!(shape, expect);
    let job = done(&world, answer.body["id"].as_str().unwrap()).await;
    assert_eq!((&job["reopened"], &job["skipped"], &job["eta_s"]), (&json!(5), &json!(0), &Value::Null));
    eventually("all are delivered", || async { (count_of(&world, "delivered").await == 5).then_some(()) })
        .await;
    assert_eq!(world.get("/v1/dead-letters").await.body["dead_letters"], json!([]));
    let delivery = world.get("/v1/deliveries?limit=1").await.body["deliveries"][0]["id"].clone();
    let timeline = world.get(&format!("/v1/deliveries/{}", delivery.as_str().unwrap())).await.body;
    assert_eq!(timeline["timeline"].as_array().unwrap().len(), 2, "the old attempt is still told");
}

#[tokio::test]
async fn a_filter_leaves_the_others_dead() {
    let world = World::start_with(once_dead(), |_| {}).await;
    world.register("ann", "phone", "once-phone").await;
    let id = world.accepted(json!({ "to": { "user": "ann" }, "title": "t" })).await;
    world.settled(&id).await;
    die(&world, "once-", 2).await;
    let letter = world.get("/v1/dead-letters?limit=1").await.body["dead_letters"][0]["id"].clone();
    let job = begun(&world, json!({ "filter": { "delivery": letter }, "rate": 10_000 })).await;
    assert_eq!(done(&world, &job).await["reopened"], 1);
    dead(&world, 2).await;
    for (filter, reopened) in [
        (json!({ "user": "bea" }), 0),
        (json!({ "reason": "rejected", "channel": "fcm" }), 0),
        (json!({ "until": "2020-01-01T00:00:00Z" }), 0),
        (json!({ "notification": id, "since": "2020-01-01T00:00:00Z" }), 1),
    ] {
        let job = begun(&world, json!({ "filter": filter })).await;
        let job = done(&world, &job).await;
        assert_eq!((&job["reopened"], &job["total"]), (&json!(reopened), &json!(reopened)), "{job:#}");
        for (name, value) in filter.as_object().unwrap() {
            if name != "until" && name != "since" {
                assert_eq!(&job["filter"][name], value);
            }
        }
    }
    let listed = world.get(&format!("{PATH}?limit=3")).await.body;
    assert_eq!(listed["redrives"].as_array().unwrap().len(), 3);
    let rest = world.get(&format!("{PATH}?cursor={}", listed["next_cursor"].as_str().unwrap())).await.body;
    assert_eq!((rest["redrives"].as_array().unwrap().len(), &rest["next_cursor"]), (2, &Value::Null));
    assert_eq!(rest["redrives"][1]["id"], json!(job), "newest first");
}

#[tokio::test]
async fn a_redrive_keeps_its_rate_and_goes_on_after_a_restart() {
    let world = World::start_with(once_dead(), |_| {}).await;
    die(&world, "once-", 60).await;
    let id = begun(&world, json!({ "filter": {}, "rate": 20 })).await;
    eventually("it has begun", || async { (look(&world, &id).await["reopened"] != 0).then_some(()) }).await;
    let config = world.configuration();
    let World { running, emulator, folder } = world;
    running.stop().await;
    let world = World { running: Server::start(config).await.unwrap(), emulator, folder };
    let meanwhile = look(&world, &id).await;
    assert_eq!(meanwhile["state"], "running", "{meanwhile:#}");
    let job = done(&world, &id).await;
    assert_eq!((&job["total"], &job["reopened"], &job["skipped"]), (&json!(60), &json!(60), &json!(0)));
    // 60 at 20 a second; a start allows some at once.
    assert!(took_ms(&job) >= 2400, "{} ms", took_ms(&job));
    eventually("all are delivered", || async { (count_of(&world, "delivered").await == 60).then_some(()) })
        .await;
    assert_eq!(world.emulator.count().accepted, 60);
}

#[tokio::test]
async fn a_redrive_can_be_stopped() {
    let world = World::start_with(once_dead(), |_| {}).await;
    die(&world, "once-", 50).await;
    let id = begun(&world, json!({ "filter": {}, "rate": 1 })).await;
    let stop = async || world.call(Method::DELETE, &format!("{PATH}/{id}"), None).await;
    let stopped = stop().await;
    assert_eq!(
        (stopped.status.as_u16(), &stopped.body["state"]),
        (200, &json!("stopped")),
        "{:#}",
        stopped.body
    );
    assert!(stopped.body["finished_at"].is_string() && stopped.body["eta_s"].is_null());
    assert_eq!(stop().await.body["finished_at"], stopped.body["finished_at"], "a repeat changes nothing");
    let letters =
        world.get("/v1/dead-letters?limit=1000").await.body["dead_letters"].as_array().unwrap().len();
    assert!(letters >= 48, "{letters}");
    // Another one finds what was left.
    let rest = begun(&world, json!({ "filter": {}, "rate": 10_000 })).await;
    done(&world, &rest).await;
    eventually("all are delivered", || async { (count_of(&world, "delivered").await == 50).then_some(()) })
        .await;
}

#[tokio::test]
async fn redrives_are_checked() {
    let world = World::start().await;
    let id = world.accepted(json!({ "to": { "token": "t" }, "title": "t" })).await;
    let delivery = world.settled(&id).await["deliveries"][0]["id"].clone();
    let cases = [
        (json!({}), 400, "filter", "filter is missing"),
        (json!({ "filter": [] }), 400, "filter", "filter must be an object, not an array"),
        (
            json!({ "filter": { "users": "a" } }),
            400,
            "filter.users",
            "filter.users is not known; known here: reason, channel, user, notification, delivery, since, until",
        ),
        (json!({ "filter": {}, "rate": 0 }), 422, "rate", "rate must be 1 to 10000 a second"),
        (json!({ "filter": {}, "rate": 10_001 }), 422, "rate", "rate must be 1 to 10000 a second"),
        (
            json!({ "filter": {}, "rate": "fast" }),
            400,
            "rate",
            "rate must be a whole number that is not negative, not a string",
        ),
        (
            json!({ "filter": { "reason": "no_device" } }),
            422,
            "filter.reason",
            "filter.reason is a reason of what is undeliverable, not dead",
        ),
        (json!({ "filter": { "delivery": "x" } }), 422, "filter.delivery", "filter.delivery is not a UUID"),
        (
            json!({ "filter": { "since": "x" } }),
            422,
            "filter.since",
            "filter.since must be a time with its offset, as 2026-11-22T18:30:00+09:00 (RFC 3339)",
        ),
        (json!({ "filter": { "delivery": UNKNOWN } }), 404, "filter.delivery", "there is no such delivery"),
        (
            json!({ "filter": { "notification": UNKNOWN } }),
            404,
            "filter.notification",
            "there is no such notification",
        ),
        (
            json!({ "filter": { "delivery": delivery } }),
            409,
            "filter.delivery",
            "the delivery is delivered, not dead",
        ),
    ];
    for (body, status, field, detail) in cases {
        let answer = begin(&world, body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["field"], &answer.body["detail"]),
            (status, &json!(field), &json!(detail))
        );
    }
    for path in [format!("{PATH}/{UNKNOWN}"), format!("{PATH}/not-an-id")] {
        for method in [Method::GET, Method::DELETE] {
            let answer = world.call(method, &path, None).await;
            assert_eq!(
                (answer.status.as_u16(), &answer.body["detail"]),
                (404, &json!("there is no such redrive"))
            );
        }
    }
    let large = request(Method::POST, PATH).header("content-type", "application/json");
    let large = large.body(Full::from(" ".repeat(limits::REDRIVE_BODY_BYTES_MAX + 1))).unwrap();
    assert_eq!(world.problem(large).await["status"], 413);
    assert_eq!(world.get(PATH).await.body, json!({ "redrives": [], "next_cursor": null }));
}

#[tokio::test]
async fn redrives_that_run_at_once_are_bounded() {
    let world = World::start_with(once_dead(), |_| {}).await;
    die(&world, "once-", 200).await;
    let slow = json!({ "filter": {}, "rate": 1 });
    let mut running = Vec::new();
    for _ in 0..pabal_core::limits::REDRIVES_RUNNING_MAX {
        running.push(begun(&world, slow.clone()).await);
    }
    let refused = begin(&world, slow.clone()).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.body["type"]),
        (409, &json!("urn:pabal:problem:limit_reached"))
    );
    assert_eq!(refused.body["detail"], "an app has at most 10 redrives running");
    world.call(Method::DELETE, &format!("{PATH}/{}", running[0]), None).await;
    begun(&world, slow).await;
}
