//! Apps see nothing of each other, and keys do what their scopes say: over every route there is.
//!
//! The routes come from the server itself: their paths from the list that the router is built with, their methods from
//! what the running server answers. A route without a case in [`CASES`], and one that docs/guide/api.md does not name,
//! fails here.

use std::collections::{BTreeMap, BTreeSet};

use fcm_emulator::{FaultKind, Faults};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::accept::in_an_hour;
use crate::caller::Caller;
use crate::dead_letters::rule;
use crate::world::{World, eventually};

/// What can be named in a request: things of one app.
#[derive(Clone)]
struct Things {
    user: String,
    device: String,
    token: String,
    notification: String,
    delivery: String,
    dead: String,
    redrive: String,
    key: String,
    app: String,
    cursors: BTreeMap<&'static str, String>,
}

/// A path with its query, and a body.
type Ask = (String, Option<Value>);

/// One way to ask for something of these things: the rest of the path and the body.
struct Case {
    /// As in the guide: `GET /v1/users/{user}/devices`.
    route: &'static str,
    asks: fn(&Things) -> Vec<Ask>,
}

const fn case(route: &'static str, asks: fn(&Things) -> Vec<Ask>) -> Case {
    Case { route, asks }
}

/// A list with each thing for a filter, and with the cursor of another app.
fn filtered(list: &str, name: &'static str, filters: &[(&str, &String)], things: &Things) -> Vec<Ask> {
    let mut asks = vec![(list.to_owned(), None), (format!("{list}?limit=1000"), None)];
    asks.extend(filters.iter().map(|(filter, value)| (format!("{list}?{filter}={value}"), None)));
    asks.extend(things.cursors.get(name).map(|cursor| (format!("{list}?limit=1&cursor={cursor}"), None)));
    asks
}

const CASES: &[Case] = &[
    case("POST /v1/notifications", |t| {
        let to = |to: Value| ("/v1/notifications".to_owned(), Some(json!({ "to": to, "title": "theirs" })));
        vec![
            to(json!({ "user": t.user })),
            to(json!({ "users": [t.user] })),
            to(json!({ "device": { "user": t.user, "device": t.device } })),
        ]
    }),
    case("GET /v1/notifications", |t| filtered("/v1/notifications", "notifications", &[], t)),
    case("POST /v1/notifications/batch", |t| {
        let items = json!([{ "to": { "user": t.user }, "title": "theirs" }]);
        vec![("/v1/notifications/batch".to_owned(), Some(items))]
    }),
    case("GET /v1/notifications/{id}", |t| {
        vec![
            (format!("/v1/notifications/{}", t.notification), None),
            (format!("/v1/notifications/{}", t.dead), None),
        ]
    }),
    case("DELETE /v1/notifications/{id}", |t| vec![(format!("/v1/notifications/{}", t.notification), None)]),
    case("GET /v1/deliveries", |t| {
        filtered("/v1/deliveries", "deliveries", &[("user", &t.user), ("notification", &t.notification)], t)
    }),
    case("GET /v1/deliveries/{id}", |t| {
        vec![(format!("/v1/deliveries/{}", t.delivery), None), (format!("/v1/deliveries/{}", t.dead), None)]
    }),
    case("GET /v1/users/{user}/devices", |t| vec![(format!("/v1/users/{}/devices", t.user), None)]),
    case("GET /v1/users/{user}/devices/{device}", |t| {
        vec![(format!("/v1/users/{}/devices/{}", t.user, t.device), None)]
    }),
    case("PUT /v1/users/{user}/devices/{device}", |t| {
        // The very token: within another app it is another registration, and takes nothing away.
        let body = json!({ "channel": "fcm", "platform": "ios", "token": t.token });
        vec![
            (format!("/v1/users/{}/devices/{}", t.user, t.device), Some(body.clone())),
            ("/v1/users/somebody/devices/phone".to_owned(), Some(body)),
        ]
    }),
    case("DELETE /v1/users/{user}/devices/{device}", |t| {
        vec![(format!("/v1/users/{}/devices/{}", t.user, t.device), None)]
    }),
    case("GET /v1/devices", |t| filtered("/v1/devices", "devices", &[], t)),
    case("POST /v1/devices/restore", |t| {
        let path = || "/v1/devices/restore".to_owned();
        vec![
            (path(), Some(json!({ "devices": [{ "user": t.user, "device": t.device }] }))),
            (path(), Some(json!({ "state": "retired" }))),
        ]
    }),
    case("DELETE /v1/users/{user}", |t| vec![(format!("/v1/users/{}", t.user), None)]),
    case("GET /v1/dead-letters", |t| {
        filtered(
            "/v1/dead-letters",
            "dead_letters",
            &[("user", &t.user), ("notification", &t.notification)],
            t,
        )
    }),
    case("DELETE /v1/dead-letters", |t| {
        vec![
            (format!("/v1/dead-letters?user={}", t.user), None),
            (format!("/v1/dead-letters?notification={}", t.notification), None),
            ("/v1/dead-letters?confirm=all".to_owned(), None),
        ]
    }),
    case("GET /v1/dead-letters/{id}", |t| vec![(format!("/v1/dead-letters/{}", t.dead), None)]),
    case("DELETE /v1/dead-letters/{id}", |t| vec![(format!("/v1/dead-letters/{}", t.dead), None)]),
    case("POST /v1/dead-letters/redrive", |t| {
        let path = || "/v1/dead-letters/redrive".to_owned();
        vec![
            (path(), Some(json!({ "filter": { "user": t.user } }))),
            (path(), Some(json!({ "filter": { "delivery": t.dead } }))),
            (path(), Some(json!({ "filter": {}, "rate": 10_000 }))),
        ]
    }),
    case("GET /v1/dead-letters/redrive", |t| filtered("/v1/dead-letters/redrive", "redrives", &[], t)),
    case("GET /v1/dead-letters/redrive/{id}", |t| {
        vec![(format!("/v1/dead-letters/redrive/{}", t.redrive), None)]
    }),
    case("DELETE /v1/dead-letters/redrive/{id}", |t| {
        vec![(format!("/v1/dead-letters/redrive/{}", t.redrive), None)]
    }),
    case("GET /v1/keys", |t| filtered("/v1/keys", "keys", &[("app", &t.app)], t)),
    case("POST /v1/keys", |t| {
        vec![("/v1/keys".to_owned(), Some(json!({ "name": "theirs", "scopes": ["read"], "app": t.app })))]
    }),
    case("DELETE /v1/keys/{id}", |t| {
        vec![(format!("/v1/keys/{}", t.key), None), (format!("/v1/keys/{}?app={}", t.key, t.app), None)]
    }),
    case("GET /v1/apps", |_| vec![("/v1/apps".to_owned(), None)]),
    case("POST /v1/apps", |t| vec![("/v1/apps".to_owned(), Some(json!({ "name": t.app })))]),
    case("GET /v1/stats", |_| vec![("/v1/stats".to_owned(), None)]),
    case("GET /openapi.json", |_| vec![("/openapi.json".to_owned(), None)]),
    case("GET /docs", |_| vec![("/docs".to_owned(), None)]),
    case("GET /metrics", |_| vec![("/metrics".to_owned(), None)]),
    case("GET /healthz", |_| vec![("/healthz".to_owned(), None)]),
    case("GET /readyz", |_| vec![("/readyz".to_owned(), None)]),
];

/// What is said of the whole server: without anything of an app, and not compared before and after.
const OF_THE_SERVER: [&str; 5] =
    ["GET /metrics", "GET /healthz", "GET /readyz", "GET /openapi.json", "GET /docs"];

fn split(route: &str) -> (Method, &str) {
    let (method, path) = route.split_once(' ').unwrap();
    (method.parse().unwrap(), path)
}

/// Every route of the running server, as the guide writes them.
pub(crate) async fn routes(world: &World) -> BTreeSet<String> {
    let mut routes = BTreeSet::new();
    for path in pabal_server::paths() {
        let filled: Vec<&str> =
            path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
        let request = Request::builder().method("BREW").uri(filled.join("/")).header("host", "pabal");
        let answer = world.exchange(request.body(Full::default()).unwrap()).await;
        assert_eq!(answer.status, 405, "{path}");
        let allow = answer.headers["allow"].to_str().unwrap();
        let methods = allow.split(',').map(str::trim).filter(|method| *method != "HEAD");
        routes.extend(methods.map(|method| format!("{method} {path}")));
    }
    routes
}

/// The scope of each route in docs/guide/api.md; `none` where no key is needed.
pub(crate) fn documented() -> BTreeMap<String, String> {
    let guide = include_str!("../../../../docs/guide/api.md");
    let mut scopes = BTreeMap::new();
    for line in guide.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let routes = cells[0].split('`').filter(|part| part.contains(" /"));
        let scope = cells.last().unwrap().split(',').next().unwrap().trim_matches('`');
        scopes.extend(routes.map(|route| (route.split('?').next().unwrap().to_owned(), scope.to_owned())));
    }
    scopes
}

#[tokio::test]
async fn every_route_has_its_case_and_its_row_in_the_guide() {
    let world = World::start().await;
    let routes = routes(&world).await;
    assert!(routes.len() >= 20, "{routes:?}");
    let cases: BTreeSet<String> = CASES.iter().map(|case| case.route.to_owned()).collect();
    assert_eq!(cases, routes, "a route has no case here, or a case no route");
    let documented: BTreeSet<String> = documented().into_keys().collect();
    assert_eq!(documented, routes, "docs/guide/api.md has other routes in its table");
}

#[tokio::test]
async fn a_scope_allows_what_the_guide_says_and_nothing_else() {
    let world = World::start().await;
    let nothing = Things {
        user: "nobody".to_owned(),
        device: "nothing".to_owned(),
        token: "a-token".to_owned(),
        notification: "0192f0c1-2345-7000-8000-000000000000".to_owned(),
        delivery: "0192f0c1-2345-8000-8000-000000000000".to_owned(),
        dead: "0192f0c1-2345-8000-8000-000000000000".to_owned(),
        redrive: "0192f0c1-2345-7000-8000-000000000000".to_owned(),
        key: "0192f0c1-2345-7000-8000-000000000000".to_owned(),
        app: "default".to_owned(),
        cursors: BTreeMap::new(),
    };
    let scopes = documented();
    for own in ["send", "read", "manage", "admin"] {
        let caller = Caller::with_scopes(&world, &[own]).await;
        for case in CASES {
            let (method, _) = split(case.route);
            let needed = scopes[case.route].as_str();
            let is_allowed = needed == "none" || needed == own || own == "admin";
            let (path, body) = (case.asks)(&nothing).remove(0);
            let status = caller.call(method, &path, body).await.status;
            assert_ne!(status, 401, "{} with {own}", case.route);
            assert_eq!(status != 403, is_allowed, "{} with {own}: {status}", case.route);
        }
    }
    for case in CASES {
        let (method, _) = split(case.route);
        let (path, _) = (case.asks)(&nothing).remove(0);
        let request = Request::builder().method(method).uri(path).header("host", "pabal");
        let status = world.exchange(request.body(Full::default()).unwrap()).await.status;
        assert_eq!(status == 401, scopes[case.route] != "none", "{} without a key: {status}", case.route);
    }
}

/// Fills an app with one of everything. All that is of its own bears its name.
async fn fill(caller: &Caller<'_>, app: &str) -> Things {
    let name = |what: &str| format!("{app}-{what}");
    let (user, device, token) = (name("user"), name("device"), name("token"));
    caller.register(&user, &device, &token).await;
    // A device that turns out to be gone: dead letter and mark.
    caller.register(&user, &name("gone"), &format!("gone-{app}")).await;
    let send = async |to: Value, more: Value| {
        let mut body = json!({ "to": to, "title": name("title"), "data": { "k": name("data") } });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = caller.call(Method::POST, "/v1/notifications", Some(body)).await;
        assert_eq!(answer.status, 202, "{:#}", answer.body);
        answer.body["id"].as_str().unwrap().to_owned()
    };
    let notification = send(json!({ "user": user }), json!({})).await;
    let view = eventually("one is delivered, and one is dead", || async {
        let view = caller.get(&format!("/v1/notifications/{notification}")).await.body;
        (view["counts"] == json!({ "delivered": 1, "dead": 1 })).then_some(view)
    })
    .await;
    let in_state = |state: &str| {
        let deliveries = view["deliveries"].as_array().unwrap();
        deliveries.iter().find(|delivery| delivery["state"] == state).unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    // Something that is open, for those who would take it back.
    send(json!({ "user": user }), json!({ "send_at": in_an_hour() })).await;
    // A second dead letter and mark, so that lists have a second page.
    caller.register(&user, &name("gone2"), &format!("gone-{app}-2")).await;
    send(json!({ "device": { "user": user, "device": name("gone2") } }), json!({})).await;
    eventually("the second is dead", || async {
        let dead = caller.get("/v1/dead-letters").await.body["dead_letters"].as_array().unwrap().len();
        (dead == 2).then_some(())
    })
    .await;
    // Jobs that find nothing: they are done at once, and what is dead stays so.
    let mut redrive = String::new();
    for _ in 0..2 {
        let filter = json!({ "filter": { "until": "2020-01-01T00:00:00Z" } });
        let job = caller.call(Method::POST, "/v1/dead-letters/redrive", Some(filter)).await;
        assert_eq!(job.status, 202, "{:#}", job.body);
        redrive = job.body["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/dead-letters/redrive/{redrive}");
        eventually("the job is done", || async {
            (caller.get(&path).await.body["state"] == "done").then_some(())
        })
        .await;
    }
    let made =
        caller.call(Method::POST, "/v1/keys", Some(json!({ "name": name("key"), "scopes": ["read"] }))).await;
    let mut cursors = BTreeMap::new();
    for (list, path) in LISTS {
        let page = caller.get(&format!("{path}limit=1")).await.body;
        let cursor =
            page["next_cursor"].as_str().unwrap_or_else(|| panic!("{list} has a second page: {page:#}"));
        cursors.insert(*list, cursor.to_owned());
    }
    Things {
        user,
        device,
        token,
        notification: notification.clone(),
        delivery: in_state("delivered"),
        dead: in_state("dead"),
        redrive,
        key: made.body["id"].as_str().unwrap().to_owned(),
        app: app.to_owned(),
        cursors,
    }
}

/// The lists of an app, by the field of their items.
const LISTS: &[(&str, &str)] = &[
    ("notifications", "/v1/notifications?"),
    ("deliveries", "/v1/deliveries?"),
    ("dead_letters", "/v1/dead-letters?"),
    ("redrives", "/v1/dead-letters/redrive?"),
    ("devices", "/v1/devices?"),
    ("keys", "/v1/keys?"),
];

/// Everything that an app can see of itself.
async fn seen(caller: &Caller<'_>, things: &Things) -> BTreeMap<String, Value> {
    let mut seen = BTreeMap::new();
    for case in
        CASES.iter().filter(|case| case.route.starts_with("GET ") && !OF_THE_SERVER.contains(&case.route))
    {
        for (path, _) in (case.asks)(things) {
            let mut answer = caller.get(&path).await.body;
            without_time_of_use(&mut answer);
            seen.insert(path, answer);
        }
    }
    seen
}

/// When keys were last used is written once a minute, and says nothing here; nor do ids of requests.
fn without_time_of_use(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("last_used_at");
            fields.remove("request_id");
            // Where a poller goes on, where the last answer named nothing: the time of the answer.
            fields.remove("since");
            fields.values_mut().for_each(without_time_of_use);
        }
        Value::Array(items) => items.iter_mut().for_each(without_time_of_use),
        _ => {}
    }
}

#[tokio::test]
async fn an_app_sees_nothing_of_another_and_changes_nothing_of_it() {
    let faults = Faults { tokens: vec![rule("gone-", FaultKind::Unregistered, None)], ..Faults::default() };
    let world = World::start_with(faults, |_| {}).await;
    let ours = Caller::of_app(&world, "quokka").await;
    let theirs = Caller::of_app(&world, "numbat").await;
    let (things, own) = (fill(&ours, "quokka").await, fill(&theirs, "numbat").await);
    let before = seen(&ours, &things).await;
    let sent = world.emulator.count().accepted;

    // What looks comes first: later there is what the other cases have named.
    let mut cases: Vec<&Case> = CASES.iter().collect();
    cases.sort_by_key(|case| !case.route.starts_with("GET "));
    for case in cases {
        let (method, _) = split(case.route);
        for (path, body) in (case.asks)(&things) {
            let asked = format!("{path} {}", body.as_ref().map(Value::to_string).unwrap_or_default());
            let answer = theirs.call(method.clone(), &path, body).await.body.to_string();
            let ids = [&things.notification, &things.delivery, &things.dead, &things.redrive, &things.key];
            let names =
                ["quokka-token", "quokka-title", "quokka-data", "quokka-key", "quokka-user", "gone-quokka"];
            let marks = ids.into_iter().map(String::as_str).chain(names);
            for mark in marks.filter(|mark| !asked.contains(mark)) {
                assert!(!answer.contains(mark), "{method} {asked} shows {mark}: {answer}");
            }
            // A word that nobody named, apart from what the caller's own text holds.
            let is_named = asked.contains("quokka");
            assert!(is_named || !answer.contains("quokka"), "{method} {asked} shows the other app: {answer}");
        }
        if !case.route.starts_with("GET ") {
            assert_eq!(seen(&ours, &things).await, before, "{} changed something of another app", case.route);
        }
    }
    assert_eq!(seen(&ours, &things).await, before);
    assert!(
        world
            .emulator
            .messages(sent, 1000)
            .iter()
            .all(|message| { !message.message.to_string().contains("quokka-title") }),
        "nothing of the other app was sent anew"
    );

    // The cases can tell: with its own things each of these is there.
    let mirror = seen(&theirs, &own).await;
    assert!(mirror.values().any(|answer| answer.to_string().contains("numbat")));
}

#[tokio::test]
async fn an_admin_of_the_app_default_looks_into_no_other_app() {
    let faults = Faults { tokens: vec![rule("gone-", FaultKind::Unregistered, None)], ..Faults::default() };
    let world = World::start_with(faults, |_| {}).await;
    let ours = Caller::of_app(&world, "quokka").await;
    let things = fill(&ours, "quokka").await;
    let admin = Caller::with_scopes(&world, &["admin"]).await;
    let about_apps = ["GET /v1/keys", "GET /v1/apps"];
    for case in
        CASES.iter().filter(|case| case.route.starts_with("GET ") && !about_apps.contains(&case.route))
    {
        for (path, _) in (case.asks)(&things) {
            let answer = admin.get(&path).await.body.to_string();
            assert!(!answer.contains("quokka"), "{path}: {answer}");
        }
    }
}
