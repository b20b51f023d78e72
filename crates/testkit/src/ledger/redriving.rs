//! Redriving: what is dead is opened again, with a fresh budget and its whole past.

use std::collections::BTreeSet;

use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::ids::ItemId;
use pabal_core::notification::NotificationState;
use pabal_core::seam::{DeadFilter, Paged, Selection, Settled};

use super::stage::delivery_of;
use super::*;
use crate::fixtures::{
    APP, HOUR_MS, OTHER_APP, abandoned, android, android_route, content, delivered, fan_out, rejected,
    retried, to_token, to_users,
};

async fn redrive<H: LedgerHarness>(stage: &Stage<H>, filter: DeadFilter) -> BTreeSet<ItemId> {
    let redriven = stage.ledger().redrive(APP, filter, None, 1000).await.expect("a redrive");
    assert_eq!(redriven.next, None, "one step is enough");
    redriven.reopened.into_iter().collect()
}

// ledger.md L30, delivery-states.md S4
pub async fn only_what_is_dead_is_redriven(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.accept(to_users(&["nobody"])).await;
    let expired = stage.accept_one(to_token("expired").ttl_s(10)).await;
    stage.advance(10_000);
    stage.accept(to_token("dead")).await;
    stage.accept(to_token("delivered")).await;
    let cancelled = stage.accept_one(to_token("cancelled")).await;
    stage.cancel(Selection::Delivery(APP, cancelled)).await;
    let work = stage.claim().await;
    stage.settle_well(rejected(&work[0])).await;
    stage.settle_well(delivered(&work[1])).await;
    stage.accept(to_token("open")).await;
    let dead = delivery_of(&work[0]);
    let others = stage.ledger().redrive(OTHER_APP, DeadFilter::all(), None, 1000).await.expect("a redrive");
    assert_eq!(others.reopened, []);
    assert!(redrive(&stage, DeadFilter::of_delivery(delivery_of(&work[1]))).await.is_empty());
    assert_eq!(redrive(&stage, DeadFilter::all()).await, BTreeSet::from([ItemId::Delivery(dead)]));
    let (view, _) = stage.delivery(dead).await;
    assert_eq!((view.state, view.reason, view.finished_at), (DeliveryState::Scheduled, None, None));
    assert_eq!(view.due_at, Some(stage.now()));
    assert_eq!(stage.state(expired).await.0, DeliveryState::Expired);
    assert!(redrive(&stage, DeadFilter::all()).await.is_empty(), "it is not dead any more");
}

// ledger.md L31, delivery-states.md S7
pub async fn a_redriven_delivery_has_a_fresh_budget_and_its_whole_past(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("a")).await;
    let delivery = stage.accept_one(to_users(&["ann"])).await;
    stage.settle_well(retried(&stage.claim_one().await, 0)).await;
    let last = stage.claim_one().await;
    stage.settle_well(rejected(&last)).await;
    stage.advance(1000);
    let redriven =
        stage.ledger().redrive(APP, DeadFilter::of_delivery(delivery), None, 10).await.expect("a redrive");
    assert_eq!(redriven.waiting, [(android_route(), 0)]);
    assert_eq!(stage.settle(rejected(&last)).await.settled, Settled::Refused, "that one is settled");
    let work = stage.claim_one().await;
    assert!(work.lease.epoch > last.lease.epoch);
    assert_eq!((content(&work).attempts, content(&work).counted), (2, 0));
    stage.settle_well(delivered(&work)).await;
    let (view, attempts) = stage.delivery(delivery).await;
    assert_eq!((view.state, view.attempts), (DeliveryState::Delivered, 3));
    assert_eq!(attempts.iter().map(|attempt| attempt.number).collect::<Vec<_>>(), [1, 2, 3]);
}

// ledger.md L31
pub async fn a_redrive_takes_back_a_cancel(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let delivery = stage.accept_one(to_token("a")).await;
    let work = stage.claim_one().await;
    assert_eq!(stage.cancel(Selection::Delivery(APP, delivery)).await.in_flight, 1);
    stage.settle_well(rejected(&work)).await;
    assert_eq!(stage.state(delivery).await, (DeliveryState::Dead, Some(Reason::Rejected)));
    assert_eq!(redrive(&stage, DeadFilter::of_delivery(delivery)).await.len(), 1);
    stage.settle_well(retried(&stage.claim_one().await, 0)).await;
    stage.settle_well(delivered(&stage.claim_one().await)).await;
}

// ledger.md L32
pub async fn past_its_expiry_a_redrive_gives_the_time_to_live_again(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let id = stage.accept(to_token("a").ttl_s(3600)).await;
    stage.settle_well(rejected(&stage.claim_one().await)).await;
    let first_expiry = stage.notification(id).await.expires_at;
    stage.advance(HOUR_MS / 2);
    assert_eq!(redrive(&stage, DeadFilter::of_notification(id)).await.len(), 1);
    assert_eq!(stage.notification(id).await.expires_at, first_expiry, "there is time left");
    stage.settle_well(rejected(&stage.claim_one().await)).await;
    stage.advance(HOUR_MS);
    assert_eq!(redrive(&stage, DeadFilter::of_notification(id)).await.len(), 1);
    assert_eq!(stage.notification(id).await.expires_at, stage.now().plus_ms(3_600_000));
    assert_eq!(content(&stage.claim_one().await).remaining_ms, HOUR_MS);
}

// ledger.md L33
pub async fn a_redrive_under_a_clock_set_back_is_settled(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let delivery = stage.accept_one(to_token("a")).await;
    let first = stage.claim_one().await;
    stage.settle_well(rejected(&first)).await;
    stage.queue_clock().set_by(-3_600_000);
    redrive(&stage, DeadFilter::of_delivery(delivery)).await;
    let second = stage.claim_one().await;
    assert!(second.lease.epoch > first.lease.epoch, "{:?} {:?}", second.lease.epoch, first.lease.epoch);
    stage.settle_well(delivered(&second)).await;
    assert_eq!(stage.state(delivery).await.0, DeliveryState::Delivered);
}

// ledger.md L30
pub async fn redriving_goes_on_page_by_page(harness: impl LedgerHarness) {
    const DEAD: usize = 25;
    let mut stage = Stage::open(harness).await;
    for n in 0..DEAD {
        stage.accept(to_token(&format!("t{n}"))).await;
    }
    for work in stage.claim().await {
        stage.settle_well(rejected(&work)).await;
    }
    let (mut reopened, mut after) = (BTreeSet::<ItemId>::new(), None);
    for _ in 0..10 {
        let step = stage.ledger().redrive(APP, DeadFilter::all(), after, 10).await.expect("a step");
        assert!(step.reopened.len() <= 10, "a step is bounded");
        // What dies again at once is not redriven by the same round.
        for work in stage.claim().await {
            stage.settle_well(rejected(&work)).await;
        }
        let before = reopened.len();
        reopened.extend(&step.reopened);
        assert_eq!(reopened.len(), before + step.reopened.len(), "each once");
        after = step.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((reopened.len(), after), (DEAD, None));
}

// ledger.md L34, delivery-states.md S9
pub async fn a_dead_fan_out_goes_on_at_its_cursor(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    for name in ["u1", "u2", "u3"] {
        stage.register(name, "phone", android(name)).await;
    }
    let id = stage.accept(to_users(&["u1", "u2", "u3"]).send_at(stage.now().plus_ms(1))).await;
    stage.advance(1);
    let work = stage.claim_one().await;
    let Paged::Made { cursor, .. } = stage.page(&work, 1).await else { panic!("it holds the lease") };
    stage.settle_well(abandoned(&work)).await;
    assert_eq!(stage.notification_state(id).await, NotificationState::Dead);
    let first = stage.claim_one().await;
    stage.settle_well(delivered(&first)).await;
    assert_eq!(redrive(&stage, DeadFilter::of_notification(id)).await, BTreeSet::from([ItemId::FanOut(id)]));
    assert_eq!(stage.notification_state(id).await, NotificationState::Expanding);
    let again = stage.claim_one().await;
    assert_eq!((&fan_out(&again).cursor, fan_out(&again).failures), (&cursor, 0));
    stage.page_to_the_end(&again).await;
    let reasons: Vec<Option<Reason>> = stage.deliveries(id).await.iter().map(|view| view.reason).collect();
    assert_eq!(reasons, [None; 3]);
    assert_eq!(stage.claim().await.len(), 2);
}
