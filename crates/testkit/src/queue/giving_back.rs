//! How leases end: settled, released, extended, or left behind by a process that died.

use pabal_core::clock::Clock;
use pabal_core::route::{Lane, Platform};

use super::*;
use crate::fixtures::{HOUR_MS, route};

// queue.md Q9
pub async fn done_takes_the_entry_out(harness: impl QueueHarness) {
    let (queue, clock) = (harness.queue(), harness.clock());
    enqueue(&*queue, &[item(1)]).await;
    let lease = claim_one(&*queue).await;
    assert_eq!(settle(&*queue, &lease, Then::Done).await, Settle::Ok);
    assert_eq!(queue.contains(&[item(1).id]).await.expect("an answer"), [false]);
    clock.advance(HOUR_MS);
    assert!(claim_due(&*queue).await.is_empty());
}

// queue.md Q10
pub async fn a_retry_comes_back_on_its_route_at_its_time(harness: impl QueueHarness) {
    let (queue, clock) = (harness.queue(), harness.clock());
    let ios = route(Lane::Transactional, Platform::Ios);
    enqueue(&*queue, &[item(1)]).await;
    let lease = claim_one(&*queue).await;
    let then = Then::Retry { in_ms: HOUR_MS, route: ios.clone() };
    assert_eq!(settle(&*queue, &lease, then).await, Settle::Ok);
    let on_ios = async || claim(&*queue, Want::Ordinary(vec![(ios.clone(), 10)]), worker(1)).await.leases;
    clock.advance(HOUR_MS - 1);
    assert!(on_ios().await.is_empty(), "not before its time");
    clock.advance(1);
    assert!(claim_due(&*queue).await.is_empty(), "it left its former route");
    assert_eq!(ids(&on_ios().await), numbers(1..2));
}

// queue.md Q11
pub async fn a_release_counts_nothing_and_is_due_at_once(harness: impl QueueHarness) {
    let (queue, clock) = (harness.queue(), harness.clock());
    enqueue(&*queue, &[item(1)]).await;
    claim_one(&*queue).await;
    clock.advance(VISIBILITY_MS);
    for _ in 0..5 {
        let lease = claim_one(&*queue).await;
        assert_eq!(lease.abandoned, 1, "the one lease that ended, and no release");
        let leases = std::slice::from_ref(&lease);
        assert_eq!(queue.release(leases).await.expect("an answer"), [Settle::Ok]);
        assert_eq!(queue.release(leases).await.expect("an answer"), [Settle::Stale], "given back already");
        assert_eq!(settle(&*queue, &lease, Then::Done).await, Settle::Stale, "given back already");
    }
}

// queue.md Q11
pub async fn a_release_goes_back_to_its_place_in_the_line(harness: impl QueueHarness) {
    let (queue, clock) = (harness.queue(), harness.clock());
    enqueue(&*queue, &[due_in(1, 100), due_in(2, 200)]).await;
    clock.advance(1000);
    let first = claim_up_to(&*queue, 1).await.leases;
    assert_eq!(ids(&first), numbers(1..2));
    queue.release(&first).await.expect("a release");
    assert_eq!(ids(&claim_up_to(&*queue, 1).await.leases), numbers(1..2), "still the first in the line");
}

// queue.md Q12, Q13
pub async fn an_extended_lease_lasts_from_now(harness: impl QueueHarness) {
    let (queue, clock) = (harness.queue(), harness.clock());
    enqueue(&*queue, &[item(1)]).await;
    let lease = claim_one(&*queue).await;
    assert_eq!(lease.until, clock.now().plus_ms(60_000));
    clock.advance(VISIBILITY_MS - 1);
    let extended = queue.extend(std::slice::from_ref(&lease), HOUR_MS).await.expect("an answer");
    let extended = extended.into_iter().next().flatten().expect("it is still the holder's");
    assert_eq!(extended.until, clock.now().plus_ms(3_600_000));
    assert_eq!(extended.epoch, lease.epoch, "it is the same lease");
    clock.advance(HOUR_MS - 1);
    assert!(claim_due(&*queue).await.is_empty(), "it lasts");
    clock.advance(1);
    let next = claim_one(&*queue).await;
    assert_eq!(next.abandoned, 1, "it ended unsettled, once");
    assert_eq!(settle(&*queue, &extended, Then::Done).await, Settle::Stale);
}

// queue.md Q22
pub async fn leases_survive_a_restart_as_declared(mut harness: impl QueueHarness) {
    enqueue(&*harness.queue(), &[item(1), due_in(2, HOUR_MS)]).await;
    let lost = claim_one(&*harness.queue()).await;
    harness.restart().await;
    let queue = harness.queue();
    assert_eq!(queue.contains(&[item(1).id, item(2).id]).await.expect("answers"), [true, true]);
    if harness.leases_survive_restart() {
        assert!(claim_due(&*queue).await.is_empty(), "the lease lasts until its end");
        harness.clock().advance(VISIBILITY_MS);
    }
    let rescued = claim_one(&*queue).await;
    assert_eq!((rescued.id, rescued.abandoned), (item(1).id, 1));
    assert!(rescued.epoch > lost.epoch);
    assert_eq!(settle(&*queue, &lost, Then::Done).await, Settle::Stale, "its holder is dead");
    assert_eq!(settle(&*queue, &rescued, Then::Done).await, Settle::Ok);
    harness.clock().advance(HOUR_MS);
    assert_eq!(ids(&claim_due(&*queue).await), numbers(2..3), "what was not due yet is there as well");
}
