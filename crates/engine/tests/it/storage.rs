//! A store that takes no writes for a while: nothing begins, nothing is forgotten, nothing goes out twice.

use std::sync::atomic::Ordering;
use std::time::Duration;

use pabal_core::ErrorKind;
use pabal_core::delivery::DeliveryState;
use pabal_core::outcome::Outcome;
use pabal_testkit::eventually;
use pabal_testkit::fixtures::{notification_id, to_token, to_users};

use crate::knobs::Knobs;
use crate::stage::{Line, Scripted, Stage, accept, states};

#[tokio::test(start_paused = true)]
async fn outcomes_are_kept_until_the_store_is_back_and_nothing_is_sent_meanwhile() {
    let stage = Stage::new().await;
    let knobs = Knobs::over(stage.ledger.clone());
    let channel = Scripted::new(|_, _| Line::AnswerAfter(Outcome::Delivered, Duration::from_secs(2)));
    let engine = stage.engine_with(&channel, knobs.clone(), |config| config.attempts_in_flight_max = 2).await;
    accept(&engine, 1, to_users(&["mina", "jun"])).await;
    channel.under_way.subscribe().wait_for(|count| *count == 1).await.unwrap();
    knobs.all_full.store(true, Ordering::SeqCst);
    eventually("the engine to notice", || async { engine.status().store_fails.then_some(()) }).await;

    let refused = engine.accept(vec![to_users(&["jun"]).build(notification_id(2))]).await.unwrap_err();
    assert_eq!((refused.kind(), refused.is_temporary()), (ErrorKind::Full, true));
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(channel.total(), 1, "no attempt begins while the store takes no writes");

    knobs.all_full.store(false, Ordering::SeqCst);
    assert_eq!(states(&stage.ended(1).await), [DeliveryState::Delivered; 3]);
    assert_eq!(channel.total(), 3, "what was in flight was settled, not sent again");
    assert!(stage.deliveries(2).await.is_empty(), "nothing is half-accepted");
    assert!(!engine.status().store_fails);
}

#[tokio::test(start_paused = true)]
async fn an_outage_longer_than_a_lease_sends_nothing_twice() {
    let stage = Stage::new().await;
    let knobs = Knobs::over(stage.one());
    let channel = Scripted::new(|_, _| Line::AnswerAfter(Outcome::Delivered, Duration::from_secs(2)));
    let engine = stage.engine_with(&channel, knobs.clone(), |config| config.settle_batch_max = 100).await;
    for n in 0..400 {
        accept(&engine, n, to_token(&format!("t{n}"))).await;
    }
    channel.under_way.subscribe().wait_for(|count| *count >= 300).await.unwrap();
    let sent = channel.total();
    knobs.all_full.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(150)).await;
    assert_eq!(channel.total(), sent, "no attempt begins while the store takes no writes");
    knobs.slow_settle.store(true, Ordering::SeqCst);
    knobs.all_full.store(false, Ordering::SeqCst);
    for n in 0..400 {
        assert_eq!(states(&stage.ended(n).await), [DeliveryState::Delivered]);
    }
    assert_eq!(channel.total(), 400);
}

#[tokio::test(start_paused = true)]
async fn accepts_that_fail_do_not_hold_delivery_up() {
    let stage = Stage::new().await;
    let knobs = Knobs::over(stage.one());
    let unavailable = Outcome::Unavailable { retry_after_ms: Some(2000) };
    let channel = Scripted::new(move |_, times| {
        Line::Answer(if times == 0 { unavailable } else { Outcome::Delivered })
    });
    let engine = stage.engine_with(&channel, knobs.clone(), |_| {}).await;
    accept(&engine, 1, to_token("a")).await;
    knobs.accept_full.store(true, Ordering::SeqCst);
    for n in 0..20 {
        let refused = engine.accept(vec![to_token("b").build(notification_id(2 + n))]).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Full);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(states(&stage.deliveries(1).await), [DeliveryState::Delivered]);
}
