//! Topic management over both APIs, and whom sends to topics and conditions reach.

use fcm_emulator::{Emulator, Faults, limits};
use http::Method;
use serde_json::{Value, json};

use crate::client::{Answer, Client, start};

const REGISTRATIONS: &str = "/v1/projects/demo/registrations";

async fn started() -> (Emulator, Client) {
    let emulator = start(Faults::default()).await;
    let client = Client::connect(&emulator).await;
    (emulator, client)
}

async fn subscribe(client: &mut Client, registration: &str, topic: &str) -> Answer {
    let path = format!("{REGISTRATIONS}/{registration}/topicSubscriptions?topic_name={topic}");
    client.authorized(Method::POST, &path, "{}").await
}

fn error_message(answer: &Answer) -> Value {
    answer.json()["error"]["message"].clone()
}

#[tokio::test]
async fn a_subscription_is_made_read_and_ended() {
    let (emulator, mut client) = started().await;
    let one = format!("{REGISTRATIONS}/a%3Ab/topicSubscriptions/news");
    let made = subscribe(&mut client, "a%3Ab", "news").await;
    assert_eq!(made.status, 200, "{}", made.text());
    let create_time = made.json()["createTime"].clone();
    assert_eq!(
        made.json(),
        json!({
            "name": "projects/demo/registrations/a:b/topicSubscriptions/news",
            "createTime": create_time, "topicName": "news",
        })
    );
    assert_eq!(create_time.as_str().unwrap().len(), 24);
    assert_eq!(client.authorized(Method::GET, &one, "").await.json(), made.json());

    let again = subscribe(&mut client, "a%3Ab", "news").await;
    let expected =
        json!({"code": 409, "message": "Requested entity already exists", "status": "ALREADY_EXISTS"});
    assert_eq!((again.status.as_u16(), again.json()), (409, json!({"error": expected})));
    assert_eq!(client.authorized(Method::PATCH, &one, "{}").await.json(), made.json());

    assert_eq!(emulator.subscriptions(0, 10).len(), 1);
    let ended = client.authorized(Method::DELETE, &one, "").await;
    assert_eq!((ended.status.as_u16(), ended.json()), (200, json!({})));
    let missing = json!({"error": {
        "code": 404, "message": "Requested entity was not found.", "status": "NOT_FOUND",
    }});
    for method in [Method::GET, Method::DELETE, Method::PATCH] {
        let answer = client.authorized(method.clone(), &one, "").await;
        assert_eq!((answer.status.as_u16(), answer.json()), (404, missing.clone()), "{method}");
    }
    let allowed = format!("{one}?allow_missing=true");
    assert_eq!(client.authorized(Method::DELETE, &allowed, "").await.json(), json!({}));
    assert_eq!(client.authorized(Method::PATCH, &allowed, "{}").await.json()["topicName"], "news");
    assert_eq!(emulator.subscriptions(0, 10).len(), 1);
}

#[tokio::test]
async fn subscriptions_are_listed_in_pages() {
    let (_emulator, mut client) = started().await;
    let list = format!("{REGISTRATIONS}/r/topicSubscriptions");
    assert_eq!(client.authorized(Method::GET, &list, "").await.json(), json!({}));
    for topic in ["c", "a", "b"] {
        subscribe(&mut client, "r", topic).await;
    }
    let names = |answer: &Answer| -> Vec<String> {
        let listed = answer.json()["topicSubscriptions"].as_array().cloned().unwrap_or_default();
        listed.iter().map(|one| one["topicName"].as_str().unwrap().to_owned()).collect()
    };
    let first = client.authorized(Method::GET, &format!("{list}?pageSize=2"), "").await;
    assert_eq!(names(&first), ["a", "b"]);
    let token = first.json()["nextPageToken"].as_str().unwrap().to_owned();
    let last = client.authorized(Method::GET, &format!("{list}?page_size=2&page_token={token}"), "").await;
    assert_eq!((names(&last), last.json().get("nextPageToken")), (vec!["c".to_owned()], None));
    for (query, message) in [
        ("pageSize=-1", "Page size must not be negative."),
        ("pageToken=!", "Page token is invalid."),
        ("pageSize=x", "Invalid value at 'page_size' (TYPE_INT32), \"x\""),
    ] {
        let answer = client.authorized(Method::GET, &format!("{list}?{query}"), "").await;
        assert_eq!((answer.status.as_u16(), error_message(&answer)), (400, message.into()), "{query}");
    }
}

#[tokio::test]
async fn a_registration_has_so_many_topics_and_a_page_so_many_subscriptions() {
    let (_emulator, mut client) = started().await;
    for n in 0..limits::MAX_TOPICS_PER_REGISTRATION {
        assert_eq!(subscribe(&mut client, "r", &format!("t{n}")).await.status, 200);
    }
    let list = format!("{REGISTRATIONS}/r/topicSubscriptions");
    for (query, expected) in [
        ("", limits::DEFAULT_SUBSCRIPTION_PAGE),
        ("?pageSize=1500", 1_500),
        ("?pageSize=100000", limits::MAX_SUBSCRIPTION_PAGE),
    ] {
        let page = client.authorized(Method::GET, &format!("{list}{query}"), "").await.json();
        assert_eq!(page["topicSubscriptions"].as_array().unwrap().len(), expected, "{query}");
    }
    let answer = subscribe(&mut client, "r", "more").await;
    let expected = json!({"error": {
        "code": 400, "status": "FAILED_PRECONDITION",
        "message": "The registration is subscribed to the maximum number of topics.",
        "details": [{
            "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "TOO_MANY_TOPICS",
        }],
    }});
    assert_eq!((answer.status.as_u16(), answer.json()), (400, expected));
    let batch = json!({"to": "/topics/more", "registration_tokens": ["r", "s"]});
    let answer = client.iid(Method::POST, "/iid/v1:batchAdd", &batch.to_string()).await;
    assert_eq!(answer.json(), json!({"results": [{"error": "TOO_MANY_TOPICS"}, {}]}));
}

#[tokio::test]
async fn what_is_malformed_is_refused() {
    let (emulator, mut client) = started().await;
    let create = format!("{REGISTRATIONS}/r/topicSubscriptions");
    let topic = "Topic name contains invalid characters.";
    let long = "a".repeat(limits::MAX_TOPIC_CHARS + 1);
    for (path, body, message) in [
        (create.clone(), "{}", topic),
        (format!("{create}?topic_name=a%20b"), "{}", topic),
        (format!("{create}?topic_name={long}"), "{}", topic),
        (
            format!("{REGISTRATIONS}/no%20token/topicSubscriptions?topic_name=t"),
            "{}",
            "The registration token is not a valid FCM registration token",
        ),
        (
            format!("{create}?topic_name=t"),
            r#"{"x":1}"#,
            "Invalid JSON payload received. Unknown name \"x\": Cannot find field.",
        ),
        (
            format!("{create}?topic_name=t&x=1"),
            "{}",
            "Invalid JSON payload received. Unknown name \"x\": Cannot bind query parameter. Field 'x' could not \
             be found in request message.",
        ),
    ] {
        let answer = client.authorized(Method::POST, &path, body).await;
        assert_eq!((answer.status.as_u16(), error_message(&answer)), (400, message.into()), "{path}");
    }
    assert_eq!(subscribe(&mut client, "r", &"a".repeat(limits::MAX_TOPIC_CHARS)).await.status, 200);
    let answer =
        client.authorized(Method::POST, "/v1/projects/other/registrations/r/topicSubscriptions", "{}").await;
    assert_eq!(answer.json()["error"]["status"], "PERMISSION_DENIED");
    client.token = None;
    let answer = subscribe(&mut client, "r", "t").await;
    assert_eq!((answer.status.as_u16(), answer.header("www-authenticate").is_some()), (401, true));
    assert_eq!(emulator.subscriptions(0, 10).len(), 1);
}

#[tokio::test]
async fn the_old_api_answers_token_by_token() {
    let emulator = start(
        Faults::from_json(
            br#"{"tokens":[
                {"prefix":"dead-","answer":"unregistered"}, {"prefix":"bad-","answer":"invalid_token"},
                {"prefix":"foreign-","answer":"sender_mismatch"}, {"prefix":"slow-","answer":"unavailable"},
                {"prefix":"broken-","answer":"internal"}, {"prefix":"quick-","answer":"quota"}
            ]}"#,
        )
        .unwrap(),
    )
    .await;
    let mut client = Client::connect(&emulator).await;
    let tokens =
        json!(["good", "dead-1", "bad-1", "foreign-1", "slow-1", "broken-1", "quick-1", "no token", "good2"]);
    let batch = json!({"to": "/topics/news", "registration_tokens": tokens}).to_string();
    let codes = json!({"results": [
        {}, {"error": "NOT_FOUND"}, {"error": "INVALID_ARGUMENT"}, {"error": "PERMISSION_DENIED"},
        {"error": "DEADLINE_EXCEEDED"}, {"error": "INTERNAL"}, {"error": "RESOURCE_EXHAUSTED"},
        {"error": "INVALID_ARGUMENT"}, {},
    ]});
    let answer = client.iid(Method::POST, "/iid/v1:batchAdd", &batch).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, codes.clone()));
    let subscribed: Vec<String> =
        emulator.subscriptions(0, 10).iter().map(|one| one.registration.to_string()).collect();
    assert_eq!(subscribed, ["good", "good2"]);

    // The new API says the same of them, one at a time.
    for (registration, status, code) in [
        ("dead-1", 404, "NOT_FOUND"),
        ("bad-1", 400, "INVALID_ARGUMENT"),
        ("foreign-1", 403, "PERMISSION_DENIED"),
        ("slow-1", 503, "UNAVAILABLE"),
        ("broken-1", 500, "INTERNAL"),
        ("quick-1", 429, "RESOURCE_EXHAUSTED"),
    ] {
        let answer = subscribe(&mut client, registration, "news").await;
        assert_eq!((answer.status.as_u16(), answer.json()["error"]["status"].as_str()), (status, Some(code)));
    }

    let info = client.iid(Method::GET, "/iid/info/good?details=true", "").await.json();
    assert_eq!(info["rel"]["topics"]["news"]["addDate"].as_str().unwrap().len(), 10, "{info}");
    assert_eq!(client.iid(Method::GET, "/iid/info/good", "").await.json().get("rel"), None);
    let gone = client.iid(Method::GET, "/iid/info/dead-1", "").await;
    assert_eq!(
        (gone.status.as_u16(), gone.json()),
        (404, json!({"error": "No information found about this instance id."}))
    );
    assert_eq!(client.iid(Method::POST, "/iid/v1/good/rel/topics/sport", "").await.json(), json!({}));
    assert_eq!(client.iid(Method::POST, "/iid/v1:batchRemove", &batch).await.json(), codes);
    let left: Vec<String> = emulator.subscriptions(0, 10).iter().map(|one| one.topic.to_string()).collect();
    assert_eq!(left, ["sport"]);
}

#[tokio::test]
async fn the_old_api_refuses_whole_requests() {
    let (_emulator, mut client) = started().await;
    let too_many = vec!["r"; limits::MAX_BATCH_REGISTRATIONS + 1];
    for body in [
        "nope".to_owned(),
        json!({"to": "news", "registration_tokens": ["r"]}).to_string(),
        json!({"to": "/topics/a b", "registration_tokens": ["r"]}).to_string(),
        json!({"to": "/topics/news", "registration_tokens": too_many}).to_string(),
    ] {
        let answer = client.iid(Method::POST, "/iid/v1:batchAdd", &body).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (400, json!({"error": "INVALID_ARGUMENT"})));
    }
    let good = json!({"to": "/topics/news", "registration_tokens": ["r"]}).to_string();
    let without_header = client.authorized(Method::POST, "/iid/v1:batchAdd", "{}").await;
    assert_eq!(without_header.status, 401);
    client.token = Some("ya29.unknown".to_owned());
    let answer = client.iid(Method::POST, "/iid/v1:batchAdd", &good).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (401, Some("text/html; charset=UTF-8"))
    );
}

#[tokio::test]
async fn sends_to_topics_and_conditions_tell_whom_they_reached() {
    let (emulator, mut client) = started().await;
    for (registration, topic) in [("1", "a"), ("2", "a"), ("2", "b"), ("3", "b")] {
        subscribe(&mut client, registration, topic).await;
    }
    for (target, reached) in [
        (json!({"topic": "a"}), json!({"count": 2, "registrations": ["1", "2"]})),
        (json!({"topic": "nobodys"}), json!({"count": 0, "registrations": []})),
        (
            json!({"condition": "'a' in topics && !('b' in topics)"}),
            json!({"count": 1, "registrations": ["1"]}),
        ),
        (
            json!({"condition": "('a' in topics || 'b' in topics) && !('c' in topics)"}),
            json!({"count": 3, "registrations": ["1", "2", "3"]}),
        ),
        (json!({"token": "1"}), Value::Null),
    ] {
        let after = emulator.count().accepted;
        assert_eq!(client.send(target.clone()).await.status, 200);
        let line = client.get(&format!("/emulator/v1/messages?after={after}")).await.json();
        assert_eq!(line["reached"], reached, "{target}");
    }
    // Whoever leaves later was reached all the same.
    client.authorized(Method::DELETE, &format!("{REGISTRATIONS}/1/topicSubscriptions/a"), "").await;
    assert_eq!(emulator.messages(0, 1)[0].reached.as_ref().unwrap().count, 2);
}

#[tokio::test]
async fn all_subscriptions_are_listed_by_cursor() {
    const SUBSCRIPTIONS: &str = "/emulator/v1/subscriptions";
    let (emulator, mut client) = started().await;
    for (registration, topic) in [("r", "b"), ("s", "a"), ("r", "a")] {
        subscribe(&mut client, registration, topic).await;
    }
    let page = client.get(&format!("{SUBSCRIPTIONS}?after=1&limit=1")).await;
    assert_eq!(page.header("x-emulator-cursor"), Some("2"));
    let line = page.json();
    assert_eq!(
        line,
        json!({
            "cursor": 2, "project": "demo", "registration": "s", "topic": "a",
            "create_time": line["create_time"],
        })
    );
    let all = client.get(SUBSCRIPTIONS).await;
    assert_eq!((all.text().lines().count(), all.header("x-emulator-cursor")), (3, Some("3")));
    assert_eq!(client.get(&format!("{SUBSCRIPTIONS}?limit=10001")).await.status, 400);
    assert_eq!(client.get(&format!("{SUBSCRIPTIONS}?wait_ms=1")).await.status, 400);
    assert_eq!(client.call(Method::DELETE, SUBSCRIPTIONS, "").await.status, 204);
    assert_eq!(emulator.subscriptions(0, 10), []);
}
