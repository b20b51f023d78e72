//! Batches: each item is answered by itself, and what is wrong with one harms no other.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use pabal_server::{Server, limits};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::caller::Caller;
use crate::world::{Answer, DEADLINE, World, eventually, exchange, request, settled_shape};

const PATH: &str = "/v1/notifications/batch";

pub(crate) fn of_type(media_type: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    request(Method::POST, PATH).header("content-type", media_type).body(Full::from(body.into())).unwrap()
}

/// A batch of which everything has to be accepted.
pub(crate) async fn accepted(world: &World, items: &[Value]) -> Vec<String> {
    let answer = world.exchange(of_type("application/json", json!(items).to_string())).await;
    assert_eq!((answer.status.as_u16(), &answer.body["accepted"]), (200, &json!(items.len())), "{answer:#?}");
    let ids = answer.body["items"].as_array().unwrap().iter();
    ids.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

async fn array(world: &World, items: Value) -> Answer {
    world.exchange(of_type("application/json", items.to_string())).await
}

async fn lines(world: &World, body: impl Into<Bytes>) -> Answer {
    world.exchange(of_type("application/x-ndjson", body)).await
}

/// How many deliveries the app has.
async fn deliveries(world: &World) -> u64 {
    let stats = world.get("/v1/stats").await.body;
    stats["deliveries"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
}

/// Accepted, replayed, refused.
fn sums(answer: &Answer) -> [u64; 3] {
    assert_eq!(answer.status, 200, "{answer:#?}");
    ["accepted", "replayed", "refused"].map(|name| answer.body[name].as_u64().unwrap())
}

fn to(user: &str) -> Value {
    json!({ "to": { "user": user }, "title": "t" })
}

fn keyed(user: &str, key: &str) -> Value {
    json!({ "to": { "user": user }, "title": "t", "idempotency_key": key })
}

#[tokio::test]
async fn each_item_is_answered_by_itself_and_in_order() {
    let world = World::start().await;
    world.register("ann", "phone", "token-of-ann").await;
    let in_an_hour = crate::accept::in_an_hour();
    let answer = array(
        &world,
        json!([
            to("ann"),
            { "to": { "user": "ann" }, "data": { "level": 3 } },
            { "to": { "users": ["ann", "nobody"] }, "title": "t", "idempotency_key": "k-1" },
            { "to": { "user": "ann" }, "title": "t", "send_at": "2020-01-01T00:00:00Z" },
            { "to": { "user": "ann" }, "title": "t", "send_at": in_an_hour },
            "ann",
        ]),
    )
    .await;
    let refused = |index: u32, status: u32, kind: &str, title: &str, detail: &str, field: Option<&str>| {
        let mut problem = json!({
            "type": format!("urn:pabal:problem:{kind}"), "title": title, "status": status, "detail": detail,
        });
        if let Some(field) = field {
            problem["field"] = json!(field);
        }
        json!({ "index": index, "status": status, "problem": problem })
    };
    let taken = |index: u32, deliveries: Value| json!({ "index": index, "status": 202, "id": "ID", "deliveries": deliveries, "replayed": false });
    assert_eq!(answer.status, 200);
    let (shape, value) = ("The request has another shape", "A value is refused");
    let level = "data.level must be a string, not a number";
    assert_eq!(
        settled_shape(answer.body.clone()),
        json!({
            "accepted": 3, "replayed": 0, "refused": 3,
            "items": [
                taken(0, json!(1)),
                refused(1, 400, "invalid_request", shape, level, Some("data.level")),
                taken(2, json!(2)),
                refused(3, 422, "invalid_value", value, "send_at lies in the past", Some("send_at")),
                taken(4, Value::Null),
                refused(5, 400, "invalid_request", shape, "the item must be a JSON object, not a string", None),
            ],
        })
    );
    for index in [0, 2] {
        world.settled(answer.body["items"][index]["id"].as_str().unwrap()).await;
    }
    assert_eq!(world.emulator.count().accepted, 2);
}

#[tokio::test]
async fn of_ten_thousand_lines_one_broken_line_harms_no_other() {
    let world = World::start().await;
    let mut body = Vec::new();
    for line in 0..limits::BATCH_LINES_MAX {
        match line {
            5000 => body.extend(b"{\"to\":{\"user\":\"\xff\xfe\"},\"title\":\"t\"}"),
            line => body.extend(to(&format!("user-{line}")).to_string().into_bytes()),
        }
        body.extend(b"\r\n\n");
    }
    let answer = lines(&world, body).await;
    assert_eq!(sums(&answer), [9999, 0, 1]);
    let items = answer.body["items"].as_array().unwrap();
    assert!(items.iter().enumerate().all(|(index, item)| item["index"] == index));
    let broken = &items[5000];
    assert_eq!(
        (&broken["status"], &broken["problem"]["type"]),
        (&json!(400), &json!("urn:pabal:problem:malformed_json"))
    );
    let ids: BTreeSet<_> = items.iter().filter_map(|item| item["id"].as_str()).collect();
    assert_eq!((ids.len(), deliveries(&world).await), (9999, 9999));
}

#[tokio::test]
async fn too_much_is_refused_whole() {
    let world = World::start().await;
    let check = async |request: Request<Full<Bytes>>, detail: &str| {
        let problem = world.problem(request).await;
        assert_eq!((&problem["status"], &problem["detail"]), (&json!(413), &json!(detail)));
        assert_eq!(problem["type"], "urn:pabal:problem:body_too_large");
    };
    let items = vec![to("ann"); limits::BATCH_ITEMS_MAX + 1];
    let detail =
        "the batch has more than 1000 items; send several, or up to 10000 lines as application/x-ndjson";
    check(of_type("application/json", json!(items).to_string()), detail).await;
    let line = to("ann").to_string() + "\n";
    let detail = "the batch has more than 10000 lines; send several";
    check(of_type("application/x-ndjson", line.repeat(limits::BATCH_LINES_MAX + 1)), detail).await;
    let spaces = " ".repeat(limits::BATCH_BODY_BYTES_MAX + 1);
    check(of_type("application/json", spaces), "the body is larger than 16777216 bytes").await;
    assert_eq!(deliveries(&world).await, 0, "nothing of them was accepted");

    let just_fits = array(&world, json!(vec![to("ann"); limits::BATCH_ITEMS_MAX])).await;
    assert_eq!(sums(&just_fits), [1000, 0, 0]);
}

#[tokio::test]
async fn an_item_has_the_limits_of_a_single_request() {
    let world = World::start().await;
    let large = json!({ "to": { "user": "ann" }, "title": "x".repeat(1024 * 1024) });
    let long = json!({ "to": { "user": "ann" }, "title": "x".repeat(2000) });
    let deep = format!("{{\"to\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    // Brackets alone are what a parser that recurses would break at; its 64 KiB are not reached here.
    let nested = format!("{{\"fcm\":{}1{}}}", "[".repeat(1000), "]".repeat(1000));
    let body = [large.to_string(), long.to_string(), deep, nested, to("ann").to_string()].join("\n");
    let answer = lines(&world, body).await;
    assert_eq!(sums(&answer), [1, 0, 4]);
    let told = |index: usize| {
        let item = &answer.body["items"][index];
        (item["status"].as_u64().unwrap(), item["problem"]["detail"].as_str().unwrap().to_owned())
    };
    assert_eq!(told(0), (413, "the item is larger than 65536 bytes".to_owned()));
    assert_eq!(told(1), (422, "title is longer than 1024 bytes".to_owned()));
    assert_eq!(told(2), (413, "the item is larger than 65536 bytes".to_owned()));
    let deep = "arrays and objects are nested deeper than 127 levels at line 1 column 134";
    assert_eq!(told(3), (400, deep.to_owned()));
    let alone = request(Method::POST, "/v1/notifications").header("content-type", "application/json");
    let nested = format!("{{\"fcm\":{}1{}}}", "[".repeat(1000), "]".repeat(1000));
    assert_eq!(world.problem(alone.body(Full::from(nested)).unwrap()).await["detail"], deep);
}

#[tokio::test]
async fn each_item_has_a_key_of_its_own() {
    let world = World::start().await;
    let first = array(&world, json!([keyed("ann", "a"), keyed("bea", "b"), keyed("ann", "a")])).await;
    assert_eq!(sums(&first), [2, 1, 0], "the same item twice in one batch is one");
    let id = |answer: &Answer, index: usize| answer.body["items"][index]["id"].clone();
    assert_eq!(id(&first, 0), id(&first, 2));
    assert_eq!(first.body["items"][2]["replayed"], true);

    let body = format!("{}\n{}", keyed("bea", "b"), keyed("cho", "a"));
    let second = lines(&world, body).await;
    assert_eq!(sums(&second), [0, 1, 1]);
    assert_eq!(id(&second, 0), id(&first, 1), "whatever the form of the batch");
    let reused = &second.body["items"][1];
    assert_eq!(
        (&reused["status"], &reused["problem"]["type"], &reused["problem"]["field"]),
        (&json!(422), &json!("urn:pabal:problem:idempotency_key_reused"), &json!("idempotency_key"))
    );

    // A single request with the same key has other bytes: the key in its header, not in its body.
    let single = request(Method::POST, "/v1/notifications").header("idempotency-key", "a");
    let single = single.header("content-type", "application/json").body(Full::from(to("ann").to_string()));
    let problem = world.problem(single.unwrap()).await;
    assert_eq!(problem["type"], "urn:pabal:problem:idempotency_key_reused");
    assert_eq!(deliveries(&world).await, 2);
}

#[tokio::test]
async fn of_batches_at_once_with_one_key_one_is_accepted() {
    let world = World::start().await;
    let items = json!([keyed("ann", "same"), to("bea")]).to_string();
    let send = || exchange(world.running.address(), of_type("application/json", items.clone()));
    let answers = tokio::join!(send(), send(), send(), send());
    let answers = [answers.0, answers.1, answers.2, answers.3];
    let firsts: Vec<_> = answers.iter().map(|answer| &answer.body["items"][0]).collect();
    assert!(firsts.iter().all(|item| item["id"] == firsts[0]["id"]), "{firsts:#?}");
    assert_eq!(firsts.iter().filter(|item| item["replayed"] == false).count(), 1);
    assert_eq!(deliveries(&world).await, 5);
}

#[tokio::test]
async fn keys_of_items_are_checked() {
    let world = World::start().await;
    let cases = [
        (json!(""), 422, "idempotency_key is empty"),
        (json!("k".repeat(256)), 422, "idempotency_key is longer than 255 bytes"),
        (json!("키"), 422, "idempotency_key may hold visible ASCII characters only"),
        (json!(5), 400, "idempotency_key must be a string, not a number"),
    ];
    for (key, status, detail) in cases {
        let answer =
            array(&world, json!([{ "to": { "user": "ann" }, "title": "t", "idempotency_key": key }])).await;
        let item = &answer.body["items"][0];
        assert_eq!((&item["status"], &item["problem"]["detail"]), (&json!(status), &json!(detail)));
        assert_eq!(item["problem"]["field"], "idempotency_key");
    }
    let single = json!({ "to": { "user": "ann" }, "title": "t", "idempotency_key": "k" });
    let answer = world.post(single).await;
    assert_eq!((answer.status.as_u16(), &answer.body["field"]), (400, &json!("idempotency_key")));
}

#[tokio::test]
async fn a_batch_as_a_whole_is_checked() {
    let world = World::start().await;
    let with_key = request(Method::POST, PATH).header("idempotency-key", "k");
    let with_key = with_key.header("content-type", "application/json").body(Full::from("[]")).unwrap();
    let problem = world.problem(with_key).await;
    assert_eq!((&problem["status"], &problem["field"]), (&json!(400), &json!("Idempotency-Key")));
    assert_eq!(
        problem["detail"],
        "Idempotency-Key is for single notifications: give each item its own idempotency_key"
    );
    for media_type in ["text/plain", "application/json-seq", ""] {
        let problem = world.problem(of_type(media_type, "[]")).await;
        assert_eq!(problem["type"], "urn:pabal:problem:unsupported_media_type");
    }
    let whole = [
        ("{}", "invalid_request", "the body must be a JSON array of notifications"),
        ("5", "invalid_request", "the body must be a JSON array of notifications"),
        ("[{}", "malformed_json", "EOF while parsing a list at line 1 column 3"),
        ("[{}] x", "malformed_json", "trailing characters at line 1 column 6"),
        ("", "malformed_json", "EOF while parsing a value at line 1 column 0"),
    ];
    for (body, kind, detail) in whole {
        let problem = world.problem(of_type("application/json", body)).await;
        assert_eq!(problem["type"], format!("urn:pabal:problem:{kind}"));
        assert_eq!((&problem["status"], &problem["detail"]), (&json!(400), &json!(detail)));
    }
    for (media_type, nothing) in [("application/json; charset=utf-8", "[]"), ("application/x-ndjson", "\n\n")]
    {
        let answer = world.exchange(of_type(media_type, nothing)).await;
        assert_eq!((sums(&answer), &answer.body["items"]), ([0, 0, 0], &json!([])));
    }
    let reader = Caller::with_scopes(&world, &["read", "manage"]).await;
    assert_eq!(reader.call(Method::POST, PATH, Some(json!([]))).await.status, 403);
    let queried = request(Method::POST, "/v1/notifications/batch?limit=1").body(Full::default()).unwrap();
    assert_eq!(world.problem(queried).await["type"], "urn:pabal:problem:invalid_request");
}

#[tokio::test]
async fn batches_under_way_are_bounded() {
    let world = World::start().await;
    let mut hanging = Vec::new();
    for _ in 0..limits::BATCHES_IN_FLIGHT_MAX {
        let mut stream = TcpStream::connect(world.running.address()).await.unwrap();
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nhost: pabal\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: 2\r\n\r\n[",
            crate::world::KEY
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        hanging.push(stream);
    }
    let refused = eventually("all places are taken", || async {
        let answer = array(&world, json!([])).await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert_eq!(refused.body["type"], "urn:pabal:problem:overloaded");
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(world.post(to("ann")).await.status, 202, "single ones are still taken");
    let mut last = hanging.pop().unwrap();
    last.write_all(b"]").await.unwrap();
    let mut head = [0; 12];
    tokio::time::timeout(DEADLINE, last.read_exact(&mut head)).await.unwrap().unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    eventually("a place is free", || async { (array(&world, json!([])).await.status == 200).then_some(()) })
        .await;
}

#[tokio::test]
async fn a_store_that_fills_up_in_the_middle_is_made_good_by_a_repeat() {
    let small = |config: &mut pabal_server::Config| config.store.push_str("?pages_max=6000");
    let world = World::start_with(fcm_emulator::Faults::default(), small).await;
    let item = |n: usize| {
        json!({ "to": { "user": "ann" }, "title": "x".repeat(1000), "idempotency_key": format!("key-{n}") })
            .to_string()
    };
    let body: String = (0..8000).map(|n| item(n) + "\n").collect();
    let answer = lines(&world, body.clone()).await;
    let [accepted, _, refused] = sums(&answer);
    assert!(accepted > 0 && refused > 0 && accepted + refused == 8000, "{accepted} {refused}");
    let items = answer.body["items"].as_array().unwrap();
    let (before, after) = items.split_at(accepted as usize);
    assert!(before.iter().all(|item| item["status"] == 202));
    assert!(after.iter().all(|item| item["problem"]["type"] == "urn:pabal:problem:store_unavailable"));

    let config = world.configuration();
    let World { running, emulator, folder } = world;
    running.stop().await;
    let world = World { running: Server::start(config).await.unwrap(), emulator, folder };
    let again = lines(&world, body).await;
    assert_eq!(sums(&again), [refused, accepted, 0]);
    let ids = |items: &[Value]| items.iter().map(|item| item["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(before), ids(&again.body["items"].as_array().unwrap()[..before.len()]));
}

#[tokio::test]
async fn a_store_that_takes_nothing_refuses_the_whole() {
    let world = World::start().await;
    let held = rusqlite::Connection::open(world.database()).unwrap();
    held.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    let answer = array(&world, json!([to("ann"), to("bea")])).await;
    assert_eq!(answer.status, 503, "{answer:#?}");
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(answer.body["type"], "urn:pabal:problem:store_unavailable");
    held.execute_batch("ROLLBACK").unwrap();
}
