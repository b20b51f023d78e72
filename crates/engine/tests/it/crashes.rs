//! Crashes: the engine is dropped where it is, as when the process dies, and another one takes over.

use std::time::Duration;

use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::limits;
use pabal_core::outcome::Outcome;
use pabal_core::route::{Lane, Route};
use pabal_core::seam::{Claim, Want, Worker};
use pabal_testkit::clock::START;
use pabal_testkit::fixtures::{notification_id, to_token, to_users};

use crate::stage::{Line, Scripted, Stage, accept, obliging, states};

#[tokio::test(start_paused = true)]
async fn what_a_dead_process_held_is_delivered_by_the_next() {
    let stage = Stage::new().await;
    let hanging = Scripted::new(|_, _| Line::Hang);
    let engine = stage.engine(&hanging).await;
    accept(&engine, 1, to_users(&["mina", "jun"])).await;
    hanging.under_way.subscribe().wait_for(|count| *count == 3).await.unwrap();
    drop(engine);
    stage.queue.end_leases();
    let channel = obliging();
    let _engine = stage.engine(&channel).await;
    assert_eq!(states(&stage.ended(1).await), [DeliveryState::Delivered; 3]);
}

/// The process that accepted it died, or its answer was lost: nobody told this one of the route.
#[tokio::test(start_paused = true)]
async fn work_on_a_route_that_this_process_has_never_seen_is_found() {
    let (stage, channel) = (Stage::new().await, obliging());
    let _engine =
        stage.engine_with(&channel, stage.ledger.clone(), |config| config.idle_poll_ms = 5000).await;
    let acceptance = to_users(&["jun"]).build(notification_id(1));
    stage.ledger.accept(vec![acceptance], None).await.unwrap();
    assert_eq!(states(&stage.ended(1).await), [DeliveryState::Delivered]);
}

#[tokio::test(start_paused = true)]
async fn a_fan_out_whose_processes_died_is_paged_apart() {
    let stage = Stage::new().await;
    let acceptance = to_users(&["mina", "jun"]).send_at(START.plus_ms(1000)).build(notification_id(1));
    stage.ledger.accept(vec![acceptance], None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    for worker in 0..u64::from(limits::SUSPECT_AFTER) {
        let want = Want::Ordinary(vec![(Route::fan_out(Lane::Transactional), 1)]);
        let claim = Claim { want, worker: Worker(worker), visibility_ms: 60_000 };
        assert_eq!(stage.ledger.claim(claim).await.unwrap().work.len(), 1);
        stage.queue.end_leases();
    }
    let _engine = stage.engine(&obliging()).await;
    assert_eq!(states(&stage.ended(1).await), [DeliveryState::Delivered; 3]);
}

#[tokio::test(start_paused = true)]
async fn one_poison_message_among_500_takes_nobody_with_it() {
    let stage = Stage::new().await;
    let mut engine = stage.engine(&obliging()).await;
    engine.drain().await;
    let accepted: Vec<_> =
        (0..500).map(|n| to_token(&format!("token-{n}")).build(notification_id(n))).collect();
    engine.accept(accepted).await.unwrap();
    for crash in 1.. {
        assert!(crash < 20, "the poison goes on for ever");
        let (died, mut dies) = tokio::sync::watch::channel(false);
        let channel = Scripted::new(move |outbound, _| {
            if outbound.notification == notification_id(77) {
                died.send_replace(true);
                return Line::Hang;
            }
            Line::AnswerAfter(Outcome::Delivered, Duration::from_millis(20))
        });
        engine = stage.engine(&channel).await;
        let lived = tokio::time::timeout(Duration::from_secs(60), dies.wait_for(|died| *died)).await.is_err();
        drop(engine);
        stage.queue.end_leases();
        if lived {
            break;
        }
    }
    for n in (0..500).filter(|n| *n != 77) {
        assert_eq!(states(&stage.deliveries(n).await), [DeliveryState::Delivered], "number {n}");
    }
    let poison = stage.deliveries(77).await;
    assert_eq!((poison[0].state, poison[0].reason), (DeliveryState::Dead, Some(Reason::Abandoned)));
}
