//! Who may come in.

use http::{Method, Request};
use http_body_util::Full;
use pabal_server::{Config, Server};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::world::{Answer, KEY, World, eventually, exchange, settled_shape};

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

/// A request with a key of one's own.
async fn with_key(
    address: std::net::SocketAddr,
    key: &str,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Answer {
    let request = Request::builder().method(method).uri(path).header("host", "pabal");
    let request =
        request.header("authorization", format!("Bearer {key}")).header("content-type", "application/json");
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    exchange(address, request.body(Full::from(body)).unwrap()).await
}

async fn made(world: &World, body: Value) -> Value {
    let answer = world.call(Method::POST, "/v1/keys", Some(body)).await;
    assert_eq!(answer.status, 201, "{:#}", answer.body);
    answer.body
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test]
async fn a_key_is_made_used_listed_and_revoked() {
    let world = World::start().await;
    let answer = world
        .call(
            Method::POST,
            "/v1/keys",
            Some(json!({ "name": "billing", "scopes": ["read", "send", "read"] })),
        )
        .await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    let (key, mut shape) = (text(&answer.body["key"]).to_owned(), settled_shape(answer.body.clone()));
    assert!(key.starts_with("pabal_") && key.len() == 70, "{}", key.len());
    shape["key"] = json!("KEY");
    assert_eq!(
        shape,
        json!({
            "id": "ID", "name": "billing", "app": "default", "scopes": ["send", "read"], "key": "KEY",
            "created_at": "TIME", "last_used_at": null, "expires_at": null, "revoked_at": null,
        })
    );
    let id = text(&answer.body["id"]);
    let devices = || with_key(world.running.address(), &key, Method::GET, "/v1/users/ann/devices", None);
    assert_eq!(devices().await.status, 200);

    let listed = world.get("/v1/keys").await.body;
    shape.as_object_mut().unwrap().remove("key");
    assert_eq!(settled_shape(listed.clone()), json!({ "keys": [shape], "next_cursor": null }));
    assert!(!listed.to_string().contains(&key[6..]), "the secret is shown once");

    let path = format!("/v1/keys/{id}");
    for _ in 0..2 {
        assert_eq!(world.call(Method::DELETE, &path, None).await.status, 204, "also when repeated");
    }
    let refused = devices().await;
    assert_eq!((refused.status.as_u16(), text(&refused.body["detail"])), (401, "this API key was revoked"));
    assert_eq!(world.get("/v1/keys").await.body["keys"], json!([]));
    let with_revoked = world.get("/v1/keys?revoked=true").await.body;
    assert_eq!(with_revoked["keys"][0]["id"], id);
    assert!(with_revoked["keys"][0]["revoked_at"].is_string());

    for unknown in ["0192f0c1-2345-7000-8000-000000000000", "nonsense"] {
        let answer = world.call(Method::DELETE, &format!("/v1/keys/{unknown}"), None).await;
        assert_eq!((answer.status.as_u16(), text(&answer.body["detail"])), (404, "there is no such key"));
    }
}

#[tokio::test]
async fn an_expired_key_opens_nothing() {
    let world = World::start().await;
    let soon = jiff::Timestamp::now() + jiff::Span::new().milliseconds(400);
    let body = json!({ "name": "short", "scopes": ["read"], "expires_at": soon.to_string() });
    let key = text(&made(&world, body).await["key"]).to_owned();
    let refused = eventually("the key has expired", || async {
        let answer =
            with_key(world.running.address(), &key, Method::GET, "/v1/users/ann/devices", None).await;
        (answer.status == 401).then_some(answer)
    })
    .await;
    assert_eq!(refused.body["detail"], "this API key has expired");
}

#[tokio::test]
async fn keys_come_in_pages_newest_first() {
    let world = World::start().await;
    for n in 0..5 {
        made(&world, json!({ "name": format!("key-{n}"), "scopes": ["read"] })).await;
    }
    let (mut keys, mut query) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("/v1/keys?limit=2{query}")).await.body;
        keys.extend(page["keys"].as_array().unwrap().clone());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("&cursor={cursor}");
    }
    let times: Vec<&str> = keys.iter().map(|key| text(&key["created_at"])).collect();
    assert!(times.is_sorted_by(|one, next| one >= next), "{times:?}");
    // Those of one millisecond come in any order.
    let mut names: Vec<&str> = keys.iter().map(|key| text(&key["name"])).collect();
    names.sort_unstable();
    assert_eq!(names, ["key-0", "key-1", "key-2", "key-3", "key-4"]);
    let cursor = world.get("/v1/keys?limit=2").await.body["next_cursor"].as_str().unwrap().to_owned();
    let elsewhere = world.get(&format!("/v1/keys?limit=2&revoked=true&cursor={cursor}")).await;
    assert_eq!((elsewhere.status.as_u16(), &elsewhere.body["field"]), (422, &json!("cursor")));
}

#[tokio::test]
async fn what_can_be_no_key_is_refused() {
    let world = World::start().await;
    let long = "n".repeat(pabal_server::limits::KEY_NAME_BYTES_MAX + 1);
    let cases = [
        (json!({ "scopes": ["read"] }), 400, "name"),
        (json!({ "name": "", "scopes": ["read"] }), 422, "name"),
        (json!({ "name": "a\nb", "scopes": ["read"] }), 422, "name"),
        (json!({ "name": long, "scopes": ["read"] }), 422, "name"),
        (json!({ "name": "n", "scopes": [] }), 422, "scopes"),
        (json!({ "name": "n", "scopes": ["read", "devices"] }), 422, "scopes[1]"),
        (json!({ "name": "n", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z" }), 422, "expires_at"),
        (json!({ "name": "n", "scopes": ["read"], "expires_at": "tomorrow" }), 422, "expires_at"),
        (json!({ "name": "n", "scopes": ["read"], "app": "nowhere" }), 422, "app"),
        (json!({ "name": "n", "scopes": ["read"], "secret": "mine" }), 400, "secret"),
    ];
    for (body, status, field) in cases {
        let answer = world.call(Method::POST, "/v1/keys", Some(body.clone())).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["field"]),
            (status, &json!(field)),
            "{body} {}",
            answer.body
        );
    }
}

#[tokio::test]
async fn apps_are_made_once_and_listed_by_name() {
    let world = World::start().await;
    let make = |name: &str| world.call(Method::POST, "/v1/apps", Some(json!({ "name": name })));
    for name in ["billing", "analytics-2"] {
        let answer = make(name).await;
        assert_eq!((answer.status.as_u16(), answer.body), (201, json!({ "name": name })));
    }
    let again = make("billing").await;
    assert_eq!((again.status.as_u16(), &again.body["type"]), (409, &json!("urn:pabal:problem:conflict")));
    for name in ["", "Billing", "a b", &"a".repeat(65)] {
        assert_eq!(make(name).await.status, 422, "{name}");
    }
    let listed = world.get("/v1/apps").await.body;
    let names = json!([{ "name": "analytics-2" }, { "name": "billing" }, { "name": "default" }]);
    assert_eq!(listed, json!({ "apps": names, "next_cursor": null }));
    let page = world.get("/v1/apps?limit=2").await.body;
    let cursor = text(&page["next_cursor"]);
    let rest = world.get(&format!("/v1/apps?limit=2&cursor={cursor}")).await.body;
    assert_eq!(rest, json!({ "apps": [{ "name": "default" }], "next_cursor": null }));
}

#[tokio::test]
async fn only_the_app_default_has_a_say_in_other_apps() {
    let world = World::start().await;
    let theirs = Caller::of_app(&world, "theirs").await;
    for (method, path, body) in [
        (Method::GET, "/v1/apps", None),
        (Method::POST, "/v1/apps", Some(json!({ "name": "more" }))),
        (Method::GET, "/v1/keys?app=default", None),
        (Method::GET, "/v1/keys?app=nowhere", None),
        (Method::POST, "/v1/keys", Some(json!({ "name": "n", "scopes": ["read"], "app": "default" }))),
    ] {
        let answer = theirs.call(method.clone(), path, body).await;
        assert_eq!(answer.status, 403, "{method} {path}: {}", answer.body);
    }
    let own = theirs.call(Method::POST, "/v1/keys", Some(json!({ "name": "own", "scopes": ["send"] }))).await;
    assert_eq!((own.status.as_u16(), &own.body["app"]), (201, &json!("theirs")));
    let named = theirs.get("/v1/keys?app=theirs").await;
    assert_eq!(named.body["keys"].as_array().unwrap().len(), 2);

    let seen = world.get("/v1/keys?app=theirs").await.body;
    assert_eq!(seen["keys"].as_array().unwrap().len(), 2, "default's admin lists the keys of other apps");
    let path = format!("/v1/keys/{}", text(&own.body["id"]));
    assert_eq!(
        world.call(Method::DELETE, &path, None).await.status,
        404,
        "an id of another app is none of one's own"
    );
    assert_eq!(world.call(Method::DELETE, &format!("{path}?app=theirs"), None).await.status, 204);
}

#[tokio::test]
async fn the_last_admin_key_stays() {
    let world = World::start_with(fcm_emulator::Faults::default(), |config| config.api_key = None).await;
    let address = world.running.address();
    let first = world.running.first_key().unwrap().expose_secret().to_owned();
    let admin = |method, path: String, body| {
        let first = first.clone();
        async move { with_key(address, &first, method, &path, body).await }
    };
    let listed = admin(Method::GET, "/v1/keys".to_owned(), None).await.body;
    let first_path = format!("/v1/keys/{}", text(&listed["keys"][0]["id"]));
    let make = |body: Value| admin(Method::POST, "/v1/keys".to_owned(), Some(body));
    // Neither one that may less, nor one of another app, nor one that is gone already.
    make(json!({ "name": "reader", "scopes": ["read", "send", "manage"] })).await;
    admin(Method::POST, "/v1/apps".to_owned(), Some(json!({ "name": "other" }))).await;
    make(json!({ "name": "elsewhere", "scopes": ["admin"], "app": "other" })).await;
    let gone = make(json!({ "name": "gone", "scopes": ["admin"] })).await.body;
    assert_eq!(admin(Method::DELETE, format!("/v1/keys/{}", text(&gone["id"])), None).await.status, 204);
    // Nor one that stops by itself.
    let soon = jiff::Timestamp::now() + jiff::Span::new().hours(1);
    let passing = json!({ "name": "passing", "scopes": ["admin"], "expires_at": soon.to_string() });
    let passing = format!("/v1/keys/{}", text(&make(passing).await.body["id"]));
    let refused = admin(Method::DELETE, first_path.clone(), None).await;
    assert_eq!((refused.status.as_u16(), &refused.body["type"]), (409, &json!("urn:pabal:problem:conflict")));
    assert!(text(&refused.body["detail"]).starts_with("this is the last admin key"), "{}", refused.body);

    let next = make(json!({ "name": "next", "scopes": ["admin"] })).await.body;
    assert_eq!(admin(Method::DELETE, passing, None).await.status, 204);
    assert_eq!(admin(Method::DELETE, first_path, None).await.status, 204);
    let by_next = |path: String| async move {
        with_key(address, text(&next["key"]), Method::GET, &path, None).await.status
    };
    assert_eq!(by_next("/v1/keys".to_owned()).await, 200);
    assert_eq!(admin(Method::GET, "/v1/keys".to_owned(), None).await.status, 401);
}

#[tokio::test]
async fn with_a_configured_key_nobody_is_locked_out() {
    let world = World::start().await;
    let only = made(&world, json!({ "name": "only", "scopes": ["admin"] })).await;
    assert_eq!(
        world.call(Method::DELETE, &format!("/v1/keys/{}", text(&only["id"])), None).await.status,
        204
    );
}

#[tokio::test]
async fn when_a_key_was_last_used_outlives_a_stop() {
    let world = World::start().await;
    let key = made(&world, json!({ "name": "used", "scopes": ["read"] })).await;
    made(&world, json!({ "name": "never", "scopes": ["read"] })).await;
    with_key(world.running.address(), text(&key["key"]), Method::GET, "/v1/users/ann/devices", None).await;
    let config = world.configuration();
    let World { running, emulator, folder } = world;
    running.stop().await;
    let world = World { running: Server::start(config).await.unwrap(), emulator, folder };
    let listed = world.get("/v1/keys").await.body;
    let last_used = |name: &str| {
        let keys = listed["keys"].as_array().unwrap();
        keys.iter().find(|key| key["name"] == name).unwrap()["last_used_at"].clone()
    };
    assert_eq!(last_used("never"), Value::Null);
    let at: jiff::Timestamp = text(&last_used("used")).parse().unwrap();
    assert!(jiff::Timestamp::now().duration_since(at).as_secs() < 60, "{at}");
}

#[tokio::test]
async fn one_key_has_so_many_requests_in_a_second() {
    let change = |config: &mut Config| config.http.requests_per_second_per_key = 3;
    let world = World::start_with(fcm_emulator::Faults::default(), change).await;
    let other = made(&world, json!({ "name": "other", "scopes": ["read"] })).await;
    let refused = eventually("the key has sent too much", || async {
        let answer = world.get("/v1/users/ann/devices").await;
        (answer.status == 429).then_some(answer)
    })
    .await;
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(refused.body["type"], "urn:pabal:problem:too_many_requests");
    let others =
        with_key(world.running.address(), text(&other["key"]), Method::GET, "/v1/users/ann/devices", None);
    assert_eq!(others.await.status, 200, "another key has its own");
}
