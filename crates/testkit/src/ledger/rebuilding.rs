//! Queue and store apart: the queue may be lost, emptied or out of reach at any step, and is filled from the store.
//! Where both are one, each case asserts that there is nothing to reconcile.

use std::collections::BTreeSet;

use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::ids::ItemId;
use pabal_core::notification::NotificationState;
use pabal_core::route::{Lane, Platform};
use pabal_core::seam::{Answer, DeadFilter, Epoch, Paged, QueueItem, Scan, Selection, Settled};

use super::stage::{OVERDUE_MS, delivery_of};
use super::*;
use crate::faults::Cut;
use crate::fixtures::{
    APP, HOUR_MS, VISIBILITY_MS, android, content, delivered, delivery_id, ids, retried, route, to_token,
    to_users, token,
};

// ledger.md L37
pub async fn a_wiped_queue_is_rebuilt_from_the_store(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let Some(server) = stage.queue_server().await else { return };
    let users = ["u1", "u2", "u3", "u4"];
    for name in users {
        stage.register(name, "phone", android(name)).await;
    }
    let half = stage.accept(to_users(&users).send_at(stage.now().plus_ms(1))).await;
    let later = stage.accept(to_users(&users).send_at(stage.now().plus_ms(3_600_000))).await;
    stage.advance(1);
    let fan_out = stage.claim_one().await;
    assert!(matches!(stage.page(&fan_out, 2).await, Paged::Made { last: false, .. }));
    let retrying = stage.accept_one(to_token("r")).await;
    let work = stage.claim().await;
    let leased = work.iter().find(|work| delivery_of(work) == retrying).expect("it is due");
    stage.settle_well(retried(leased, HOUR_MS / 2)).await;

    (server.wipe)();
    assert!(stage.claim().await.is_empty(), "nothing is left of it");
    stage.rebuild().await;
    let due = stage.claim().await;
    assert_eq!(due.len(), 3, "two deliveries and half a fan-out: {:?}", ids(&due));
    assert!(due.iter().all(|work| work.lease.abandoned == 0), "a wipe forgets it");
    stage.ledger().release(due.into_iter().map(|work| work.lease).collect()).await.expect("a release");
    stage.advance(HOUR_MS / 2 - 1);
    assert!(!ids(&stage.claim().await).contains(&ItemId::Delivery(retrying)), "the retry keeps its time");
    stage.advance(VISIBILITY_MS);
    stage.drain(|_| false).await;
    for id in [half, later] {
        assert_eq!(stage.notification_state(id).await, NotificationState::Expanded);
        assert_eq!(stage.notification(id).await.counts, [(DeliveryState::Delivered, 4)]);
    }
    assert_eq!(stage.state(retrying).await.0, DeliveryState::Delivered);
}

// ledger.md L37
pub async fn a_wipe_during_a_rebuild_loses_nothing(harness: impl LedgerHarness) {
    const DELIVERIES: u64 = 5;
    let mut stage = Stage::open(harness).await;
    let Some(server) = stage.queue_server().await else { return };
    for n in 0..DELIVERIES {
        stage.accept(to_token(&format!("t{n}"))).await;
    }
    (server.wipe)();
    let mut scan = Scan::default();
    for _ in 0..2 {
        let step = stage.ledger().reconcile(scan, 1).await.expect("a step");
        assert!(step.rebuilding, "there is more to fill in");
        scan = step.scan;
    }
    (server.wipe)();
    for _ in 0..100 {
        let step = stage.ledger().reconcile(scan, 1).await.expect("a step");
        scan = step.scan;
        if !step.rebuilding {
            break;
        }
    }
    // What the first filling held is overdue by now, and found missing.
    stage.advance(OVERDUE_MS);
    stage.reconcile_overdue().await;
    assert_eq!(stage.claim().await.len() as u64, DELIVERIES);
}

// ledger.md L38
pub async fn a_settle_from_before_a_wipe_is_recorded_and_changes_no_queue(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let Some(server) = stage.queue_server().await else { return };
    stage.accept(to_token("a")).await;
    stage.accept(to_token("b")).await;
    let before = stage.claim().await;
    stage.advance(1000);
    (server.wipe)();
    stage.rebuild().await;
    let after = stage.claim().await;
    assert_eq!(ids(&before), ids(&after));

    let early = stage.settle(retried(&before[0], HOUR_MS)).await;
    assert_eq!((early.settled, early.waiting), (Settled::Overtaken, None), "it is the attempt that it was");
    stage.settle_well(delivered(&after[0])).await;
    assert_eq!(stage.delivery(delivery_of(&after[0])).await.1.len(), 2);

    stage.settle_well(retried(&after[1], HOUR_MS)).await;
    assert_eq!(stage.settle(retried(&before[1], 1)).await.settled, Settled::Refused);
    stage.advance(HOUR_MS - 1);
    assert!(stage.claim().await.is_empty(), "the newer settle decided when");
    stage.advance(1);
    assert_eq!(stage.claim_one().await.lease.id, after[1].lease.id);
}

// ledger.md L33
pub async fn a_wipe_under_a_clock_set_back_is_settled(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let Some(server) = stage.queue_server().await else { return };
    let delivery = stage.accept_one(to_token("a")).await;
    let first = stage.claim_one().await;
    stage.settle_well(retried(&first, 1000)).await;
    (server.wipe)();
    server.clock.set_by(-3_600_000);
    stage.rebuild().await;
    stage.advance(1000);
    let second = stage.claim_one().await;
    assert!(second.lease.epoch > first.lease.epoch, "the floor is the last settlement's");
    stage.settle_well(delivered(&second)).await;
    assert_eq!(stage.state(delivery).await.0, DeliveryState::Delivered);
}

// ledger.md L33
pub async fn a_lease_that_the_record_would_refuse_is_not_worked_on(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let Some(server) = stage.queue_server().await else { return };
    let delivery = stage.accept_one(to_token("a")).await;
    let before = stage.claim_one().await;
    (server.wipe)();
    server.clock.set_by(-3_600_000);
    stage.rebuild().await;
    // The rebuild knew nothing of this one, so its floor is too low for an hour.
    assert_eq!(stage.settle(retried(&before, 0)).await.settled, Settled::Overtaken);
    let claimed = stage.claim_all().await;
    assert_eq!((claimed.work.len(), claimed.dropped), (0, 1), "what came of it could not be recorded");
    stage.advance(OVERDUE_MS);
    assert_eq!(stage.reconcile_overdue().await, 1);
    let after = stage.claim_one().await;
    assert!(after.lease.epoch > before.lease.epoch);
    stage.settle_well(delivered(&after)).await;
    assert_eq!(stage.delivery(delivery).await.1.len(), 2);
}

// ledger.md L33
pub async fn a_wiped_fan_out_pages_on_under_a_clock_set_back(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let Some(server) = stage.queue_server().await else { return };
    let id = stage.accept(to_users(&["u1", "u2", "u3"]).send_at(stage.now().plus_ms(1))).await;
    stage.advance(1);
    let before = stage.claim_one().await;
    assert!(matches!(stage.page(&before, 1).await, Paged::Made { last: false, .. }));
    (server.wipe)();
    server.clock.set_by(-3_600_000);
    stage.rebuild().await;
    let after = stage.claim_one().await;
    assert!(after.lease.epoch > before.lease.epoch, "the floor is also the last page's");
    stage.page_to_the_end(&after).await;
    assert_eq!(stage.notification_state(id).await, NotificationState::Expanded);
}

// ledger.md L39
pub async fn what_a_failover_lost_is_found(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let Some(server) = stage.queue_server().await else { return };
    let delivery = stage.accept_one(to_token("a")).await;
    stage.advance(OVERDUE_MS);
    let first = stage.ledger().reconcile(Scan::default(), 10).await.expect("a step");
    assert_eq!(first.repaired, 0, "it is where it belongs");
    // Its last writes are lost, and nothing tells of it.
    server.queue.remove(&[ItemId::Delivery(delivery)]).await.expect("a loss");
    let mut scan = first.scan;
    let mut repaired = 0;
    for _ in 0..10 {
        let step = stage.ledger().reconcile(scan, 10).await.expect("a step");
        (scan, repaired) = (step.scan, repaired + step.repaired);
    }
    assert_eq!(repaired, 1, "the round comes by again");
    assert_eq!(delivery_of(&stage.claim_one().await), delivery);
}

// ledger.md L39
pub async fn what_could_not_be_enqueued_is_found(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let Some(server) = stage.queue_server().await else { return };
    stage.register("ann", "phone", android("a")).await;
    let dead = stage.accept_one(to_token("dead")).await;
    stage.settle_well(crate::fixtures::rejected(&stage.claim_one().await)).await;
    let later = stage.accept(to_users(&["ann"]).send_at(stage.now().plus_ms(1))).await;
    stage.advance(1);
    let fan_out = stage.claim_one().await;

    server.line.cut(Cut::Requests);
    let id = stage.next_id();
    let accepted = stage.accept_as(to_token("bare").build(id)).await;
    assert_eq!(accepted.answer, Answer::Accepted { id, deliveries: Some(1) }, "the caller gets its answer");
    assert!(matches!(stage.page(&fan_out, 10).await, Paged::Made { last: true, .. }));
    let redriven = stage.ledger().redrive(APP, DeadFilter::all(), None, 10).await.expect("a redrive");
    assert_eq!(redriven.reopened, [ItemId::Delivery(dead)]);
    server.line.cut(Cut::Mended);

    assert!(stage.claim().await.is_empty(), "the queue knows nothing of them");
    stage.advance(OVERDUE_MS);
    assert_eq!(stage.reconcile_overdue().await, 3);
    assert_eq!(stage.reconcile_overdue().await, 0, "once is enough");
    stage.advance(VISIBILITY_MS);
    let targets: BTreeSet<_> = stage.claim().await.iter().map(|work| content(work).target.clone()).collect();
    assert_eq!(targets, BTreeSet::from([token("bare"), token("a"), token("dead")]));
    assert_eq!(stage.notification_state(later).await, NotificationState::Expanded);
}

// ledger.md L13, L40
pub async fn a_settle_that_reached_the_store_alone_is_not_sent_again(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let Some(server) = stage.queue_server().await else { return };
    for (cut, text) in [(Cut::Requests, "x"), (Cut::Answers, "y")] {
        let arrived = stage.accept_one(to_token(&format!("{text}1"))).await;
        let retrying = stage.accept_one(to_token(&format!("{text}2"))).await;
        let work = stage.claim().await;
        let of = |id| work.iter().find(|work| delivery_of(work) == id).expect("it is due");
        let batch = vec![delivered(of(arrived)), retried(of(retrying), HOUR_MS)];
        server.line.cut(cut);
        let settled = stage.ledger().settle(batch).await.expect("the store has it");
        assert!(settled.iter().all(|item| item.settled != Settled::Refused));
        server.line.cut(Cut::Mended);
        stage.advance(VISIBILITY_MS);
        let claimed = stage.claim_all().await;
        assert!(claimed.work.is_empty(), "settled from the record, not sent again");
        // Where only the answer was lost, the entry was settled already and nothing is leased again.
        let told = [(route(Lane::Transactional, Platform::Other), HOUR_MS - VISIBILITY_MS)];
        assert_eq!(claimed.waiting, if cut == Cut::Requests { told.to_vec() } else { Vec::new() });
        stage.advance(HOUR_MS - VISIBILITY_MS - 1);
        assert!(stage.claim().await.is_empty(), "not before its time");
        stage.advance(1);
        let again = stage.claim_one().await;
        assert_eq!((delivery_of(&again), content(&again).attempts), (retrying, 1));
        stage.settle_well(delivered(&again)).await;
    }
}

// ledger.md L35
pub async fn a_claim_whose_answer_was_lost_is_made_again(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let Some(server) = stage.queue_server().await else { return };
    let delivery = stage.accept_one(to_token("a")).await;
    server.line.cut(Cut::Answers);
    stage.ledger().claim(stage.everything()).await.expect_err("the answer is lost");
    server.line.cut(Cut::Mended);
    assert!(stage.claim().await.is_empty(), "somebody holds a lease, and nobody knows");
    stage.advance(VISIBILITY_MS);
    let work = stage.claim_one().await;
    assert_eq!((delivery_of(&work), work.lease.abandoned), (delivery, 1));
}

// ledger.md L41
pub async fn an_end_that_reached_the_queue_alone_is_put_back(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let Some(server) = stage.queue_server().await else { return };
    let delivery = stage.accept_one(to_token("a")).await;
    server.line.cut(Cut::Answers);
    let selection = || Selection::Delivery(APP, delivery);
    stage.ledger().end(selection(), Reason::CancelRequested, None, 10).await.expect_err("the answer is lost");
    server.line.cut(Cut::Mended);
    assert_eq!(stage.state(delivery).await, (DeliveryState::Scheduled, None), "it is open, and not queued");
    assert!(stage.claim().await.is_empty());
    stage.advance(OVERDUE_MS);
    assert_eq!(stage.reconcile_overdue().await, 1);
    assert_eq!(stage.cancel(selection()).await.ended, 1, "the caller asks again");
    assert_eq!(stage.state(delivery).await.0, DeliveryState::Cancelled);
    stage.assert_nothing_waits().await;
}

// ledger.md L42
pub async fn what_the_store_does_not_know_is_dropped(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let Some(server) = stage.queue_server().await else { return };
    let known = stage.accept_one(to_token("a")).await;
    let item = QueueItem {
        id: ItemId::Delivery(delivery_id(999)),
        route: route(Lane::Transactional, Platform::Other),
        due_in_ms: 0,
        epoch_floor: Epoch::NONE,
    };
    server.queue.enqueue(std::slice::from_ref(&item)).await.expect("an enqueue");
    let claimed = stage.claim_all().await;
    assert_eq!((ids(&claimed.work), claimed.dropped), (vec![ItemId::Delivery(known)], 1));
    assert_eq!(server.queue.contains(&[item.id]).await.expect("an answer"), [false]);
}
