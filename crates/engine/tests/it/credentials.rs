//! Refused credentials: what they hold, what they don't, and how a route comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pabal_core::delivery::DeliveryState;
use pabal_core::outcome::{CredentialScope, Outcome};
use pabal_core::route::Platform;
use pabal_core::seam::store::Pause;
use pabal_core::seam::{Claim, Pauses, Want, Worker};
use pabal_testkit::clock::START;
use pabal_testkit::eventually;
use pabal_testkit::fixtures::{android_route, notification_id, to_users};

use crate::stage::{Line, Scripted, Stage, accept, obliging, states};

/// A channel whose credential for iOS is refused until it is mended.
fn broken_for_ios(mended: &Arc<AtomicBool>) -> Arc<Scripted> {
    let mended = Arc::clone(mended);
    Scripted::new(move |outbound, _| {
        let refused = outbound.platform == Platform::Ios && !mended.load(Ordering::SeqCst);
        let invalid = Outcome::CredentialInvalid { scope: CredentialScope::Platform };
        Line::Answer(if refused { invalid } else { Outcome::Delivered })
    })
}

#[tokio::test(start_paused = true)]
async fn a_refused_platform_is_held_and_probed_and_kills_nothing() {
    let mended = Arc::new(AtomicBool::new(false));
    let channel = broken_for_ios(&mended);
    let stage = Stage::new().await;
    let engine = stage.engine(&channel).await;
    accept(&engine, 1, to_users(&["mina"])).await;
    eventually("the route to be held", || async { (!engine.status().pauses.is_empty()).then_some(()) }).await;
    for n in 2..30 {
        accept(&engine, n, to_users(&["mina"])).await;
    }
    tokio::time::sleep(Duration::from_secs(150)).await;
    let ios_sends = channel.total() - 29;
    assert!((2..=4).contains(&ios_sends), "{ios_sends} probes in 150 s");
    mended.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(61)).await;
    for n in 1..30 {
        assert_eq!(states(&stage.ended(n).await), [DeliveryState::Delivered; 2]);
    }
    assert!(engine.status().pauses.is_empty());
    assert!(stage.store.pauses().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_pause_survives_a_restart() {
    let channel = broken_for_ios(&Arc::default());
    let stage = Stage::new().await;
    let engine = stage.engine(&channel).await;
    accept(&engine, 1, to_users(&["mina"])).await;
    eventually("the route to be held", || async { (!engine.status().pauses.is_empty()).then_some(()) }).await;
    engine.drain().await;
    let engine = stage.engine(&obliging()).await;
    assert_eq!(engine.status().pauses.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn of_a_held_routes_suspects_one_is_the_probe() {
    let stage = Stage::new().await;
    let ledger = stage.one();
    let batch = (1..=6).map(|n| to_users(&["jun"]).build(notification_id(n))).collect();
    ledger.accept(batch, None).await.unwrap();
    // Two processes die over all of them.
    for _ in 0..2 {
        let want = Want::Ordinary(vec![(android_route(), 10)]);
        let claimed = ledger.claim(Claim { want, worker: Worker(99), visibility_ms: 1000 }).await.unwrap();
        assert_eq!(claimed.work.len(), 6);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let pause = Pause { route: android_route(), reason: "refused".into(), since: START };
    stage.store.put_pause(&pause).await.unwrap();
    let refused = Outcome::CredentialInvalid { scope: CredentialScope::Platform };
    let channel = Scripted::new(move |_, _| Line::Answer(refused));
    let engine = stage.engine_with(&channel, ledger, |_| {}).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(channel.total(), 1, "a probe is one delivery, also among suspects");
    drop(engine);
}
