//! What a queue holds, and how it is put in, asked for and taken out.

use pabal_core::limits;
use pabal_core::route::{Lane, Platform};
use pabal_core::seam::{Removed, RouteCount};

use super::*;
use crate::fixtures::{HOUR_MS, route};

// queue.md Q1
pub async fn enqueueing_again_changes_nothing(harness: impl QueueHarness) {
    let (queue, clock) = (harness.queue(), harness.clock());
    enqueue(&*queue, &[due_in(1, HOUR_MS), item(2)]).await;
    let lease = claim_one(&*queue).await;
    let elsewhere = item_on(2, &route(Lane::Bulk, Platform::Web));
    enqueue(&*queue, &[item(1), elsewhere, item(2)]).await;
    assert!(claim_due(&*queue).await.is_empty(), "the first keeps its time, the second its lease");
    assert_eq!(settle(&*queue, &lease, Then::Done).await, Settle::Ok);
    clock.advance(HOUR_MS);
    assert_eq!(ids(&claim_due(&*queue).await), numbers(1..2));
    let total: u64 = queue.counts().await.expect("counts").iter().map(|count| count.entries).sum();
    assert_eq!(total, 1, "each id once");
}

// queue.md Q23
pub async fn a_full_batch_is_taken_by_every_call(harness: impl QueueHarness) {
    let queue = harness.queue();
    let full = limits::QUEUE_BATCH_MAX;
    let items: Vec<_> = (0..full as u64).map(item).collect();
    let all: Vec<ItemId> = items.iter().map(|item| item.id).collect();
    queue.enqueue(&items).await.expect("a full batch of items");
    assert_eq!(queue.contains(&all).await.expect("a full batch of ids"), vec![true; full]);
    let leases = claim_due(&*queue).await;
    assert_eq!(leases.len(), full);
    let extended = queue.extend(&leases, HOUR_MS).await.expect("a full batch of leases");
    assert!(extended.iter().all(Option::is_some));
    assert_eq!(queue.release(&leases).await.expect("a full batch of leases"), vec![Settle::Ok; full]);
    let retries: Vec<_> =
        claim_due(&*queue).await.into_iter().map(|lease| QueueSettle { lease, then: retry_in(0) }).collect();
    assert_eq!(queue.settle(&retries).await.expect("a full batch of settles"), vec![Settle::Ok; full]);
    assert_eq!(queue.remove(&all).await.expect("a full batch of ids"), vec![Removed::Removed; full]);
}

// queue.md Q17
pub async fn removing_tells_waiting_leased_and_absent_apart(harness: impl QueueHarness) {
    let (queue, clock) = (harness.queue(), harness.clock());
    enqueue(&*queue, &[item(1), due_in(2, HOUR_MS)]).await;
    let lease = claim_one(&*queue).await;
    let asked = [item(1).id, item(2).id, item(3).id, item(2).id];
    let expected = [Removed::Leased, Removed::Removed, Removed::Absent, Removed::Absent];
    assert_eq!(queue.remove(&asked).await.expect("answers"), expected);
    clock.advance(HOUR_MS);
    let rescued = claim_one(&*queue).await;
    assert_eq!(rescued.id, lease.id, "the leased one was left alone, the waiting one is gone");
}

// queue.md Q17
pub async fn a_lease_that_has_ended_does_not_keep_its_entry(harness: impl QueueHarness) {
    let (queue, clock) = (harness.queue(), harness.clock());
    enqueue(&*queue, &[item(1)]).await;
    let lost = claim_one(&*queue).await;
    clock.advance(VISIBILITY_MS);
    assert_eq!(queue.remove(&[item(1).id]).await.expect("an answer"), [Removed::Removed]);
    assert_eq!(settle(&*queue, &lost, retry_in(0)).await, Settle::Stale, "it does not come back");
    assert!(claim_due(&*queue).await.is_empty());
}

// queue.md Q18
pub async fn whether_an_id_is_held_counts_leases(harness: impl QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, &[item(1), due_in(2, HOUR_MS)]).await;
    claim_one(&*queue).await;
    let held = queue.contains(&[item(3).id, item(2).id, item(1).id]).await.expect("answers");
    assert_eq!(held, [false, true, true]);
}

// queue.md Q19
pub async fn counts_are_by_route_and_tell_leased_entries(harness: impl QueueHarness) {
    let (queue, clock) = (harness.queue(), harness.clock());
    let web = route(Lane::Bulk, Platform::Web);
    enqueue(&*queue, &[item(1), item(2), due_in(3, HOUR_MS), item_on(4, &web)]).await;
    claim_up_to(&*queue, 2).await;
    let counted = async || {
        let mut counts = queue.counts().await.expect("counts");
        counts.retain(|count| count.entries > 0);
        counts.sort_by(|a, b| a.route.cmp(&b.route));
        counts.iter_mut().for_each(|count| count.oldest_due_ms = None);
        counts
    };
    let count = |route: &Route, entries, leased| RouteCount {
        route: route.clone(),
        entries,
        leased,
        oldest_due_ms: None,
    };
    assert_eq!(counted().await, [count(&android_route(), 3, 2), count(&web, 1, 0)]);
    clock.advance(VISIBILITY_MS);
    claim_up_to(&*queue, 0).await;
    assert_eq!(counted().await, [count(&android_route(), 3, 0), count(&web, 1, 0)], "both leases ended");
}

// queue.md Q26
pub async fn counts_tell_how_long_the_oldest_has_been_due(harness: impl QueueHarness) {
    let (queue, clock) = (harness.queue(), harness.clock());
    let web = route(Lane::Bulk, Platform::Web);
    let oldest_due = async |route: &Route| {
        let counts = queue.counts().await.expect("counts");
        counts.into_iter().find(|count| count.route == *route).and_then(|count| count.oldest_due_ms)
    };
    enqueue(&*queue, &[due_in(1, 1000)]).await;
    assert_eq!(oldest_due(&android_route()).await, None, "nothing is due");
    clock.advance(999);
    assert_eq!(oldest_due(&android_route()).await, None, "nothing is due yet");
    clock.advance(1);
    assert_eq!(oldest_due(&android_route()).await, Some(0));
    clock.advance(200);
    enqueue(&*queue, &[item(2), due_in(3, HOUR_MS), item_on(4, &web)]).await;
    clock.advance(300);
    assert_eq!((oldest_due(&android_route()).await, oldest_due(&web).await), (Some(500), Some(300)));
    claim_up_to(&*queue, 1).await;
    assert_eq!(oldest_due(&android_route()).await, Some(300), "what is leased does not wait");
    let second = claim_up_to(&*queue, 1).await.leases.remove(0);
    assert_eq!(oldest_due(&android_route()).await, None);
    queue.release(std::slice::from_ref(&second)).await.expect("a release");
    assert_eq!(oldest_due(&android_route()).await, Some(300), "what is given back does again");
}
