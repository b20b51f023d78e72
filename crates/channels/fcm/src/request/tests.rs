//! The exact bodies, one per platform, and the rules about what is not made.

use pabal_core::clock::Timestamp;
use pabal_core::device::Target;

use super::*;

const ID: &str = "018bcfe5-687b-7000-8000-000000000001";

fn body(message: &Message, platform: Platform) -> Value {
    let template = compose(message, ID.parse().unwrap(), platform);
    let now = Timestamp::from_ms(1_700_000_000_000);
    let bytes = template.fill(&Target::Token("tok:en".to_owned()), 3_600_500, now);
    serde_json::from_slice(&bytes).unwrap()
}

fn full() -> Message {
    Message {
        title: Some("Prove your day".into()),
        body: Some("오늘도 \"달려요\"".into()),
        image: Some("https://example.com/a.png".into()),
        link: Some("https://example.com/day".into()),
        data: [("kind".to_owned(), "reminder".to_owned())].into(),
        collapse_key: Some("day".into()),
        ..Message::default()
    }
}

fn data_only() -> Message {
    Message { data: [("k".to_owned(), "v".to_owned())].into(), ..Message::default() }
}

fn titled() -> Message {
    Message { title: Some("t".into()), ..Message::default() }
}

fn with(mut message: Message, fcm: Value) -> Message {
    message.fcm = serde_json::from_value(fcm).unwrap();
    message.check().unwrap();
    message
}

/// What every platform gets of [`full`].
fn common() -> Value {
    json!({
        "token": "tok:en",
        "notification": {
            "title": "Prove your day", "body": "오늘도 \"달려요\"", "image": "https://example.com/a.png",
        },
        "data": {"kind": "reminder", "link": "https://example.com/day", "pabal_id": ID},
    })
}

fn full_android() -> Value {
    json!({"ttl": "3600s", "collapseKey": "day", "notification": {"tag": ID}})
}

fn full_apns() -> Value {
    json!({
        "headers": {"apns-collapse-id": "day", "apns-expiration": "1700003600"},
        "fcmOptions": {"image": "https://example.com/a.png"},
        "payload": {"aps": {"mutable-content": 1}},
    })
}

fn full_webpush() -> Value {
    json!({
        "headers": {"TTL": "3600", "Topic": "day"},
        "notification": {"tag": ID},
        "fcmOptions": {"link": "https://example.com/day"},
    })
}

#[test]
fn a_full_message_on_each_platform() {
    let parts = [
        (Platform::Android, "android", full_android()),
        (Platform::Ios, "apns", full_apns()),
        (Platform::Web, "webpush", full_webpush()),
    ];
    let mut all = common();
    for (platform, part, value) in parts {
        let mut one = common();
        one[part] = value.clone();
        all[part] = value;
        assert_eq!(body(&full(), platform), json!({ "message": one }), "{platform}");
    }
    assert_eq!(body(&full(), Platform::Other), json!({ "message": all }));
}

#[test]
fn a_copy_replaces_the_first_on_the_screen() {
    let message = &body(&titled(), Platform::Other)["message"];
    assert_eq!(message["android"]["notification"]["tag"], ID);
    assert_eq!(message["android"].get("collapseKey"), None, "a device keeps four collapse keys only");
    assert_eq!(message["apns"]["headers"]["apns-collapse-id"], ID);
    assert_eq!(message["webpush"]["headers"]["Topic"], ID.replace('-', ""));
    assert_eq!(message["webpush"]["notification"]["tag"], ID);
    assert_eq!(message["data"], json!({"pabal_id": ID}));
}

#[test]
fn the_callers_own_wins_in_either_spelling() {
    let theirs = json!({
        "android": {"ttl": "60s", "collapse_key": "c", "notification": {"tag": "mine", "channel_id": "x"}},
        "apns": {"headers": {"apns-collapse-id": "mine"}, "payload": {"aps": {"sound": "default"}}},
        "webpush": {"headers": {"topic": "mine", "Urgency": "high"}, "notification": {"tag": "mine"}},
        "fcm_options": {"analytics_label": "l"},
        "notification": {"title": "other"},
    });
    assert_eq!(
        body(&with(full(), theirs), Platform::Other)["message"],
        json!({
            "token": "tok:en",
            "notification": {
                "title": "other", "body": "오늘도 \"달려요\"", "image": "https://example.com/a.png",
            },
            "data": {"kind": "reminder", "link": "https://example.com/day", "pabal_id": ID},
            "fcmOptions": {"analyticsLabel": "l"},
            "android": {"ttl": "60s", "collapseKey": "c", "notification": {"tag": "mine", "channelId": "x"}},
            "apns": {
                "headers": {"apns-collapse-id": "mine", "apns-expiration": "1700003600"},
                "fcmOptions": {"image": "https://example.com/a.png"},
                "payload": {"aps": {"mutable-content": 1, "sound": "default"}},
            },
            "webpush": {
                "headers": {"topic": "mine", "TTL": "3600", "Urgency": "high"},
                "notification": {"tag": "mine"},
                "fcmOptions": {"link": "https://example.com/day"},
            },
        })
    );
}

#[test]
fn what_the_caller_gives_another_platform_is_sent_too() {
    let message = with(titled(), json!({"apns": {"payload": {"aps": {"badge": 1}}}}));
    let body = body(&message, Platform::Android);
    assert_eq!(body["message"]["apns"], json!({"payload": {"aps": {"badge": 1}}}));
    assert_eq!(body["message"]["android"]["ttl"], "3600s");
}

#[test]
fn a_null_takes_away_what_is_made() {
    let theirs =
        json!({"android": {"ttl": null, "notification": null}, "webpush": {"headers": {"TTL": null}}});
    let body = body(&with(titled(), theirs), Platform::Other);
    assert_eq!(body["message"]["android"], json!({}));
    assert_eq!(body["message"]["webpush"]["headers"], json!({"Topic": ID.replace('-', "")}));
}

#[test]
fn android_v2_stands_in_for_android() {
    let v2 =
        json!({"androidV2": {"remote_notification": {"mutable_content": true, "notification": {"id": 7}}}});
    let message = &body(&with(full(), v2), Platform::Android)["message"];
    assert_eq!(message.get("android"), None);
    assert_eq!(
        message["androidV2"],
        json!({
            "ttl": "3600s", "collapseKey": "day",
            "remoteNotification": {"mutableContent": true, "notification": {"id": 7, "tag": ID}},
        })
    );
    let sync = with(full(), json!({"androidV2": {"backgroundSync": {}}}));
    assert_eq!(
        body(&sync, Platform::Android)["message"]["androidV2"],
        json!({"ttl": "3600s", "collapseKey": "day", "backgroundSync": {}})
    );
}

#[test]
fn a_data_message_stays_one() {
    assert_eq!(
        body(&data_only(), Platform::Other)["message"],
        json!({
            "token": "tok:en",
            "data": {"k": "v", "pabal_id": ID},
            "android": {"ttl": "3600s"},
            "apns": {
                "headers": {
                    "apns-collapse-id": ID, "apns-expiration": "1700003600", "apns-priority": "5",
                    "apns-push-type": "background",
                },
                "payload": {"aps": {"content-available": 1}},
            },
            "webpush": {"headers": {"TTL": "3600", "Topic": ID.replace('-', "")}},
        })
    );
}

#[test]
fn a_platform_that_shows_something_by_itself_gets_its_tag() {
    let theirs = json!({
        "android": {"notification": {"title": "a"}},
        "apns": {"payload": {"aps": {"alert": "a"}}},
        "webpush": {"notification": {"title": "w"}},
    });
    let message = &body(&with(data_only(), theirs), Platform::Other)["message"];
    assert_eq!(message["android"]["notification"], json!({"title": "a", "tag": ID}));
    assert_eq!(message["webpush"]["notification"], json!({"title": "w", "tag": ID}));
    assert_eq!(message["apns"]["payload"], json!({"aps": {"alert": "a"}}));
    assert_eq!(message["apns"]["headers"].get("apns-priority"), None);
}

#[test]
fn data_of_a_platforms_own_carries_the_id_too() {
    let message =
        &body(&with(titled(), json!({"android": {"data": {"a": "b"}}})), Platform::Android)["message"];
    assert_eq!(message["android"]["data"], json!({"a": "b", "pabal_id": ID}));
}

#[test]
fn a_link_that_web_push_would_refuse_is_for_the_app_only() {
    let message = Message {
        link: Some("myapp://day".into()),
        data: [("link".to_owned(), "own".to_owned())].into(),
        ..titled()
    };
    let body = &body(&message, Platform::Web)["message"];
    assert_eq!(body["webpush"].get("fcmOptions"), None);
    assert_eq!(body["data"]["link"], "own");
}

#[test]
fn a_collapse_key_that_no_header_may_hold_is_hashed() {
    let topics: Vec<String> = ["오늘", "내일", &"x".repeat(33)]
        .into_iter()
        .map(|key| {
            let message = Message { collapse_key: Some(key.to_owned()), ..titled() };
            let message = &body(&message, Platform::Other)["message"];
            assert_eq!(message["android"]["collapseKey"], key);
            let topic = message["webpush"]["headers"]["Topic"].as_str().unwrap().to_owned();
            assert_eq!(topic.len(), TOPIC_CHARS_MAX);
            assert!(topic.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'));
            topic
        })
        .collect();
    assert_ne!(topics[0], topics[1]);
}

#[test]
fn validate_only_stands_beside_the_message() {
    let message = Message { validate_only: true, ..titled() };
    assert_eq!(body(&message, Platform::Web)["validateOnly"], true);
    assert_eq!(body(&titled(), Platform::Web).get("validateOnly"), None);
}

/// A value for each field of a schema of the discovery document, as a caller would give it.
fn example(schemas: &Value, property: &Value, text: &str) -> Value {
    if let Some(name) = property["$ref"].as_str() {
        let fields = schemas[name]["properties"].as_object().cloned().unwrap_or_default();
        return fields.iter().map(|(key, field)| (key.clone(), example(schemas, field, key))).collect();
    }
    match property["type"].as_str() {
        Some("boolean") => true.into(),
        Some("integer" | "number") => 1.into(),
        Some("array") => json!([example(schemas, &property["items"], text)]),
        Some("object") => json!({ "of_the_callers_own": text }),
        _ => text.into(),
    }
}

fn snake(key: &str) -> String {
    key.chars().fold(String::new(), |mut snake, c| {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
        snake
    })
}

/// The same with the schema's fields in snake_case; `data`, `headers` and the like keep their keys.
fn in_snake_case(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            fields.iter().map(|(key, field)| (snake(key), in_snake_case(field))).collect()
        }
        value => value.clone(),
    }
}

#[test]
fn every_field_of_the_discovery_document_is_reachable_in_either_spelling() {
    let document: Value = serde_json::from_str(fcm_emulator::DISCOVERY_DOCUMENT).unwrap();
    let schemas = &document["schemas"];
    for part in ["android", "androidV2", "apns", "webpush", "fcmOptions", "notification"] {
        let given = example(schemas, &schemas["Message"]["properties"][part], part);
        assert!(given.as_object().is_some_and(|fields| !fields.is_empty()), "{part} is in the document");
        let key = if part == "fcmOptions" { "fcm_options" } else { part };
        for spelled in [given.clone(), in_snake_case(&given)] {
            let message = with(titled(), json!({ key: spelled }));
            assert_holds(&body(&message, Platform::Other)["message"][part], &given, part);
        }
    }
}

fn assert_holds(sent: &Value, given: &Value, path: &str) {
    match given {
        Value::Object(given) => {
            for (key, value) in given {
                assert_holds(&sent[key], value, &format!("{path}.{key}"));
            }
        }
        given => assert_eq!(sent, given, "{path}"),
    }
}
