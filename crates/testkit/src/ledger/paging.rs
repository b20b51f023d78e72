//! Fan-out: a notification is paged into deliveries, each page once, and never backwards.

use std::collections::BTreeSet;

use pabal_core::delivery::Reason;
use pabal_core::ids::ItemId;
use pabal_core::notification::NotificationState;
use pabal_core::route::{Lane, Route};
use pabal_core::seam::{Page, Paged, Selection, Settled, Work};

use super::*;
use crate::fixtures::{
    APP, Draft, HOUR_MS, VISIBILITY_MS, android, android_route, fan_out, ids, postponed, to_users,
};

const USERS: [&str; 7] = ["u1", "u2", "u3", "u4", "u5", "u6", "u7"];

/// A bulk notification to seven users of one device each, due in a minute.
async fn scheduled<H: LedgerHarness>(stage: &Stage<H>) -> Draft {
    for name in USERS {
        stage.register(name, "phone", android(name)).await;
    }
    to_users(&USERS).send_at(stage.now().plus_ms(60_000))
}

/// The same, due now and leased.
async fn leased<H: LedgerHarness>(stage: &mut Stage<H>) -> (pabal_core::ids::NotificationId, Work) {
    let draft = scheduled(stage).await;
    let id = stage.accept(draft).await;
    stage.advance(60_000);
    let work = stage.claim_one().await;
    assert_eq!(work.lease.id, ItemId::FanOut(id));
    (id, work)
}

// ledger.md L22, delivery-states.md S8
pub async fn pages_make_one_delivery_for_each_device(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let (id, work) = leased(&mut stage).await;
    let mut from = fan_out(&work).cursor.clone();
    for (made, last) in [(3, false), (6, false), (7, true)] {
        let page = Page { lease: work.lease.clone(), from, users_max: 3 };
        let paged = stage.ledger().page(page).await.expect("a page");
        let Paged::Made { cursor, last: answered, waiting } = paged else { panic!("{paged:?}") };
        assert_eq!((answered, waiting), (last, vec![(android_route(), 0)]));
        assert_eq!(stage.deliveries(id).await.len(), made);
        let state = if last { NotificationState::Expanded } else { NotificationState::Expanding };
        assert_eq!(stage.notification_state(id).await, state);
        from = cursor;
    }
    assert_eq!(stage.queued_on(&Route::fan_out(Lane::Transactional)).await, 0, "the fan-out is done");
    assert_eq!(stage.claim().await.len(), USERS.len());
}

// ledger.md L23
pub async fn a_page_run_twice_makes_its_deliveries_once(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let (id, work) = leased(&mut stage).await;
    assert!(matches!(stage.page(&work, 3).await, Paged::Made { last: false, .. }));
    assert_eq!(stage.page(&work, 3).await, Paged::Refused, "the cursor has moved on");
    assert_eq!(stage.deliveries(id).await.len(), 3);
    let fan_outs: Vec<Work> =
        stage.claim().await.into_iter().filter(|work| work.lease.id == ItemId::FanOut(id)).collect();
    let [again] = &fan_outs[..] else { panic!("what was refused is given back: {fan_outs:?}") };
    assert_ne!(fan_out(again).cursor, fan_out(&work).cursor, "the cursor never goes back");
    stage.page_to_the_end(again).await;
    let made: BTreeSet<_> = stage.deliveries(id).await.into_iter().map(|made| made.id).collect();
    assert_eq!(made.len(), USERS.len());
}

// ledger.md L23
pub async fn a_page_under_an_overtaken_lease_is_refused(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let (id, paused) = leased(&mut stage).await;
    stage.advance(VISIBILITY_MS);
    let running = stage.claim_one().await;
    let Paged::Made { cursor, .. } = stage.page(&running, 2).await else { panic!("it holds the lease") };
    let stale = Page { lease: paused.lease.clone(), from: cursor, users_max: 5 };
    assert_eq!(
        stage.ledger().page(stale).await.expect("a page"),
        Paged::Refused,
        "though it names the cursor"
    );
    assert_eq!(stage.deliveries(id).await.len(), 2);
    let late = stage.settle(postponed(&paused, HOUR_MS)).await;
    assert_eq!(late.settled, Settled::Refused, "a newer lease has paged");
    let mut rest = running.clone();
    rest.content = reload(&mut stage, &running).await.content;
    stage.page_to_the_end(&rest).await;
    assert_eq!(stage.notification_state(id).await, NotificationState::Expanded);
    assert_eq!(stage.deliveries(id).await.len(), USERS.len());
}

/// The same work under a lease of its own, after its own is given back.
async fn reload<H: LedgerHarness>(stage: &mut Stage<H>, work: &Work) -> Work {
    stage.ledger().release(vec![work.lease.clone()]).await.expect("a release");
    let found = stage.claim().await.into_iter().find(|found| found.lease.id == work.lease.id);
    found.expect("it was given back")
}

// ledger.md L22
pub async fn a_crash_between_pages_goes_on_at_the_cursor(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let (id, work) = leased(&mut stage).await;
    let Paged::Made { cursor, .. } = stage.page(&work, 4).await else { panic!("it holds the lease") };
    stage.crash().await;
    let claimed = stage.claim().await;
    assert_eq!(claimed.len(), 5, "four deliveries, and the rest of the fan-out: {:?}", ids(&claimed));
    let again = claimed.into_iter().find(|work| work.lease.id == ItemId::FanOut(id)).expect("the fan-out");
    assert_eq!(fan_out(&again).cursor, cursor);
    stage.page_to_the_end(&again).await;
    assert_eq!(stage.deliveries(id).await.len(), USERS.len());
    assert_eq!(stage.notification_state(id).await, NotificationState::Expanded);
}

// ledger.md L24
pub async fn a_fan_out_that_failed_comes_back_after_its_delay(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let (id, work) = leased(&mut stage).await;
    let settled = stage.settle(postponed(&work, HOUR_MS)).await;
    assert_eq!(settled.settled, Settled::Settled);
    assert_eq!(settled.waiting, Some((Route::fan_out(Lane::Transactional), HOUR_MS)));
    stage.advance(HOUR_MS - 1);
    assert!(stage.claim().await.is_empty());
    stage.advance(1);
    let again = stage.claim_one().await;
    assert_eq!((fan_out(&work).failures, fan_out(&again).failures), (0, 1));
    assert_eq!(stage.notification_state(id).await, NotificationState::Scheduled, "it is open work");
    assert!(matches!(stage.page(&again, 3).await, Paged::Made { .. }));
    stage.settle_well(postponed(&again, 0)).await;
    stage.page_to_the_end(&pick_fan_out(stage.claim().await)).await;
    assert_eq!(stage.notification_state(id).await, NotificationState::Expanded);
}

fn pick_fan_out(work: Vec<Work>) -> Work {
    let is_fan_out = |work: &Work| matches!(work.lease.id, ItemId::FanOut(_));
    work.into_iter().find(is_fan_out).expect("a fan-out is due")
}

// ledger.md L25, delivery-states.md S9
pub async fn a_cancelled_fan_out_makes_no_more_deliveries(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let (id, work) = leased(&mut stage).await;
    let Paged::Made { cursor, .. } = stage.page(&work, 3).await else { panic!("it holds the lease") };
    let summary = stage.cancel(Selection::Notification(APP, id)).await;
    assert_eq!((summary.ended, summary.in_flight), (3, 1), "three deliveries, and the fan-out in flight");
    let next = Page { lease: work.lease.clone(), from: cursor, users_max: 3 };
    assert_eq!(stage.ledger().page(next).await.expect("a page"), Paged::Refused);
    assert_eq!(stage.notification_state(id).await, NotificationState::Cancelled);
    assert_eq!(stage.deliveries(id).await.len(), 3);
    stage.assert_nothing_waits().await;
}

// ledger.md L25
pub async fn a_cancel_stops_the_pages_with_its_first_step(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let (id, work) = leased(&mut stage).await;
    assert!(matches!(stage.page(&work, 3).await, Paged::Made { last: false, .. }));
    stage.settle_well(postponed(&work, HOUR_MS)).await;
    stage.advance(HOUR_MS);
    let again = pick_fan_out(stage.claim().await);
    let selection = Selection::Notification(APP, id);
    let step = stage.ledger().end(selection, Reason::CancelRequested, None, 1).await.expect("a step");
    assert!(step.next.is_some(), "the fan-out comes last: {step:?}");
    assert_eq!(stage.page(&again, 3).await, Paged::Refused, "it is marked all the same");
    assert_eq!(stage.notification_state(id).await, NotificationState::Cancelled);
    assert_eq!(stage.deliveries(id).await.len(), 3);
}

// ledger.md L11, delivery-states.md S9
pub async fn an_expired_fan_out_makes_no_deliveries(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let draft = scheduled(&stage).await;
    let id = stage.accept(draft.clone().ttl_s(60)).await;
    let leased_in_time = stage.accept(draft.ttl_s(90)).await;
    stage.advance(60_000 + 60_000);
    let work = stage.claim_one().await;
    assert_eq!(stage.notification_state(id).await, NotificationState::Expired);
    assert_eq!((work.lease.id, fan_out(&work).remaining_ms), (ItemId::FanOut(leased_in_time), 30_000));
    stage.advance(30_000);
    assert_eq!(stage.page(&work, 3).await, Paged::Refused, "each page asks again");
    assert_eq!(stage.notification_state(leased_in_time).await, NotificationState::Expired);
    assert!(stage.deliveries(id).await.is_empty() && stage.deliveries(leased_in_time).await.is_empty());
    stage.assert_nothing_waits().await;
}
