//! What a claim returns, and what it tells of the rest.

use std::sync::Mutex;

use pabal_core::limits;
use pabal_core::route::{Lane, Platform, Route};
use pabal_core::seam::{Queue, QueueItem, Want};

use super::*;
use crate::fixtures::{HOUR_MS, route};

fn ios_route() -> Route {
    route(Lane::Transactional, Platform::Ios)
}

// queue.md Q2
pub async fn an_entry_is_claimed_when_it_is_due_and_not_before(harness: impl QueueHarness) {
    let (queue, clock) = (harness.queue(), harness.clock());
    enqueue(&*queue, &[due_in(1, 5000)]).await;
    assert!(claim_due(&*queue).await.is_empty(), "it is not due yet");
    clock.advance(4999);
    assert!(claim_due(&*queue).await.is_empty(), "a millisecond is missing");
    clock.advance(1);
    let lease = claim_one(&*queue).await;
    assert_eq!(lease.id, item(1).id);
    assert_eq!(lease.route, android_route());
    assert_eq!(lease.worker, worker(1));
    assert_eq!(lease.abandoned, 0);
}

// queue.md Q3
pub async fn only_the_routes_asked_for_are_claimed_each_up_to_its_maximum(harness: impl QueueHarness) {
    let queue = harness.queue();
    let fan_out = Route::fan_out(Lane::Bulk);
    let on = |range: std::ops::Range<u64>, route: &Route| {
        range.map(|n| item_on(n, route)).collect::<Vec<QueueItem>>()
    };
    enqueue(&*queue, &on(0..10, &android_route())).await;
    enqueue(&*queue, &on(10..20, &ios_route())).await;
    enqueue(&*queue, &on(20..30, &fan_out)).await;
    let want = Want::Ordinary(vec![(android_route(), 3), (ios_route(), 4)]);
    let leases = claim(&*queue, want, worker(1)).await.leases;
    let on_route = |route: &Route| leases.iter().filter(|lease| lease.route == *route).count();
    assert_eq!((on_route(&android_route()), on_route(&ios_route()), leases.len()), (3, 4, 7));
    let nothing = claim(&*queue, Want::Ordinary(vec![(fan_out, 0)]), worker(1)).await.leases;
    assert!(nothing.is_empty(), "a maximum of 0 asks for nothing");
}

// queue.md Q3
pub async fn what_was_due_first_is_claimed_first(harness: impl QueueHarness) {
    let (queue, clock) = (harness.queue(), harness.clock());
    enqueue(&*queue, &[due_in(1, 300), due_in(2, 100), due_in(3, 200)]).await;
    clock.advance(300);
    let mut order = Vec::new();
    for _ in 0..3 {
        order.extend(claim_up_to(&*queue, 1).await.leases.into_iter().map(|lease| lease.id));
    }
    assert_eq!(order, [item(2).id, item(3).id, item(1).id]);
}

// queue.md Q4
pub async fn a_claim_leases_no_more_than_its_limit(harness: impl QueueHarness) {
    let queue = harness.queue();
    let many = limits::CLAIM_MAX as u64;
    enqueue(&*queue, &(0..many).map(item).collect::<Vec<_>>()).await;
    let more: Vec<_> = (many..2 * many).map(|n| item_on(n, &ios_route())).collect();
    enqueue(&*queue, &more).await;
    let everything = || Want::Ordinary(vec![(android_route(), usize::MAX), (ios_route(), usize::MAX)]);
    let first = claim(&*queue, everything(), worker(1)).await;
    assert_eq!(first.leases.len(), limits::CLAIM_MAX);
    assert_eq!(first.next_due_in_ms, Some(0), "the limit was what ended the claim");
    let second = claim(&*queue, everything(), worker(2)).await;
    assert_eq!(second.leases.len(), limits::CLAIM_MAX);
    let all: BTreeSet<_> = ids(&first.leases).union(&ids(&second.leases)).copied().collect();
    assert_eq!(all, numbers(0..2 * many));
}

// queue.md Q3
pub async fn a_route_with_a_hundred_thousand_due_is_in_no_other_routes_way(harness: impl QueueHarness) {
    let queue = harness.queue();
    let held: Vec<_> = (0..100_000).map(item).collect();
    enqueue(&*queue, &held).await;
    enqueue(&*queue, &[item_on(100_000, &ios_route())]).await;
    let leased = claim(&*queue, Want::Ordinary(vec![(ios_route(), 10)]), worker(1)).await;
    assert_eq!(ids(&leased.leases), numbers(100_000..100_001));
    assert_eq!(leased.next_due_in_ms, Some(VISIBILITY_MS), "of the routes asked for, not of the held one");
}

// queue.md Q16
pub async fn the_next_due_time_covers_waiting_entries_and_leases(harness: impl QueueHarness) {
    let (queue, clock) = (harness.queue(), harness.clock());
    let next_due = async |max| claim_up_to(&*queue, max).await.next_due_in_ms;
    assert_eq!(next_due(10).await, None, "nothing waits");
    enqueue(&*queue, &[item(1), item(2), due_in(3, HOUR_MS)]).await;
    enqueue(&*queue, &[item_on(4, &ios_route())]).await;
    assert_eq!(next_due(1).await, Some(0), "another one is due");
    assert_eq!(next_due(10).await, Some(VISIBILITY_MS), "the leases end before the third is due");
    clock.advance(VISIBILITY_MS - 1);
    assert_eq!(next_due(10).await, Some(1), "both leases end in a millisecond");
    for lease in leases_of(&*queue, &clock).await {
        settle(&*queue, &lease, Then::Done).await;
    }
    assert_eq!(next_due(10).await, Some(HOUR_MS - VISIBILITY_MS), "only the third is left");
}

/// Lets the leases end, and takes them over.
async fn leases_of(queue: &dyn Queue, clock: &TestClock) -> Vec<Lease> {
    clock.advance(1);
    claim_due(queue).await
}

// queue.md Q25
pub async fn a_lease_tells_how_late_it_was_claimed(harness: impl QueueHarness) {
    let (queue, clock) = (harness.queue(), harness.clock());
    enqueue(&*queue, &[item(1), due_in(2, 1000)]).await;
    let first = claim_one(&*queue).await;
    assert_eq!(first.late_ms, 0, "on time");
    clock.advance(1500);
    let second = claim_one(&*queue).await;
    assert_eq!(second.late_ms, 500);
    queue.release(std::slice::from_ref(&second)).await.expect("a release");
    clock.advance(250);
    let again = claim_one(&*queue).await;
    assert_eq!(again.late_ms, 750, "it was due all the while");
    settle(&*queue, &again, retry_in(2000)).await;
    clock.advance(2000);
    assert_eq!(claim_one(&*queue).await.late_ms, 0, "a retry is due anew");
}

// queue.md Q5
pub async fn workers_that_claim_at_once_never_hold_the_same_entry(harness: impl QueueHarness) {
    const ENTRIES: u64 = 2000;
    const WORKERS: u64 = 8;
    let queue = harness.queue();
    enqueue(&*queue, &(0..ENTRIES).map(item).collect::<Vec<_>>()).await;
    let held = Arc::new(Mutex::new(BTreeSet::new()));
    let tasks = (0..WORKERS).map(|n| {
        let (queue, held) = (Arc::clone(&queue), Arc::clone(&held));
        tokio::spawn(async move {
            loop {
                let want = Want::Ordinary(vec![(android_route(), 17)]);
                let leases = claim(&*queue, want, worker(n)).await.leases;
                if leases.is_empty() {
                    return;
                }
                let mut held = held.lock().expect("no worker panics");
                for lease in leases {
                    assert!(held.insert(lease.id), "{} is leased twice", lease.id);
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("no worker sees a double lease");
    }
    assert_eq!(*held.lock().expect("no worker panics"), numbers(0..ENTRIES));
}
