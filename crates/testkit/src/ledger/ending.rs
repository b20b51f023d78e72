//! Ending open work: what waits ends at once, what is in flight is marked and may still arrive.

use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::notification::NotificationState;
use pabal_core::seam::{EndSummary, Selection, Settled};

use super::stage::delivery_of;
use super::*;
use crate::fixtures::{
    APP, HOUR_MS, OTHER_APP, VISIBILITY_MS, android, delivered, rejected, retried, to_token, to_users,
    unregistered, user,
};

const CANCELLED: (DeliveryState, Option<Reason>) = (DeliveryState::Cancelled, Some(Reason::CancelRequested));

// ledger.md L26
pub async fn what_waits_is_cancelled_at_once(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("a1")).await;
    stage.register("ann", "tablet", android("a2")).await;
    let id = stage.accept(to_users(&["ann"])).await;
    let summary = stage.cancel(Selection::Notification(APP, id)).await;
    assert_eq!(summary, EndSummary { ended: 2, in_flight: 0, next: None });
    for view in stage.deliveries(id).await {
        assert_eq!((view.state, view.reason), CANCELLED);
        assert_eq!(view.finished_at, Some(stage.now()));
    }
    stage.assert_nothing_waits().await;
    assert_eq!(
        stage.cancel(Selection::Notification(APP, id)).await,
        EndSummary::default(),
        "nothing is left"
    );
}

// ledger.md L27, delivery-states.md S6
pub async fn a_cancel_in_flight_lets_the_running_attempt_deliver(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let delivery = stage.accept_one(to_token("a")).await;
    let work = stage.claim_one().await;
    let summary = stage.cancel(Selection::Delivery(APP, delivery)).await;
    assert_eq!(summary, EndSummary { ended: 0, in_flight: 1, next: None });
    assert_eq!(stage.state(delivery).await.0, DeliveryState::Scheduled, "it is only marked");
    stage.settle_well(delivered(&work)).await;
    assert_eq!(stage.state(delivery).await, (DeliveryState::Delivered, None));
}

// ledger.md L27
pub async fn a_cancel_in_flight_ends_what_would_be_tried_again(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("former")).await;
    stage.register("ben", "phone", android("b")).await;
    stage.accept(to_users(&["ann", "ben"])).await;
    let (failing, superseded) = {
        let mut work = stage.claim().await;
        work.sort_by_key(|work| crate::fixtures::content(work).target != crate::fixtures::token("b"));
        (work.remove(0), work.remove(0))
    };
    stage.cancel(Selection::App(APP)).await;
    stage.register("ann", "phone", android("newer")).await;
    for settlement in [retried(&failing, 1000), unregistered(&superseded)] {
        let settled = stage.settle(settlement).await;
        assert_eq!((settled.settled, settled.waiting), (Settled::Settled, None));
    }
    for work in [failing, superseded] {
        let (view, attempts) = stage.delivery(delivery_of(&work)).await;
        assert_eq!(((view.state, view.reason), attempts.len()), (CANCELLED, 1), "the attempt is shown");
    }
    stage.advance(HOUR_MS);
    stage.assert_nothing_waits().await;
}

// ledger.md L27
pub async fn a_cancel_in_flight_ends_what_its_process_abandons(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let delivery = stage.accept_one(to_token("a")).await;
    let lost = stage.claim_one().await;
    stage.cancel(Selection::Delivery(APP, delivery)).await;
    stage.crash().await;
    stage.assert_nothing_waits().await;
    assert_eq!(stage.state(delivery).await, CANCELLED, "no other attempt begins");
    assert_eq!(stage.settle(retried(&lost, 1)).await.settled, Settled::Refused);
    assert_ne!(stage.settle(delivered(&lost)).await.settled, Settled::Refused, "but it had arrived");
    assert_eq!(stage.state(delivery).await, (DeliveryState::Delivered, None));
}

// ledger.md L26
pub async fn a_cancel_leaves_what_is_final_alone(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let id = stage.accept(to_users(&["nobody"])).await;
    for text in ["a", "b"] {
        stage.accept(to_token(text)).await;
    }
    let work = stage.claim().await;
    stage.settle_well(delivered(&work[0])).await;
    stage.settle_well(rejected(&work[1])).await;
    assert_eq!(stage.cancel(Selection::App(APP)).await, EndSummary::default());
    assert_eq!(stage.deliveries(id).await[0].state, DeliveryState::Undeliverable);
    assert_eq!(stage.state(delivery_of(&work[0])).await.0, DeliveryState::Delivered);
    assert_eq!(stage.state(delivery_of(&work[1])).await.0, DeliveryState::Dead);
}

// ledger.md L25
pub async fn a_cancel_before_expansion_leaves_nothing_to_deliver(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("a")).await;
    let id = stage.accept(to_users(&["ann"]).send_at(stage.now().plus_ms(60_000))).await;
    let summary = stage.cancel(Selection::Notification(APP, id)).await;
    assert_eq!(summary, EndSummary { ended: 1, in_flight: 0, next: None });
    assert_eq!(stage.notification_state(id).await, NotificationState::Cancelled);
    stage.advance(60_000);
    stage.assert_nothing_waits().await;
    assert!(stage.deliveries(id).await.is_empty());
}

// ledger.md L28
pub async fn expiry_ends_what_waits_and_leaves_leases_alone(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("a")).await;
    let later = stage.now().plus_ms(30_000);
    let fan_out = stage.accept(to_users(&["ann"]).send_at(later).ttl_s(20)).await;
    let leased = stage.accept_one(to_token("a").ttl_s(50)).await;
    let work = stage.claim_one().await;
    let waiting = stage.accept_one(to_token("b").ttl_s(50)).await;
    let lasting = stage.accept_one(to_token("c").ttl_s(51)).await;
    stage.advance(50_000);
    let summary = stage.end(Selection::PastExpiry, Reason::TtlEnded).await;
    assert_eq!(summary, EndSummary { ended: 2, in_flight: 1, next: None });
    let expired = (DeliveryState::Expired, Some(Reason::TtlEnded));
    assert_eq!(stage.state(waiting).await, expired);
    assert_eq!(stage.notification_state(fan_out).await, NotificationState::Expired);
    assert_eq!(stage.state(leased).await, (DeliveryState::Scheduled, None), "its attempt is running");
    assert_eq!(stage.state(lasting).await, (DeliveryState::Scheduled, None));
    stage.settle_well(retried(&work, 1)).await;
    assert_eq!(stage.state(leased).await, (DeliveryState::Retrying, None), "no mark was left");
    stage.advance(1);
    assert_eq!(delivery_of(&stage.claim_one().await), lasting);
    assert_eq!(stage.state(leased).await, expired);
}

// ledger.md L29
pub async fn a_selection_ends_nothing_else(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("a")).await;
    stage.register("ben", "phone", android("b")).await;
    let both = stage.accept(to_users(&["ann", "ben"])).await;
    let later = stage.accept(to_users(&["ann", "ben"]).send_at(stage.now().plus_ms(1000))).await;
    let bare = stage.accept_one(to_token("c")).await;
    let nothing = EndSummary::default();
    assert_eq!(stage.cancel(Selection::App(OTHER_APP)).await, nothing);
    assert_eq!(stage.cancel(Selection::Notification(OTHER_APP, both)).await, nothing);
    assert_eq!(stage.cancel(Selection::Delivery(OTHER_APP, bare)).await, nothing);
    assert_eq!(stage.cancel(Selection::User(OTHER_APP, user("ann"))).await, nothing);
    assert_eq!(stage.end(Selection::PastExpiry, Reason::TtlEnded).await, nothing);
    let summary = stage.cancel(Selection::User(APP, user("ann"))).await;
    assert_eq!(summary, EndSummary { ended: 1, in_flight: 0, next: None });
    let open: Vec<_> = stage.deliveries(both).await.into_iter().filter(|view| view.state.is_open()).collect();
    assert_eq!(
        open.iter().map(|view| view.recipient.as_ref()?.user()).collect::<Vec<_>>(),
        [Some(&user("ben"))]
    );
    assert_eq!(stage.notification_state(later).await, NotificationState::Scheduled, "it is for ben as well");
    assert_eq!(stage.cancel(Selection::Delivery(APP, bare)).await.ended, 1);
    assert_eq!(stage.claim().await.len(), 1, "ben's alone is left");
}

// ledger.md L29
pub async fn ending_goes_on_page_by_page(harness: impl LedgerHarness) {
    const DELIVERIES: u64 = 25;
    let mut stage = Stage::open(harness).await;
    for n in 0..DELIVERIES {
        stage.accept(to_token(&format!("t{n}"))).await;
    }
    let leased = stage.claim().await;
    for work in &leased[5..] {
        stage.settle_well(retried(work, VISIBILITY_MS + u64::from(work.lease.abandoned))).await;
    }
    let (mut total, mut after) = (EndSummary::default(), None);
    for _ in 0..10 {
        let ledger = stage.ledger();
        let step = ledger.end(Selection::App(APP), Reason::CancelRequested, after, 10).await.expect("a step");
        assert!(step.ended + step.in_flight <= 10, "a step is bounded");
        (total.ended, total.in_flight) = (total.ended + step.ended, total.in_flight + step.in_flight);
        after = step.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((total.ended, total.in_flight, after), (DELIVERIES - 5, 5, None));
}

// ledger.md L28, L29
pub async fn expiring_goes_on_past_what_is_leased(harness: impl LedgerHarness) {
    const DELIVERIES: u64 = 25;
    let mut stage = Stage::open(harness).await;
    for n in 0..DELIVERIES {
        stage.accept(to_token(&format!("t{n}")).ttl_s(50)).await;
    }
    let later = stage.now().plus_ms(10_000);
    stage.accept(to_token("later").send_at(later).ttl_s(20)).await;
    let leased = stage.claim().await;
    for work in &leased[7..] {
        stage.settle_well(retried(work, 49_000)).await;
    }
    stage.advance(50_000);
    for ends_now in [DELIVERIES - 7 + 1, 0] {
        let (mut total, mut after) = (EndSummary::default(), None);
        for _ in 0..20 {
            let ledger = stage.ledger();
            let step = ledger.end(Selection::PastExpiry, Reason::TtlEnded, after, 3).await.expect("a step");
            (total.ended, total.in_flight) = (total.ended + step.ended, total.in_flight + step.in_flight);
            after = step.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!((total.ended, total.in_flight, after), (ends_now, 7, None));
    }
    stage.advance(VISIBILITY_MS - 50_000);
    assert_eq!(stage.end(Selection::PastExpiry, Reason::TtlEnded).await.ended, 7);
}
