//! Epochs and workers: a lease that is no longer its holder's changes nothing.

use pabal_core::clock::Clock;
use pabal_core::seam::Removed;

use super::*;
use crate::fixtures::HOUR_MS;

// queue.md Q7
pub async fn a_settle_under_another_lease_is_stale_and_changes_nothing(harness: impl QueueHarness) {
    let (queue, clock) = (harness.queue(), harness.clock());
    enqueue(&*queue, &[item(1)]).await;
    let paused = claim_one(&*queue).await;
    clock.advance(VISIBILITY_MS);
    let running = claim_one(&*queue).await;
    let stranger = Lease { worker: worker(9), ..running.clone() };
    let earlier = Lease { epoch: Epoch(running.epoch.0 - 1), ..running.clone() };
    for stale in [&paused, &stranger, &earlier] {
        assert_eq!(settle(&*queue, stale, Then::Done).await, Settle::Stale);
        assert_eq!(settle(&*queue, stale, retry_in(HOUR_MS)).await, Settle::Stale);
        assert_eq!(queue.release(std::slice::from_ref(stale)).await.expect("an answer"), [Settle::Stale]);
        let extended = queue.extend(std::slice::from_ref(stale), HOUR_MS).await.expect("an answer");
        assert_eq!(extended, [None]);
    }
    assert_eq!(queue.remove(&[item(1).id]).await.expect("an answer"), [Removed::Leased]);
    assert_eq!(settle(&*queue, &running, Then::Done).await, Settle::Ok, "the lease is untouched");
    assert_eq!(settle(&*queue, &running, Then::Done).await, Settle::Stale, "the entry is gone");
}

// queue.md Q8
pub async fn a_late_settle_counts_until_another_claim_takes_the_entry(harness: impl QueueHarness) {
    let (queue, clock) = (harness.queue(), harness.clock());
    enqueue(&*queue, &[item(1)]).await;
    let late = claim_one(&*queue).await;
    clock.advance(10 * VISIBILITY_MS);
    assert!(claim_up_to(&*queue, 0).await.leases.is_empty(), "it is found abandoned, and not taken");
    assert_eq!(settle(&*queue, &late, retry_in(0)).await, Settle::Ok);
    let again = claim_one(&*queue).await;
    assert!(again.epoch > late.epoch);
    assert_eq!(again.abandoned, 0, "its lease ended, and was settled all the same");
    assert_eq!(settle(&*queue, &late, Then::Done).await, Settle::Stale, "now another claim has it");
}

// queue.md Q24
pub async fn one_stale_lease_harms_no_other_of_its_batch(harness: impl QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, &[item(1), item(2), item(3)]).await;
    let mut leases = claim_due(&*queue).await;
    leases.sort_by_key(|lease| lease.id);
    settle(&*queue, &leases[1], Then::Done).await;
    let batch: Vec<_> =
        leases.iter().map(|lease| QueueSettle { lease: lease.clone(), then: Then::Done }).collect();
    let answers = queue.settle(&batch).await.expect("answers");
    assert_eq!(answers, [Settle::Ok, Settle::Stale, Settle::Ok]);
    assert_eq!(queue.contains(&[item(1).id, item(3).id]).await.expect("answers"), [false, false]);
}

// queue.md Q6
pub async fn epochs_grow_though_the_clock_is_set_back(harness: impl QueueHarness) {
    let (queue, clock) = (harness.queue(), harness.clock());
    enqueue(&*queue, &[item(1)]).await;
    let mut last = Epoch::NONE;
    for _ in 0..3 {
        let lease = claim_one(&*queue).await;
        assert!(lease.epoch > last, "{:?} follows {last:?}", lease.epoch);
        last = lease.epoch;
        assert_eq!(settle(&*queue, &lease, retry_in(0)).await, Settle::Ok);
        clock.set_by(-3_600_000);
        clock.advance(HOUR_MS);
    }
}

// queue.md Q6
pub async fn epochs_exceed_the_floor_that_comes_with_an_entry(harness: impl QueueHarness) {
    let queue = harness.queue();
    let in_an_hour = harness.clock().now().plus_ms(3_600_000);
    let floor = Epoch(in_an_hour.as_ms() * 1000);
    enqueue(&*queue, &[QueueItem { epoch_floor: floor, ..item(1) }]).await;
    assert!(claim_one(&*queue).await.epoch > floor);
}

// queue.md Q7
pub async fn a_lease_from_before_a_wipe_holds_nothing_after_it(harness: impl QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, &[item(1)]).await;
    let before = claim_one(&*queue).await;
    harness.wipe().await;
    assert_eq!(settle(&*queue, &before, Then::Done).await, Settle::Stale, "there is no entry");
    // The store hands over the epoch of its last settlement, which knows nothing of the lost lease.
    enqueue(&*queue, &[item(1)]).await;
    assert_eq!(settle(&*queue, &before, Then::Done).await, Settle::Stale, "nobody has claimed it yet");
    let after = claim_one(&*queue).await;
    assert_eq!(settle(&*queue, &after, Then::Done).await, Settle::Ok);
}
