//! The exact bodies of refusals: a client's classification stands on them.

use fcm_emulator::{Faults, limits};
use serde_json::{Value, json};

use crate::client::{Client, start};

const FCM_ERROR: &str = "type.googleapis.com/google.firebase.fcm.v1.FcmError";
const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";

fn envelope(code: u16, status: &str, message: &str, details: Value) -> Value {
    let mut error = json!({"code": code, "message": message, "status": status, "details": details});
    if details == json!([]) {
        error.as_object_mut().unwrap().remove("details");
    }
    json!({"error": error})
}

fn invalid(message: &str, details: Value) -> Value {
    envelope(400, "INVALID_ARGUMENT", message, details)
}

/// BadRequest with one violation, then FcmError.
fn invalid_field(message: &str, field: &str, description: &str) -> Value {
    let violations = json!([{"field": field, "description": description}]);
    let details = json!([
        {"@type": BAD_REQUEST, "fieldViolations": violations},
        {"@type": FCM_ERROR, "errorCode": "INVALID_ARGUMENT"},
    ]);
    invalid(message, details)
}

/// What the JSON front end refuses: no FcmError.
fn bad_json(violations: &[(Option<&str>, &str)]) -> Value {
    let texts: Vec<&str> = violations.iter().map(|(_, text)| *text).collect();
    let violations: Vec<Value> = violations
        .iter()
        .map(|(field, text)| match field {
            Some(field) => json!({"field": field, "description": text}),
            None => json!({"description": text}),
        })
        .collect();
    invalid(&texts.join("\n"), json!([{"@type": BAD_REQUEST, "fieldViolations": violations}]))
}

fn targets() -> Vec<(Value, Value)> {
    let recipient = "Recipient of the message is not set.";
    let token = "The registration token is not a valid FCM registration token";
    let topic = "Topic name contains invalid characters.";
    let malformed = |field: &str| {
        let violations = json!([{"field": field, "description": token}]);
        invalid(
            token,
            json!([
                {"@type": FCM_ERROR, "errorCode": "INVALID_ARGUMENT"},
                {"@type": BAD_REQUEST, "fieldViolations": violations},
            ]),
        )
    };
    let six_topics = ["'a' in topics"; 6].join("||");
    let bare = invalid("Request contains an invalid argument.", json!([]));
    vec![
        (json!({}), invalid_field(recipient, "message", recipient)),
        (json!({"message": {"data": {"a": "b"}}}), invalid_field(recipient, "message", recipient)),
        (json!({"message": {"token": "not a token"}}), malformed("message.token")),
        (json!({"message": {"fid": "not/a/fid"}}), malformed("message.fid")),
        (json!({"message": {"topic": "/topics/a"}}), invalid_field(topic, "message", topic)),
        (
            json!({"message": {"topic": "a".repeat(limits::MAX_TOPIC_CHARS + 1)}}),
            invalid_field(topic, "message", topic),
        ),
        (json!({"message": {"condition": "'a' in topics &&"}}), bare.clone()),
        (json!({"message": {"condition": six_topics}}), bare),
        (
            json!({"message": {"token": "a", "topic": "b"}}),
            bad_json(&[(
                Some("message"),
                "Invalid value at 'message' (oneof), oneof field 'target' is already set. Cannot set 'topic'",
            )]),
        ),
    ]
}

fn contents() -> Vec<(Value, Value)> {
    let general = "Request contains an invalid argument.";
    let message = |part: Value| {
        let mut message = json!({"token": "t"});
        for (key, value) in part.as_object().unwrap() {
            message[key] = value.clone();
        }
        json!({"message": message})
    };
    let ttl = "TTL must be a non-negative integer.";
    let too_large = invalid(
        "Message is too large. The maximum is 4K (4096 bytes).",
        json!([{"@type": BAD_REQUEST}, {"@type": FCM_ERROR, "errorCode": "INVALID_ARGUMENT"}]),
    );
    let reserved = |key: &str| {
        let text = format!("Invalid data payload key: {key}");
        invalid_field(&text, "message.data", &text)
    };
    vec![
        (message(json!({"data": {"k": "x".repeat(limits::MAX_PAYLOAD_BYTES)}})), too_large),
        (message(json!({"data": {"from": "x"}})), reserved("from")),
        (message(json!({"data": {"message_type": "x"}})), reserved("message_type")),
        (message(json!({"data": {"google.x": "x"}})), reserved("google.x")),
        (message(json!({"data": {"gcm.notification.x": "x"}})), reserved("gcm.notification.x")),
        (
            message(json!({"webpush": {"headers": {"TTL": "-1"}}})),
            invalid_field(ttl, "message.webpush.headers.TTL", ttl),
        ),
        (
            message(json!({"android": {"ttl": "2419201s"}})),
            invalid_field(general, "message.android.ttl", "TTL must be between 0 and 2419200 seconds."),
        ),
        (
            message(json!({"android": {"notification": {"color": "red"}}})),
            invalid_field(
                general,
                "message.android.notification.color",
                "Color must be in the form #RRGGBB.",
            ),
        ),
        (
            message(json!({"fcmOptions": {"analyticsLabel": "a b"}})),
            invalid_field(
                general,
                "message.fcm_options.analytics_label",
                "Analytics label must match ^[a-zA-Z0-9-_.~%]{1,50}$.",
            ),
        ),
        (
            message(json!({"android_v2": {"ttl": "-0.5s"}})),
            invalid_field(general, "message.android_v2.ttl", "TTL must be between 0 and 2419200 seconds."),
        ),
        (
            message(json!({"androidV2": {"remoteNotification": {"notification": {"color": "#12345"}}}})),
            invalid_field(
                general,
                "message.android_v2.remote_notification.notification.color",
                "Color must be in the form #RRGGBB.",
            ),
        ),
        (
            message(json!({"android": {"notification": {"lightSettings": {"color": {}}}}})),
            invalid_field(
                general,
                "message.android.notification.light_settings.light_on_duration",
                "This field is required.",
            ),
        ),
        (
            message(json!({"android": {"notification": {"light_settings": {
                "color": {"red": 2}, "lightOnDuration": "1s", "lightOffDuration": "1s",
            }}}})),
            invalid_field(
                general,
                "message.android.notification.light_settings.color.red",
                "Color components must be between 0 and 1.",
            ),
        ),
        (
            message(json!({"webpush": {"fcm_options": {"link": "http://example.com"}}})),
            invalid_field(
                general,
                "message.webpush.fcm_options.link",
                "Link must be a URL that starts with https://.",
            ),
        ),
        (
            message(json!({"android": {}, "android_v2": {}})),
            invalid_field(general, "message", "Only one of AndroidConfig and AndroidConfigV2 can be set."),
        ),
    ]
}

/// Each validator in every place it holds, and every way to be wrong: the field it names.
#[tokio::test]
async fn validators_hold_in_every_place() {
    let emulator = start(Faults::default()).await;
    let mut client = Client::connect(&emulator).await;
    let long = "a".repeat(limits::MAX_ANALYTICS_LABEL_CHARS + 1);
    let cases = [
        (json!({"android": {"data": {"from": "x"}}}), "message.android.data"),
        (json!({"android_v2": {"data": {"google.x": "x"}}}), "message.android_v2.data"),
        (json!({"webpush": {"data": {"message_type": "x"}}}), "message.webpush.data"),
        (json!({"fcm_options": {"analytics_label": long}}), "message.fcm_options.analytics_label"),
        (
            json!({"android": {"fcm_options": {"analytics_label": "é"}}}),
            "message.android.fcm_options.analytics_label",
        ),
        (
            json!({"androidV2": {"fcmOptions": {"analyticsLabel": "a b"}}}),
            "message.android_v2.fcm_options.analytics_label",
        ),
        (
            json!({"apns": {"fcm_options": {"analytics_label": "a/b"}}}),
            "message.apns.fcm_options.analytics_label",
        ),
        (
            json!({"webpush": {"fcm_options": {"analytics_label": "a,b"}}}),
            "message.webpush.fcm_options.analytics_label",
        ),
        (json!({"webpush": {"headers": {"ttl": "1.5"}}}), "message.webpush.headers.TTL"),
        (json!({"webpush": {"headers": {"Ttl": ""}}}), "message.webpush.headers.TTL"),
        (json!({"android": {"ttl": "60"}}), "message.android.ttl"),
        (json!({"android": {"ttl": "1.0000000001s"}}), "message.android.ttl"),
        (json!({"android": {"ttl": 60}}), "message.android.ttl"),
        (json!({"android": {"priority": "urgent"}}), "message.android.priority"),
        (json!({"notification": {"title": 1}}), "message.notification.title"),
        (json!({"notification": {"sound": "x"}}), "message.notification"),
        (json!({"apns": {"headers": {"apns-priority": 5}}}), "message.apns.headers[0].value"),
    ];
    for (part, field) in cases {
        let mut message = json!({"token": "t"});
        message.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        let answer = client.send(message).await;
        let error = &answer.json()["error"];
        let details = error["details"].as_array().unwrap();
        let bad_request = details.iter().find(|detail| detail["@type"] == BAD_REQUEST).unwrap();
        assert_eq!((answer.status.as_u16(), &error["status"]), (400, &json!("INVALID_ARGUMENT")), "{part}");
        assert_eq!(bad_request["fieldViolations"][0]["field"], field, "{part}");
    }
    // What is empty is not there, as in protobuf.
    let empty = json!({
        "token": "t", "fcm_options": {"analytics_label": ""}, "android": {"notification": {"color": ""}},
        "webpush": {"fcm_options": {"link": ""}},
    });
    assert_eq!(client.send(empty).await.status, 200);
}

fn wrong_json() -> Vec<(Value, Value)> {
    let message = |part: Value| json!({"message": part});
    vec![
        (
            message(json!({"token": "t", "data": {"a": 12}})),
            bad_json(&[(
                Some("message.data[0].value"),
                "Invalid value at 'message.data[0].value' (TYPE_STRING), 12",
            )]),
        ),
        (
            message(json!({"token": "t", "x": 1, "notification": {"y": 2}})),
            bad_json(&[
                (
                    Some("message.notification"),
                    "Invalid JSON payload received. Unknown name \"y\" at 'message.notification': Cannot find field.",
                ),
                (
                    Some("message"),
                    "Invalid JSON payload received. Unknown name \"x\" at 'message': Cannot find field.",
                ),
            ]),
        ),
    ]
}

#[tokio::test]
async fn refusals_have_googles_exact_bodies() {
    let emulator = start(Faults::default()).await;
    let mut client = Client::connect(&emulator).await;
    for (body, expected) in targets().into_iter().chain(contents()).chain(wrong_json()) {
        let answer = client.try_send(body.to_string()).await.unwrap();
        assert_eq!(answer.json(), expected, "{body}");
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.header("content-type"), Some("application/json; charset=UTF-8"));
    }
    assert_eq!(emulator.count().accepted, 0);
}

#[tokio::test]
async fn no_json_and_too_much_of_it() {
    let emulator = start(Faults::default()).await;
    let mut client = Client::connect(&emulator).await;
    let answer = client.try_send("{nope}").await.unwrap();
    let text = "Invalid JSON payload received. Unexpected token.\n{nope}\n ^";
    assert_eq!(answer.json(), bad_json(&[(None, text)]));
    let answer = client.try_send("").await.unwrap();
    assert_eq!(answer.json()["error"]["message"], "Recipient of the message is not set.");

    let padding = |bytes: usize| format!(r#"{{"message":{{"token":"t"}}{}}}"#, " ".repeat(bytes - 25));
    assert_eq!(client.try_send(padding(limits::MAX_BODY_BYTES)).await.unwrap().status, 200);
    let answer = client.try_send(padding(limits::MAX_BODY_BYTES + 1)).await.unwrap();
    let text = "Request payload size exceeds the limit: 262144 bytes.";
    assert_eq!(answer.json(), invalid(text, json!([])));
}

#[tokio::test]
async fn fault_answers_have_their_exact_bodies() {
    let emulator = start(Faults::default()).await;
    let mut client = Client::connect(&emulator).await;
    let fcm = |code, status, message, error_code| {
        envelope(code, status, message, json!([{"@type": FCM_ERROR, "errorCode": error_code}]))
    };
    let table = [
        ("unregistered", fcm(404, "NOT_FOUND", "Requested entity was not found.", "UNREGISTERED")),
        ("sender_mismatch", fcm(403, "PERMISSION_DENIED", "SenderId mismatch", "SENDER_ID_MISMATCH")),
        (
            "third_party_auth",
            fcm(401, "UNAUTHENTICATED", "Auth error from APNS or Web Push Service", "THIRD_PARTY_AUTH_ERROR"),
        ),
        ("internal", fcm(500, "INTERNAL", "Internal error encountered.", "INTERNAL")),
        ("unavailable", fcm(503, "UNAVAILABLE", "The service is currently unavailable.", "UNAVAILABLE")),
    ];
    for (kind, expected) in table {
        let faults = format!(r#"{{"tokens":[{{"prefix":"","answer":"{kind}"}}]}}"#);
        emulator.set_faults(Faults::from_json(faults.as_bytes()).unwrap()).unwrap();
        let answer = client.send(json!({"token": "t"})).await;
        assert_eq!(answer.json(), expected, "{kind}");
        assert_eq!(answer.status.as_u16(), expected["error"]["code"], "{kind}");
        assert_eq!(answer.header("retry-after"), None);

        let bare = format!(r#"{{"missing_details":true,{}"#, &faults[1..]);
        emulator.set_faults(Faults::from_json(bare.as_bytes()).unwrap()).unwrap();
        assert_eq!(client.send(json!({"token": "t"})).await.json()["error"]["details"], Value::Null);
    }
}

#[tokio::test]
async fn accepted_sends_are_named() {
    let emulator = start(Faults::default()).await;
    let mut client = Client::connect(&emulator).await;
    let name = |answer: Value| {
        answer["name"].as_str().unwrap().strip_prefix("projects/demo/messages/").unwrap().to_owned()
    };
    let token = name(client.send(json!({"token": "t"})).await.json());
    assert!(token.starts_with("0:") && token.contains('%'), "{token}");
    let topic = name(client.send(json!({"topic": "t"})).await.json());
    assert!(topic.bytes().all(|byte| byte.is_ascii_digit()), "{topic}");
    assert_ne!(token, name(client.send(json!({"token": "t"})).await.json()));
    assert_eq!(emulator.count().accepted, 3);

    let answer = client.try_send(r#"{"validateOnly":true,"message":{"token":"t"}}"#).await.unwrap();
    assert_eq!(name(answer.json()), "fake_message_id");
    assert_eq!(emulator.count().accepted, 3, "a validation is not received");
}
