//! `/metrics`, of a real server that has lived through a bad day: what it counts, who may look, and that it answers
//! whatever the store does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use fcm_emulator::{FaultKind, Faults, TokenRule};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::json;

use crate::world::{DEADLINE, KEY, World, connect, eventually, request};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0";

/// Every series with its value: `name{label="value",…}`, labels in their order.
type Samples = BTreeMap<String, f64>;

async fn get(world: &World, request: http::request::Builder) -> (StatusCode, HeaderMap, String) {
    let mut sender = connect(world.running.address()).await;
    let exchange = async {
        let request = request.body(Full::default()).unwrap();
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (head.status, head.headers, String::from_utf8(bytes.to_vec()).unwrap())
    };
    tokio::time::timeout(DEADLINE, exchange).await.expect("an answer within the deadline")
}

async fn scrape_text(world: &World) -> String {
    let (status, headers, text) =
        get(world, request(Method::GET, "/metrics").header(ACCEPT, OPEN_METRICS)).await;
    assert_eq!(status, 200, "{text}");
    assert_eq!(headers[CONTENT_TYPE], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    text
}

async fn scrape(world: &World) -> Samples {
    parse(&scrape_text(world).await)
}

#[track_caller]
fn check(samples: &Samples, expect: &[(&str, f64)]) {
    for (series, number) in expect {
        assert_eq!(samples.get(*series), Some(number), "{series} in {samples:#?}");
    }
}

#[tokio::test]
async fn a_bad_day_is_counted_to_the_last() {
    let rule = |prefix: &str, answer, first| TokenRule { prefix: prefix.into(), answer, first, status: None };
    let tokens = vec![
        rule("secret-flaky", FaultKind::Unavailable, Some(1)),
        rule("secret-down", FaultKind::Unavailable, None),
        rule("secret-gone", FaultKind::Unregistered, None),
        rule("secret-apns", FaultKind::ThirdPartyAuth, None),
    ];
    let world =
        World::start_with(Faults { tokens, ..Faults::default() }, |config| config.retry.attempts_max = 3)
            .await;
    let settled = async |body| world.settled(&world.accepted(body).await).await;
    let to_user = |user: &str| json!({ "to": { "user": user }, "title": "secret-title" });

    world.register("secret-ann", "phone", "secret-good").await;
    world.register("secret-ann", "tablet", "secret-flaky").await;
    settled(to_user("secret-ann")).await;
    settled(json!({ "to": { "token": "secret-down" }, "title": "t" })).await;
    world.register("secret-bob", "phone", "secret-gone-1").await;
    settled(to_user("secret-bob")).await;
    settled(json!({ "to": { "token": "secret-gone-2" }, "title": "t", "lane": "bulk" })).await;
    settled(to_user("secret-nobody")).await;
    // On the platform `other` a refused credential holds that delivery alone, and this one has no time to wait.
    settled(json!({ "to": { "token": "secret-apns-1" }, "title": "t", "ttl": 1 })).await;
    replay(&world).await;
    take_back_a_scheduled_one(&world).await;
    take_back_a_held_one(&world).await;

    let kept = "pabal_deliveries{state=\"cancelled\",reason=\"cancel_requested\"}";
    let samples = eventually("the counters to be read", async || {
        Some(scrape(&world).await).filter(|samples| samples.contains_key(kept))
    })
    .await;
    check_the_bad_day(&samples);
    let text = scrape_text(&world).await;
    for secret in ["secret", KEY, "default", "phone"] {
        let line = text.lines().find(|line| !line.starts_with('#') && line.contains(secret));
        assert_eq!(line, None, "no label holds a person, a token, a key or an app");
    }
    world.running.stop().await;
}

/// The same request twice, then another with its key.
async fn replay(world: &World) {
    for (title, status) in [("t", 202), ("t", 202), ("other", 422)] {
        let body = json!({ "to": { "token": "secret-replayed" }, "title": title }).to_string();
        let post = request(Method::POST, "/v1/notifications").header("idempotency-key", "secret-key");
        let post = post.header(CONTENT_TYPE, "application/json").body(Full::from(body)).unwrap();
        let answer = world.exchange(post).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        if status == 202 {
            world.settled(answer.body["id"].as_str().unwrap()).await;
        }
    }
}

async fn take_back_a_scheduled_one(world: &World) {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    let body = json!({ "to": { "user": "secret-ann" }, "title": "t", "send_at": at.to_string() });
    let id = world.accepted(body).await;
    let answer = world.call(Method::DELETE, &format!("/v1/notifications/{id}"), None).await;
    assert_eq!((answer.status.as_u16(), &answer.body["cancelled"]), (200, &json!(1)), "{}", answer.body);
}

/// Pauses the transactional route to Android, and takes back what waits there.
async fn take_back_a_held_one(world: &World) {
    world.register("secret-cy", "phone", "secret-apns-2").await;
    let id = world.accepted(json!({ "to": { "user": "secret-cy" }, "title": "t" })).await;
    eventually("the delivery waits", async || {
        let view = world.get(&format!("/v1/notifications/{id}")).await.body;
        view["deliveries"][0]["paused"].is_string().then_some(())
    })
    .await;
    let in_flight = async || scrape(world).await["pabal_in_flight"];
    eventually("nothing to be in flight", async || (in_flight().await == 0.0).then_some(())).await;
    let answer = world.call(Method::DELETE, &format!("/v1/notifications/{id}"), None).await;
    assert_eq!((answer.status.as_u16(), &answer.body["cancelled"]), (200, &json!(1)), "{}", answer.body);
}

fn check_the_bad_day(samples: &Samples) {
    let attempts = |outcome: &str, number: f64| {
        (format!("pabal_attempts_total{{channel=\"fcm\",credential=\"demo\",outcome=\"{outcome}\"}}"), number)
    };
    let ended = |state: &str, reason: &str, number: f64| {
        let labels = format!("channel=\"fcm\",state=\"{state}\",reason=\"{reason}\"");
        (format!("pabal_deliveries_ended_total{{{labels}}}"), number)
    };
    let kept = |state: &str, reason: &str, number: f64| {
        (format!("pabal_deliveries{{state=\"{state}\",reason=\"{reason}\"}}"), number)
    };
    let accepted = |lane: &str, answer: &str, number: f64| {
        (format!("pabal_accepted_notifications_total{{lane=\"{lane}\",answer=\"{answer}\"}}"), number)
    };
    let posted = |class: &str, number: f64| {
        let labels = format!("method=\"POST\",route=\"/v1/notifications\",class=\"{class}\"");
        (format!("pabal_http_requests_total{{{labels}}}"), number)
    };
    let expect = [
        accepted("transactional", "accepted", 8.0),
        accepted("transactional", "replayed", 1.0),
        accepted("transactional", "key_reused", 1.0),
        accepted("transactional", "failed", 0.0),
        accepted("bulk", "accepted", 1.0),
        attempts("delivered", 3.0),
        attempts("unavailable", 4.0),
        attempts("unregistered", 2.0),
        attempts("credential_invalid", 2.0),
        attempts("unknown", 0.0),
        ended("delivered", "", 3.0),
        ended("dead", "attempts_exhausted", 1.0),
        ended("dead", "unregistered", 2.0),
        ended("expired", "ttl_ended", 1.0),
        ended("cancelled", "cancel_requested", 0.0),
        kept("delivered", "", 3.0),
        kept("dead", "attempts_exhausted", 1.0),
        kept("dead", "unregistered", 2.0),
        kept("expired", "ttl_ended", 1.0),
        kept("cancelled", "cancel_requested", 1.0),
        kept("undeliverable", "no_device", 1.0),
        posted("2xx", 10.0),
        posted("4xx", 1.0),
    ];
    for (series, number) in &expect {
        check(samples, &[(series, *number)]);
    }
    check(
        samples,
        &[
            ("pabal_attempt_seconds_count{channel=\"fcm\",credential=\"demo\"}", 11.0),
            ("pabal_settlements_total{answer=\"settled\"}", 11.0),
            ("pabal_settlements_total{answer=\"refused\"}", 0.0),
            ("pabal_settle_items_sum", 11.0),
            // One of the two tokens that are gone was a device's.
            ("pabal_devices_marked_total{mark=\"retired\",reason=\"unregistered\"}", 1.0),
            ("pabal_waiting_ended_total{reason=\"cancel_requested\"}", 2.0),
            ("pabal_store_failing", 0.0),
            ("pabal_engine_broken", 0.0),
            ("pabal_in_flight", 0.0),
        ],
    );
    let paused: Vec<&String> =
        samples.keys().filter(|series| series.starts_with("pabal_route_paused{")).collect();
    let route = "lane=\"transactional\",channel=\"fcm\",credential=\"demo\",platform=\"android\"";
    assert_eq!(paused, [&format!("pabal_route_paused{{{route},reason=\"credential_refused\"}}")]);
    for grows in [
        "pabal_store_size_bytes",
        "pabal_disk_free_bytes",
        "pabal_process_open_fds",
        "pabal_http_connections",
    ] {
        assert!(samples[grows] > 0.0, "{grows}");
    }
}

#[tokio::test]
async fn what_waits_shows_with_its_age() {
    let rule =
        TokenRule { prefix: "apns".into(), answer: FaultKind::ThirdPartyAuth, first: None, status: None };
    let world = World::start_with(Faults { tokens: vec![rule], ..Faults::default() }, |config| {
        config.retry.credential_probe_ms = 1000;
    })
    .await;
    world.register("ann", "phone", "apns-token").await;
    for _ in 0..3 {
        world.accepted(json!({ "to": { "user": "ann" }, "title": "t" })).await;
    }
    let route = "{lane=\"transactional\",channel=\"fcm\",credential=\"demo\",platform=\"android\"}";
    eventually("what waits to be seen", async || {
        let samples = scrape(&world).await;
        let waits = samples.get(&format!("pabal_queue_entries{route}")) == Some(&3.0);
        let age = samples.get(&format!("pabal_oldest_due_age_seconds{route}")).copied().unwrap_or_default();
        (waits && age > 1.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_full_store_shows_and_a_scrape_still_answers() {
    let world = World::start_with(Faults::default(), |config| config.store.push_str("?pages_max=400")).await;
    let mut accepted = 0.0;
    let post = async |n: usize| {
        world.post(json!({ "to": { "token": format!("token-{n}") }, "title": "x".repeat(1000) })).await.status
    };
    let mut n = 0;
    while post(n).await == 202 {
        (accepted, n) = (accepted + 1.0, n + 1);
        assert!(n < 10_000, "the store never fills up");
    }
    let failed = "pabal_accepted_notifications_total{lane=\"transactional\",answer=\"failed\"}";
    let samples = eventually("the failure to show", async || {
        post(n).await;
        Some(scrape(&world).await).filter(|samples| samples["pabal_store_failing"] == 1.0)
    })
    .await;
    assert!(samples[failed] >= 1.0, "{samples:#?}");
    assert!(samples["pabal_ledger_call_failures_total{call=\"accept\"}"] >= 1.0, "{samples:#?}");
    let succeeded = "pabal_accepted_notifications_total{lane=\"transactional\",answer=\"accepted\"}";
    assert!(samples[succeeded] >= accepted, "{samples:#?}");
    let refused = "pabal_http_requests_total{method=\"POST\",route=\"/v1/notifications\",class=\"5xx\"}";
    assert_eq!(samples[refused], samples[failed], "{samples:#?}");
}

#[tokio::test]
async fn a_scrape_waits_for_no_store() {
    let world = World::start().await;
    let id = world.accepted(json!({ "to": { "token": "before" }, "title": "t" })).await;
    world.settled(&id).await;
    let held = rusqlite::Connection::open(world.database()).unwrap();
    held.busy_timeout(Duration::from_secs(20)).unwrap();
    held.execute_batch("BEGIN EXCLUSIVE").unwrap();
    // A write that hangs, and all that comes after it.
    let address = world.running.address();
    let body = json!({ "to": { "token": "meanwhile" }, "title": "t" }).to_string();
    let hanging = request(Method::POST, "/v1/notifications").header(CONTENT_TYPE, "application/json");
    let hanging = tokio::spawn(crate::world::exchange(address, hanging.body(Full::from(body)).unwrap()));
    let mut slowest = Duration::ZERO;
    for _ in 0..50 {
        let began = Instant::now();
        let text = scrape_text(&world).await;
        slowest = slowest.max(began.elapsed());
        assert!(text.len() < 128 * 1024, "{} bytes", text.len());
    }
    // A twentieth of what the store's own patience is; unoptimized, on a machine with other things to do.
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
    held.execute_batch("ROLLBACK").unwrap();
    hanging.await.unwrap();
}

#[tokio::test]
async fn who_may_look() {
    let world = World::start().await;
    let bare = || Request::builder().uri("/metrics").header("host", "pabal");
    assert_eq!(get(&world, bare()).await.0, 401);
    assert_eq!(get(&world, bare().header("authorization", "Bearer wrong")).await.0, 401);
    let made = world.call(Method::POST, "/v1/apps", Some(json!({ "name": "other" }))).await;
    assert_eq!(made.status, 201, "{}", made.body);
    for (key, status) in [
        (json!({ "name": "scraper", "scopes": ["read"] }), 200),
        (json!({ "name": "sender", "scopes": ["send"] }), 403),
        (json!({ "name": "stranger", "scopes": ["admin"], "app": "other" }), 403),
    ] {
        let made = world.call(Method::POST, "/v1/keys", Some(key)).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let bearer = format!("Bearer {}", made.body["key"].as_str().unwrap());
        let (found, _, text) = get(&world, bare().header("authorization", bearer)).await;
        assert_eq!(found, status, "{text}");
        assert_eq!(text.contains("pabal_"), status == 200, "{text}");
    }

    let open = World::start_with(Faults::default(), |config| config.http.metrics_open = true).await;
    let (status, headers, text) = get(&open, bare()).await;
    assert_eq!(
        (status.as_u16(), &headers[CONTENT_TYPE]),
        (200, &"text/plain; version=0.0.4; charset=utf-8".parse().unwrap())
    );
    assert!(text.contains("# TYPE pabal_attempts_total counter\n") && !text.contains("# EOF"), "{text}");
}

#[tokio::test]
async fn strangers_make_no_series() {
    let world = World::start().await;
    for n in 0..20 {
        let path = format!("/v1/secret-{n}");
        let method = Method::from_bytes(format!("SECRET{n}").as_bytes()).unwrap();
        get(&world, request(Method::GET, &path)).await;
        get(&world, request(method, "/healthz")).await;
    }
    let samples = scrape(&world).await;
    let of_requests: Vec<&String> =
        samples.keys().filter(|series| series.starts_with("pabal_http_requests_total")).collect();
    assert_eq!(
        of_requests,
        [
            "pabal_http_requests_total{method=\"GET\",route=\"(no route)\",class=\"4xx\"}",
            "pabal_http_requests_total{method=\"other\",route=\"/healthz\",class=\"4xx\"}",
        ]
    );
    assert_eq!(samples[of_requests[0]], 20.0);
    // The scrape itself, which has no answer yet.
    assert_eq!(samples["pabal_http_requests_in_flight"], 1.0);
}

/// Parses OpenMetrics 1.0, strictly: what is odd in any way fails.
fn parse(text: &str) -> Samples {
    let body = text.strip_suffix("# EOF\n").expect("the text ends with its mark");
    let mut samples = Samples::new();
    let mut families = BTreeSet::new();
    let mut lines = body.lines().peekable();
    while let Some(line) = lines.next() {
        let (name, help) =
            line.strip_prefix("# HELP ").unwrap_or_else(|| panic!("{line}")).split_once(' ').unwrap();
        assert!(!help.is_empty() && families.insert(name.to_owned()), "{line}");
        let of_type = format!("# TYPE {name} ");
        let kind = lines.next().and_then(|line| line.strip_prefix(of_type.as_str())).expect("a type follows");
        if let Some(unit) = lines.peek().and_then(|line| line.strip_prefix(&format!("# UNIT {name} "))) {
            assert!(name.ends_with(&format!("_{unit}")), "{name} is not in {unit}");
            lines.next();
        }
        let mut series = Vec::new();
        while let Some(sample) = lines.next_if(|line| !line.starts_with('#')) {
            let (labelled, number) = sample.rsplit_once(' ').expect("a sample has a value");
            series.push((labelled.to_owned(), number.parse::<f64>().unwrap_or_else(|_| panic!("{sample}"))));
        }
        check_family(name, kind, &series);
        for (labelled, number) in series {
            assert!(samples.insert(labelled.clone(), number).is_none(), "{labelled} is there twice");
        }
    }
    samples
}

fn check_family(name: &str, kind: &str, series: &[(String, f64)]) {
    let suffixes: &[&str] = match kind {
        "counter" => &["_total"],
        "gauge" => &[""],
        "info" => &["_info"],
        "histogram" => &["_bucket", "_sum", "_count"],
        other => panic!("{name} is a {other}"),
    };
    let mut buckets: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    let mut counts = BTreeMap::new();
    for (labelled, number) in series {
        let (of_sample, labels) = labels_of(labelled);
        let suffix = of_sample.strip_prefix(name).unwrap_or_else(|| panic!("{labelled} below {name}"));
        assert!(suffixes.contains(&suffix), "{labelled} of a {kind}");
        assert!(kind == "gauge" || *number >= 0.0, "{labelled} {number}");
        let bound = labels.get("le").map(|bound| bound.replace("+Inf", "inf").parse::<f64>().unwrap());
        let others: Vec<String> =
            labels.iter().filter(|(key, _)| **key != "le").map(|pair| format!("{pair:?}")).collect();
        match (suffix, bound) {
            ("_bucket", Some(bound)) => buckets.entry(others.join(",")).or_default().push((bound, *number)),
            ("_count", None) => assert_eq!(counts.insert(others.join(","), *number), None),
            (_, bound) => assert_eq!(bound, None, "{labelled}"),
        }
    }
    for (labels, bounds) in &buckets {
        assert!(
            bounds.is_sorted_by(|one, next| one.0 < next.0 && one.1 <= next.1),
            "{name} {labels}: {bounds:?}"
        );
        assert_eq!(bounds.last().copied(), Some((f64::INFINITY, counts[labels])), "{name} {labels}");
    }
    assert_eq!(buckets.len(), if kind == "histogram" { counts.len() } else { 0 }, "{name}");
}

/// The name of a sample and its labels.
fn labels_of(labelled: &str) -> (&str, BTreeMap<&str, &str>) {
    let Some((name, rest)) = labelled.split_once('{') else { return (labelled, BTreeMap::new()) };
    let mut rest = rest.strip_suffix('}').expect("the labels end");
    let mut labels = BTreeMap::new();
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"").expect("a label has a value in quotes");
        let (value, after) = after.split_once('"').expect("a value ends");
        assert!(
            label.chars().all(|c| c.is_ascii_lowercase() || c == '_') && !value.contains('\\'),
            "{labelled}"
        );
        assert_eq!(labels.insert(label, value), None, "{labelled}");
        rest = if after.is_empty() {
            after
        } else {
            after.strip_prefix(',').expect("a comma stands between labels")
        };
    }
    assert!(!labels.is_empty(), "{labelled}");
    (name, labels)
}
