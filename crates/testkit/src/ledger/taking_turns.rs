//! Many at once: no work is shared, no route is in another's way, and everything has its bound.

use std::collections::BTreeSet;
use std::sync::Mutex;

use pabal_core::limits;
use pabal_core::route::{Lane, Platform};
use pabal_core::seam::{Claim, Settled, Want, Worker};

use super::*;
use crate::fixtures::{
    APP, VISIBILITY_MS, android, android_route, delivered, device, route, to_token, to_users, user,
};

/// Accepts one transactional notification to so many users with a device each.
async fn accept_to_many<H: LedgerHarness>(stage: &mut Stage<H>, users: usize) {
    let names: Vec<String> = (0..users).map(|n| format!("u{n}")).collect();
    let devices: Vec<_> = names.iter().map(|name| (user(name), device("phone"), android(name))).collect();
    stage.store().put_devices(APP, &devices).await.expect("an import");
    for names in names.chunks(limits::USERS_MAX) {
        let users: Vec<&str> = names.iter().map(String::as_str).collect();
        stage.accept(to_users(&users)).await;
    }
}

// ledger.md L43
pub async fn workers_that_claim_at_once_never_share_work(harness: impl LedgerHarness) {
    const DELIVERIES: usize = 600;
    const WORKERS: u64 = 8;
    let mut stage = Stage::open(harness).await;
    accept_to_many(&mut stage, DELIVERIES).await;
    let held = Arc::new(Mutex::new(BTreeSet::new()));
    let workers = (0..WORKERS).map(|n| {
        let (ledger, held) = (stage.ledger(), Arc::clone(&held));
        let want = Want::Ordinary(vec![(android_route(), 13)]);
        let claim = Claim { want, worker: Worker(100 + n), visibility_ms: VISIBILITY_MS };
        tokio::spawn(async move {
            loop {
                let work = ledger.claim(claim.clone()).await.expect("a claim").work;
                if work.is_empty() {
                    return;
                }
                for work in &work {
                    let first = held.lock().expect("no worker panics").insert(work.lease.id);
                    assert!(first, "{} is worked on twice", work.lease.id);
                }
                let settled = ledger.settle(work.iter().map(delivered).collect()).await.expect("a settle");
                assert!(settled.iter().all(|item| item.settled == Settled::Settled));
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.expect("no worker shares its work");
    }
    assert_eq!(held.lock().expect("no worker panics").len(), DELIVERIES);
    stage.assert_nothing_waits().await;
}

// ledger.md L44
pub async fn a_held_route_is_in_no_other_routes_way(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    accept_to_many(&mut stage, 3000).await;
    let other = route(Lane::Transactional, Platform::Other);
    let wanted = stage.accept_one(to_token("bare")).await;
    // The android route is held: nobody asks for it, and nothing of it is leased or counted.
    let claim = stage.claim_for(Want::Ordinary(vec![(other, 10)]));
    let claimed = stage.ledger().claim(claim).await.expect("a claim");
    assert_eq!(claimed.work.len(), 1);
    assert_eq!(super::stage::delivery_of(&claimed.work[0]), wanted);
    assert_eq!(stage.queued_on(&android_route()).await, 3000);
    let leased: u64 = stage.ledger().counts().await.expect("counts").iter().map(|count| count.leased).sum();
    assert_eq!(leased, 1);
}

// ledger.md L44
pub async fn claims_and_counts_are_bounded(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    accept_to_many(&mut stage, limits::CLAIM_MAX + 7).await;
    let first = stage.claim_all().await;
    assert_eq!((first.work.len(), first.next_due_in_ms), (limits::CLAIM_MAX, Some(0)));
    let batch = first.work.iter().map(delivered).collect();
    let settled = stage.ledger().settle(batch).await.expect("a full batch");
    assert!(settled.iter().all(|item| item.settled == Settled::Settled));
    assert_eq!(stage.claim().await.len(), 7);
    assert_eq!(stage.queued_on(&android_route()).await, 7);
}
