//! Entries whose leases keep ending: one of them may be what kills the process, so they are tried apart.

use pabal_core::limits;
use pabal_core::route::{Lane, Platform};

use super::*;
use crate::fixtures::route;

/// Lets the leases of everything that is claimed on the route of [`item`] end, so often.
async fn abandon(harness: &impl QueueHarness, times: u32) {
    for _ in 0..times {
        assert!(!claim_due(&*harness.queue()).await.is_empty(), "there is something to abandon");
        harness.clock().advance(VISIBILITY_MS);
    }
}

// queue.md Q13, Q14
pub async fn an_entry_abandoned_twice_is_left_to_claims_of_suspects(harness: impl QueueHarness) {
    let (queue, clock) = (harness.queue(), harness.clock());
    enqueue(&*queue, &[item(1)]).await;
    for abandoned in 0..limits::SUSPECT_AFTER {
        let leased = claim_up_to(&*queue, 10).await;
        assert_eq!(leased.leases[0].abandoned, abandoned);
        assert!(!leased.suspects_waiting);
        clock.advance(VISIBILITY_MS);
    }
    let leased = claim_up_to(&*queue, 10).await;
    assert!(leased.leases.is_empty(), "an ordinary claim never returns a suspect");
    assert!(leased.suspects_waiting);
    assert_eq!(leased.next_due_in_ms, None, "suspects don't count");
    let suspects = claim_suspects(&*queue).await;
    assert_eq!(ids(&suspects.leases), numbers(1..2));
    assert_eq!(suspects.leases[0].abandoned, limits::SUSPECT_AFTER);
    assert!(!suspects.suspects_waiting, "it is leased, and does not wait");
    clock.advance(VISIBILITY_MS);
    assert_eq!(claim_suspects(&*queue).await.leases[0].abandoned, limits::SUSPECT_AFTER + 1);
}

// queue.md Q15
pub async fn suspects_come_alike_least_abandoned_first_and_ever_fewer(harness: impl QueueHarness) {
    let (queue, clock) = (harness.queue(), harness.clock());
    let many = limits::suspects_at_once(limits::SUSPECT_AFTER) as u64 + 36;
    enqueue(&*queue, &(0..many).map(item).collect::<Vec<_>>()).await;
    abandon(&harness, limits::SUSPECT_AFTER).await;
    enqueue(&*queue, &[item(many)]).await;
    // By how often each was abandoned; the first to come is the least abandoned, and as many as the rule has.
    let mut waiting = vec![many as usize, 0, 0, 0];
    for _ in 0..20 {
        let leased = claim_suspects(&*queue).await;
        let abandoned = leased.leases[0].abandoned;
        assert!(leased.leases.iter().all(|lease| lease.abandoned == abandoned), "all are alike");
        let step = (abandoned - limits::SUSPECT_AFTER) as usize;
        let least = waiting.iter().position(|count| *count > 0);
        assert_eq!(Some(step), least, "the least often abandoned come first");
        let expected = waiting[step].min(limits::suspects_at_once(abandoned));
        assert_eq!(leased.leases.len(), expected, "{waiting:?}");
        assert_eq!(leased.suspects_waiting, waiting.iter().sum::<usize>() > expected);
        waiting[step] -= expected;
        match waiting.get_mut(step + 1) {
            Some(more) => *more += expected,
            None => break,
        }
        clock.advance(VISIBILITY_MS);
    }
    assert_eq!(ids(&claim_due(&*queue).await), numbers(many..many + 1), "ordinary work is ordinary work");
}

// queue.md Q11
pub async fn a_released_suspect_is_still_one(harness: impl QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, &[item(1)]).await;
    abandon(&harness, limits::SUSPECT_AFTER).await;
    for _ in 0..3 {
        let suspects = claim_suspects(&*queue).await.leases;
        assert_eq!(suspects[0].abandoned, limits::SUSPECT_AFTER, "a release counts nothing");
        queue.release(&suspects).await.expect("a release");
        assert!(claim_due(&*queue).await.is_empty(), "it is no ordinary work");
    }
}

// queue.md Q10
pub async fn a_retry_clears_a_suspect(harness: impl QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, &[item(1)]).await;
    abandon(&harness, limits::SUSPECT_AFTER).await;
    let suspect = claim_suspects(&*queue).await.leases.remove(0);
    assert_eq!(settle(&*queue, &suspect, retry_in(0)).await, Settle::Ok);
    assert_eq!(claim_one(&*queue).await.abandoned, 0, "it did not kill its process");
}

// queue.md Q15
pub async fn suspects_of_other_routes_stay_where_they_are(harness: impl QueueHarness) {
    let queue = harness.queue();
    enqueue(&*queue, &[item(1)]).await;
    abandon(&harness, limits::SUSPECT_AFTER).await;
    let elsewhere = route(Lane::Transactional, Platform::Ios);
    let leased = claim(&*queue, Want::Suspects(vec![elsewhere]), worker(1)).await;
    assert!(leased.leases.is_empty());
    assert!(!leased.suspects_waiting, "none waits on the routes asked for");
    assert_eq!(ids(&claim_suspects(&*queue).await.leases), numbers(1..2));
}
