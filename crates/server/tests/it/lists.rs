//! Lists: filters, pages, cursors; and that a list of much is read in bounded bites.

use std::collections::BTreeSet;

use http::Method;
use http_body_util::Full;
use pabal_server::limits;
use serde_json::{Value, json};

use crate::accept::in_an_hour;
use crate::batch;
use crate::caller::Caller;
use crate::world::{World, request, settled_shape};

/// All pages of a list, each as its items.
async fn pages(world: &World, path: &str, plural: &str) -> Vec<Vec<Value>> {
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let joint = if path.contains('?') { '&' } else { '?' };
        let page = world
            .get(&format!("{path}{}{cursor}", if cursor.is_empty() { ' ' } else { joint }).replace(' ', ""))
            .await;
        assert_eq!(page.status, 200, "{:#}", page.body);
        pages.push(page.body[plural].as_array().unwrap().clone());
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("cursor={next}"),
            None => return pages,
        }
        assert!(pages.len() < 1000, "the list never ends");
    }
}

/// The ids of a list.
async fn ids(world: &World, path: &str, plural: &str) -> Vec<String> {
    let items = pages(world, path, plural).await.into_iter().flatten();
    items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

async fn refused(world: &World, path: &str) -> (u64, String, String) {
    let problem = world.problem(request(Method::GET, path).body(Full::default()).unwrap()).await;
    let text = |field: &str| problem[field].as_str().unwrap_or_default().to_owned();
    (problem["status"].as_u64().unwrap(), text("field"), text("detail"))
}

#[tokio::test]
async fn deliveries_are_found_by_what_they_are() {
    let world = World::start().await;
    world.register("ann", "phone", "token-of-ann").await;
    let first = world.accepted(json!({ "to": { "users": ["ann", "bea"] }, "title": "t" })).await;
    world.settled(&first).await;
    let between = world.get(&format!("/v1/notifications/{first}")).await.body["created_at"].clone();
    let second = world.accepted(json!({ "to": { "user": "ann" }, "title": "t" })).await;
    let view = world.settled(&second).await;

    let all = pages(&world, "/v1/deliveries", "deliveries").await.concat();
    assert_eq!(all.len(), 3);
    assert_eq!(all[0], view["deliveries"][0], "the newest first, and in the same form");
    let count = async |query: &str| ids(&world, &format!("/v1/deliveries?{query}"), "deliveries").await.len();
    assert_eq!(count("user=ann").await, 2);
    assert_eq!(count("user=bea&state=undeliverable").await, 1);
    assert_eq!(count("user=bea&state=delivered").await, 0);
    assert_eq!(count("state=delivered").await, 2);
    assert_eq!(count("reason=no_device").await, 1);
    assert_eq!(count("channel=fcm").await, 2, "where there is no device there is no channel");
    assert_eq!(count(&format!("notification={first}")).await, 2);
    assert_eq!(count(&format!("notification={first}&user=ann")).await, 1);
    assert_eq!(count("since=2020-01-01T00:00:00Z&until=2999-01-01T00:00:00%2B09:00").await, 3);
    assert_eq!(count("until=2020-01-01T00:00:00Z").await, 0);
    let since = format!("since={}", between.as_str().unwrap());
    assert!((1..=3).contains(&count(&since).await));
    assert_eq!(count("user=nobody-at-all").await, 0);
}

#[tokio::test]
async fn notifications_are_listed_newest_first() {
    let world = World::start().await;
    let mut made = Vec::new();
    for n in 0..5 {
        let mut body = json!({ "to": { "user": format!("user-{n}") }, "title": "t" });
        if n == 3 {
            body["send_at"] = json!(in_an_hour());
        }
        made.push(world.accepted(body).await);
    }
    made.reverse();
    // Within one millisecond, ids are in no order of making.
    let listed = ids(&world, "/v1/notifications?limit=2", "notifications").await;
    assert_eq!(listed.iter().collect::<BTreeSet<_>>(), made.iter().collect());
    assert!(listed.is_sorted_by(|one, next| one > next));
    let scheduled = pages(&world, "/v1/notifications?state=scheduled", "notifications").await.concat();
    assert_eq!(
        settled_shape(json!(scheduled)),
        json!([{
            "id": "ID", "state": "scheduled", "lane": "transactional", "to": { "user": "user-3" },
            "message": { "title": "t" }, "created_at": "TIME", "send_at": "TIME", "expires_at": "TIME", "counts": {},
        }])
    );
    let expanded = pages(&world, "/v1/notifications?state=expanded", "notifications").await.concat();
    assert!(expanded.iter().all(|one| one["counts"] == json!({ "undeliverable": 1 })), "{expanded:#?}");
    assert_eq!(expanded.len(), 4);
    let until = ids(&world, "/v1/notifications?until=2020-01-01T00:00:00Z", "notifications").await;
    assert_eq!(until, [""; 0]);
}

#[tokio::test]
async fn a_page_of_large_notifications_is_shorter() {
    let world = World::start().await;
    let users: Vec<String> = (0..1000).map(|n| format!("{n:0>50}")).collect();
    let items: Vec<Value> =
        (0..90).map(|_| json!({ "to": { "users": users }, "title": "t", "send_at": in_an_hour() })).collect();
    let made = batch::accepted(&world, &items).await;
    let pages = pages(&world, "/v1/notifications?limit=1000", "notifications").await;
    let bytes = |page: &Vec<Value>| page.iter().map(|item| item.to_string().len()).sum::<usize>();
    assert!(pages.len() >= 2 && pages.iter().all(|page| bytes(page) <= limits::PAGE_BYTES_MAX));
    assert!(bytes(&pages[0]) > limits::PAGE_BYTES_MAX * 9 / 10, "no shorter than it has to be");
    let listed: BTreeSet<String> =
        pages.concat().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed, made.into_iter().collect());
}

#[tokio::test]
async fn a_list_of_much_is_read_in_bounded_bites() {
    let world = World::start().await;
    let users: Vec<String> = (0..1000).map(|n| format!("user-{n}")).collect();
    let items: Vec<Value> = (0..21).map(|_| json!({ "to": { "users": users }, "title": "t" })).collect();
    batch::accepted(&world, &items[..1]).await;
    let sent = world.accepted(json!({ "to": { "token": "t" }, "title": "t" })).await;
    world.settled(&sent).await;
    batch::accepted(&world, &items[1..]).await;

    let all = pages(&world, "/v1/deliveries?limit=1000", "deliveries").await;
    assert!(all.iter().all(|page| page.len() <= 1000));
    assert!((22..=26).contains(&all.len()), "{} pages", all.len());
    let ids: Vec<&str> = all.iter().flatten().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 21_001);
    assert!(ids.is_sorted_by(|one, next| one > next), "newest first, none twice");

    // Much is looked at for little: pages may be short or empty, but there are few of them.
    let few = pages(&world, "/v1/deliveries?state=delivered&limit=10", "deliveries").await;
    assert!((2..=5).contains(&few.len()), "{} pages", few.len());
    let found: Vec<&Value> = few.iter().flatten().collect();
    assert_eq!((found.len(), &found[0]["notification"]), (1, &json!(sent)));
    let of_one = pages(&world, "/v1/deliveries?user=user-7", "deliveries").await;
    assert_eq!(of_one.iter().map(Vec::len).collect::<Vec<_>>(), [21]);
}

#[tokio::test]
async fn a_cursor_holds_for_its_own_list_only() {
    let world = World::start().await;
    for list in ["ann", "bea"] {
        let users: Vec<String> = (0..3).map(|n| format!("{list}-{n}")).collect();
        world.accepted(json!({ "to": { "users": users }, "title": "t" })).await;
    }
    let page = world.get("/v1/deliveries?state=undeliverable&limit=2").await.body;
    let cursor = page["next_cursor"].as_str().unwrap();
    assert!(cursor.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'), "{cursor}");
    let own = world.get(&format!("/v1/deliveries?limit=7&state=undeliverable&cursor={cursor}")).await;
    assert_eq!(own.body["deliveries"].as_array().unwrap().len(), 4, "another limit is no other list");
    for path in ["/v1/deliveries?", "/v1/deliveries?state=dead&", "/v1/notifications?", "/v1/dead-letters?"] {
        let (status, field, detail) = refused(&world, &format!("{path}cursor={cursor}")).await;
        assert_eq!((status, field.as_str()), (422, "cursor"));
        assert_eq!(detail, "cursor belongs to another list or other filters", "{path}");
    }
    let other = Caller::of_app(&world, "other").await;
    let answer = other.get(&format!("/v1/deliveries?state=undeliverable&cursor={cursor}")).await;
    assert_eq!(answer.body["detail"], "cursor belongs to another list or other filters");
    for (cursor, problem) in [
        ("x", "is none that this server gave"),
        ("%00", "is none that this server gave"),
        (&"A".repeat(1025), "is longer than 1024 characters"),
    ] {
        let (_, _, detail) = refused(&world, &format!("/v1/deliveries?cursor={cursor}")).await;
        assert_eq!(detail, format!("cursor {problem}"));
    }
}

#[tokio::test]
async fn filters_are_checked() {
    let world = World::start().await;
    let time = "must be a time with its offset, as 2026-11-22T18:30:00+09:00 (RFC 3339)";
    let cases = [
        ("/v1/deliveries?state=lost", 422, "state", "state is none of scheduled retrying delivered dead expired cancelled undeliverable".to_owned()),
        ("/v1/deliveries?channel=smoke", 422, "channel", "channel is none of fcm".to_owned()),
        ("/v1/deliveries?user=", 422, "user", "user is empty".to_owned()),
        ("/v1/deliveries?notification=x", 422, "notification", "notification is not a UUID".to_owned()),
        ("/v1/deliveries?since=yesterday", 422, "since", format!("since {time}")),
        (
            "/v1/deliveries?since=2026-11-22T18:30:00+09:00",
            422,
            "since",
            format!("since {time}; a plus sign in a URL is written %2B"),
        ),
        ("/v1/deliveries?users=ann", 400, "users", "the query parameter users is not known; known here: user, state, reason, channel, notification, since, until, cursor, limit".to_owned()),
        ("/v1/deliveries?state=dead&state=dead", 400, "state", "the query parameter state is there twice".to_owned()),
        ("/v1/deliveries?limit=1001", 422, "limit", "limit must be 1 to 1000".to_owned()),
        ("/v1/notifications?state=dad", 422, "state", "state is none of scheduled expanding expanded cancelled expired dead".to_owned()),
        ("/v1/notifications?user=ann", 400, "user", "the query parameter user is not known; known here: state, since, until, cursor, limit".to_owned()),
        ("/v1/dead-letters?reason=no_device", 422, "reason", "reason is a reason of what is undeliverable, not dead".to_owned()),
        ("/v1/dead-letters?delivery=x", 400, "delivery", "the query parameter delivery is not known; known here: reason, channel, user, notification, since, until, cursor, limit".to_owned()),
        ("/v1/devices?state=new", 422, "state", "state is none of retired quarantined".to_owned()),
        ("/v1/devices?reason=", 422, "reason", "reason is empty".to_owned()),
        ("/v1/dead-letters/redrive?state=done", 400, "state", "the query parameter state is not known; known here: cursor, limit".to_owned()),
        ("/v1/stats?app=x", 400, "app", "the query parameter app is not known; none is known here".to_owned()),
    ];
    for (path, status, field, detail) in cases {
        assert_eq!(refused(&world, path).await, (status, field.to_owned(), detail), "{path}");
    }
}

#[tokio::test]
async fn an_app_sees_nothing_of_another() {
    let world = World::start().await;
    world.register("ann", "phone", "token-of-ann").await;
    let id = world.accepted(json!({ "to": { "user": "ann" }, "title": "t" })).await;
    let delivery = world.settled(&id).await["deliveries"][0]["id"].as_str().unwrap().to_owned();
    let other = Caller::of_app(&world, "other").await;
    for path in
        ["/v1/deliveries", "/v1/notifications", "/v1/dead-letters", "/v1/devices", "/v1/dead-letters/redrive"]
    {
        let body = other.get(path).await.body;
        let lists: Vec<&Value> =
            body.as_object().unwrap().values().filter(|value| value.is_array()).collect();
        assert_eq!(lists, [&json!([])], "{path}");
    }
    for path in [
        format!("/v1/notifications/{id}"),
        format!("/v1/deliveries/{delivery}"),
        format!("/v1/dead-letters/{delivery}"),
        format!("/v1/dead-letters/{id}"),
    ] {
        assert_eq!(other.get(&path).await.status, 404, "{path}");
    }
    let erased = other.call(Method::DELETE, "/v1/users/ann", None).await.body;
    let none = json!({ "cancelled": 0, "in_flight": 0, "devices": 0, "deliveries": 0, "notifications": 0 });
    assert_eq!(erased, none);
    assert_eq!(world.get("/v1/users/ann/devices/phone").await.status, 200);
}

#[tokio::test]
async fn each_endpoint_asks_for_its_scope() {
    let world = World::start().await;
    let id = "0192f0c1-2345-7000-8000-000000000000";
    let reads = [
        "/v1/notifications".to_owned(),
        "/v1/deliveries".to_owned(),
        "/v1/devices".to_owned(),
        "/v1/dead-letters".to_owned(),
        format!("/v1/dead-letters/{id}"),
        "/v1/dead-letters/redrive".to_owned(),
        format!("/v1/dead-letters/redrive/{id}"),
        "/v1/stats".to_owned(),
    ];
    let sender = Caller::with_scopes(&world, &["send", "manage"]).await;
    for path in reads {
        let answer = sender.get(&path).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["detail"]),
            (403, &json!("this API key lacks the scope 'read'")),
            "{path}"
        );
    }
    let manages = [
        (Method::POST, "/v1/devices/restore".to_owned()),
        (Method::DELETE, "/v1/users/ann".to_owned()),
        (Method::DELETE, "/v1/dead-letters?confirm=all".to_owned()),
        (Method::DELETE, format!("/v1/dead-letters/{id}")),
        (Method::POST, "/v1/dead-letters/redrive".to_owned()),
        (Method::DELETE, format!("/v1/dead-letters/redrive/{id}")),
    ];
    let reader = Caller::with_scopes(&world, &["send", "read"]).await;
    for (method, path) in manages {
        let answer = reader.call(method, &path, Some(json!({}))).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["detail"]),
            (403, &json!("this API key lacks the scope 'manage'")),
            "{path}"
        );
    }
}
