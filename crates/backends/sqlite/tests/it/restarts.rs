//! A process that dies with leases in its hands: the next one over the same file takes them up at once.

use pabal_core::delivery::DeliveryState;
use pabal_core::ids::ItemId;
use pabal_core::seam::{History, Ledger, Settled};
use pabal_testkit::fixtures::{APP, HOUR_MS, delivered, notification_id, retried, to_token};

use crate::world::{World, claim};

#[tokio::test]
async fn leases_of_an_earlier_boot_are_free_at_once() {
    let world = World::new();
    let ledger = world.open().ledger();
    ledger.accept(vec![to_token("t").build(notification_id(1))], None).await.unwrap();
    let [before] = claim(&ledger, 1).await.try_into().unwrap();
    assert!(claim(&ledger, 1).await.is_empty());
    drop(ledger);

    // A clock that went back with the restart changes nothing about it.
    world.clock.set_by(-i64::try_from(HOUR_MS).unwrap());
    let sqlite = world.open();
    let (ledger, store) = (sqlite.ledger(), sqlite.store());
    world.clock.set_by(i64::try_from(HOUR_MS).unwrap());
    let [after] = claim(&ledger, 2).await.try_into().unwrap();
    assert_eq!(after.lease.id, before.lease.id);
    assert!(after.lease.epoch > before.lease.epoch, "{:?} then {:?}", before.lease, after.lease);
    assert_eq!((before.lease.abandoned, after.lease.abandoned), (0, 1));

    let settled = ledger.settle(vec![delivered(&after)]).await.unwrap();
    assert_eq!(settled[0].settled, Settled::Settled);
    let late = ledger.settle(vec![delivered(&before)]).await.unwrap();
    assert_eq!(late[0].settled, Settled::Refused);
    let ItemId::Delivery(id) = after.lease.id else { panic!("a delivery") };
    let (view, timeline) = store.delivery(APP, id).await.unwrap().unwrap();
    assert_eq!((view.state, timeline.len()), (DeliveryState::Delivered, 1));
}

#[tokio::test]
async fn how_late_work_is_outlives_leases_and_boots() {
    let world = World::new();
    let ledger = world.open().ledger();
    ledger.accept(vec![to_token("t").build(notification_id(1))], None).await.unwrap();
    world.clock.advance(100);
    let [on_time] = claim(&ledger, 1).await.try_into().unwrap();
    assert_eq!(on_time.lease.late_ms, 100);
    drop(ledger);

    world.clock.advance(200);
    let ledger = world.open().ledger();
    let oldest = async || ledger.counts().await.unwrap()[0].oldest_due_ms;
    assert_eq!(oldest().await, Some(300), "its lease ended with its process");
    let [again] = claim(&ledger, 2).await.try_into().unwrap();
    assert_eq!((again.lease.late_ms, oldest().await), (300, None));
    ledger.release(vec![again.lease]).await.unwrap();
    world.clock.advance(50);
    assert_eq!(oldest().await, Some(350));
    let [again] = claim(&ledger, 2).await.try_into().unwrap();
    assert_eq!(again.lease.late_ms, 350);
    ledger.settle(vec![retried(&again, 1000)]).await.unwrap();
    assert_eq!(oldest().await, None);
    world.clock.advance(1007);
    let [again] = claim(&ledger, 2).await.try_into().unwrap();
    assert_eq!(again.lease.late_ms, 7, "a retry is due anew");
}

#[tokio::test]
async fn epochs_grow_though_the_clock_went_back_over_a_restart() {
    let world = World::new();
    let sqlite = world.open();
    let ledger = sqlite.ledger();
    ledger.accept(vec![to_token("t").build(notification_id(1))], None).await.unwrap();
    let [mut before] = claim(&ledger, 1).await.try_into().unwrap();
    drop((sqlite, ledger));
    for boot in 2..5 {
        let sqlite = world.open();
        let ledger = sqlite.ledger();
        let [after] = claim(&ledger, boot).await.try_into().unwrap();
        assert!(after.lease.epoch > before.lease.epoch);
        ledger.release(vec![after.lease.clone()]).await.unwrap();
        let [after] = claim(&ledger, boot).await.try_into().unwrap();
        before = after;
        // No time passes between two boots: the epoch alone tells their leases apart.
        ledger.release(vec![before.lease.clone()]).await.unwrap();
    }
}

#[tokio::test]
async fn after_a_clean_stop_one_file_holds_everything() {
    let world = World::new();
    let ledger = world.open().ledger();
    ledger.accept(vec![to_token("t").build(notification_id(1))], None).await.unwrap();
    drop(ledger);

    let elsewhere = World::new();
    std::fs::copy(world.path(), elsewhere.path()).unwrap();
    assert_eq!(claim(&elsewhere.open().ledger(), 1).await.len(), 1);
}
