//! The OpenAPI document is what the server does: its routes, their scopes, its limits; and the copy in the repository is
//! this very document. What answers look like is held against it by the suite `api`, on generated requests.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use http_body_util::Full;
use pabal_core::limits as core;
use pabal_server::limits;
use serde_json::Value;

use crate::isolation::{documented, routes};
use crate::world::World;

fn document() -> Value {
    serde_json::from_str(&pabal_server::openapi()).unwrap()
}

/// Every operation, by method and path.
fn operations(document: &Value) -> BTreeMap<String, &Value> {
    let mut operations = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.insert(format!("{} {path}", method.to_uppercase()), operation);
        }
    }
    operations
}

#[test]
fn the_copy_is_the_document() {
    let copy = include_str!("../../../../docs/openapi.json");
    assert!(
        copy == pabal_server::openapi(),
        "docs/openapi.json is not what is generated: run 'cargo xtask generate'"
    );
}

#[tokio::test]
async fn the_document_has_every_route_and_no_other() {
    let world = World::start().await;
    let document = document();
    let there: BTreeSet<String> = operations(&document).into_keys().collect();
    assert_eq!(there, routes(&world).await);
}

#[test]
fn each_operation_names_the_scope_that_the_guide_names() {
    let document = document();
    let guide = documented();
    for (route, operation) in operations(&document) {
        let needed = operation["security"][0]["key"][0].as_str().unwrap_or("none");
        assert_eq!(needed, guide[&route], "{route}");
    }
}

#[test]
fn each_operation_has_a_name_of_its_own_and_says_what_it_does() {
    let document = document();
    let tags: Vec<&Value> = document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    let mut ids = BTreeSet::new();
    for (route, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{id} is there twice");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{route}");
        assert!(tags.contains(&&operation["tags"][0]), "{route}");
        for (status, answer) in operation["responses"].as_object().unwrap() {
            let answer = resolved(&document, answer);
            assert!(answer["headers"].get("X-Request-Id").is_some(), "{route} {status}");
        }
        for link in
            operation["responses"].as_object().unwrap().values().filter_map(|answer| answer.get("links"))
        {
            for target in link.as_object().unwrap().values() {
                let id = target["operationId"].as_str().unwrap();
                let is_there = operations(&document).values().any(|other| other["operationId"] == id);
                assert!(is_there, "{route} leads to {id}");
            }
        }
    }
}

#[test]
fn requests_hold_no_field_that_is_not_known() {
    let document = document();
    let mut seen = 0;
    for (route, operation) in operations(&document) {
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        if !body.is_null() {
            expect_closed(&document, body, &route, &mut seen);
        }
    }
    assert!(seen > 10, "{seen} objects");
}

/// Every object with fields of its own says that it has no others.
fn expect_closed(document: &Value, schema: &Value, path: &str, seen: &mut usize) {
    let schema = resolved(document, schema);
    let fields = schema["properties"].as_object();
    if let Some(fields) = fields {
        *seen += 1;
        assert_eq!(schema["additionalProperties"], Value::Bool(false), "{path}");
        for (name, field) in fields {
            expect_closed(document, field, &format!("{path} {name}"), seen);
        }
    }
    let choices =
        ["oneOf", "anyOf", "allOf"].into_iter().filter_map(|word| schema[word].as_array()).flatten();
    for part in choices.chain(schema.get("items")) {
        expect_closed(document, part, path, seen);
    }
}

fn resolved<'a>(document: &'a Value, node: &'a Value) -> &'a Value {
    match node["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).expect(reference),
        None => node,
    }
}

#[test]
fn limits_are_those_of_the_code() {
    let document = document();
    let number = |pointer: &str| document.pointer(pointer).and_then(Value::as_u64).expect(pointer);
    let body = |path: &str, method: &str| {
        number(&format!("/paths/{}/{method}/requestBody/x-bytes-max", path.replace('/', "~1")))
    };
    assert_eq!(body("/v1/notifications", "post"), limits::NOTIFICATION_BODY_BYTES_MAX as u64);
    assert_eq!(body("/v1/notifications/batch", "post"), limits::BATCH_BODY_BYTES_MAX as u64);
    assert_eq!(body("/v1/users/{user}/devices/{device}", "put"), limits::DEVICE_BODY_BYTES_MAX as u64);
    let schema = |rest: &str| number(&format!("/components/schemas/{rest}"));
    assert_eq!(schema("UserId/maxLength"), core::USER_ID_BYTES_MAX as u64);
    assert_eq!(schema("Restore/properties/devices/maxItems"), limits::RESTORE_DEVICES_MAX as u64);
    assert_eq!(schema("NewBatch/maxItems"), limits::BATCH_ITEMS_MAX as u64);
    assert_eq!(schema("NewNotification/properties/data/maxProperties"), core::DATA_ENTRIES_MAX as u64);
    assert_eq!(number("/components/parameters/limit/schema/maximum"), limits::PAGE_ITEMS_MAX as u64);
}

#[test]
fn numbers_in_its_texts_are_those_of_the_code() {
    let text = pabal_server::openapi();
    for (said, number) in [
        ("at most 50 devices", core::DEVICES_PER_USER_MAX == 50),
        ("1 to 1,000 users", core::USERS_MAX == 1000),
        ("up to 1,000 notifications", limits::BATCH_ITEMS_MAX == 1000),
        ("up to 10,000 lines", limits::BATCH_LINES_MAX == 10_000),
        ("each item at most 64 KiB", limits::NOTIFICATION_BODY_BYTES_MAX == 64 << 10),
        ("A page has 4 MiB at most", limits::PAGE_BYTES_MAX == 4 << 20),
        ("removes 10,000 at most", limits::PURGE_ITEMS_MAX == 10_000),
        ("most 10 jobs run at once", core::REDRIVES_RUNNING_MAX == 10),
        (
            "100 entries and 4,096 bytes at most",
            core::DATA_ENTRIES_MAX == 100 && core::DATA_BYTES_MAX == 4096,
        ),
        ("at most 16 KiB of JSON", core::OVERRIDE_BYTES_MAX == 16 << 10),
        ("A title, at most 1,024 bytes", core::TITLE_BYTES_MAX == 1024),
        ("A text, at most 4,096 bytes", core::BODY_BYTES_MAX == 4096),
        ("up to four weeks", core::TTL_S_MAX == 4 * 7 * 24 * 60 * 60),
        ("at most 366 days ahead", core::SEND_AT_AHEAD_MS_MAX == 366 * 24 * 60 * 60 * 1000),
        ("Up to 1,000 devices", limits::RESTORE_DEVICES_MAX == 1000),
        ("one of up to 64 letters", limits::REQUEST_ID_CHARS_MAX == 64),
    ] {
        assert!(number, "'{said}' is another number in the code");
        assert!(text.contains(said), "'{said}' is not said any more");
    }
}

#[tokio::test]
async fn everybody_may_read_the_documents() {
    let world = World::start().await;
    let get = async |path: &str| {
        let request = http::Request::builder().method(Method::GET).uri(path).header("host", "pabal");
        world.exchange(request.body(Full::default()).unwrap()).await
    };
    let served = get("/openapi.json").await;
    assert_eq!(
        (served.status.as_u16(), &served.headers["content-type"]),
        (200, &"application/json".parse().unwrap())
    );
    assert_eq!(served.body, document());
    let page = get("/docs").await;
    assert_eq!(page.status, 200);
    assert!(page.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'; "));
    for file in page.body.as_str().unwrap().split('"').filter(|part| part.starts_with("docs/")) {
        let answer = get(&format!("/{file}")).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["x-content-type-options"]),
            (200, &"nosniff".parse().unwrap())
        );
    }
    assert_eq!(get("/docs/").await.headers["location"], "../docs");
    assert_eq!(get("/docs/../Cargo.toml").await.status, 404);
}
