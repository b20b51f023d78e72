//! Lists, as people page through them: newest first, filtered, to an end.

use pabal_core::clock::Timestamp;
use pabal_core::delivery::{DeliveryState, Reason, Recipient};
use pabal_core::ids::{AppName, DeliveryId, NotificationId};
use pabal_core::limits;
use pabal_core::notification::NotificationState;
use pabal_core::route::ChannelKind;
use pabal_core::seam::store::{DeliveryFilter, DeliveryView, NotificationFilter};
use pabal_core::seam::{Acceptance, Answer, DeadFilter, Selection};

use super::walking::{dead, deliveries, notifications};
use super::*;
use crate::clock::START;
use crate::fixtures::{
    APP, HOUR_MS, android, delivered, notification_id, rejected, retried, to_token, to_users, user,
};

/// The time in the id of the notification number `n`.
fn asked_at(n: i64) -> Timestamp {
    START.plus_ms(n)
}

// ledger.md L55
pub async fn notifications_are_listed_newest_first_and_filtered(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    stage.register("ann", "phone", android("a")).await;
    let later = stage.now().plus_ms(3_600_000);
    stage.accept(to_token("a")).await;
    stage.accept(to_token("b").send_at(later)).await;
    let cancelled = stage.accept(to_token("c").send_at(later)).await;
    stage.cancel(Selection::Notification(APP, cancelled)).await;
    stage.accept(to_users(&["ann", "nobody"])).await;
    let store = stage.store();
    let check = async |filter: NotificationFilter, numbers: &[u64]| {
        for max in [1, 3, 100] {
            let listed = notifications(&*store, APP, &filter, max).await;
            let ids: Vec<NotificationId> = listed.iter().map(|view| view.notification.id).collect();
            let expected: Vec<_> = numbers.iter().map(|n| notification_id(*n)).collect();
            assert_eq!(ids, expected, "{filter:?} in pages of {max}");
            for view in listed {
                assert_eq!(view, stage.notification(view.notification.id).await, "as it looks alone");
            }
        }
    };
    let all = NotificationFilter::default();
    let of_state = |state| NotificationFilter { state: Some(state), ..NotificationFilter::default() };
    check(all.clone(), &[4, 3, 2, 1]).await;
    check(of_state(NotificationState::Expanded), &[4, 1]).await;
    check(of_state(NotificationState::Scheduled), &[2]).await;
    check(of_state(NotificationState::Cancelled), &[3]).await;
    check(of_state(NotificationState::Dead), &[]).await;
    check(NotificationFilter { since: Some(asked_at(2)), ..all.clone() }, &[4, 3, 2]).await;
    check(NotificationFilter { until: Some(asked_at(3)), ..all.clone() }, &[2, 1]).await;
    let (since, until) = (Some(asked_at(2)), Some(asked_at(4)));
    check(NotificationFilter { since, until, ..all }, &[3, 2]).await;
    check(NotificationFilter { until, ..of_state(NotificationState::Expanded) }, &[1]).await;
    check(NotificationFilter { since, ..of_state(NotificationState::Expanded) }, &[4]).await;
}

/// Whether a filter is to find a delivery.
type Finds = fn(&DeliveryView) -> bool;

/// Filters by one thing each. Of deliveries for ann, nobody and bare tokens, in several states.
fn filters() -> Vec<(DeliveryFilter, Finds)> {
    let none = DeliveryFilter::default();
    let by = |filter: DeliveryFilter, finds: Finds| (filter, finds);
    vec![
        by(DeliveryFilter { user: Some(user("ann")), ..none.clone() }, |view| {
            view.recipient.as_ref().and_then(Recipient::user) == Some(&user("ann"))
        }),
        by(DeliveryFilter { user: Some(user("nobody")), ..none.clone() }, |view| {
            view.recipient.as_ref().and_then(Recipient::user) == Some(&user("nobody"))
        }),
        by(DeliveryFilter { notification: Some(notification_id(3)), ..none.clone() }, |view| {
            view.notification == notification_id(3)
        }),
        by(DeliveryFilter { state: Some(DeliveryState::Delivered), ..none.clone() }, |view| {
            view.state == DeliveryState::Delivered
        }),
        by(DeliveryFilter { state: Some(DeliveryState::Retrying), ..none.clone() }, |view| {
            view.state == DeliveryState::Retrying
        }),
        by(DeliveryFilter { reason: Some(Reason::Rejected), ..none.clone() }, |view| {
            view.reason == Some(Reason::Rejected)
        }),
        by(DeliveryFilter { channel: Some(ChannelKind::Fcm), ..none.clone() }, |view| view.route.is_some()),
        by(DeliveryFilter { since: Some(asked_at(2)), ..none.clone() }, |view| {
            view.notification >= notification_id(2)
        }),
        by(DeliveryFilter { until: Some(asked_at(5)), ..none }, |view| {
            view.notification < notification_id(5)
        }),
    ]
}

fn both(one: &DeliveryFilter, other: &DeliveryFilter) -> DeliveryFilter {
    let (one, other) = (one.clone(), other.clone());
    DeliveryFilter {
        user: one.user.or(other.user),
        notification: one.notification.or(other.notification),
        state: one.state.or(other.state),
        reason: one.reason.or(other.reason),
        channel: one.channel.or(other.channel),
        since: one.since.or(other.since),
        until: one.until.or(other.until),
    }
}

/// Deliveries for ann, nobody and bare tokens; waiting, retrying, dead and delivered. All of them, newest first.
async fn deliveries_of_all_kinds<H: LedgerHarness>(stage: &mut Stage<H>) -> Vec<DeliveryView> {
    stage.register("ann", "phone", android("a1")).await;
    stage.register("ann", "tablet", android("a2")).await;
    for _ in 0..3 {
        stage.accept(to_users(&["ann", "nobody"])).await;
        stage.accept(to_token("bare")).await;
    }
    let work = stage.claim().await;
    for (nth, work) in work.iter().enumerate() {
        match nth % 4 {
            0 => stage.settle_well(delivered(work)).await,
            1 => stage.settle_well(rejected(work)).await,
            2 => stage.settle_well(retried(work, HOUR_MS)).await,
            _ => {}
        }
    }
    let mut all = Vec::new();
    for n in 1..=6 {
        all.extend(stage.deliveries(notification_id(n)).await);
    }
    all.sort_by_key(|view| std::cmp::Reverse(view.id));
    all
}

// ledger.md L55
pub async fn deliveries_are_listed_by_each_filter_alone_and_combined(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let all = deliveries_of_all_kinds(&mut stage).await;
    let store = stage.store();
    assert_eq!(deliveries(&*store, APP, &DeliveryFilter::default(), 4).await, all);
    let filters = filters();
    let mut found = 0;
    for (one, finds_one) in &filters {
        let expected: Vec<&DeliveryView> = all.iter().filter(|view| finds_one(view)).collect();
        assert!(!expected.is_empty() && expected.len() < all.len(), "{one:?} tells some from others");
        for (other, finds_other) in &filters {
            let filter = both(one, other);
            if filter != both(other, one) {
                // They ask for two values of the same thing.
                continue;
            }
            let expected: Vec<&DeliveryView> =
                expected.iter().copied().filter(|view| finds_other(view)).collect();
            for max in [1, 100] {
                let listed = deliveries(&*store, APP, &filter, max).await;
                assert_eq!(listed.iter().collect::<Vec<_>>(), expected, "{filter:?} in pages of {max}");
                found += listed.len();
            }
        }
    }
    assert!(found > 0, "some of the pairs find something");
}

// ledger.md L56
pub async fn paging_shows_each_item_once_though_more_are_added(harness: impl LedgerHarness) {
    const FIRST: u64 = 25;
    let mut stage = Stage::open(harness).await;
    for n in 1..=FIRST {
        stage.accept(to_token(&format!("t{n}"))).await;
    }
    let store = stage.store();
    let (mut listed, mut its_deliveries) = (Vec::<NotificationId>::new(), Vec::<DeliveryId>::new());
    let (mut before, mut before_delivery, mut steps) = (None, None, 0);
    loop {
        let none = NotificationFilter::default();
        let page = store.list_notifications(APP, &none, before, 10).await.expect("a page");
        listed.extend(page.items.iter().map(|view| view.notification.id));
        before = page.next;
        let none = DeliveryFilter::default();
        let page = store.list_deliveries(APP, &none, before_delivery, 10).await.expect("a page");
        its_deliveries.extend(page.items.iter().map(|view| view.id));
        before_delivery = page.next;
        stage.accept(to_token("added")).await;
        steps += 1;
        assert!(steps < 10, "the lists end");
        if before.is_none() && before_delivery.is_none() {
            break;
        }
        assert_eq!((before.is_none(), before_delivery.is_none()), (false, false), "both are as long");
    }
    let expected: Vec<_> = (1..=FIRST).rev().map(notification_id).collect();
    assert_eq!(listed, expected);
    assert_eq!(its_deliveries.len(), expected.len());
    assert!(its_deliveries.is_sorted_by(|a, b| a > b), "newest first, each once");
}

// ledger.md L56
pub async fn a_filter_that_finds_little_of_much_still_ends(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let first = stage.accept_one(to_token("needle")).await;
    stage.settle_well(rejected(&stage.claim_one().await)).await;
    let names: Vec<String> = (0..limits::USERS_MAX).map(|n| format!("u{n}")).collect();
    let users: Vec<&str> = names.iter().map(String::as_str).collect();
    let each = limits::USERS_MAX;
    let batch: Vec<Acceptance> =
        (0..=limits::LIST_SCAN_MAX / each).map(|_| to_users(&users).build(stage.next_id())).collect();
    let hay = batch.len() * each;
    assert!(hay > limits::LIST_SCAN_MAX, "more than one page looks at");
    let accepted = stage.ledger().accept(batch, None).await.expect("an accept");
    assert!(accepted.items.iter().all(|item| matches!(item.answer, Answer::Accepted { .. })));
    let none = DeliveryFilter::default();
    for filter in [
        DeliveryFilter { state: Some(DeliveryState::Dead), ..none.clone() },
        DeliveryFilter { reason: Some(Reason::Rejected), ..none.clone() },
        DeliveryFilter { channel: Some(ChannelKind::Fcm), ..none.clone() },
        DeliveryFilter { until: Some(asked_at(2)), ..none.clone() },
        DeliveryFilter { user: Some(user("u7")), until: Some(asked_at(2)), ..none },
    ] {
        let found = deliveries(&*stage.store(), APP, &filter, 10).await;
        let expected: &[DeliveryId] = if filter.user.is_some() { &[] } else { &[first] };
        assert_eq!(found.iter().map(|view| view.id).collect::<Vec<_>>(), expected, "{filter:?}");
    }
}

// ledger.md L57
pub async fn a_list_shows_its_app_alone(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let store = stage.store();
    let name = AppName::new("other").expect("a name");
    let other = store.put_app(&name).await.expect("an app").expect("it is new").id;
    let ours = stage.accept(to_token("ours")).await;
    let theirs = stage.next_id();
    let mut acceptance = to_token("theirs").build(theirs);
    acceptance.notification.app = other;
    stage.accept_as(acceptance).await;
    for work in stage.claim().await {
        stage.settle_well(rejected(&work)).await;
    }
    for (app, id) in [(APP, ours), (other, theirs)] {
        let listed = notifications(&*store, app, &NotificationFilter::default(), 10).await;
        assert_eq!(listed.iter().map(|view| view.notification.id).collect::<Vec<_>>(), [id]);
        let listed = deliveries(&*store, app, &DeliveryFilter::default(), 10).await;
        assert_eq!(listed.iter().map(|view| view.notification).collect::<Vec<_>>(), [id]);
        assert_eq!(dead(&*store, app, &DeadFilter::all()).await.len(), 1);
    }
    let ours = DeliveryFilter { notification: Some(ours), ..DeliveryFilter::default() };
    assert_eq!(deliveries(&*store, other, &ours, 10).await, [], "nor by its id");
}
