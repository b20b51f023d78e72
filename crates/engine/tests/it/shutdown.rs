//! Shutdown: what is in flight finishes, what is not goes back.

use std::time::Duration;

use pabal_core::delivery::DeliveryState;
use pabal_core::ids::AppId;
use pabal_core::outcome::{Outcome, OutcomeKind};
use pabal_core::seam::History;
use pabal_testkit::fixtures::to_users;
use tokio::time::Instant;

use crate::stage::{Line, Scripted, Stage, accept, states};

#[tokio::test(start_paused = true)]
async fn attempts_in_flight_finish_and_are_settled() {
    let channel = Scripted::new(|_, _| Line::AnswerAfter(Outcome::Delivered, Duration::from_secs(3)));
    let stage = Stage::new().await;
    let engine = stage.engine(&channel).await;
    accept(&engine, 1, to_users(&["mina"])).await;
    channel.under_way.subscribe().wait_for(|count| *count == 2).await.unwrap();
    let began = Instant::now();
    engine.drain().await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(states(&stage.deliveries(1).await), [DeliveryState::Delivered; 2]);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_finish_is_cut_off_and_recorded_as_unknown() {
    let channel = Scripted::new(|_, _| Line::Hang);
    let stage = Stage::new().await;
    let change = |config: &mut pabal_engine::EngineConfig| config.drain_deadline_ms = 1000;
    let engine = stage.engine_with(&channel, stage.ledger.clone(), change).await;
    accept(&engine, 1, to_users(&["jun"])).await;
    channel.under_way.subscribe().wait_for(|count| *count == 1).await.unwrap();
    engine.drain().await;
    let delivery = stage.deliveries(1).await.remove(0);
    assert_eq!(delivery.state, DeliveryState::Retrying);
    let (_, attempts) = stage.store.delivery(AppId::DEFAULT, delivery.id).await.unwrap().unwrap();
    assert_eq!((attempts[0].outcome, attempts[0].code.as_deref()), (OutcomeKind::Unknown, Some("SHUTDOWN")));
    let leased: u64 = stage.ledger.counts().await.unwrap().iter().map(|count| count.leased).sum();
    assert_eq!(leased, 0, "nothing stays leased");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_claimed_once_it_drains() {
    let channel = Scripted::new(|_, _| Line::Answer(Outcome::Delivered));
    let stage = Stage::new().await;
    let engine = stage.engine(&channel).await;
    engine.drain().await;
    accept(&engine, 1, to_users(&["jun"])).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(channel.total(), 0);
    assert_eq!(states(&stage.deliveries(1).await), [DeliveryState::Scheduled]);
}
