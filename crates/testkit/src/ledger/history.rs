//! What happened, as people read it: complete timelines, counts that agree, and nobody else's data.

use std::collections::BTreeMap;

use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::ids::NotificationId;
use pabal_core::outcome::OutcomeKind;
use pabal_core::seam::store::AttemptView;
use pabal_core::seam::{Change, DeadFilter, Selection, Settlement, Work};

use super::*;
use crate::fixtures::{
    APP, OTHER_APP, abandoned, android, delivered, device, rejected, retried, to_token, to_users, user,
};

fn with_answer(mut settlement: Settlement, status: u16, code: &str) -> Settlement {
    if let Change::Attempt(attempt) = &mut settlement.change {
        attempt.report = attempt.report.clone().with_status(status);
        if !code.is_empty() {
            attempt.report = attempt.report.clone().with_code(code);
        }
    }
    settlement
}

fn attempt(number: u32, at: pabal_core::clock::Timestamp, outcome: OutcomeKind, status: u16) -> AttemptView {
    let detail = Some("as the test has it".to_owned());
    AttemptView { number, at, outcome, status: Some(status), code: None, detail, latency_ms: 7 }
}

// ledger.md L45
pub async fn a_first_attempt_that_arrived_has_its_timeline(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let delivery = stage.accept_one(to_token("a")).await;
    let work = stage.claim_one().await;
    stage.advance(1000);
    stage.settle_well(with_answer(delivered(&work), 200, "")).await;
    let (view, attempts) = stage.delivery(delivery).await;
    assert_eq!((view.state, view.attempts, view.due_at), (DeliveryState::Delivered, 1, None));
    assert_eq!(view.finished_at, Some(stage.now()));
    let began = stage.now().plus_ms(-9);
    assert_eq!(attempts, [attempt(1, began, OutcomeKind::Delivered, 200)]);
}

// ledger.md L45
pub async fn a_timeline_shows_every_attempt_in_order(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let delivery = stage.accept_one(to_token("a")).await;
    let mut expected = Vec::new();
    for number in 1..=3 {
        let work = stage.claim_one().await;
        stage.advance(100);
        stage.settle_well(with_answer(retried(&work, 1000), 503, "UNAVAILABLE")).await;
        let shown = attempt(number, stage.now().plus_ms(-9), OutcomeKind::Unavailable, 503);
        expected.push(AttemptView { code: Some("UNAVAILABLE".to_owned()), ..shown });
        stage.advance(1000);
    }
    stage.settle_well(with_answer(delivered(&stage.claim_one().await), 200, "")).await;
    expected.push(attempt(4, stage.now().plus_ms(-9), OutcomeKind::Delivered, 200));
    let (view, attempts) = stage.delivery(delivery).await;
    assert_eq!((view.attempts, attempts), (4, expected));
}

/// Deliveries in every state that there is.
async fn one_of_each<H: LedgerHarness>(stage: &mut Stage<H>) -> Vec<NotificationId> {
    stage.register("ann", "phone", android("a")).await;
    stage.register("ann", "tablet", android("b")).await;
    let mut all = vec![stage.accept(to_token("expiring").ttl_s(0)).await];
    stage.advance(10_000);
    assert!(stage.claim().await.is_empty());
    all.push(stage.accept(to_users(&["ann", "nobody"])).await);
    for text in ["c", "d", "e", "f"] {
        all.push(stage.accept(to_token(text)).await);
    }
    let work: Vec<Work> = stage.claim().await;
    assert_eq!(work.len(), 6);
    let settlements = [
        delivered(&work[0]),
        retried(&work[1], 60_000),
        rejected(&work[2]),
        abandoned(&work[3]),
        retried(&work[4], 0),
    ];
    for settlement in settlements {
        stage.settle_well(settlement).await;
    }
    let cancelled = super::stage::delivery_of(&work[4]);
    assert_eq!(stage.cancel(Selection::Delivery(APP, cancelled)).await.ended, 1);
    all.push(stage.accept(to_token("g")).await);
    let dead = DeadFilter::of_delivery(super::stage::delivery_of(&work[2]));
    let redriven = stage.ledger().redrive(APP, dead, None, 1).await.expect("a redrive");
    assert_eq!(redriven.reopened.len(), 1);
    all
}

// ledger.md L46, delivery-states.md S1
pub async fn counters_equal_a_recount(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let all = one_of_each(&mut stage).await;
    let mut recount = BTreeMap::<(DeliveryState, Option<Reason>), u64>::new();
    for id in all {
        let mut of_notification = BTreeMap::<DeliveryState, u64>::new();
        for view in stage.deliveries(id).await {
            *of_notification.entry(view.state).or_default() += 1;
            *recount.entry((view.state, view.reason)).or_default() += 1;
        }
        let counts: BTreeMap<_, _> = stage.notification(id).await.counts.into_iter().collect();
        assert_eq!(counts, of_notification);
    }
    let totals = stage.store().totals(APP).await.expect("totals");
    let totals: BTreeMap<_, _> = totals
        .into_iter()
        .filter(|(_, _, count)| *count > 0)
        .map(|(state, reason, count)| ((state, reason), count))
        .collect();
    assert_eq!(totals, recount);
    let states: Vec<DeliveryState> = DeliveryState::ALL.to_vec();
    let seen: std::collections::BTreeSet<_> = recount.keys().map(|(state, _)| *state).collect();
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), states, "the case covers every state");
}

// ledger.md L47
pub async fn an_app_sees_its_own_alone(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("a")).await;
    let id = stage.accept(to_users(&["ann"])).await;
    let delivery = stage.deliveries(id).await[0].id;
    let store = stage.store();
    assert_eq!(store.notification(OTHER_APP, id).await.expect("a read"), None);
    assert_eq!(store.deliveries(OTHER_APP, id, None, 10).await.expect("a read"), []);
    assert_eq!(store.delivery(OTHER_APP, delivery).await.expect("a read"), None);
    assert_eq!(store.totals(OTHER_APP).await.expect("a read"), []);
    assert_eq!(store.device(OTHER_APP, &user("ann"), &device("phone")).await.expect("a read"), None);
    assert_eq!(store.devices(OTHER_APP, &user("ann")).await.expect("a read"), []);
    let deleted = store.delete_device(OTHER_APP, &user("ann"), &device("phone")).await.expect("a delete");
    assert!(!deleted, "it is another app's");
    stage.claim_one().await;
}

// ledger.md L47
pub async fn deliveries_are_listed_page_by_page(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let names: Vec<String> = (0..25).map(|n| format!("u{n}")).collect();
    let users: Vec<&str> = names.iter().map(String::as_str).collect();
    let id = stage.accept(to_users(&users)).await;
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = stage.store().deliveries(APP, id, after, 10).await.expect("a page");
        assert!(page.len() <= 10, "a page is bounded");
        after = page.last().map(|view| view.id);
        if page.is_empty() {
            break;
        }
        listed.extend(page.into_iter().map(|view| view.id));
    }
    assert_eq!(listed.len(), 25);
    assert!(listed.is_sorted_by(|a, b| a < b), "by id, each once");
}
