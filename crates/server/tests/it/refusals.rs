//! Bad input: each is refused with a document that names the field, and nothing is accepted.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::world::{World, request};

fn post(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let builder = request(Method::POST, "/v1/notifications").header("content-type", "application/json");
    builder.body(Full::from(body.into())).unwrap()
}

fn put_device(body: Value) -> Request<Full<Bytes>> {
    let builder =
        request(Method::PUT, "/v1/users/ann/devices/phone").header("content-type", "application/json");
    builder.body(Full::from(body.to_string())).unwrap()
}

/// A notification that is good but for what is laid over it.
fn with(change: Value) -> Request<Full<Bytes>> {
    let mut body = json!({ "to": { "user": "ann" }, "title": "t" });
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    post(body.to_string())
}

/// Checks `kind`, status, field and detail of a problem.
async fn check(
    world: &World,
    request: Request<Full<Bytes>>,
    status: u16,
    kind: &str,
    field: &str,
    detail: &str,
) {
    let problem = world.problem(request).await;
    assert_eq!(problem["detail"], detail);
    assert_eq!(
        (&problem["status"], &problem["type"]),
        (&json!(status), &json!(format!("urn:pabal:problem:{kind}")))
    );
    assert_eq!(problem.get("field").and_then(Value::as_str).unwrap_or_default(), field, "{detail}");
}

async fn invalid(world: &World, change: Value, field: &str, detail: &str) {
    check(world, with(change), 422, "invalid_value", field, detail).await;
}

#[tokio::test]
async fn the_whole_document_of_a_problem() {
    let world = World::start().await;
    let problem = world.problem(with(json!({ "data": { "level": 3 } }))).await;
    let expect = json!({
        "type": "urn:pabal:problem:invalid_request", "title": "The request has another shape", "status": 400,
        "detail": "data.level must be a string, not a number", "field": "data.level",
    });
    assert_eq!(problem, expect);
}

#[tokio::test]
async fn malformed_json_names_its_place_and_quotes_nothing() {
    let world = World::start().await;
    let (kind, none) = ("malformed_json", "");
    check(&world, post("{\n  \"to\": secret}"), 400, kind, none, "expected value at line 2 column 9").await;
    check(&world, post(""), 400, kind, none, "EOF while parsing a value at line 1 column 0").await;
    check(&world, post("{} x"), 400, kind, none, "trailing characters at line 1 column 4").await;
    check(
        &world,
        post(vec![b'"', 0xff, b'"']),
        400,
        kind,
        none,
        "invalid unicode code point at line 1 column 2",
    )
    .await;
}

#[tokio::test]
async fn another_shape_is_refused_by_the_path_of_the_field() {
    let world = World::start().await;
    let shape = "invalid_request";
    let known = "to, title, body, data, image, link, channels, lane, ttl, send_at, collapse_key, fcm, validate_only, project";
    for field in ["titel", "spread_over"] {
        let detail = format!("{field} is not known; known here: {known}");
        check(&world, with(json!({ field: "x" })), 400, shape, field, &detail).await;
    }
    for field in ["topic", "all"] {
        let (path, request) = (format!("to.{field}"), with(json!({ "to": { field: "x" } })));
        let detail = format!(
            "{path} is not known; known here: user, users, device, token, fid, fcm_topic, fcm_condition"
        );
        check(&world, request, 400, shape, &path, &detail).await;
    }
    let cases = [
        (json!({ "to": { "users": ["a", 5] } }), "to.users[1]", "to.users[1] must be a string, not a number"),
        (json!({ "to": { "device": { "user": "a" } } }), "to.device.device", "to.device.device is missing"),
        (json!({ "to": "ann" }), "to", "to must be an object, not a string"),
        (json!({ "to": ["ann"] }), "to", "to must be an object, not an array"),
        (json!({ "to": { "device": ["a", "b"] } }), "to.device", "to.device must be an object, not an array"),
        (json!({ "title": ["secret"] }), "title", "title must be a string, not an array"),
        (json!({ "ttl": "secret" }), "ttl", "ttl must be a whole number that is not negative, not a string"),
        (json!({ "validate_only": "yes" }), "validate_only", "validate_only must be a boolean, not a string"),
        (json!({ "fcm": [] }), "fcm", "fcm must be an object, not an array"),
    ];
    for (change, field, detail) in cases {
        check(&world, with(change), 400, shape, field, detail).await;
    }
    check(&world, post("[]"), 400, shape, "", "the body must be a JSON object, not an array").await;
    check(&world, post("{}"), 400, shape, "to", "to is missing").await;
    let twice = r#"{"to":{"user":"a"},"title":"t","title":"u"}"#;
    check(&world, post(twice), 400, shape, "", "a field is there twice, at line 1 column 38").await;
}

#[tokio::test]
async fn recipients_are_exactly_one_kind_of_somebody() {
    let world = World::start().await;
    let all = "user, users, device, token, fid, fcm_topic, fcm_condition";
    let to = |to: Value| json!({ "to": to });
    invalid(&world, to(json!({})), "to", &format!("to names nobody: give one of {all}")).await;
    let both = json!({ "user": "a", "token": "b" });
    invalid(&world, to(both), "to", "to must hold exactly one field; it holds user, token").await;
    invalid(&world, to(json!({ "users": [] })), "to.users", "to.users is empty").await;
    invalid(&world, to(json!({ "user": "" })), "to.user", "to.user is empty").await;
    let twice = json!({ "users": ["a", "b", "a"] });
    invalid(&world, to(twice), "to.users", "to.users names the same user again at position 2").await;
    let many: Vec<String> = (0..1001).map(|n| n.to_string()).collect();
    invalid(&world, to(json!({ "users": many })), "to.users", "to.users has more than 1000 users").await;
    invalid(&world, to(json!({ "token": "" })), "to.token", "to.token is empty").await;
    let spaced = json!({ "token": " t" });
    invalid(&world, to(spaced), "to.token", "to.token has white space at an end or a control character")
        .await;
}

#[tokio::test]
async fn values_have_ranges() {
    let world = World::start().await;
    let cases = [
        (json!({ "ttl": 2_419_201 }), "ttl", "ttl is over 2419200 seconds (four weeks)"),
        (json!({ "ttl": -1 }), "ttl", "ttl: must be a whole number that is not negative"),
        (json!({ "send_at": "2020-01-01T00:00:00Z" }), "send_at", "send_at lies in the past"),
        (json!({ "send_at": "2999-01-01T00:00:00Z" }), "send_at", "send_at lies more than 366 days ahead"),
        (
            json!({ "send_at": "tomorrow" }),
            "send_at",
            "send_at must be a time with its offset, as 2026-11-22T18:30:00+09:00 (RFC 3339)",
        ),
        (json!({ "data": { "from": "x" } }), "data", "data has the key 'from', which FCM reserves"),
        (json!({ "data": { "google.x": "x" } }), "data", "data has the key 'google.x', which FCM reserves"),
        (json!({ "data": { "pabal_id": "x" } }), "data", "data has the key 'pabal_id', which Pabal sets"),
        (json!({ "title": "" }), "title", "title is empty; leave it out instead"),
        (json!({ "title": "x".repeat(1025) }), "title", "title is longer than 1024 bytes"),
        (json!({ "lane": "loud" }), "lane", "lane: must be one of transactional, bulk"),
        (json!({ "image": "a.png" }), "image", "image must be a URL that begins with https:// or http://"),
        (
            json!({ "link": "javascript:alert(1)" }),
            "link",
            "link must be a URL or a link of the app's own, and no script",
        ),
        (json!({ "to": { "token": "a b" } }), "to.token", "to.token holds white space"),
        (
            json!({ "to": { "fcm_topic": "/topics/a" } }),
            "to.fcm_topic",
            "to.fcm_topic is written without /topics/",
        ),
        (json!({ "channels": ["smoke"] }), "channels[0]", "channels[0]: must be one of fcm"),
        (json!({ "channels": [] }), "channels", "channels is empty; leave it out to use all that a user has"),
        (
            json!({ "fcm": { "token": {} } }),
            "fcm",
            "fcm has the field 'token', which is none of android, androidV2, apns, webpush, fcm_options, notification",
        ),
        (
            json!({ "project": "demo" }),
            "project",
            "project is of no use here: each device has the project that it was registered with",
        ),
        (
            json!({ "to": { "token": "t" }, "project": "unheard-of" }),
            "project",
            "project is not configured on this server",
        ),
        (json!({ "project": "a b" }), "project", "project may hold letters, digits, '-', '_' and '.' only"),
    ];
    for (change, field, detail) in cases {
        invalid(&world, change, field, detail).await;
    }
    let nothing = json!({ "to": { "user": "ann" } }).to_string();
    let detail = "title is missing: a message needs a title, a body, data or fcm";
    check(&world, post(nothing), 422, "invalid_value", "title", detail).await;
    assert_eq!(world.emulator.count().accepted, 0);
}

#[tokio::test]
async fn bodies_are_bounded_and_json() {
    let world = World::start().await;
    let large = with(json!({ "title": "x".repeat(64 * 1024) }));
    check(&world, large, 413, "body_too_large", "", "the body is larger than 65536 bytes").await;
    let exactly = {
        let body = json!({ "to": { "user": "ann" }, "title": "t" }).to_string();
        post(format!("{body}{}", " ".repeat(64 * 1024 - body.len())))
    };
    assert_eq!(world.exchange(exactly).await.status, 202);
    let detail = "send JSON, with 'Content-Type: application/json'";
    for kind in ["text/plain", "application/x-www-form-urlencoded"] {
        let request = request(Method::POST, "/v1/notifications").header("content-type", kind);
        let request = request.body(Full::from("{}")).unwrap();
        check(&world, request, 415, "unsupported_media_type", "", detail).await;
    }
    let without = request(Method::POST, "/v1/notifications").body(Full::from("{}")).unwrap();
    check(&world, without, 415, "unsupported_media_type", "", detail).await;
}

#[tokio::test]
async fn registrations_are_checked() {
    let world = World::start().await;
    let with = |change: Value| {
        let mut body = json!({ "channel": "fcm", "platform": "android", "token": "t" });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        put_device(body)
    };
    let cases = [
        (json!({ "platform": "other" }), "platform", "platform must be one of android, ios, web"),
        (json!({ "token": null }), "token", "token is missing: give token or fid"),
        (json!({ "fid": "f" }), "fid", "fid is given beside token; give one of them"),
        (json!({ "token": "" }), "token", "token is empty"),
        (json!({ "token": "a b" }), "token", "token holds white space"),
        (json!({ "project": "unheard-of" }), "project", "project is not configured on this server"),
        (json!({ "locale": "korean please" }), "locale", "locale must be a language tag, as ko-KR or en"),
        (
            json!({ "time_zone": "Seoul" }),
            "time_zone",
            "time_zone must be a name of the IANA database, as Asia/Seoul",
        ),
    ];
    for (change, field, detail) in cases {
        check(&world, with(change), 422, "invalid_value", field, detail).await;
    }
    let unknown = with(json!({ "tokn": "x" }));
    let detail = "tokn is not known; known here: channel, platform, token, fid, project, locale, time_zone";
    check(&world, unknown, 400, "invalid_request", "tokn", detail).await;
    let long = request(Method::GET, &format!("/v1/users/{}/devices", "x".repeat(129)));
    let detail = "user is longer than 128 bytes";
    check(&world, long.body(Full::default()).unwrap(), 422, "invalid_value", "user", detail).await;
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let world = World::start().await;
    let unknown_id = "0192f0c1-2345-7000-8000-000000000000";
    let missing = [
        ("/v1/nothing".to_owned(), "there is no such path; see docs/guide/api.md"),
        ("/".to_owned(), "there is no such path; see docs/guide/api.md"),
        (format!("/v1/notifications/{unknown_id}"), "there is no such notification"),
        ("/v1/notifications/not-an-id".to_owned(), "there is no such notification"),
        (format!("/v1/deliveries/{unknown_id}"), "there is no such delivery"),
        ("/v1/users/ann/devices/phone".to_owned(), "there is no such device"),
    ];
    for (path, detail) in missing {
        let request = request(Method::GET, &path).body(Full::default()).unwrap();
        check(&world, request, 404, "not_found", "", detail).await;
    }
    let put = request(Method::PUT, "/v1/notifications").body(Full::default()).unwrap();
    let answer = world.exchange(put).await;
    assert_eq!((answer.status.as_u16(), &answer.headers["allow"]), (405, &"POST,GET,HEAD".parse().unwrap()));
    assert_eq!(answer.body["type"], "urn:pabal:problem:method_not_allowed");
    assert_eq!(answer.body["detail"], "this path has POST, GET, HEAD");
}

#[tokio::test]
async fn queries_are_checked() {
    let world = World::start().await;
    let id = world.accepted(json!({ "to": { "token": "t" }, "title": "t" })).await;
    let get = |query: &str| {
        request(Method::GET, &format!("/v1/notifications/{id}?{query}")).body(Full::default()).unwrap()
    };
    let value = "invalid_value";
    check(&world, get("limit=0"), 422, value, "limit", "limit must be 1 to 1000").await;
    check(&world, get("limit=1001"), 422, value, "limit", "limit must be 1 to 1000").await;
    check(&world, get("cursor=x"), 422, value, "cursor", "cursor is none that this server gave").await;
    let detail = "the query parameter limit is there twice";
    check(&world, get("limit=2&limit=3"), 400, "invalid_request", "limit", detail).await;
    let devices = request(Method::GET, "/v1/users/ann/devices?limit=2").body(Full::default()).unwrap();
    let detail = "the query parameter limit is not known; none is known here";
    check(&world, devices, 400, "invalid_request", "limit", detail).await;
    let detail = "the query parameter page is not known; known here: cursor, limit";
    check(&world, get("page=2"), 400, "invalid_request", "page", detail).await;
}
