//! Callers with keys of their own: of another app, or with few scopes.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::world::{Answer, World};

pub(crate) struct Caller<'w> {
    world: &'w World,
    key: String,
}

impl<'w> Caller<'w> {
    /// A key of the app `default` with these scopes.
    pub(crate) async fn with_scopes(world: &'w World, scopes: &[&str]) -> Caller<'w> {
        Self::made(world, json!({ "name": "some", "scopes": scopes })).await
    }

    /// An admin key of another app, which is made.
    pub(crate) async fn of_app(world: &'w World, app: &str) -> Caller<'w> {
        let made = world.call(Method::POST, "/v1/apps", Some(json!({ "name": app }))).await;
        assert_eq!(made.status, 201, "{:#}", made.body);
        Self::made(world, json!({ "name": "theirs", "app": app, "scopes": ["admin"] })).await
    }

    async fn made(world: &'w World, body: Value) -> Caller<'w> {
        let made = world.call(Method::POST, "/v1/keys", Some(body)).await;
        assert_eq!(made.status, 201, "{:#}", made.body);
        Caller { world, key: made.body["key"].as_str().unwrap().to_owned() }
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "pabal")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", self.key));
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        self.world.exchange(request.body(Full::from(body)).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    /// Registers an Android device.
    pub(crate) async fn register(&self, user: &str, device: &str, token: &str) {
        let body = json!({ "channel": "fcm", "platform": "android", "token": token });
        let answer = self.call(Method::PUT, &format!("/v1/users/{user}/devices/{device}"), Some(body)).await;
        assert_eq!(answer.status, 200, "{:#}", answer.body);
    }
}
