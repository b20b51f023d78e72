//! Attempts: what is sent when, and what follows.

use std::time::Duration;

use pabal_core::clock::Clock;
use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::ids::AppId;
use pabal_core::outcome::{Outcome, OutcomeKind, ThrottleScope};
use pabal_core::seam::{Answer, History, Selection};
use pabal_testkit::clock::START;
use pabal_testkit::eventually;
use pabal_testkit::fixtures::{notification_id, to_users};

use crate::stage::{Line, RuntimeClock, Scripted, Stage, accept, obliging, states};

#[tokio::test(start_paused = true)]
async fn every_device_of_a_user_gets_one() {
    let (stage, channel) = (Stage::new().await, obliging());
    let engine = stage.engine(&channel).await;
    let answer = accept(&engine, 1, to_users(&["mina", "jun"])).await;
    assert_eq!(answer, Answer::Accepted { id: notification_id(1), deliveries: Some(3) });
    let ended = stage.ended(1).await;
    assert_eq!(states(&ended), [DeliveryState::Delivered; 3]);
    assert!(ended.iter().all(|delivery| channel.sends(delivery.id).len() == 1));
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_for_retry_after() {
    let throttled = Outcome::Throttled { retry_after_ms: Some(7_000), scope: ThrottleScope::Project };
    let channel =
        Scripted::new(move |_, times| Line::Answer(if times == 0 { throttled } else { Outcome::Delivered }));
    let stage = Stage::new().await;
    let engine = stage.engine(&channel).await;
    accept(&engine, 1, to_users(&["jun"])).await;
    let ended = stage.ended(1).await;
    let sends = channel.sends(ended[0].id);
    assert!(sends[1] - sends[0] >= Duration::from_secs(7), "{sends:?}");
    let (_, attempts) = stage.store.delivery(AppId::DEFAULT, ended[0].id).await.unwrap().unwrap();
    let outcomes: Vec<OutcomeKind> = attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [OutcomeKind::Throttled, OutcomeKind::Delivered]);
}

#[tokio::test(start_paused = true)]
async fn the_budget_of_attempts_ends_in_dead() {
    let channel = Scripted::new(|_, _| Line::Answer(Outcome::Unavailable { retry_after_ms: None }));
    let stage = Stage::new().await;
    let engine = stage
        .engine_with(&channel, stage.ledger.clone(), |config| {
            config.retry_default.attempts_max = 3;
        })
        .await;
    accept(&engine, 1, to_users(&["jun"])).await;
    let ended = stage.ended(1).await;
    assert_eq!((ended[0].state, ended[0].reason), (DeliveryState::Dead, Some(Reason::AttemptsExhausted)));
    assert_eq!(channel.sends(ended[0].id).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn no_answer_by_the_deadline_is_unknown_and_tried_again() {
    let channel =
        Scripted::new(|_, times| if times == 0 { Line::Hang } else { Line::Answer(Outcome::Delivered) });
    let stage = Stage::new().await;
    let engine = stage.engine(&channel).await;
    accept(&engine, 1, to_users(&["jun"])).await;
    let ended = stage.ended(1).await;
    let (_, attempts) = stage.store.delivery(AppId::DEFAULT, ended[0].id).await.unwrap().unwrap();
    assert_eq!(attempts[0].outcome, OutcomeKind::Unknown);
    assert_eq!(attempts[0].code.as_deref(), Some("DEADLINE"));
    assert_eq!(ended[0].state, DeliveryState::Delivered);
}

#[tokio::test(start_paused = true)]
async fn what_is_scheduled_leaves_at_its_time() {
    let (stage, channel) = (Stage::new().await, obliging());
    let began = tokio::time::Instant::now();
    let clock = RuntimeClock(began);
    let engine = stage.engine(&channel).await;
    let answer = accept(&engine, 1, to_users(&["mina", "jun"]).send_at(START.plus_ms(10_000))).await;
    assert_eq!(answer, Answer::Accepted { id: notification_id(1), deliveries: None });
    let ended = stage.ended(1).await;
    assert_eq!(states(&ended), [DeliveryState::Delivered; 3]);
    for delivery in &ended {
        assert!(channel.sends(delivery.id)[0] - began >= Duration::from_secs(10));
    }
    assert!(clock.now() < START.plus_ms(11_000), "it left late: {:?}", clock.now());
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_one_is_not_tried_again() {
    let slow_failure =
        Line::AnswerAfter(Outcome::Unavailable { retry_after_ms: None }, Duration::from_secs(2));
    let channel = Scripted::new(move |_, _| slow_failure);
    let stage = Stage::new().await;
    let engine = stage.engine(&channel).await;
    accept(&engine, 1, to_users(&["jun"])).await;
    channel.under_way.subscribe().wait_for(|count| *count == 1).await.unwrap();
    let selection = Selection::Notification(AppId::DEFAULT, notification_id(1));
    let ended = engine.end(selection, Reason::CancelRequested).await.unwrap();
    assert_eq!((ended.ended, ended.in_flight), (0, 1));
    let ended = stage.ended(1).await;
    assert_eq!(states(&ended), [DeliveryState::Cancelled]);
    assert_eq!(channel.total(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_expires_while_it_waits_ends_expired() {
    let channel = Scripted::new(|_, _| Line::Answer(Outcome::Unavailable { retry_after_ms: Some(20_000) }));
    let stage = Stage::new().await;
    let engine = stage.engine(&channel).await;
    accept(&engine, 1, to_users(&["jun"]).ttl_s(30)).await;
    let ended = stage.ended(1).await;
    assert_eq!((ended[0].state, ended[0].reason), (DeliveryState::Expired, Some(Reason::TtlEnded)));
    assert_eq!(channel.total(), 2);
}

#[tokio::test(start_paused = true)]
async fn attempts_in_flight_are_bounded() {
    let channel = Scripted::new(|_, _| Line::AnswerAfter(Outcome::Delivered, Duration::from_millis(50)));
    let stage = Stage::new().await;
    let engine = stage
        .engine_with(&channel, stage.ledger.clone(), |config| {
            config.attempts_in_flight_max = 20;
            config.attempts_in_flight_per_route_max = 12;
        })
        .await;
    for n in 0..100 {
        accept(&engine, n, to_users(&["mina", "jun"])).await;
    }
    eventually("all to be delivered", || async { (channel.total() == 300).then_some(()) }).await;
    assert_eq!(channel.most_at_once(), 18, "a tenth is left for the other lane");
}
