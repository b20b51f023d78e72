//! Dead letters: listed, purged, and redriven by jobs.

use std::collections::BTreeSet;

use pabal_core::ErrorKind;
use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::ids::{AppId, AppName, DeliveryId, ItemId, NotificationId, RedriveId};
use pabal_core::limits;
use pabal_core::notification::NotificationState;
use pabal_core::route::ChannelKind;
use pabal_core::seam::store::{DeadLetter, NewRedrive, RedriveJob, RedriveState};
use pabal_core::seam::{DeadFilter, Paged, Settled, Work};

use super::walking::{all_pages, assert_counts, dead, dead_letters, id_of};
use super::*;
use crate::fixtures::{
    APP, OTHER_APP, VISIBILITY_MS, abandoned, android, delivered, rejected, retried, to_token, to_users, user,
};

/// What died, a second after each other: a delivery to ann, a fan-out, and a delivery to a bare token.
struct Dead {
    anns: DeliveryId,
    fan_out: NotificationId,
    bare: DeliveryId,
}

impl Dead {
    /// Accepted in this order, and dying in the other: what died first was asked for last.
    async fn on<H: LedgerHarness>(stage: &mut Stage<H>) -> Self {
        stage.register("ann", "phone", android("a")).await;
        let anns = stage.accept_one(to_users(&["ann"])).await;
        let work_of_ann = stage.claim_one().await;
        let fan_out = stage.accept(to_users(&["u1", "u2"]).send_at(stage.now().plus_ms(1))).await;
        stage.advance(1);
        let fan_out_work = stage.claim_one().await;
        let bare = stage.accept_one(to_token("bare")).await;
        let work = stage.claim_one().await;
        for settlement in [abandoned(&work), abandoned(&fan_out_work), rejected(&work_of_ann)] {
            stage.advance(1000);
            stage.settle_well(settlement).await;
        }
        // What is not dead is in no list.
        stage.accept(to_token("delivered")).await;
        stage.settle_well(delivered(&stage.claim_one().await)).await;
        stage.accept(to_token("waiting")).await;
        stage.accept(to_users(&["nobody"])).await;
        Self { anns, fan_out, bare }
    }

    fn ids(&self) -> [ItemId; 3] {
        [ItemId::Delivery(self.bare), ItemId::FanOut(self.fan_out), ItemId::Delivery(self.anns)]
    }

    /// Filters, each with what it finds, newest first. The last of them died just now.
    fn filters(&self, now: pabal_core::clock::Timestamp) -> Vec<(DeadFilter, Vec<ItemId>)> {
        let [bare, fan_out, anns] = self.ids();
        let all = DeadFilter::all();
        let of_reason = |reason| DeadFilter { reason: Some(reason), ..DeadFilter::all() };
        let at = |ms| Some(now.plus_ms(ms));
        vec![
            (all.clone(), vec![bare, fan_out, anns]),
            (of_reason(Reason::Rejected), vec![anns]),
            (of_reason(Reason::Abandoned), vec![bare, fan_out]),
            (of_reason(Reason::Unregistered), vec![]),
            (DeadFilter { channel: Some(ChannelKind::Fcm), ..all.clone() }, vec![bare, anns]),
            (DeadFilter::of_user(user("ann")), vec![anns]),
            (DeadFilter::of_user(user("u1")), vec![]),
            (DeadFilter::of_notification(self.fan_out), vec![fan_out]),
            (DeadFilter::of_delivery(self.bare), vec![bare]),
            (DeadFilter { since: at(-1000), ..all.clone() }, vec![fan_out, anns]),
            (DeadFilter { until: at(0), ..all.clone() }, vec![bare, fan_out]),
            (DeadFilter { since: at(-1000), until: at(0), ..all }, vec![fan_out]),
            (DeadFilter { since: at(-1000), ..of_reason(Reason::Abandoned) }, vec![fan_out]),
            (DeadFilter { until: at(0), ..DeadFilter::of_user(user("ann")) }, vec![]),
            (DeadFilter { reason: Some(Reason::Abandoned), ..DeadFilter::of_delivery(self.anns) }, vec![]),
        ]
    }
}

// ledger.md L58
pub async fn dead_letters_are_listed_by_each_filter(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let world = Dead::on(&mut stage).await;
    let store = stage.store();
    for (filter, expected) in world.filters(stage.now()) {
        for max in [1, 2, 100] {
            let listed = dead_letters(&*store, APP, &filter, max).await;
            assert_eq!(listed.iter().map(id_of).collect::<Vec<_>>(), expected, "{filter:?} by {max}");
        }
    }
    for letter in dead_letters(&*store, APP, &DeadFilter::all(), 10).await {
        match letter {
            DeadLetter::Delivery { view, last_attempt } => {
                let (alone, attempts) = stage.delivery(view.id).await;
                assert_eq!((&view, &last_attempt), (&alone, &attempts.last().cloned()));
                assert_eq!(last_attempt.is_some(), view.id == world.anns);
            }
            DeadLetter::FanOut { view, reason, died_at } => {
                assert_eq!(view, stage.notification(world.fan_out).await);
                assert_eq!((reason, died_at), (Reason::Abandoned, stage.now().plus_ms(-1000)));
            }
        }
    }
    assert_eq!(dead(&*store, OTHER_APP, &DeadFilter::all()).await, [], "it is another app's");
}

// ledger.md L59
pub async fn a_purge_removes_what_its_filter_finds_and_nothing_else(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let world = Dead::on(&mut stage).await;
    let store = stage.store();
    let purge = async |app: AppId, filter: DeadFilter| {
        let purged = store.purge_dead(app, &filter, None, 1000).await.expect("a purge");
        assert_eq!(purged.next, None, "one step is enough");
        purged.purged
    };
    assert_eq!(purge(OTHER_APP, DeadFilter::all()).await, 0);
    for (filter, found) in world.filters(stage.now()) {
        if found.is_empty() {
            assert_eq!(purge(APP, filter).await, 0);
        }
    }
    let [bare, fan_out, anns] = world.ids();
    let abandoned_later = DeadFilter {
        reason: Some(Reason::Abandoned),
        since: Some(stage.now().plus_ms(-1000)),
        ..DeadFilter::all()
    };
    assert_eq!(purge(APP, abandoned_later).await, 1);
    assert_eq!(dead(&*store, APP, &DeadFilter::all()).await, [bare, anns]);
    assert_eq!(store.notification(APP, world.fan_out).await.expect("a read"), None);
    assert_eq!(purge(APP, DeadFilter::of_notification(world.fan_out)).await, 0, "{fan_out} is gone");
    assert_counts(&*store, APP).await;
    assert_eq!(purge(APP, DeadFilter::of_user(user("ann"))).await, 1);
    assert_eq!(store.delivery(APP, world.anns).await.expect("a read"), None);
    assert_eq!(dead(&*store, APP, &DeadFilter::all()).await, [bare]);
    assert_counts(&*store, APP).await;
    assert_eq!(purge(APP, DeadFilter::all()).await, 1);
    assert_counts(&*store, APP).await;
    let left: u64 = store.totals(APP).await.expect("totals").iter().map(|(_, _, count)| count).sum();
    assert_eq!(left, 3, "what was delivered, what waits, and what had no device");
    assert_eq!(stage.claim().await.len(), 1);
}

/// So many dead deliveries, each of a notification of its own.
async fn dead_tokens<H: LedgerHarness>(stage: &mut Stage<H>, count: usize) -> BTreeSet<ItemId> {
    for n in 0..count {
        stage.accept(to_token(&format!("t{n}"))).await;
    }
    let mut dead = BTreeSet::new();
    for work in stage.claim().await {
        stage.settle_well(rejected(&work)).await;
        dead.insert(work.lease.id);
    }
    assert_eq!(dead.len(), count);
    dead
}

// ledger.md L59
pub async fn purging_goes_on_step_by_step(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    dead_tokens(&mut stage, 25).await;
    let kept = stage.accept_one(to_token("another")).await;
    stage.settle_well(abandoned(&stage.claim_one().await)).await;
    let filter = DeadFilter { reason: Some(Reason::Rejected), ..DeadFilter::all() };
    let (mut purged, mut after) = (0, None);
    for _ in 0..20 {
        let step = stage.store().purge_dead(APP, &filter, after, 10).await.expect("a step");
        assert!(step.purged <= 10, "a step is bounded");
        assert_counts(&*stage.store(), APP).await;
        purged += step.purged;
        after = step.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((purged, after), (25, None));
    assert_eq!(dead(&*stage.store(), APP, &DeadFilter::all()).await, [ItemId::Delivery(kept)]);
}

// ledger.md L60
pub async fn a_purged_fan_out_leaves_what_was_made_of_it(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    for name in ["u1", "u2", "u3"] {
        stage.register(name, "phone", android(name)).await;
    }
    let id = stage.accept(to_users(&["u1", "u2", "u3"]).send_at(stage.now().plus_ms(1))).await;
    stage.advance(1);
    let work = stage.claim_one().await;
    let Paged::Made { .. } = stage.page(&work, 1).await else { panic!("it holds the lease") };
    stage.settle_well(abandoned(&work)).await;
    let purged = stage.store().purge_dead(APP, &DeadFilter::of_notification(id), None, 10).await;
    assert_eq!(purged.expect("a purge").purged, 1);
    assert_eq!(dead(&*stage.store(), APP, &DeadFilter::all()).await, []);
    assert_eq!(stage.notification_state(id).await, NotificationState::Cancelled);
    let redriven = stage.ledger().redrive(APP, DeadFilter::all(), None, 10).await.expect("a redrive");
    assert_eq!(redriven.reopened, []);
    stage.settle_well(delivered(&stage.claim_one().await)).await;
    assert_eq!(stage.notification(id).await.counts, [(DeliveryState::Delivered, 1)]);
    assert_counts(&*stage.store(), APP).await;
    stage.assert_nothing_waits().await;
}

// ledger.md L61
pub async fn a_settle_for_what_was_purged_is_refused(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    for late in [delivered, rejected, |work: &Work| retried(work, 0)] {
        let delivery = stage.accept_one(to_token("a")).await;
        let first = stage.claim_one().await;
        stage.advance(VISIBILITY_MS);
        let second = stage.claim_one().await;
        assert_eq!(stage.settle(rejected(&first)).await.settled, Settled::Overtaken);
        let purged = stage.store().purge_dead(APP, &DeadFilter::of_delivery(delivery), None, 10).await;
        assert_eq!(purged.expect("a purge").purged, 1);
        let settled = stage.settle(late(&second)).await;
        assert_eq!((settled.settled, settled.waiting), (Settled::Refused, None));
        assert_eq!(stage.store().delivery(APP, delivery).await.expect("a read"), None);
        assert_counts(&*stage.store(), APP).await;
        stage.assert_nothing_waits().await;
    }
}

// ledger.md L30
pub async fn a_redrive_opens_exactly_what_its_filter_finds(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let world = Dead::on(&mut stage).await;
    let mut left = BTreeSet::from(world.ids());
    let mut filters = world.filters(stage.now());
    filters.sort_by_key(|(_, found)| found.len());
    for (filter, found) in filters {
        let mut reopened = BTreeSet::new();
        all_steps(async |after| {
            let step = stage.ledger().redrive(APP, filter.clone(), after, 1).await.expect("a step");
            assert!(step.reopened.len() <= 1, "a step is bounded");
            reopened.extend(step.reopened);
            step.next
        })
        .await;
        let expected: BTreeSet<ItemId> = found.into_iter().filter(|id| left.contains(id)).collect();
        assert_eq!(reopened, expected, "{filter:?}");
        left.retain(|id| !reopened.contains(id));
        let still: BTreeSet<_> = dead(&*stage.store(), APP, &DeadFilter::all()).await.into_iter().collect();
        assert_eq!(still, left, "{filter:?} leaves the others alone");
    }
    assert_eq!(left, BTreeSet::new(), "the filters together open everything");
    assert_eq!(stage.notification_state(world.fan_out).await, NotificationState::Scheduled);
    let claimed: BTreeSet<ItemId> = stage.claim().await.iter().map(|work| work.lease.id).collect();
    assert!(world.ids().iter().all(|id| claimed.contains(id)), "{claimed:?}");
}

/// Takes steps until one names no next.
async fn all_steps<C>(mut step: impl AsyncFnMut(Option<C>) -> Option<C>) {
    let mut after = None;
    for _ in 0..1000 {
        after = step(after).await;
        if after.is_none() {
            return;
        }
    }
    panic!("the steps don't end");
}

/// A job that is asked for, number `n`: ids sort by their numbers.
fn job(n: u8, filter: DeadFilter) -> NewRedrive {
    let id = RedriveId::new(crate::clock::START.plus_ms(i64::from(n)), [n; 10]);
    NewRedrive { id, app: APP, filter, rate_per_s: 100 }
}

async fn put<H: LedgerHarness>(stage: &Stage<H>, new: &NewRedrive) -> RedriveJob {
    stage.store().put_redrive(new).await.expect("a job")
}

async fn read<H: LedgerHarness>(stage: &Stage<H>, id: RedriveId) -> RedriveJob {
    stage.store().redrive(APP, id).await.expect("a read").expect("it was put")
}

// ledger.md L62
pub async fn a_redrive_job_leaves_out_what_dies_later(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let before = dead_tokens(&mut stage, 3).await;
    // In the very millisecond in which they died: whoever asks may just have seen it.
    let made = put(&stage, &job(1, DeadFilter::all())).await;
    assert_eq!((made.state, made.total, made.reopened), (RedriveState::Running, Some(3), 0));
    assert_eq!((made.created_at, made.after, made.finished_at), (stage.now(), None, None));
    let soon = Some(stage.now().plus_ms(1));
    assert_eq!(made.filter, DeadFilter { until: soon, ..DeadFilter::all() });
    assert_eq!(read(&stage, made.id).await, made);
    let far = DeadFilter { until: Some(stage.now().plus_ms(60_000)), ..DeadFilter::all() };
    assert_eq!(put(&stage, &job(2, far)).await.filter.until, soon, "nobody knows what will die");
    let early = DeadFilter { until: Some(stage.now().plus_ms(-1000)), ..DeadFilter::all() };
    let of_early = put(&stage, &job(3, early.clone())).await;
    assert_eq!((of_early.filter, of_early.total), (early, Some(0)));
    stage.advance(1);
    dead_tokens(&mut stage, 2).await;
    let step = stage.ledger().redrive(APP, made.filter.clone(), None, 100).await.expect("a step");
    assert_eq!(step.reopened.iter().copied().collect::<BTreeSet<_>>(), before);
    for work in stage.claim().await {
        stage.settle_well(rejected(&work)).await;
    }
    let step = stage.ledger().redrive(APP, made.filter, None, 100).await.expect("a step");
    assert_eq!(step.reopened, [], "what died again did so later");
}

// ledger.md L63
pub async fn a_redrive_job_goes_on_after_a_restart(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let dead: Vec<ItemId> = dead_tokens(&mut stage, 5).await.into_iter().collect();
    stage.advance(1);
    let new = job(1, DeadFilter { reason: Some(Reason::Rejected), ..DeadFilter::all() });
    let made = put(&stage, &new).await;
    assert!(stage.store().advance_redrive(made.id, 2, Some(dead[2])).await.expect("a step"), "it still runs");
    stage.restart().await;
    let there = RedriveJob { reopened: 2, after: Some(dead[2]), ..made.clone() };
    assert_eq!(read(&stage, made.id).await, there);
    assert_eq!(stage.store().running_redrives().await.expect("a read"), [there]);
    let fan_out = ItemId::FanOut(crate::fixtures::notification_id(7));
    assert!(stage.store().advance_redrive(made.id, 0, Some(fan_out)).await.expect("a step"));
    assert_eq!(read(&stage, made.id).await.after, Some(fan_out), "either kind of id");
    stage.advance(1000);
    assert!(!stage.store().advance_redrive(made.id, 3, None).await.expect("a step"), "it is done");
    stage.restart().await;
    assert_eq!(stage.store().running_redrives().await.expect("a read"), []);
    let done = read(&stage, made.id).await;
    assert_eq!((done.state, done.reopened), (RedriveState::Done, 5));
    assert_eq!(done.finished_at, Some(stage.now()));
    assert!(!stage.store().advance_redrive(made.id, 0, Some(fan_out)).await.expect("a step"), "for good");
    let stopped = stage.store().stop_redrive(APP, made.id).await.expect("a stop").expect("it is there");
    assert_eq!(stopped.state, RedriveState::Done, "it is not stopped any more");
}

// ledger.md L63
pub async fn a_stop_wins_over_an_advance(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let dead: Vec<ItemId> = dead_tokens(&mut stage, 2).await.into_iter().collect();
    stage.advance(1);
    let store = stage.store();
    for (n, next) in [(1, Some(dead[0])), (2, None)] {
        let id = put(&stage, &job(n, DeadFilter::all())).await.id;
        assert_eq!(store.stop_redrive(OTHER_APP, id).await.expect("a stop"), None, "another app's");
        assert_eq!(read(&stage, id).await.state, RedriveState::Running);
        let stopped = store.stop_redrive(APP, id).await.expect("a stop").expect("it runs");
        assert_eq!((stopped.state, stopped.finished_at), (RedriveState::Stopped, Some(stage.now())));
        stage.advance(1000);
        assert!(!store.advance_redrive(id, 1, next).await.expect("a step"), "it runs no more");
        let after = RedriveJob { reopened: 1, ..stopped };
        assert_eq!(RedriveJob { after: None, ..read(&stage, id).await }, after, "but what it did counts");
        let again = store.stop_redrive(APP, id).await.expect("a stop").expect("it is there");
        assert_eq!(again.finished_at, after.finished_at, "since the first time");
    }
    assert_eq!(store.running_redrives().await.expect("a read"), []);
    let unknown = job(9, DeadFilter::all()).id;
    assert_eq!(store.stop_redrive(APP, unknown).await.expect("a stop"), None);
    assert!(!store.advance_redrive(unknown, 1, None).await.expect("a step"));
}

// ledger.md L64
pub async fn redrive_jobs_are_bounded_and_listed(harness: impl LedgerHarness) {
    let mut stage = Stage::open(harness).await;
    let store = stage.store();
    let name = AppName::new("other").expect("a name");
    let other = store.put_app(&name).await.expect("an app").expect("it is new").id;
    let count = u8::try_from(limits::REDRIVES_RUNNING_MAX).expect("a few");
    for n in 1..=count {
        put(&stage, &job(n, DeadFilter::all())).await;
    }
    let one_more = job(count + 1, DeadFilter::all());
    let error = store.put_redrive(&one_more).await.expect_err("one too many");
    assert_eq!(error.kind(), ErrorKind::LimitReached);
    assert!(error.to_string().contains(&limits::REDRIVES_RUNNING_MAX.to_string()), "{error}");
    let theirs = NewRedrive { app: other, ..job(count + 2, DeadFilter::all()) };
    put(&stage, &theirs).await;
    store.stop_redrive(APP, job(1, DeadFilter::all()).id).await.expect("a stop");
    put(&stage, &one_more).await;
    let ids = |jobs: &[RedriveJob]| jobs.iter().map(|job| job.id).collect::<Vec<_>>();
    let numbered = |n: u8| job(n, DeadFilter::all()).id;
    drop(store);
    stage.restart().await;
    let store = stage.store();
    let listed = all_pages(4, async |before| store.list_redrives(APP, before, 4).await).await;
    assert_eq!(ids(&listed), (1..=count + 1).rev().map(numbered).collect::<Vec<_>>());
    let listed = all_pages(4, async |before| store.list_redrives(other, before, 4).await).await;
    assert_eq!(ids(&listed), [theirs.id]);
    assert_eq!(store.redrive(APP, theirs.id).await.expect("a read"), None, "another app's");
    let running = store.running_redrives().await.expect("a read");
    assert_eq!(ids(&running), (2..=count + 2).map(numbered).collect::<Vec<_>>());
}
