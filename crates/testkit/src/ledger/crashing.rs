//! Crashes: what a process held is worked on again, and what kills processes dies alone.

use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::ids::ItemId;
use pabal_core::seam::Settled;

use super::stage::delivery_of;
use super::*;
use crate::fixtures::{android, content, delivered, ids, retried, to_token, to_users};

// ledger.md L35
pub async fn a_crash_in_mid_lease_loses_nothing(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    for text in ["a", "b", "c"] {
        stage.accept(to_token(text)).await;
    }
    let work = stage.claim().await;
    stage.settle_well(delivered(&work[0])).await;
    stage.settle_well(retried(&work[1], 0)).await;
    stage.restart().await;
    if stage.leases_survive_restart() {
        assert_eq!(ids(&stage.claim().await), [work[1].lease.id], "the third is still leased");
        stage.advance(crate::fixtures::VISIBILITY_MS);
    }
    let again = stage.claim().await;
    assert_eq!(again.len(), 2, "{:?}", ids(&again));
    let rescued = again.iter().find(|again| again.lease.id == work[2].lease.id).expect("the third");
    assert_eq!((rescued.lease.abandoned, content(rescued).attempts), (1, 0), "apart from attempts");
    stage.settle_well(delivered(rescued)).await;
    assert_eq!(stage.settle(delivered(&work[2])).await.settled, Settled::Refused, "a ghost's");
    assert_eq!(stage.state(delivery_of(&work[2])).await.0, DeliveryState::Delivered);
    assert_eq!(stage.delivery(delivery_of(&work[2])).await.1.len(), 1);
}

// ledger.md L36
pub async fn a_poison_message_dies_alone_and_the_others_arrive(harness: impl LedgerHarness) {
    const USERS: usize = 500;
    let mut stage = Stage::open(harness).await;
    let names: Vec<String> = (0..USERS).map(|n| format!("u{n}")).collect();
    let devices: Vec<_> = names
        .iter()
        .map(|name| (crate::fixtures::user(name), crate::fixtures::device("phone"), android(name)))
        .collect();
    stage.store().put_devices(crate::fixtures::APP, &devices).await.expect("an import");
    let users: Vec<&str> = names.iter().map(String::as_str).collect();
    let id = stage.accept(to_users(&users)).await;
    let poison = stage.deliveries(id).await[217].id;
    stage.drain(|work| work.lease.id == ItemId::Delivery(poison)).await;
    assert_eq!(stage.state(poison).await, (DeliveryState::Dead, Some(Reason::Abandoned)));
    let counts = stage.notification(id).await.counts;
    assert_eq!(counts, [(DeliveryState::Delivered, USERS as u64 - 1), (DeliveryState::Dead, 1)]);
    assert_eq!(stage.delivery(poison).await.1, [], "no attempt of it was ever finished");
}
