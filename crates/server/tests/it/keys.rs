//! Who may come in.

use http::{Method, Request};
use http_body_util::Full;
use pabal_server::{Config, Server};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::world::{KEY, World, exchange};

#[tokio::test]
async fn without_a_good_key_nobody_comes_in() {
    let world = World::start().await;
    let cases = [
        (None, "send the header 'Authorization: Bearer KEY'"),
        (Some("Bearer wrong".to_owned()), "this API key is not known"),
        (Some(format!("Bearer {KEY}x")), "this API key is not known"),
        (Some(format!("Basic {KEY}")), "the header must read 'Authorization: Bearer KEY'"),
        (Some(KEY.to_owned()), "the header must read 'Authorization: Bearer KEY'"),
    ];
    for (authorization, detail) in cases {
        for path in ["/v1/users/ann/devices", "/v1/notifications/x", "/v1/deliveries/x"] {
            let mut request = Request::builder().uri(path).header("host", "pabal");
            if let Some(value) = &authorization {
                request = request.header("authorization", value);
            }
            let answer = world.exchange(request.body(Full::default()).unwrap()).await;
            assert_eq!(
                (answer.status.as_u16(), &answer.headers["www-authenticate"]),
                (401, &"Bearer".parse().unwrap())
            );
            assert_eq!(answer.body["detail"], detail);
        }
    }
}

#[tokio::test]
async fn without_a_key_the_first_start_makes_one_and_the_second_none() {
    let world = World::start_with(fcm_emulator::Faults::default(), |config| config.api_key = None).await;
    let key = world.running.first_key().expect("a first key").expose_secret().to_owned();
    let devices = |address, key: String| {
        let request =
            Request::builder().method(Method::GET).uri("/v1/users/ann/devices").header("host", "pabal");
        let request = request.header("authorization", format!("Bearer {key}")).body(Full::default()).unwrap();
        exchange(address, request)
    };
    assert_eq!(devices(world.running.address(), key.clone()).await.status, 200);
    assert_eq!(devices(world.running.address(), KEY.to_owned()).await.status, 401);

    let config = Config { api_key: None, ..world.configuration() };
    let World { running, emulator: _emulator, folder: _folder } = world;
    running.stop().await;
    let running = Server::start(config).await.unwrap();
    assert!(running.first_key().is_none());
    assert_eq!(devices(running.address(), key).await.status, 200);
}

#[tokio::test]
async fn the_database_does_not_hold_the_key() {
    let world = World::start_with(fcm_emulator::Faults::default(), |config| config.api_key = None).await;
    let key = world.running.first_key().unwrap().expose_secret().to_owned();
    let database = world.database();
    world.running.stop().await;
    let bytes = std::fs::read(database).unwrap();
    assert!(!bytes.windows(key.len()).any(|window| window == key.as_bytes()));
}

#[tokio::test]
async fn health_needs_no_key() {
    let world = World::start().await;
    let get = |path: &str| {
        let request = Request::builder().uri(path).header("host", "pabal").body(Full::default()).unwrap();
        exchange(world.running.address(), request)
    };
    let healthz = get("/healthz").await;
    assert_eq!((healthz.status.as_u16(), healthz.body), (200, json!({ "status": "ok" })));
    let readyz = get("/readyz").await;
    let expect = json!({ "status": "ready", "reasons": [], "in_flight": 0, "paused_routes": 0 });
    assert_eq!((readyz.status.as_u16(), readyz.body), (200, expect));
}

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let world = World::start().await;
    let get = |id: Option<&str>| {
        let mut request = Request::builder().uri("/healthz").header("host", "pabal");
        if let Some(id) = id {
            request = request.header("x-request-id", id);
        }
        exchange(world.running.address(), request.body(Full::<bytes::Bytes>::default()).unwrap())
    };
    let drawn = get(None).await.headers["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!(drawn.len(), 16);
    assert_ne!(get(None).await.headers["x-request-id"], drawn.as_str());
    assert_eq!(get(Some("trace-1.a_B")).await.headers["x-request-id"], "trace-1.a_B");
    for unfit in ["a b", "a\"b", &"x".repeat(65)] {
        assert_ne!(get(Some(unfit)).await.headers["x-request-id"], unfit);
    }
    let id = Value::from("trace-2");
    let request =
        Request::builder().uri("/v1/nothing").header("host", "pabal").header("x-request-id", "trace-2");
    assert_eq!(world.exchange(request.body(Full::default()).unwrap()).await.body["request_id"], id);
}
