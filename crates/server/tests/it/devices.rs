//! Devices: registered, shown, moved, removed.

use http::Method;
use serde_json::json;

use crate::world::{World, settled_shape};

#[tokio::test]
async fn a_device_is_registered_shown_and_removed() {
    let world = World::start().await;
    let path = "/v1/users/ann/devices/phone";
    let body = json!({
        "channel": "fcm", "platform": "ios", "token": "token-1", "project": "demo",
        "locale": "ko-KR", "time_zone": "Asia/Seoul",
    });
    let registered = world.call(Method::PUT, path, Some(body)).await;
    assert_eq!(registered.status, 200);
    let expect = json!({
        "user": "ann", "device": "phone", "channel": "fcm", "platform": "ios", "project": "demo",
        "token": "token-1", "locale": "ko-KR", "time_zone": "Asia/Seoul", "mark": null,
        "created_at": "TIME", "seen_at": "TIME",
    });
    assert_eq!(settled_shape(registered.body), expect);
    assert_eq!(settled_shape(world.get(path).await.body), expect);
    assert_eq!(settled_shape(world.get("/v1/users/ann/devices").await.body), json!({ "devices": [expect] }));

    assert_eq!(world.call(Method::DELETE, path, None).await.status, 204);
    for method in [Method::DELETE, Method::GET] {
        let answer = world.call(method, path, None).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["detail"]),
            (404, &json!("there is no such device"))
        );
    }
    assert_eq!(world.get("/v1/users/ann/devices").await.body, json!({ "devices": [] }));
}

#[tokio::test]
async fn a_fid_does_as_well() {
    let world = World::start().await;
    let body = json!({ "channel": "fcm", "platform": "web", "fid": "an-installation-id" });
    let answer = world.call(Method::PUT, "/v1/users/%EC%9C%A0%EC%A7%84/devices/a%2Fb", Some(body)).await;
    assert_eq!(answer.status, 200);
    assert_eq!((&answer.body["user"], &answer.body["device"]), (&json!("유진"), &json!("a/b")));
    assert_eq!(answer.body["fid"], "an-installation-id");
}

#[tokio::test]
async fn a_shared_phone_belongs_to_whom_it_was_registered_for_last() {
    let world = World::start().await;
    world.register("ann", "phone", "shared-token").await;
    world.register("bea", "phone", "shared-token").await;
    assert_eq!(world.get("/v1/users/ann/devices").await.body, json!({ "devices": [] }));
    let id = world.accepted(json!({ "to": { "user": "bea" }, "title": "t" })).await;
    assert_eq!(world.settled(&id).await["counts"], json!({ "delivered": 1 }));
}

#[tokio::test]
async fn a_user_has_a_bounded_number_of_devices() {
    let world = World::start().await;
    for n in 0..pabal_core::limits::DEVICES_PER_USER_MAX {
        world.register("ann", &format!("phone-{n}"), &format!("token-{n}")).await;
    }
    let body = json!({ "channel": "fcm", "platform": "ios", "token": "one-more" });
    let answer = world.call(Method::PUT, "/v1/users/ann/devices/one-more", Some(body)).await;
    assert_eq!(answer.status, 409, "{}", answer.body);
    assert_eq!(answer.body["type"], "urn:pabal:problem:limit_reached");
    let detail = answer.body["detail"].as_str().unwrap();
    assert!(detail.contains("50 devices"), "{detail}");
}
