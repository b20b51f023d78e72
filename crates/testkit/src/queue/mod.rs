//! The suite of every [`Queue`]: `docs/specs/queue.md`, case by case.

pub mod binding;
pub mod claiming;
pub mod fencing;
pub mod giving_back;
pub mod holding;
pub mod suspects;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use pabal_core::ids::{ItemId, StoreId};
use pabal_core::route::Route;
use pabal_core::seam::{
    Binding, Claim, Epoch, Lease, Leased, Queue, QueueItem, QueueSettle, Settle, Then, Want, Worker,
};

use crate::TestClock;
use crate::fixtures::{VISIBILITY_MS, android_route, delivery_id};

/// A queue under test, and the world around it.
#[async_trait]
pub trait QueueHarness: Send + Sync + 'static {
    /// The queue, as the process that is running now holds it.
    fn queue(&self) -> Arc<dyn Queue>;

    /// The clock of the queue's server.
    fn clock(&self) -> TestClock;

    /// Whether leases outlive the process that holds them; an embedded server frees them at its start.
    fn leases_survive_restart(&self) -> bool;

    /// Takes everything out of the server, as `FLUSHALL` does.
    async fn wipe(&self);

    /// Kills the process that holds the queue, and starts another over the same data.
    async fn restart(&mut self);
}

/// Every case, as an ordinary test; the expression makes a harness and may `.await`.
#[macro_export]
macro_rules! queue_suite {
    ($harness:expr) => {
        $crate::cases!(queue, $harness, {
            claiming: [
                an_entry_is_claimed_when_it_is_due_and_not_before,
                only_the_routes_asked_for_are_claimed_each_up_to_its_maximum,
                what_was_due_first_is_claimed_first,
                a_claim_leases_no_more_than_its_limit,
                a_route_with_a_hundred_thousand_due_is_in_no_other_routes_way,
                the_next_due_time_covers_waiting_entries_and_leases,
                a_lease_tells_how_late_it_was_claimed,
                workers_that_claim_at_once_never_hold_the_same_entry,
            ],
            fencing: [
                a_settle_under_another_lease_is_stale_and_changes_nothing,
                a_late_settle_counts_until_another_claim_takes_the_entry,
                one_stale_lease_harms_no_other_of_its_batch,
                epochs_grow_though_the_clock_is_set_back,
                epochs_exceed_the_floor_that_comes_with_an_entry,
                a_lease_from_before_a_wipe_holds_nothing_after_it,
            ],
            giving_back: [
                done_takes_the_entry_out,
                a_retry_comes_back_on_its_route_at_its_time,
                a_release_counts_nothing_and_is_due_at_once,
                a_release_goes_back_to_its_place_in_the_line,
                an_extended_lease_lasts_from_now,
                leases_survive_a_restart_as_declared,
            ],
            holding: [
                enqueueing_again_changes_nothing,
                a_full_batch_is_taken_by_every_call,
                removing_tells_waiting_leased_and_absent_apart,
                a_lease_that_has_ended_does_not_keep_its_entry,
                whether_an_id_is_held_counts_leases,
                counts_are_by_route_and_tell_leased_entries,
                counts_tell_how_long_the_oldest_has_been_due,
            ],
            suspects: [
                an_entry_abandoned_twice_is_left_to_claims_of_suspects,
                suspects_come_alike_least_abandoned_first_and_ever_fewer,
                a_released_suspect_is_still_one,
                a_retry_clears_a_suspect,
                suspects_of_other_routes_stay_where_they_are,
            ],
            binding: [
                a_queue_bound_elsewhere_says_to_what,
                a_queue_is_complete_when_its_generation_is_opened,
                a_wipe_forgets_binding_and_generation,
            ],
        });
    };
}

/// A worker that is never the one of another number.
pub(crate) fn worker(n: u64) -> Worker {
    Worker(0x5EED_0000 + n)
}

pub(crate) fn item(n: u64) -> QueueItem {
    item_on(n, &android_route())
}

pub(crate) fn item_on(n: u64, route: &Route) -> QueueItem {
    let id = ItemId::Delivery(delivery_id(n));
    QueueItem { id, route: route.clone(), due_in_ms: 0, epoch_floor: Epoch::NONE }
}

pub(crate) fn due_in(n: u64, due_in_ms: u64) -> QueueItem {
    QueueItem { due_in_ms, ..item(n) }
}

pub(crate) fn binding() -> Binding {
    Binding { store: StoreId::from_bytes([7; 16]), layout: 1, shards: 1 }
}

pub(crate) fn numbers(range: std::ops::Range<u64>) -> BTreeSet<ItemId> {
    range.map(|n| ItemId::Delivery(delivery_id(n))).collect()
}

pub(crate) fn ids(leases: &[Lease]) -> BTreeSet<ItemId> {
    leases.iter().map(|lease| lease.id).collect()
}

pub(crate) async fn claim(queue: &dyn Queue, want: Want, worker: Worker) -> Leased {
    let claim = Claim { want, worker, visibility_ms: VISIBILITY_MS };
    queue.claim(&claim).await.expect("a claim")
}

/// Claims up to `max` on the route of [`item`].
pub(crate) async fn claim_up_to(queue: &dyn Queue, max: usize) -> Leased {
    claim(queue, Want::Ordinary(vec![(android_route(), max)]), worker(1)).await
}

/// Claims whatever is due on the route of [`item`].
pub(crate) async fn claim_due(queue: &dyn Queue) -> Vec<Lease> {
    claim_up_to(queue, pabal_core::limits::CLAIM_MAX).await.leases
}

/// Claims what must be the only thing due.
pub(crate) async fn claim_one(queue: &dyn Queue) -> Lease {
    let mut leases = claim_due(queue).await;
    assert_eq!(leases.len(), 1, "one entry is due");
    leases.remove(0)
}

pub(crate) async fn claim_suspects(queue: &dyn Queue) -> Leased {
    claim(queue, Want::Suspects(vec![android_route()]), worker(1)).await
}

pub(crate) async fn enqueue(queue: &dyn Queue, items: &[QueueItem]) {
    for batch in items.chunks(pabal_core::limits::QUEUE_BATCH_MAX) {
        queue.enqueue(batch).await.expect("an enqueue");
    }
}

pub(crate) async fn settle(queue: &dyn Queue, lease: &Lease, then: Then) -> Settle {
    let settle = QueueSettle { lease: lease.clone(), then };
    let answers = queue.settle(&[settle]).await.expect("a settle");
    assert_eq!(answers.len(), 1, "one answer for one lease");
    answers[0]
}

pub(crate) fn retry_in(in_ms: u64) -> Then {
    Then::Retry { in_ms, route: android_route() }
}
