//! FCM's limits per device and project, which are off until they are asked for.

use fcm_emulator::limits::FCM_COLLAPSE_KEYS;
use fcm_emulator::{Faults, Limits};
use http::Method;
use serde_json::{Value, json};

use crate::client::{Answer, Client, start};

fn script(limits: &str) -> Faults {
    Faults::from_json(format!(r#"{{"limits":{limits}}}"#).as_bytes()).unwrap()
}

/// The whole body of a 429, and a Retry-After within a range.
fn check_exceeded(
    answer: &Answer,
    message: &str,
    violation: Value,
    retry_after_s: std::ops::RangeInclusive<u32>,
) {
    let expected = json!({"error": {
        "code": 429, "message": message, "status": "RESOURCE_EXHAUSTED",
        "details": [
            {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "QUOTA_EXCEEDED"},
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]},
        ],
    }});
    assert_eq!((answer.status.as_u16(), answer.json()), (429, expected));
    let told: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(retry_after_s.contains(&told), "{told}");
}

#[tokio::test]
async fn fcms_own_numbers_hold_for_each_device() {
    let emulator = start(Faults::default()).await;
    let mut client = Client::connect(&emulator).await;
    for _ in 0..250 {
        assert_eq!(client.send(json!({"token": "a"})).await.status, 200, "no limit is on by itself");
    }
    emulator.set_faults(script("\"fcm\"")).unwrap();
    assert_eq!(emulator.faults().limits, Limits::FCM);
    // A message for 240 may come back while they are sent.
    let mut refused = None;
    for sent in 0..1_000 {
        let answer = client.send(json!({"fid": "a"})).await;
        if answer.status != 200 {
            refused = Some((sent, answer));
            break;
        }
    }
    let (sent, answer) = refused.expect("a device takes 240 at once");
    assert!(sent >= 240, "{sent}");
    let description = "The rate of messages to this device is too high.";
    let violation = json!({"subject": "registration:a", "description": description});
    check_exceeded(&answer, "Device message rate exceeded.", violation, 1..=1);
    assert_eq!(client.send(json!({"token": "b"})).await.status, 200, "another device has its own");
    assert_eq!(client.send(json!({"topic": "a"})).await.status, 200, "a topic is no device");
}

#[tokio::test]
async fn collapsible_messages_have_a_bucket_of_their_own() {
    let emulator = start(script("\"fcm\"")).await;
    let mut client = Client::connect(&emulator).await;
    let notification = json!({"token": "a", "notification": {"title": "x"}});
    for _ in 0..20 {
        assert_eq!(client.send(notification.clone()).await.status, 200);
    }
    let description = "The rate of collapsible messages to this device is too high.";
    let violation = json!({"subject": "registration:a", "description": description});
    let collapsible = json!({"token": "a", "android": {"collapseKey": "k"}});
    for message in [notification, collapsible] {
        let answer = client.send(message).await;
        check_exceeded(&answer, "Device message rate exceeded.", violation.clone(), 150..=180);
    }
    assert_eq!(client.send(json!({"token": "a", "data": {"k": "v"}})).await.status, 200);
    assert_eq!(emulator.count().accepted, 21);
}

#[tokio::test]
async fn a_fifth_collapse_key_is_told_of() {
    let emulator = start(script(&format!(r#"{{"collapse_keys":{FCM_COLLAPSE_KEYS}}}"#))).await;
    let mut client = Client::connect(&emulator).await;
    let send = |key: &str| json!({"token": "a", "android": {"collapseKey": key, "ttl": "60s"}});
    for key in ["a", "b", "c", "d", "a"] {
        assert_eq!(client.send(send(key)).await.status, 200);
    }
    let answer = client.send(send("e")).await;
    let description = "More than 4 different collapse keys are in use for this device.";
    let expected = json!({"error": {
        "code": 400, "message": "Request contains an invalid argument.", "status": "INVALID_ARGUMENT",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [{"field": "message.android.collapse_key", "description": description}],
            },
            {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "INVALID_ARGUMENT"},
        ],
    }});
    assert_eq!((answer.status.as_u16(), answer.json()), (400, expected));
    assert_eq!(answer.header("retry-after"), None);
}

#[tokio::test]
async fn fan_outs_are_limited_while_they_last() {
    let emulator = start(script(r#"{"fanouts":{"concurrent":1,"devices_per_s":1}}"#)).await;
    let mut client = Client::connect(&emulator).await;
    let tokens: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let batch = json!({"to": "/topics/news", "registration_tokens": tokens});
    client.iid(Method::POST, "/iid/v1:batchAdd", &batch.to_string()).await;
    assert_eq!(client.send(json!({"topic": "news"})).await.status, 200);
    let answer = client.send(json!({"condition": "'news' in topics"})).await;
    let subject = answer.json()["error"]["details"][1]["violations"][0]["subject"].clone();
    assert!(subject.as_str().unwrap().starts_with("project_number:"), "{subject}");
    let description = "Too many fan-outs of the project are under way.";
    let violation = json!({"subject": subject, "description": description});
    check_exceeded(&answer, "Topic message rate exceeded.", violation, 60..=100);
    assert_eq!(client.send(json!({"token": "1"})).await.status, 200, "a device is no fan-out");
    assert_eq!(emulator.count().accepted, 2);
}

#[tokio::test]
async fn subscriptions_have_a_rate() {
    let emulator = start(script(r#"{"subscriptions_per_s":1}"#)).await;
    let mut client = Client::connect(&emulator).await;
    let batch = json!({"to": "/topics/news", "registration_tokens": ["a", "b", "c"]}).to_string();
    let answer = client.iid(Method::POST, "/iid/v1:batchAdd", &batch).await;
    let exhausted = json!({"error": "RESOURCE_EXHAUSTED"});
    assert_eq!(answer.json(), json!({"results": [{}, exhausted, exhausted]}));
    let path = "/v1/projects/demo/registrations/d/topicSubscriptions?topic_name=news";
    let answer = client.authorized(Method::POST, path, "{}").await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, Some("1")));
    let error = &answer.json()["error"];
    assert_eq!(error["status"], "RESOURCE_EXHAUSTED");
    assert_eq!(error["details"][0]["@type"], "type.googleapis.com/google.rpc.QuotaFailure");
}

#[tokio::test]
async fn what_is_not_accepted_uses_nothing_up() {
    let faults =
        br#"{"limits":{"device_per_minute":1},"tokens":[{"prefix":"a","answer":"unavailable","first":3}]}"#;
    let emulator = start(Faults::from_json(faults).unwrap()).await;
    let mut client = Client::connect(&emulator).await;
    for _ in 0..3 {
        assert_eq!(client.send(json!({"token": "a"})).await.status, 503);
    }
    let validation = r#"{"validate_only":true,"message":{"token":"a"}}"#;
    assert_eq!(client.try_send(validation).await.unwrap().status, 200);
    assert_eq!(client.send(json!({"token": "a"})).await.status, 200);
    assert_eq!(client.send(json!({"token": "a"})).await.status, 429);
    emulator.set_faults(script("{}")).unwrap();
    assert_eq!(client.send(json!({"token": "a"})).await.status, 200, "limits can be lifted at run time");
}
