//! Whom a notification is for: resolved into deliveries when it is due, and nobody is left out silently.

use std::collections::BTreeSet;

use pabal_core::delivery::{DeliveryState, Reason, Recipient};
use pabal_core::device::Target;
use pabal_core::notification::NotificationState;
use pabal_core::route::{ChannelKind, Lane, Platform, Route};
use pabal_core::seam::Answer;

use super::*;
use crate::fixtures::{
    android, content, delivered, device, ios, route, to_device, to_token, to_users, token, unregistered, user,
};

fn targets(work: &[pabal_core::seam::Work]) -> BTreeSet<Target> {
    work.iter().map(|work| content(work).target.clone()).collect()
}

// ledger.md L7
pub async fn each_device_of_each_user_gets_one_delivery(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("a1")).await;
    stage.register("ann", "tablet", ios("a2")).await;
    stage.register("ben", "phone", android("b")).await;
    stage.register("eve", "phone", android("e")).await;
    let id = stage.next_id();
    let draft = to_users(&["ann", "ben"]).bulk().channels(&[ChannelKind::Fcm]);
    let accepted = stage.accept_as(draft.build(id)).await;
    assert_eq!(accepted.answer, Answer::Accepted { id, deliveries: Some(3) });
    let (android, ios) = (route(Lane::Bulk, Platform::Android), route(Lane::Bulk, Platform::Ios));
    assert_eq!(accepted.waiting, [(android.clone(), 0), (ios.clone(), 0)]);
    assert_eq!(stage.notification_state(id).await, NotificationState::Expanded);
    let work = stage.claim().await;
    assert_eq!(targets(&work), BTreeSet::from([token("a1"), token("a2"), token("b")]));
    let expected = |work: &pabal_core::seam::Work| {
        if content(work).target == token("a2") { ios.clone() } else { android.clone() }
    };
    assert!(work.iter().all(|work| work.lease.route == expected(work)));
}

// ledger.md L8
pub async fn a_user_without_a_device_is_not_left_out_silently(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("a")).await;
    stage.register("old", "phone", android("o")).await;
    stage.accept(to_users(&["old"])).await;
    stage.settle_well(unregistered(&stage.claim_one().await)).await;
    let id = stage.next_id();
    let accepted = stage.accept_as(to_users(&["ann", "nobody", "old"]).build(id)).await;
    assert_eq!(accepted.answer, Answer::Accepted { id, deliveries: Some(3) });
    assert_eq!(stage.claim().await.len(), 1, "a retired device is none");
    for name in ["nobody", "old"] {
        let recipient = Recipient::NoDevice { user: user(name) };
        let (view, attempts) = stage.delivery(recipient.delivery_id(id)).await;
        assert_eq!((view.state, view.reason), (DeliveryState::Undeliverable, Some(Reason::NoDevice)));
        assert_eq!((view.recipient, view.route, attempts.len()), (Some(recipient), None, 0));
        assert_eq!(view.finished_at, Some(stage.now()));
    }
}

// ledger.md L7
pub async fn one_device_is_meant_alone(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("a1")).await;
    stage.register("ann", "tablet", android("a2")).await;
    stage.accept(to_device("ann", "tablet")).await;
    assert_eq!(content(&stage.claim_one().await).target, token("a2"));
}

// ledger.md L8
pub async fn an_unknown_device_is_not_left_out_silently(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let id = stage.next_id();
    let accepted = stage.accept_as(to_device("ann", "phone").build(id)).await;
    assert_eq!(accepted.answer, Answer::Accepted { id, deliveries: Some(1) });
    let recipient = Recipient::Device { user: user("ann"), device: device("phone") };
    let state = stage.state(recipient.delivery_id(id)).await;
    assert_eq!(state, (DeliveryState::Undeliverable, Some(Reason::DeviceGone)));
    stage.assert_nothing_waits().await;
}

// ledger.md L7
pub async fn a_bare_token_needs_no_device(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let delivery = stage.accept_one(to_token("bare")).await;
    let work = stage.claim_one().await;
    assert_eq!(content(&work).target, token("bare"));
    assert_eq!(work.lease.route, route(Lane::Transactional, Platform::Other));
    stage.settle_well(delivered(&work)).await;
    assert_eq!(stage.state(delivery).await, (DeliveryState::Delivered, None));
}

// ledger.md L9
pub async fn what_is_scheduled_is_resolved_when_it_is_due(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("former")).await;
    let id = stage.next_id();
    let draft = to_users(&["ann"]).send_at(stage.now().plus_ms(3_600_000));
    let accepted = stage.accept_as(draft.build(id)).await;
    assert_eq!(accepted.answer, Answer::Accepted { id, deliveries: None });
    assert_eq!(accepted.waiting, [(Route::fan_out(Lane::Transactional), 3_600_000)]);
    assert_eq!(stage.notification_state(id).await, NotificationState::Scheduled);
    assert!(stage.claim().await.is_empty() && stage.deliveries(id).await.is_empty(), "its time has not come");
    stage.register("ann", "phone", android("newer")).await;
    stage.register("ann", "tablet", ios("second")).await;
    stage.advance(3_600_000);
    stage.page_to_the_end(&stage.claim_one().await).await;
    assert_eq!(stage.notification_state(id).await, NotificationState::Expanded);
    assert_eq!(targets(&stage.claim().await), BTreeSet::from([token("newer"), token("second")]));
}

// ledger.md L10
pub async fn a_time_to_live_of_zero_gets_its_one_chance(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let grace_ms = u64::try_from(pabal_core::limits::TTL_GRACE_MS).expect("a grace");
    let handed_over = stage.accept(to_token("a").ttl_s(0)).await;
    let expires_at = stage.notification(handed_over).await.expires_at;
    assert_eq!(expires_at, stage.now().plus_ms(pabal_core::limits::TTL_GRACE_MS));
    stage.advance(grace_ms - 1);
    let work = stage.claim_one().await;
    assert_eq!((content(&work).ttl_ms, content(&work).remaining_ms), (0, 1));
    stage.settle_well(delivered(&work)).await;
    let too_late = stage.accept_one(to_token("b").ttl_s(0)).await;
    stage.advance(grace_ms);
    assert!(stage.claim().await.is_empty());
    assert_eq!(stage.state(too_late).await, (DeliveryState::Expired, Some(Reason::TtlEnded)));
}
