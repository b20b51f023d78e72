//! Settling: what is recorded of an attempt, by which lease, and what becomes of the delivery.

use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::device::{Mark, MarkKind};
use pabal_core::outcome::{CredentialScope, Outcome, OutcomeKind};
use pabal_core::route::{Lane, Platform};
use pabal_core::seam::{Settled, Work};
use pabal_core::verdict::Next;

use super::stage::delivery_of;
use super::*;
use crate::fixtures::{
    APP, HOUR_MS, VISIBILITY_MS, abandoned, android, android_route, attempted, content, delivered, device,
    ios, rejected, retried, route, to_token, to_users, token, unregistered, user,
};

/// A delivery under two leases: that of a worker which is paused past its lease's end, and the newer one.
async fn overtaken<H: LedgerHarness>(stage: &mut Stage<H>) -> (Work, Work) {
    stage.register("ann", "phone", android("a")).await;
    stage.accept(to_users(&["ann"])).await;
    let paused = stage.claim_one().await;
    stage.advance(VISIBILITY_MS);
    let running = stage.claim_one().await;
    assert_eq!(paused.lease.id, running.lease.id);
    (paused, running)
}

// ledger.md L14, delivery-states.md S5
pub async fn a_retry_is_due_at_its_time_and_counts_as_told(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("a")).await;
    let delivery = stage.accept_one(to_users(&["ann"])).await;
    let settled = stage.settle(retried(&stage.claim_one().await, HOUR_MS)).await;
    assert_eq!(settled.settled, Settled::Settled);
    assert_eq!(settled.waiting, Some((android_route(), HOUR_MS)));
    let (view, _) = stage.delivery(delivery).await;
    assert_eq!((view.state, view.reason, view.attempts), (DeliveryState::Retrying, None, 1));
    assert_eq!((view.due_at, view.finished_at), (Some(stage.now().plus_ms(3_600_000)), None));
    stage.advance(HOUR_MS - 1);
    assert!(stage.claim().await.is_empty(), "not before its time");
    stage.advance(1);
    let again = stage.claim_one().await;
    assert_eq!((content(&again).attempts, content(&again).counted), (1, 1));
    let outcome = Outcome::CredentialInvalid { scope: CredentialScope::Credential };
    let uncounted = Next::Retry { delay_ms: 5, counted: false };
    stage.settle_well(attempted(&again, outcome, uncounted)).await;
    stage.advance(5);
    let last = stage.claim_one().await;
    assert_eq!((content(&last).attempts, content(&last).counted), (2, 1), "it is shown, and not counted");
}

// ledger.md L15
pub async fn a_second_settle_is_refused(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let delivery = stage.accept_one(to_token("a")).await;
    let work = stage.claim_one().await;
    stage.settle_well(retried(&work, 1000)).await;
    for again in [retried(&work, 5), rejected(&work), delivered(&work)] {
        let refused = stage.settle(again).await;
        assert_eq!(refused.settled, Settled::Refused);
        assert_eq!(refused.waiting, None, "the entry is as the first settle left it");
    }
    let (view, attempts) = stage.delivery(delivery).await;
    assert_eq!((view.state, view.attempts, attempts.len()), (DeliveryState::Retrying, 1, 1));
    stage.advance(999);
    assert!(stage.claim().await.is_empty(), "a refused settle moves nothing");
    stage.advance(1);
    stage.claim_one().await;
}

// ledger.md L15
pub async fn one_refused_settlement_harms_no_other_of_its_batch(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    for text in ["a", "b", "c"] {
        stage.accept(to_token(text)).await;
    }
    let work = stage.claim().await;
    stage.settle_well(delivered(&work[1])).await;
    let batch = vec![delivered(&work[0]), rejected(&work[1]), retried(&work[2], 1)];
    let settled = stage.ledger().settle(batch).await.expect("a settle");
    let answers: Vec<Settled> = settled.iter().map(|item| item.settled).collect();
    assert_eq!(answers, [Settled::Settled, Settled::Refused, Settled::Settled]);
    let states = [DeliveryState::Delivered, DeliveryState::Delivered, DeliveryState::Retrying];
    for (work, state) in work.iter().zip(states) {
        assert_eq!(stage.state(delivery_of(work)).await.0, state);
    }
}

// ledger.md L16
pub async fn an_overtaken_attempt_is_recorded_and_the_newer_lease_decides(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let (paused, running) = overtaken(&mut stage).await;
    let settled = stage.settle(retried(&paused, 1)).await;
    assert_eq!((settled.settled, settled.waiting), (Settled::Overtaken, None));
    let delivery = delivery_of(&running);
    assert_eq!(stage.delivery(delivery).await.0.attempts, 1, "it is the attempt that it was");
    stage.advance(1000);
    assert!(stage.claim().await.is_empty(), "the newer lease holds the entry");
    stage.settle_well(delivered(&running)).await;
    let (view, attempts) = stage.delivery(delivery).await;
    assert_eq!((view.state, attempts.len()), (DeliveryState::Delivered, 2));
    stage.assert_nothing_waits().await;
}

// ledger.md L15
pub async fn after_the_newer_settle_the_older_is_refused(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let (paused, running) = overtaken(&mut stage).await;
    stage.settle_well(retried(&running, HOUR_MS)).await;
    for late in [retried(&paused, 1), rejected(&paused), unregistered(&paused)] {
        assert_eq!(stage.settle(late).await.settled, Settled::Refused);
    }
    assert_eq!(stage.delivery(delivery_of(&running)).await.0.attempts, 1);
    let kept = stage.store().device(APP, &user("ann"), &device("phone")).await.expect("a read");
    assert_eq!(kept.expect("it is registered").mark, None, "what is refused marks nothing");
    stage.advance(HOUR_MS - 1);
    assert!(stage.claim().await.is_empty(), "the retry keeps its time");
}

// ledger.md L17, delivery-states.md S4
pub async fn a_late_arrival_turns_dead_into_delivered(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let (paused, running) = overtaken(&mut stage).await;
    let delivery = delivery_of(&running);
    assert_eq!(stage.settle(rejected(&paused)).await.settled, Settled::Overtaken);
    assert_eq!(stage.state(delivery).await, (DeliveryState::Dead, Some(Reason::Rejected)));
    stage.settle_well(delivered(&running)).await;
    let (view, attempts) = stage.delivery(delivery).await;
    assert_eq!((view.state, view.reason), (DeliveryState::Delivered, None), "the person has it");
    let outcomes: Vec<OutcomeKind> = attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [OutcomeKind::Rejected, OutcomeKind::Delivered]);
    stage.assert_nothing_waits().await;
}

// ledger.md L17, delivery-states.md S3
pub async fn nothing_leaves_delivered(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let (paused, running) = overtaken(&mut stage).await;
    let delivery = delivery_of(&running);
    assert_eq!(stage.settle(delivered(&paused)).await.settled, Settled::Overtaken);
    let before = stage.delivery(delivery).await;
    for later in [rejected(&running), retried(&running, 1), delivered(&running), abandoned(&running)] {
        assert_eq!(stage.settle(later).await.settled, Settled::Refused);
    }
    stage.advance(HOUR_MS);
    stage.assert_nothing_waits().await;
    assert_eq!(stage.delivery(delivery).await, before);
}

// ledger.md L18, L19
pub async fn a_token_refreshed_during_the_attempt_supersedes_its_end(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("former")).await;
    let delivery = stage.accept_one(to_users(&["ann"])).await;
    let work = stage.claim_one().await;
    stage.register("ann", "phone", ios("newer")).await;
    let newer_route = route(Lane::Transactional, Platform::Ios);
    let settled = stage.settle(unregistered(&work)).await;
    assert_eq!(settled.settled, Settled::Superseded);
    assert_eq!(settled.waiting, Some((newer_route.clone(), 0)), "at once, on the newer route");
    let kept = stage.store().device(APP, &user("ann"), &device("phone")).await.expect("a read");
    assert_eq!(kept.expect("it is registered").mark, None, "the newer address is not marked");
    let again = stage.claim_one().await;
    assert_eq!((&again.lease.route, &content(&again).target), (&newer_route, &token("newer")));
    stage.settle_well(delivered(&again)).await;
    let (view, attempts) = stage.delivery(delivery).await;
    assert_eq!((view.state, view.route), (DeliveryState::Delivered, Some(newer_route)));
    let outcomes: Vec<OutcomeKind> = attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [OutcomeKind::Unregistered, OutcomeKind::Delivered]);
}

// ledger.md L19
pub async fn a_mark_holds_for_the_address_that_was_sent_to(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("a")).await;
    let delivery = stage.accept_one(to_users(&["ann"])).await;
    let work = stage.claim_one().await;
    stage.settle_well(unregistered(&work)).await;
    assert_eq!(stage.state(delivery).await, (DeliveryState::Dead, Some(Reason::Unregistered)));
    let (ann, phone) = (user("ann"), device("phone"));
    let mark = async || {
        let kept = stage.store().device(APP, &ann, &phone).await.expect("a read");
        kept.expect("it is registered").mark
    };
    let retired = Mark { kind: MarkKind::Retired, reason: "unregistered".to_owned(), at: stage.now() };
    assert_eq!(mark().await, Some(retired));
    stage.register("ann", "phone", android("b")).await;
    assert_eq!(mark().await, None, "another address is another registration");
}

// ledger.md L20
pub async fn a_delivery_can_end_without_an_attempt(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let delivery = stage.accept_one(to_token("a")).await;
    stage.settle_well(abandoned(&stage.claim_one().await)).await;
    let (view, attempts) = stage.delivery(delivery).await;
    assert_eq!((view.state, view.reason), (DeliveryState::Dead, Some(Reason::Abandoned)));
    assert_eq!((view.attempts, attempts.len()), (0, 0));
    stage.assert_nothing_waits().await;
}

// ledger.md L21
pub async fn a_release_counts_nothing(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let delivery = stage.accept_one(to_token("a")).await;
    for _ in 0..pabal_core::limits::ABANDONED_MAX {
        let work = stage.claim_one().await;
        assert_eq!((work.lease.abandoned, content(&work).attempts), (0, 0));
        stage.ledger().release(vec![work.lease]).await.expect("a release");
    }
    let work = stage.claim_one().await;
    stage.ledger().release(vec![work.lease.clone()]).await.expect("a release");
    let late = stage.settle(retried(&work, 0)).await;
    assert_eq!((late.settled, late.waiting), (Settled::Overtaken, None), "it was given back");
    let again = stage.claim_one().await;
    assert_eq!((again.lease.abandoned, content(&again).attempts), (0, 1), "an attempt is an attempt");
    stage.settle_well(delivered(&again)).await;
    assert_eq!(stage.state(delivery).await.0, DeliveryState::Delivered);
}

// ledger.md L21
pub async fn an_extended_lease_is_kept(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.accept(to_token("a")).await;
    let work = stage.claim_one().await;
    stage.advance(VISIBILITY_MS - 1);
    let extended = stage.ledger().extend(vec![work.lease.clone()], HOUR_MS).await.expect("an extension");
    assert!(matches!(&extended[..], [Some(_)]), "{extended:?}");
    stage.advance(HOUR_MS - 1);
    assert!(stage.claim().await.is_empty(), "it is still held");
    stage.advance(1);
    let newer = stage.claim_one().await;
    let lost = stage.ledger().extend(vec![work.lease.clone()], HOUR_MS).await.expect("an extension");
    assert_eq!(lost, [None], "another lease holds it");
    stage.settle_well(delivered(&newer)).await;
}
