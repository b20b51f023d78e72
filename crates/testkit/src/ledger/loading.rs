//! Claiming: what is handed out is as the record has it now, and what is over is ended instead.

use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::device::MarkKind;
use pabal_core::outcome::Outcome;
use pabal_core::route::{Lane, Platform};
use pabal_core::verdict::Next;

use super::*;
use crate::fixtures::{
    APP, android, android_route, attempted, content, delivered, device, ios, route, to_device, to_users,
    token, unregistered, user,
};

// ledger.md L13
pub async fn work_is_loaded_as_the_device_is_now(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("former")).await;
    stage.accept(to_users(&["ann"])).await;
    stage.register("ann", "phone", android("newer")).await;
    let work = stage.claim_one().await;
    assert_eq!(content(&work).target, token("newer"));
    assert_eq!((content(&work).attempts, content(&work).counted), (0, 0));
}

// ledger.md L13
pub async fn work_is_handed_out_on_the_route_of_its_device(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("a")).await;
    stage.accept(to_users(&["ann"])).await;
    stage.register("ann", "phone", ios("a")).await;
    let newer = route(Lane::Transactional, Platform::Ios);
    let on_former = stage.claim_on(&android_route()).await;
    assert!(on_former.work.is_empty(), "permits and pauses of the former route don't hold for it");
    assert_eq!(on_former.waiting, [(newer.clone(), 0)]);
    let work = stage.claim_on(&newer).await.work;
    assert_eq!(work.len(), 1);
    assert_eq!((&work[0].lease.route, &content(&work[0]).route), (&newer, &newer));
}

// ledger.md L11
pub async fn what_has_expired_is_ended_and_not_handed_out(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("a")).await;
    let expired = stage.accept_one(to_users(&["ann"]).ttl_s(60)).await;
    let lasting = stage.accept_one(to_users(&["ann"]).ttl_s(61)).await;
    stage.advance(60_000);
    let work = stage.claim_one().await;
    assert_eq!((content(&work).id, content(&work).remaining_ms), (lasting, 1000));
    let (view, attempts) = stage.delivery(expired).await;
    assert_eq!((view.state, view.reason), (DeliveryState::Expired, Some(Reason::TtlEnded)));
    assert_eq!((view.finished_at, view.due_at, attempts.len()), (Some(stage.now()), None, 0));
    stage.settle_well(delivered(&work)).await;
    stage.assert_nothing_waits().await;
}

// ledger.md L12
pub async fn what_waited_for_a_deleted_device_ends(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("a")).await;
    let delivery = stage.accept_one(to_users(&["ann"])).await;
    let (ann, phone) = (user("ann"), device("phone"));
    assert!(stage.store().delete_device(APP, &ann, &phone).await.expect("a delete"));
    stage.assert_nothing_waits().await;
    assert_eq!(stage.state(delivery).await, (DeliveryState::Undeliverable, Some(Reason::DeviceGone)));
}

// ledger.md L12
pub async fn what_waited_for_a_moved_address_ends(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("shared")).await;
    let for_ann = stage.accept_one(to_users(&["ann"])).await;
    stage.register("ben", "phone", android("shared")).await;
    let for_ben = stage.accept_one(to_users(&["ben"])).await;
    let work = stage.claim_one().await;
    assert_eq!(content(&work).id, for_ben, "a shared phone shows nobody else's messages");
    stage.settle_well(delivered(&work)).await;
    assert_eq!(stage.state(for_ann).await, (DeliveryState::Undeliverable, Some(Reason::DeviceGone)));
}

// ledger.md L12
pub async fn what_waits_for_a_retired_device_ends(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("a")).await;
    stage.accept(to_users(&["ann"])).await;
    let work = stage.claim_one().await;
    let waiting = stage.accept_one(to_users(&["ann"])).await;
    stage.settle_well(unregistered(&work)).await;
    stage.assert_nothing_waits().await;
    assert_eq!(stage.state(waiting).await, (DeliveryState::Undeliverable, Some(Reason::DeviceRetired)));
    let named = stage.accept(to_device("ann", "phone")).await;
    stage.assert_nothing_waits().await;
    let state = stage.state(stage.deliveries(named).await[0].id).await;
    assert_eq!(state, (DeliveryState::Undeliverable, Some(Reason::DeviceRetired)));
}

// ledger.md L12
pub async fn a_quarantined_device_is_still_tried(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("a")).await;
    stage.accept(to_users(&["ann"])).await;
    let dead = Next::Dead(Reason::MalformedTarget);
    stage.settle_well(attempted(&stage.claim_one().await, Outcome::MalformedTarget, dead)).await;
    let kept = stage.store().device(APP, &user("ann"), &device("phone")).await.expect("a read");
    assert_eq!(kept.and_then(|kept| kept.mark).map(|mark| mark.kind), Some(MarkKind::Quarantined));
    stage.accept(to_users(&["ann"])).await;
    assert_eq!(content(&stage.claim_one().await).target, token("a"));
}
