//! Nobody stands in another's way: lanes, projects, suspects, callers that go away.

use std::sync::atomic::Ordering;
use std::time::Duration;

use pabal_core::delivery::DeliveryState;
use pabal_core::outcome::{CredentialScope, Outcome};
use pabal_core::seam::Acceptance;
use pabal_engine::EngineConfig;
use pabal_testkit::clock::START;
use pabal_testkit::eventually;
use pabal_testkit::fixtures::{notification_id, to_device, to_token, to_users};

use crate::knobs::Knobs;
use crate::stage::{Line, Scripted, Stage, accept, obliging, states};

fn narrow(config: &mut EngineConfig) {
    config.attempts_in_flight_max = 20;
    config.attempts_in_flight_per_route_max = 20;
}

/// Accepts without an engine that would send.
async fn lay_down(stage: &Stage, batch: Vec<Acceptance>) {
    stage.one().accept(batch, None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn bulk_does_not_wait_for_all_that_is_transactional() {
    let stage = Stage::new().await;
    lay_down(&stage, (0..3000).map(|n| to_token(&format!("t{n}")).build(notification_id(n))).collect()).await;
    lay_down(&stage, vec![to_device("jun", "phone").bulk().build(notification_id(9000))]).await;
    let channel = Scripted::new(|_, _| Line::AnswerAfter(Outcome::Delivered, Duration::from_millis(500)));
    let _engine = stage.engine_with(&channel, stage.one(), narrow).await;
    assert_eq!(states(&stage.ended(9000).await), [DeliveryState::Delivered]);
    assert!(channel.total() < 100, "{} went before it", channel.total());
}

#[tokio::test(start_paused = true)]
async fn no_more_is_claimed_than_the_channel_carries() {
    let stage = Stage::new().await;
    lay_down(&stage, (0..200).map(|n| to_users(&["mina", "jun"]).build(notification_id(n))).collect()).await;
    let channel = Scripted::new(|_, _| Line::AnswerAfter(Outcome::Delivered, Duration::from_millis(50)));
    channel.capacity.store(7, Ordering::SeqCst);
    let engine = stage.engine_with(&channel, stage.one(), |_| {}).await;
    for n in 200..230 {
        accept(&engine, n, to_users(&["mina", "jun"])).await;
    }
    eventually("all to be delivered", || async { (channel.total() == 690).then_some(()) }).await;
    assert_eq!(channel.most_at_once(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_suspect_gets_its_turn_under_steady_load_and_holds_nobody_up() {
    let stage = Stage::new().await;
    let hanging = Scripted::new(|_, _| Line::Hang);
    for start in 0..2 {
        let engine = stage.engine_with(&hanging, stage.one(), |_| {}).await;
        if start == 0 {
            accept(&engine, 1, to_token("twice abandoned")).await;
        }
        hanging.under_way.subscribe().wait_for(|count| *count == 1).await.unwrap();
        drop(engine);
        hanging.under_way.subscribe().wait_for(|count| *count == 0).await.unwrap();
        stage.queue.end_leases();
    }
    let channel = Scripted::new(|_, _| Line::AnswerAfter(Outcome::Delivered, Duration::from_millis(100)));
    let engine = stage.engine_with(&channel, stage.one(), |_| {}).await;
    accept(&engine, 2, to_users(&["jun"]).send_at(START.plus_ms(10_000))).await;
    for n in 0..1000 {
        accept(&engine, 1000 + n, to_token(&format!("t{n}"))).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(states(&stage.deliveries(1).await), [DeliveryState::Delivered]);
    assert_eq!(states(&stage.deliveries(2).await), [DeliveryState::Delivered]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_leaves_no_lease_behind() {
    let stage = Stage::new().await;
    let knobs = Knobs::over(stage.one());
    let channel = obliging();
    let engine = stage.engine_with(&channel, knobs.clone(), |_| {}).await;
    accept(&engine, 1, to_token("a")).await;
    stage.ended(1).await;
    knobs.slow_accept.store(true, Ordering::SeqCst);
    let call = engine.accept(vec![to_token("b").build(notification_id(2))]);
    assert!(tokio::time::timeout(Duration::from_millis(10), call).await.is_err());
    tokio::time::timeout(Duration::from_secs(1), stage.ended(2))
        .await
        .expect("sent at once, not when a lease ends");
}

#[tokio::test(start_paused = true)]
async fn what_is_claimed_while_its_route_is_paused_goes_back_unsent() {
    let stage = Stage::new().await;
    let to_tablet = |n| to_device("mina", "tablet").build(notification_id(n));
    let refused = Outcome::CredentialInvalid { scope: CredentialScope::Platform };
    let channel = Scripted::new(move |_, _| Line::AnswerAfter(refused, Duration::from_millis(10)));
    let knobs = Knobs::over(stage.one());
    lay_down(&stage, vec![to_tablet(0)]).await;
    let engine = stage.engine_with(&channel, knobs.clone(), |_| {}).await;
    channel.under_way.subscribe().wait_for(|count| *count == 1).await.unwrap();
    knobs.slow_claim.store(true, Ordering::SeqCst);
    engine.accept((1..400).map(to_tablet).collect()).await.unwrap();
    eventually("the route to be held", || async { (!engine.status().pauses.is_empty()).then_some(()) }).await;
    let sent = channel.total();
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(channel.total(), sent, "a probe goes out once a minute");
}

#[tokio::test(start_paused = true)]
async fn a_part_that_fails_is_told() {
    let stage = Stage::new().await;
    let knobs = Knobs::over(stage.one());
    let engine = stage.engine_with(&obliging(), knobs.clone(), |_| {}).await;
    assert!(!engine.status().broken);
    knobs.panicking_settle.store(true, Ordering::SeqCst);
    accept(&engine, 1, to_token("a")).await;
    eventually("the engine to notice", || async { engine.status().broken.then_some(()) }).await;
}
