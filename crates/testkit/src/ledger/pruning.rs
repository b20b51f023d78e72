//! Forgetting what ended long ago, and nothing that is open.

use pabal_core::delivery::DeliveryState;
use pabal_core::ids::{NotificationId, RedriveId};
use pabal_core::limits;
use pabal_core::notification::NotificationState;
use pabal_core::seam::store::{NewRedrive, NotificationFilter, Prune, Pruned, RedriveState};
use pabal_core::seam::{Answer, DeadFilter, Paged, Selection};

use super::walking::{assert_counts, notifications};
use super::*;
use crate::fixtures::{APP, HOUR_MS, abandoned, android, delivered, rejected, retried, to_token, to_users};

/// Prunes to the end, in steps of so many rows.
async fn prune_by<H: LedgerHarness>(
    stage: &Stage<H>,
    ended_ms_ago: u64,
    dead_ms_ago: u64,
    rows_max: usize,
) -> Pruned {
    let mut all = Pruned::default();
    let mut prune = Prune { ended_ms_ago, dead_ms_ago, after: None, rows_max };
    for _ in 0..1000 {
        let step = stage.store().prune(&prune).await.expect("a step");
        assert!(step.notifications + step.deliveries <= rows_max as u64, "a step is bounded: {step:?}");
        assert_counts(&*stage.store(), APP).await;
        all.notifications += step.notifications;
        all.deliveries += step.deliveries;
        prune.after = step.next;
        if step.next.is_none() {
            return all;
        }
    }
    panic!("the pruning does not end");
}

async fn prune<H: LedgerHarness>(stage: &Stage<H>, ended_ms_ago: u64, dead_ms_ago: u64) -> Pruned {
    prune_by(stage, ended_ms_ago, dead_ms_ago, 1000).await
}

/// What is still there, oldest first.
async fn left<H: LedgerHarness>(stage: &Stage<H>) -> Vec<NotificationId> {
    let views = notifications(&*stage.store(), APP, &NotificationFilter::default(), 100).await;
    views.iter().rev().map(|view| view.notification.id).collect()
}

// ledger.md L69
pub async fn nothing_open_is_pruned(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    for name in ["ann", "ben"] {
        stage.register(name, "phone", android(name)).await;
    }
    let expanding = stage.accept(to_users(&["ann", "ben"]).send_at(stage.now().plus_ms(1))).await;
    stage.advance(1);
    let fan_out = stage.claim_one().await;
    assert!(matches!(stage.page(&fan_out, 1).await, Paged::Made { last: false, .. }));
    stage.settle_well(delivered(&stage.claim_one().await)).await;
    let retrying = stage.accept(to_token("retrying")).await;
    stage.settle_well(retried(&stage.claim_one().await, 10 * HOUR_MS)).await;
    let half_done = stage.accept(to_users(&["ann", "nobody"])).await;
    let leased = stage.accept(to_token("leased")).await;
    let held = stage.claim().await;
    let later = stage.now().plus_ms(10 * 3_600_000);
    let scheduled = stage.accept(to_users(&["ann"]).send_at(later)).await;
    let waiting = stage.accept(to_token("waiting")).await;
    let open = [expanding, retrying, half_done, leased, scheduled, waiting];
    stage
        .ledger()
        .extend(held.iter().map(|work| work.lease.clone()).collect(), 9 * HOUR_MS)
        .await
        .expect("an extension");
    stage.advance(5 * HOUR_MS);
    assert_eq!(prune(&stage, 0, 0).await, Pruned::default());
    assert_eq!(left(&stage).await, open);
    for work in &held {
        stage.settle_well(delivered(work)).await;
    }
    stage.drain(|_| false).await;
    for id in open {
        let view = stage.notification(id).await;
        assert_eq!(view.state, NotificationState::Expanded);
        let delivered: u64 = view
            .counts
            .iter()
            .filter(|(state, _)| *state == DeliveryState::Delivered)
            .map(|(_, count)| count)
            .sum();
        assert_eq!(delivered, if id == expanding { 2 } else { 1 }, "nothing of it was lost: {view:?}");
    }
    assert_eq!(prune(&stage, 0, 0).await.notifications, 6, "and now it may go");
    assert_eq!(left(&stage).await, []);
}

// ledger.md L70
pub async fn what_ended_is_pruned_by_its_last_end(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("a")).await;
    let later = stage.now().plus_ms(3_600_000);
    let early = stage.accept(to_token("early")).await;
    stage.settle_well(delivered(&stage.claim_one().await)).await;
    let two_ends = stage.accept(to_users(&["nobody", "ann"])).await;
    let never_expanded = stage.accept(to_token("taken back").send_at(later)).await;
    let expiring = stage.accept(to_token("expiring").send_at(later).ttl_s(60)).await;
    stage.cancel(Selection::Notification(APP, never_expanded)).await;
    stage.advance(HOUR_MS / 2);
    stage.settle_well(delivered(&stage.claim_one().await)).await;
    stage.advance(HOUR_MS / 2 - 1);
    assert_eq!(prune(&stage, HOUR_MS, HOUR_MS).await, Pruned::default(), "a millisecond is missing");
    stage.advance(1);
    assert_eq!(prune(&stage, HOUR_MS, HOUR_MS).await, Pruned { notifications: 2, deliveries: 1, next: None });
    assert_eq!(left(&stage).await, [two_ends, expiring]);
    assert_eq!(stage.store().notification(APP, early).await.expect("a read"), None);
    assert_eq!(stage.store().deliveries(APP, early, None, 10).await.expect("a read"), []);
    stage.advance(HOUR_MS / 2);
    assert_eq!(prune(&stage, HOUR_MS, HOUR_MS).await, Pruned { notifications: 1, deliveries: 2, next: None });
    assert_eq!(left(&stage).await, [expiring]);
    assert!(stage.claim().await.is_empty(), "it has expired");
    assert_eq!(prune(&stage, HOUR_MS, HOUR_MS).await, Pruned::default());
    stage.advance(HOUR_MS);
    assert_eq!(prune(&stage, HOUR_MS, HOUR_MS).await.notifications, 1);
    assert_eq!(left(&stage).await, []);
}

// ledger.md L70
pub async fn what_is_dead_is_kept_longer(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("a")).await;
    let plain = stage.accept(to_token("delivered")).await;
    stage.settle_well(delivered(&stage.claim_one().await)).await;
    let mixed = stage.accept(to_users(&["nobody", "ann"])).await;
    stage.settle_well(rejected(&stage.claim_one().await)).await;
    let redriven = stage.accept(to_token("redriven")).await;
    stage.settle_well(rejected(&stage.claim_one().await)).await;
    stage.ledger().redrive(APP, DeadFilter::of_notification(redriven), None, 1).await.expect("a redrive");
    stage.settle_well(delivered(&stage.claim_one().await)).await;
    let fan_out = stage.accept(to_users(&["ann"]).send_at(stage.now().plus_ms(1))).await;
    stage.advance(1);
    stage.settle_well(abandoned(&stage.claim_one().await)).await;
    stage.advance(HOUR_MS);
    assert_eq!(prune(&stage, HOUR_MS, 5 * HOUR_MS).await.notifications, 2);
    assert_eq!(left(&stage).await, [mixed, fan_out]);
    for gone in [plain, redriven] {
        assert_eq!(stage.store().notification(APP, gone).await.expect("a read"), None);
    }
    assert_eq!(stage.deliveries(mixed).await.len(), 2, "what died is read with all that belongs to it");
    stage.advance(4 * HOUR_MS);
    assert_eq!(
        prune(&stage, HOUR_MS, 5 * HOUR_MS).await,
        Pruned { notifications: 2, deliveries: 2, next: None }
    );
    let redriven = stage.ledger().redrive(APP, DeadFilter::all(), None, 10).await.expect("a redrive");
    assert_eq!(redriven.reopened, [], "nothing is left to redrive");
}

// ledger.md L71
pub async fn pruning_goes_on_in_bounded_steps(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let names: Vec<String> = (0..35).map(|n| format!("u{n}")).collect();
    let users: Vec<&str> = names.iter().map(String::as_str).collect();
    for _ in 0..3 {
        stage.accept(to_users(&users)).await;
        stage.accept(to_users(&["nobody"])).await;
    }
    let open = stage.accept(to_token("open")).await;
    stage.accept(to_users(&["nobody"])).await;
    stage.advance(HOUR_MS);
    assert_eq!(prune_by(&stage, 2 * HOUR_MS, 2 * HOUR_MS, 10).await, Pruned::default());
    let pruned = prune_by(&stage, HOUR_MS, HOUR_MS, 10).await;
    assert_eq!(pruned, Pruned { notifications: 7, deliveries: 3 * 36 + 1, next: None });
    assert_eq!(left(&stage).await, [open]);
    assert_eq!(stage.store().totals(APP).await.expect("totals").iter().map(|(_, _, n)| n).sum::<u64>(), 1);
}

// ledger.md L72
pub async fn a_key_is_answered_though_its_notification_is_pruned(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let id = stage.accept(to_users(&["nobody", "nobody else"]).key("k", 1)).await;
    stage.advance(HOUR_MS);
    assert_eq!(prune(&stage, 0, 0).await.notifications, 1);
    let next = stage.next_id();
    let again = stage.accept_as(to_users(&["nobody", "nobody else"]).key("k", 1).build(next)).await;
    assert_eq!(again.answer, Answer::Replayed { id, deliveries: Some(2) });
    let other = stage.accept_as(to_users(&["nobody"]).key("k", 2).build(next)).await;
    assert_eq!(other.answer, Answer::KeyReused);
    stage.restart().await;
    let again = stage.accept_as(to_users(&["nobody", "nobody else"]).key("k", 1).build(next)).await;
    assert_eq!(again.answer, Answer::Replayed { id, deliveries: Some(2) });
    assert_eq!(left(&stage).await, [], "nothing is made twice");
    stage.advance(24 * HOUR_MS);
    prune(&stage, 0, 0).await;
    stage.accept(to_users(&["nobody"]).key("k", 2)).await;
}

// ledger.md L73
pub async fn jobs_that_ended_are_forgotten(harness: impl LedgerHarness) {
    let stage = Stage::open(harness).await;
    let store = stage.store();
    let put = async |n: u8| {
        let id = RedriveId::new(stage.now(), [n; 10]);
        let new = NewRedrive { id, app: APP, filter: DeadFilter::all(), rate_per_s: 1 };
        store.put_redrive(&new).await.expect("a job").id
    };
    let ids = [put(1).await, put(2).await, put(3).await, put(4).await];
    let [done, stopped, running, done_later] = ids;
    store.advance_redrive(done, 0, None).await.expect("a step");
    store.stop_redrive(APP, stopped).await.expect("a stop");
    assert_eq!(limits::REDRIVE_KEPT_MS, HOUR_MS);
    stage.advance(HOUR_MS - 1);
    prune(&stage, 0, 0).await;
    assert!(store.redrive(APP, done).await.expect("a read").is_some(), "somebody may still follow it");
    stage.advance(1);
    store.advance_redrive(done_later, 0, None).await.expect("a step");
    let known = async || {
        let listed = store.list_redrives(APP, None, 10).await.expect("a list").items;
        let mut known: Vec<_> = listed.iter().map(|job| job.id).collect();
        known.sort_unstable();
        known
    };
    prune(&stage, HOUR_MS + 1, 0).await;
    assert_eq!(known().await, ids, "none of them long enough ago");
    prune(&stage, HOUR_MS, 10 * HOUR_MS).await;
    assert_eq!(known().await, [running, done_later]);
    let job = store.redrive(APP, running).await.expect("a read").expect("it is kept");
    assert_eq!(job.state, RedriveState::Running);
}

// ledger.md L74
pub async fn a_store_tells_how_big_it_is(harness: impl LedgerHarness) {
    let stage = Stage::open(harness).await;
    let size = async || stage.store().size().await.expect("a size");
    let empty = size().await;
    assert!(empty.used_bytes > 0);
    let text = "x".repeat(1000);
    let batch: Vec<_> = (0..500u64)
        .map(|n| {
            let draft = to_users(&["nobody"]).titled(&format!("{n} {text}"));
            draft.build(crate::fixtures::notification_id(n + 1))
        })
        .collect();
    stage.ledger().accept(batch, None).await.expect("an accept");
    let full = size().await;
    assert!(full.used_bytes > empty.used_bytes + 500 * 1000, "{empty:?}, then {full:?}");
    stage.advance(HOUR_MS);
    assert_eq!(prune_by(&stage, 0, 0, 100).await.notifications, 500);
    let pruned = size().await;
    assert!(pruned.used_bytes < full.used_bytes - 500 * 500, "{full:?}, then {pruned:?}");
    assert!(pruned.disk_free_bytes.is_none_or(|free| free > 0));
}
