//! Crashes: the engine is dropped where it is, as when the process dies, and another one takes over.

use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::outcome::Outcome;
use pabal_testkit::fixtures::{notification_id, to_token, to_users};
use std::time::Duration;

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
