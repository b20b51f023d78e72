//! Forgetting a person: what names them goes, what was counted stays.

use std::collections::BTreeSet;

use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::ids::{AppId, AppName, DeliveryId, ItemId};
use pabal_core::message::Message;
use pabal_core::notification::{NotificationState, Recipients};
use pabal_core::seam::store::{DeliveryFilter, DeliveryView, Erased};
use pabal_core::seam::{Page, Paged, Selection, Work};

use super::stage::delivery_of;
use super::walking::{assert_counts, deliveries};
use super::*;
use crate::fixtures::{
    APP, android, delivered, device, fan_out, rejected, retried, to_device, to_token, to_users, unregistered,
    user,
};

/// Erases a user, step by step.
async fn erase(store: &dyn Store, app: AppId, name: &str) -> Erased {
    let (mut all, mut after) = (Erased::default(), None);
    for _ in 0..1000 {
        let step = store.erase_user(app, &user(name), after).await.expect("a step");
        all.devices += step.devices;
        all.deliveries += step.deliveries;
        all.notifications += step.notifications;
        after = step.next;
        if after.is_none() {
            return all;
        }
    }
    panic!("the erasing does not end");
}

fn without_recipient(mut view: DeliveryView) -> DeliveryView {
    view.recipient = None;
    view
}

// ledger.md L65
pub async fn an_erased_user_leaves_counts_and_no_name(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("a1")).await;
    stage.register("ann", "tablet", android("a2")).await;
    stage.register("ben", "phone", android("b")).await;
    let alone = stage.accept(to_users(&["ann"])).await;
    let shared = stage.accept(to_users(&["ben", "ann"])).await;
    let one = stage.accept(to_device("ann", "phone")).await;
    let work = stage.claim().await;
    assert_eq!(work.len(), 6);
    for (nth, work) in work.iter().enumerate() {
        stage.settle_well(if nth % 2 == 0 { delivered(work) } else { rejected(work) }).await;
    }
    let later = stage.now().plus_ms(60_000);
    let scheduled = stage.accept(to_users(&["ann"]).send_at(later)).await;
    let bens = stage.accept(to_users(&["ben"])).await;
    let (store, ids) = (stage.store(), [alone, shared, one, scheduled, bens]);
    let mut before = Vec::new();
    for id in ids {
        before.push((stage.notification(id).await, stage.deliveries(id).await));
    }

    let erased = erase(&*store, APP, "ann").await;
    assert_eq!(erased, Erased { devices: 2, deliveries: 5, notifications: 4, next: None });

    assert_eq!(store.devices(APP, &user("ann")).await.expect("a read"), []);
    assert_eq!(store.device(APP, &user("ann"), &device("phone")).await.expect("a read"), None);
    let of_ann = DeliveryFilter { user: Some(user("ann")), ..DeliveryFilter::default() };
    assert_eq!(deliveries(&*store, APP, &of_ann, 10).await, []);
    let anns = |view: &DeliveryView| view.recipient.as_ref().and_then(|to| to.user()) == Some(&user("ann"));
    for (notification, views) in before {
        let id = notification.notification.id;
        let expected: Vec<_> =
            views.into_iter().map(|view| if anns(&view) { without_recipient(view) } else { view }).collect();
        assert_eq!(stage.deliveries(id).await, expected, "in their states, and whose they were is gone");
        let after = stage.notification(id).await;
        assert_eq!((after.state, &after.counts), (notification.state, &notification.counts));
        let left = if id == shared || id == bens { vec![user("ben")] } else { vec![] };
        assert_eq!(after.notification.recipients, Recipients::Users(left.clone()));
        let message = if left.is_empty() { &Message::default() } else { &*notification.notification.message };
        assert_eq!(*after.notification.message, *message, "what nobody is left for is gone");
    }
    assert_counts(&*store, APP).await;
    stage.register("eve", "phone", android("a1")).await;
}

// ledger.md L66
pub async fn a_fan_out_skips_who_was_erased(harness: impl LedgerHarness) {
    const USERS: [&str; 6] = ["u1", "u2", "u3", "u4", "u5", "u6"];
    let mut stage = Stage::open(harness).await;
    for name in USERS {
        stage.register(name, "phone", android(name)).await;
    }
    let id = stage.accept(to_users(&USERS).send_at(stage.now().plus_ms(1))).await;
    stage.advance(1);
    let work = stage.claim_one().await;
    assert!(matches!(stage.page(&work, 2).await, Paged::Made { last: false, .. }));
    // One who is through, one who would be next, and the last one.
    for name in ["u1", "u3", "u6"] {
        let erased = erase(&*stage.store(), APP, name).await;
        assert_eq!((erased.devices, erased.notifications), (1, 1), "{name}");
    }
    stage.crash().await;
    let claimed = stage.claim().await;
    let is_fan_out = |work: &&Work| work.lease.id == ItemId::FanOut(id);
    let again = claimed.iter().find(is_fan_out).expect("the fan-out goes on");
    // In pages of one, so that one of them has nobody.
    let mut from = fan_out(again).cursor.clone();
    let mut pages = 0;
    loop {
        let page = Page { lease: again.lease.clone(), from, users_max: 1 };
        let Paged::Made { cursor, last, .. } = stage.ledger().page(page).await.expect("a page") else {
            panic!("it holds the lease");
        };
        from = cursor;
        pages += 1;
        assert!(pages <= USERS.len(), "the pages end");
        if last {
            break;
        }
    }
    assert_eq!(stage.notification_state(id).await, NotificationState::Expanded);
    let made = stage.deliveries(id).await;
    let users = made.iter().filter_map(|view| view.recipient.as_ref()?.user()).map(|user| user.as_str());
    assert_eq!(users.collect::<BTreeSet<_>>(), BTreeSet::from(["u2", "u4", "u5"]));
    assert_eq!(made.len(), 4, "everybody else once, and the one who was through");
    assert_counts(&*stage.store(), APP).await;
    let recipients = stage.notification(id).await.notification.recipients;
    assert_eq!(recipients, Recipients::Users(["u2", "u4", "u5"].map(user).to_vec()), "in their order");
}

// ledger.md L67
pub async fn what_is_in_flight_for_an_erased_user_is_settled_and_not_tried_again(
    harness: impl LedgerHarness,
) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("a")).await;
    for _ in 0..3 {
        stage.accept(to_users(&["ann"])).await;
    }
    let cancelled = stage.claim().await;
    assert_eq!(stage.cancel(Selection::User(APP, user("ann"))).await.in_flight, 3);
    for _ in 0..3 {
        stage.accept(to_users(&["ann"])).await;
    }
    let only_erased = stage.claim().await;
    let waits = stage.accept_one(to_users(&["ann"])).await;
    assert_eq!(erase(&*stage.store(), APP, "ann").await.deliveries, 7);
    let states = async |work: &[Work]| -> Vec<(DeliveryState, Option<Reason>)> {
        for (settlement, work) in [delivered, unregistered, |work: &Work| retried(work, 0)].iter().zip(work) {
            stage.settle_well(settlement(work)).await;
        }
        assert_eq!(stage.claim().await.len(), 0, "nothing is tried again");
        let ids: Vec<DeliveryId> = work.iter().map(delivery_of).collect();
        let mut states = Vec::new();
        for id in ids {
            let (view, attempts) = stage.delivery(id).await;
            assert_eq!((view.recipient, attempts.len()), (None, 1), "the attempt is recorded");
            states.push((view.state, view.reason));
        }
        states
    };
    let settled = [(DeliveryState::Delivered, None), (DeliveryState::Dead, Some(Reason::Unregistered))];
    let gone = (DeliveryState::Undeliverable, Some(Reason::DeviceGone));
    let taken_back = (DeliveryState::Cancelled, Some(Reason::CancelRequested));
    assert_eq!(states(&cancelled).await, [settled[0], settled[1], taken_back]);
    assert_eq!(states(&only_erased).await, [settled[0], settled[1], gone]);
    assert_eq!(stage.state(waits).await, gone);
    stage.assert_nothing_waits().await;
    assert_counts(&*stage.store(), APP).await;
}

// ledger.md L68
pub async fn erasing_again_changes_nothing(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let store = stage.store();
    assert_eq!(erase(&*store, APP, "ann").await, Erased::default(), "nobody knows of her");
    stage.register("ann", "phone", android("a")).await;
    let first = stage.accept(to_users(&["ann", "ben"])).await;
    erase(&*store, APP, "ann").await;
    let after = (stage.notification(first).await, stage.deliveries(first).await);
    assert_eq!(erase(&*store, APP, "ann").await, Erased::default());
    assert_eq!((stage.notification(first).await, stage.deliveries(first).await), after);
    // Who comes back is somebody new.
    stage.register("ann", "phone", android("a")).await;
    let again = stage.accept(to_users(&["ann"])).await;
    assert_eq!(stage.deliveries(again).await.len(), 1);
    assert_eq!(stage.claim().await.len(), 1, "what was for the one before is not sent");
    assert_eq!(stage.deliveries(first).await.len(), 2);
}

// ledger.md L68
pub async fn erasing_touches_nobody_else(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let store = stage.store();
    let name = AppName::new("other").expect("a name");
    let other = store.put_app(&name).await.expect("an app").expect("it is new").id;
    let theirs = stage.next_id();
    store.put_device(other, &user("ann"), &device("phone"), &android("a")).await.expect("a registration");
    let mut acceptance = to_users(&["ann"]).build(theirs);
    acceptance.notification.app = other;
    stage.accept_as(acceptance).await;
    stage.register("ann", "phone", android("a")).await;
    stage.register("annabel", "phone", android("b")).await;
    stage.register("An", "phone", android("c")).await;
    stage.accept(to_users(&["ann"])).await;
    let others = stage.accept(to_users(&["annabel", "An"])).await;
    // An address is no user, whatever it is called.
    let literal = stage.accept(to_token("ann")).await;
    let picture = async || {
        let mut picture = Vec::new();
        for (app, id) in [(other, theirs), (APP, others), (APP, literal)] {
            let notification = store.notification(app, id).await.expect("a read").expect("it is there");
            picture.push((notification, store.deliveries(app, id, None, 10).await.expect("a read")));
        }
        picture
    };
    let before = picture().await;
    assert_eq!(erase(&*store, APP, "ann").await.devices, 1);
    assert_eq!(picture().await, before);
    assert_eq!(store.devices(other, &user("ann")).await.expect("a read").len(), 1);
    assert_eq!(store.devices(APP, &user("annabel")).await.expect("a read").len(), 1);
    assert_eq!(stage.claim().await.len(), 4, "theirs, two others, and the address");
}
