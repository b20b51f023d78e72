//! What the engine counts, as a scrape shows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pabal_core::delivery::Reason;
use pabal_core::ids::AppId;
use pabal_core::limits;
use pabal_core::outcome::{CredentialScope, Outcome};
use pabal_core::route::{Lane, Platform, Route};
use pabal_core::seam::store::StoreSize;
use pabal_core::seam::{Claim, DeadFilter, RouteCount, Selection, Want, Worker};
use pabal_engine::Engine;
use pabal_engine::metrics::{ENGINE, Kind};
use pabal_testkit::eventually;
use pabal_testkit::fixtures::{notification_id, to_token, to_users};
use prometheus_client::registry::Registry;

use crate::knobs::Knobs;
use crate::stage::{Line, Scripted, Stage, accept, obliging};

fn scrape(engine: &Engine) -> String {
    let mut registry = Registry::default();
    registry.register_collector(engine.collector());
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    text
}

/// The value of a series; -1 where there is none.
fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(-1.0, |number| number.parse().unwrap())
}

fn check(text: &str, expect: &[(&str, f64)]) {
    for (series, number) in expect {
        assert_eq!(value(text, series), *number, "{series} in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_happens_is_counted_once() {
    let channel = Scripted::new(|outbound, times| {
        Line::AnswerAfter(
            match (outbound.platform, times) {
                (Platform::Ios, _) => Outcome::Unregistered,
                (_, 0) => Outcome::Unavailable { retry_after_ms: None },
                _ => Outcome::Delivered,
            },
            Duration::from_millis(30),
        )
    });
    let stage = Stage::new().await;
    let engine = stage.engine_with(&channel, stage.one(), |_| {}).await;
    accept(&engine, 1, to_users(&["mina", "jun"])).await;
    stage.ended(1).await;
    engine.drain().await;
    let attempts = |outcome| {
        format!("pabal_attempts_total{{channel=\"fcm\",credential=\"main\",outcome=\"{outcome}\"}}")
    };
    let ended = |state, reason| {
        format!("pabal_deliveries_ended_total{{channel=\"fcm\",state=\"{state}\",reason=\"{reason}\"}}")
    };
    check(
        &scrape(&engine),
        &[
            ("pabal_accepted_notifications_total{lane=\"transactional\",answer=\"accepted\"}", 1.0),
            ("pabal_accepted_notifications_total{lane=\"bulk\",answer=\"accepted\"}", 0.0),
            (&attempts("unavailable"), 2.0),
            (&attempts("delivered"), 2.0),
            (&attempts("unregistered"), 1.0),
            ("pabal_attempt_seconds_count{channel=\"fcm\",credential=\"main\"}", 5.0),
            ("pabal_attempt_seconds_bucket{le=\"0.025\",channel=\"fcm\",credential=\"main\"}", 0.0),
            ("pabal_attempt_seconds_bucket{le=\"0.05\",channel=\"fcm\",credential=\"main\"}", 5.0),
            (&ended("delivered", ""), 2.0),
            (&ended("dead", "unregistered"), 1.0),
            (&ended("dead", "rejected"), 0.0),
            ("pabal_devices_marked_total{mark=\"retired\",reason=\"unregistered\"}", 1.0),
            ("pabal_settlements_total{answer=\"settled\"}", 5.0),
            ("pabal_settlements_total{answer=\"refused\"}", 0.0),
            ("pabal_settle_items_sum", 5.0),
            ("pabal_lateness_seconds_count{lane=\"transactional\"}", 5.0),
            ("pabal_ledger_call_seconds_count{call=\"accept\"}", 1.0),
            ("pabal_ledger_call_failures_total{call=\"settle\"}", 0.0),
            ("pabal_in_flight", 0.0),
            ("pabal_in_flight_limit", 1000.0),
            ("pabal_store_failing", 0.0),
            ("pabal_engine_broken", 0.0),
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn a_replay_of_the_same_run_shows_the_same_numbers() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let channel = Scripted::new(|_, times| {
            Line::Answer(if times < 2 { Outcome::Unknown } else { Outcome::Delivered })
        });
        let stage = Stage::new().await;
        let engine = stage.engine(&channel).await;
        for n in 0..20 {
            accept(&engine, n, to_users(&["mina", "jun"])).await;
        }
        for n in 0..20 {
            stage.ended(n).await;
        }
        engine.drain().await;
        runs.push(scrape(&engine));
    }
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_back_or_expires_is_counted_where_it_ends() {
    let stage = Stage::new().await;
    let failing = Line::AnswerAfter(Outcome::Unavailable { retry_after_ms: None }, Duration::from_secs(2));
    let channel = Scripted::new(move |_, _| failing);
    let engine = stage.engine(&channel).await;
    // Taken back while it is attempted: it ends when the attempt comes back.
    accept(&engine, 1, to_users(&["jun"])).await;
    channel.under_way.subscribe().wait_for(|count| *count == 1).await.unwrap();
    let cancel = |n| Selection::Notification(AppId::DEFAULT, notification_id(n));
    engine.end(cancel(1), Reason::CancelRequested).await.unwrap();
    stage.ended(1).await;
    // Taken back while it waits.
    accept(&engine, 2, to_users(&["jun"])).await;
    channel.under_way.subscribe().wait_for(|count| *count == 1).await.unwrap();
    channel.under_way.subscribe().wait_for(|count| *count == 0).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    engine.end(cancel(2), Reason::CancelRequested).await.unwrap();
    stage.ended(2).await;
    // Expires before it could be tried again.
    accept(&engine, 3, to_users(&["jun"]).ttl_s(1)).await;
    stage.ended(3).await;
    engine.drain().await;
    check(
        &scrape(&engine),
        &[
            (
                "pabal_deliveries_ended_total{channel=\"fcm\",state=\"cancelled\",reason=\"cancel_requested\"}",
                1.0,
            ),
            ("pabal_waiting_ended_total{reason=\"cancel_requested\"}", 1.0),
        ],
    );
    let expired = "pabal_deliveries_ended_total{channel=\"fcm\",state=\"expired\",reason=\"ttl_ended\"}";
    let expired_waiting = "pabal_waiting_ended_total{reason=\"ttl_ended\"}";
    let text = scrape(&engine);
    assert_eq!(value(&text, expired) + value(&text, expired_waiting), 1.0, "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_shows() {
    let stage = Stage::new().await;
    let knobs = Knobs::over(stage.ledger.clone());
    let channel = Scripted::new(|_, _| Line::AnswerAfter(Outcome::Delivered, Duration::from_secs(2)));
    let engine = stage.engine_with(&channel, knobs.clone(), |_| {}).await;
    accept(&engine, 1, to_users(&["jun"])).await;
    channel.under_way.subscribe().wait_for(|count| *count == 1).await.unwrap();
    knobs.all_full.store(true, Ordering::SeqCst);
    eventually("the engine to notice", || async { engine.status().store_fails.then_some(()) }).await;
    engine.accept(vec![to_users(&["jun"]).build(notification_id(2))]).await.unwrap_err();
    let text = scrape(&engine);
    check(
        &text,
        &[
            ("pabal_store_failing", 1.0),
            ("pabal_in_flight", 1.0),
            ("pabal_accepted_notifications_total{lane=\"transactional\",answer=\"failed\"}", 1.0),
            ("pabal_ledger_call_failures_total{call=\"accept\"}", 1.0),
        ],
    );
    assert!(value(&text, "pabal_ledger_call_failures_total{call=\"settle\"}") >= 1.0, "{text}");
    knobs.all_full.store(false, Ordering::SeqCst);
    stage.ended(1).await;
    let is_good = || async { (value(&scrape(&engine), "pabal_store_failing") == 0.0).then_some(()) };
    eventually("the store to be trusted again", is_good).await;
}

#[tokio::test(start_paused = true)]
async fn a_part_that_fails_shows() {
    let stage = Stage::new().await;
    let knobs = Knobs::over(stage.ledger.clone());
    let engine = stage.engine_with(&obliging(), knobs.clone(), |_| {}).await;
    knobs.panicking_settle.store(true, Ordering::SeqCst);
    accept(&engine, 1, to_users(&["jun"])).await;
    eventually("the engine to break", || async { engine.status().broken.then_some(()) }).await;
    assert_eq!(value(&scrape(&engine), "pabal_engine_broken"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_paused_route_shows_until_it_goes_on() {
    let mended = Arc::new(AtomicBool::new(false));
    let channel = {
        let mended = Arc::clone(&mended);
        let invalid = Outcome::CredentialInvalid { scope: CredentialScope::Platform };
        Scripted::new(move |_, _| {
            Line::Answer(if mended.load(Ordering::SeqCst) { Outcome::Delivered } else { invalid })
        })
    };
    let stage = Stage::new().await;
    let engine = stage.engine(&channel).await;
    accept(&engine, 1, to_users(&["jun"])).await;
    let paused = "pabal_route_paused{lane=\"transactional\",channel=\"fcm\",credential=\"main\",\
                  platform=\"android\",reason=\"credential_refused\"}";
    eventually("the route to be held", || async { (value(&scrape(&engine), paused) == 1.0).then_some(()) })
        .await;
    mended.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(61)).await;
    stage.ended(1).await;
    assert_eq!(value(&scrape(&engine), paused), -1.0);
}

#[tokio::test(start_paused = true)]
async fn what_dead_processes_left_behind_is_counted() {
    let stage = Stage::new().await;
    let acceptance = to_token("a").build(notification_id(1));
    stage.ledger.accept(vec![acceptance], None).await.unwrap();
    let route: Route = "transactional/fcm/main/other".parse().unwrap();
    for worker in 0..u64::from(limits::SUSPECT_AFTER) {
        let want = Want::Ordinary(vec![(route.clone(), 1)]);
        let claim = Claim { want, worker: Worker(worker), visibility_ms: 60_000 };
        assert_eq!(stage.ledger.claim(claim).await.unwrap().work.len(), 1);
        stage.queue.end_leases();
    }
    let engine = stage.engine(&obliging()).await;
    stage.ended(1).await;
    engine.drain().await;
    check(&scrape(&engine), &[("pabal_claimed_suspects_total", 1.0), ("pabal_claimed_abandoned_total", 1.0)]);
}

#[tokio::test(start_paused = true)]
async fn what_maintenance_does_is_counted() {
    let stage = Stage::new().await;
    let channel = Scripted::new(|outbound, _| {
        Line::Answer(if outbound.platform == Platform::Ios { Outcome::Rejected } else { Outcome::Delivered })
    });
    let engine = stage
        .engine_with(&channel, stage.ledger.clone(), |config| {
            config.prune_every_ms = 1000;
            config.retention.ended_ms = 5000;
        })
        .await;
    accept(&engine, 1, to_users(&["mina"])).await;
    accept(&engine, 2, to_users(&["jun"])).await;
    stage.ended(1).await;
    stage.ended(2).await;
    let redriven = engine.redrive(AppId::DEFAULT, DeadFilter::default(), None, 10).await.unwrap();
    assert_eq!(redriven.reopened.len(), 1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    check(
        &scrape(&engine),
        &[
            ("pabal_redriven_total", 1.0),
            // The one with a dead letter is kept for longer.
            ("pabal_pruned_total{kind=\"notifications\"}", 1.0),
            ("pabal_pruned_total{kind=\"deliveries\"}", 1.0),
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn a_wiped_queue_shows_in_the_repairs() {
    let stage = Stage::new().await;
    let engine = stage.engine(&obliging()).await;
    let before = value(&scrape(&engine), "pabal_reconciler_repaired_total");
    assert_eq!(before, 0.0);
    for n in 0..3 {
        let later = to_users(&["jun"]).send_at(pabal_testkit::clock::START.plus_ms(3_600_000));
        accept(&engine, n, later).await;
    }
    stage.queue.wipe();
    let repaired =
        || async { (value(&scrape(&engine), "pabal_reconciler_repaired_total") == 3.0).then_some(()) };
    eventually("the queue to be filled again", repaired).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_read_in_the_background_is_shown_with_its_age() {
    let stage = Stage::new().await;
    let engine = stage.engine(&obliging()).await;
    let text = scrape(&engine);
    assert_eq!(value(&text, "pabal_store_size_bytes"), -1.0, "nothing was read yet");
    let count = |route: &str, entries, oldest_due_ms| RouteCount {
        route: route.parse().unwrap(),
        entries,
        leased: 1,
        oldest_due_ms,
    };
    let counts = vec![count("bulk/fanout", 2, None), count("bulk/fcm/main/ios", 10_000_000, Some(61_500))];
    engine.metrics().observe_queue(counts);
    engine.metrics().observe_size(StoreSize { used_bytes: 4096, disk_free_bytes: None });
    tokio::time::sleep(Duration::from_secs(7)).await;
    let fan_out = "{lane=\"bulk\",channel=\"fanout\",credential=\"\",platform=\"\"}";
    let ios = "{lane=\"bulk\",channel=\"fcm\",credential=\"main\",platform=\"ios\"}";
    check(
        &scrape(&engine),
        &[
            (&format!("pabal_queue_entries{ios}"), 10_000_000.0),
            (&format!("pabal_queue_leased{ios}"), 1.0),
            (&format!("pabal_oldest_due_age_seconds{ios}"), 61.5),
            (&format!("pabal_oldest_due_age_seconds{fan_out}"), 0.0),
            ("pabal_store_size_bytes", 4096.0),
            ("pabal_disk_free_bytes", -1.0),
            ("pabal_observation_age_seconds{of=\"queue\"}", 7.0),
        ],
    );
}

/// However much waits, and on as many routes as there may be.
#[tokio::test(start_paused = true)]
async fn a_scrape_is_of_a_bounded_size() {
    let stage = Stage::new().await;
    let engine = stage.engine(&obliging()).await;
    let credentials =
        (0..limits::CREDENTIALS_MAX).map(|n| format!("{n:0>width$}", width = limits::CREDENTIAL_BYTES_MAX));
    let platforms = ["android", "ios", "web", "other"];
    let routes = credentials.flat_map(|credential| {
        let of_lane = move |lane| platforms.map(|platform| format!("{lane}/fcm/{credential}/{platform}"));
        Lane::ALL.into_iter().flat_map(of_lane)
    });
    let count = |route: String| RouteCount {
        route: route.parse().unwrap(),
        entries: 10_000_000,
        leased: 1000,
        oldest_due_ms: Some(86_400_000),
    };
    let counts: Vec<RouteCount> = routes.map(count).collect();
    assert!((200..=limits::ROUTES_MAX).contains(&counts.len()), "{}", counts.len());
    engine.metrics().observe_queue(counts);
    let text = scrape(&engine);
    assert!(text.len() < 256 * 1024, "{} bytes", text.len());
}

/// Words that may stand in a label. None of them is a person's, a token's, a key's or an app's.
const LABELS: [&str; 12] = [
    "answer",
    "call",
    "channel",
    "credential",
    "kind",
    "lane",
    "mark",
    "of",
    "outcome",
    "platform",
    "reason",
    "state",
];

#[tokio::test(start_paused = true)]
async fn the_catalogue_is_what_is_exposed() {
    let stage = Stage::new().await;
    let engine = stage.engine(&obliging()).await;
    let text = scrape(&engine);
    let exposed: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let of_catalogue = |described: &&pabal_engine::metrics::Described| {
        let name = described.full_name();
        let name = if described.kind == Kind::Counter { name.trim_end_matches("_total") } else { &name };
        format!("{name} {}", described.type_name())
    };
    assert_eq!(exposed, ENGINE.iter().map(of_catalogue).collect::<Vec<_>>());
    for described in ENGINE {
        assert!(described.name.starts_with("pabal_") && described.help.ends_with('.'), "{}", described.name);
        assert!(described.labels.iter().all(|label| LABELS.contains(label)), "{:?}", described.labels);
    }
    assert_eq!(Lane::ALL.len(), 2, "series of both lanes are there from the start");
    assert!(text.contains("pabal_lateness_seconds_count{lane=\"bulk\"} 0"), "{text}");
}
