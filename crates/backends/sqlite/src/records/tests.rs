//! What the conformance suites can't see: that counters equal a recount, what rows a delivery costs, which way the
//! statements walk (`plans`) and what a step costs (`expiring`), that what is remembered is bounded, that what is forgotten
//! is (`forgetting`), and what becomes of rows that can't be read (`unreadable`).

use std::collections::BTreeMap;
use std::sync::Arc;

use pabal_core::chance::{Chance, SeededChance};
use pabal_core::clock::{Clock, Timestamp};
use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::device::{MarkKind, Registration};
use pabal_core::ids::{DeliveryId, ItemId, NotificationId};
use pabal_core::outcome::{Outcome, Report};
use pabal_core::route::Lane;
use pabal_core::seam::store::Prune;
use pabal_core::seam::{
    Acceptance, Answer, AttemptRecord, Change, Claim, Claimed, Content, Cursor, DeliveryContent, EndSummary,
    Ending, Epoch, Lease, Loaded, PageMade, QueueItem, Recorded, Records, Selection, Settlement, Taken, Want,
    Worker,
};
use pabal_core::verdict::Next;
use pabal_core::{limits, steps};
use pabal_testkit::TestClock;
use pabal_testkit::fixtures::{
    APP, Draft, HOUR_MS, all_routes, android, device, ios, notification_id, to_device, to_token, to_users,
    user,
};
use rusqlite::Connection;

use super::*;
use crate::cache::{Kept, MESSAGES_KEPT_MAX, MessageCache};

mod expiring;
mod forgetting;
mod plans;
mod unreadable;

/// A core over a database in memory.
struct Stage {
    core: Core,
    clock: TestClock,
    epochs: i64,
    notifications: u64,
}

impl Stage {
    fn new() -> Self {
        Self::over(Connection::open_in_memory().unwrap())
    }

    fn over(connection: Connection) -> Self {
        let clock = TestClock::new();
        crate::schema::migrate(&connection, clock.now(), [7; 16]).unwrap();
        let core = Core::new(connection, Arc::new(clock.clone()));
        Self { core, clock, epochs: 0, notifications: 0 }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn done<T>(answer: impl Future<Output = Result<T>>) -> T {
        pabal_core::steps::complete_now("test", answer).unwrap()
    }

    fn register(&self, of: &str, name: &str, registration: &Registration) {
        self.core
            .with(|tx| crate::devices::put_device(tx, APP, &user(of), &device(name), registration))
            .unwrap();
    }

    fn accept_all(&self, batch: &[Acceptance]) -> Vec<(Answer, Vec<QueueItem>)> {
        let answers = Self::done(self.core.accept(batch));
        for (_, work) in &answers {
            Self::done(steps::enqueue(&self.core, work));
        }
        answers
    }

    fn accept(&mut self, draft: Draft) -> (NotificationId, Answer, Vec<ItemId>) {
        self.notifications += 1;
        let id = notification_id(self.notifications);
        let (answer, work) = self.accept_all(&[draft.build(id)]).remove(0);
        (id, answer, work.into_iter().map(|item| item.id).collect())
    }

    fn lease(&mut self, id: ItemId) -> Lease {
        self.epochs += 1;
        Lease {
            id,
            route: all_routes().remove(0),
            worker: Worker(1),
            epoch: Epoch(self.epochs),
            until: self.now().plus_ms(60_000),
            abandoned: 0,
            late_ms: 0,
        }
    }

    fn load(&self, lease: &Lease) -> Loaded {
        Self::done(self.core.load(std::slice::from_ref(lease))).remove(0)
    }

    /// Leases and loads what is due on all routes.
    fn claim(&self) -> Claimed {
        let want = Want::Ordinary(all_routes().into_iter().map(|route| (route, limits::CLAIM_MAX)).collect());
        let claim = Claim { want, worker: Worker(1), visibility_ms: 60_000 };
        Self::done(steps::claim(&self.core, &self.core, &claim)).0
    }

    /// One step of ending what is past its expiry.
    fn expire(&self, after: Option<(Timestamp, ItemId)>, max: usize) -> EndSummary {
        let (selection, reason) = (Selection::PastExpiry, Reason::TtlEnded);
        Self::done(steps::end(&self.core, &self.core, &selection, reason, after, max))
    }

    fn execute(&self, sql: &str) {
        let done = |tx: &crate::tx::Tx<'_>| {
            tx.connection.execute_batch(sql).unwrap();
            Ok(())
        };
        self.core.with(done).unwrap();
    }

    fn record(&self, settlement: Settlement) -> Recorded {
        Self::done(self.core.record(&[settlement])).remove(0)
    }

    /// A delivery of it is rejected.
    fn die(&mut self, id: ItemId) {
        let lease = self.lease(id);
        let content = content(self.load(&lease));
        let next = Next::Dead(Reason::Rejected);
        let died = self.record(attempt(&lease, &content, Report::of(Outcome::Rejected), next));
        assert_eq!(died.taken, Taken::Recorded);
    }

    /// The number that a query answers.
    fn count(&self, sql: &str) -> i64 {
        self.core.with(|tx| tx.first("test", sql, [], |row| row.get(0))).unwrap().unwrap()
    }

    fn pairs(&self, sql: &str) -> BTreeMap<String, i64> {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get(1)?));
        self.core.with(|tx| tx.all("test", sql, [], read)).unwrap().into_iter().collect()
    }

    /// Holds each counter against what is there.
    fn recount(&self) {
        let counted = "SELECT app || ' ' || state || ' ' || reason, count FROM totals WHERE count <> 0";
        let there = "SELECT d.app || ' ' || s.state || ' ' || coalesce(s.reason, ''), count(*)
                     FROM deliveries d JOIN delivery_states s USING (id) GROUP BY 1";
        assert_eq!(self.pairs(counted), self.pairs(there));
        for (code, state) in DeliveryState::ALL.into_iter().enumerate() {
            let wrong = format!(
                "SELECT count(*) FROM notification_states n WHERE n.{state} <> (SELECT count(*)
                 FROM deliveries d JOIN delivery_states s USING (id) WHERE d.notification = n.id AND s.state = {code})"
            );
            assert_eq!(self.count(&wrong), 0, "{state}");
        }
    }
}

fn content(loaded: Loaded) -> DeliveryContent {
    match loaded {
        Loaded::Content(Content::Delivery(content)) => content,
        other => panic!("{other:?} is nothing to attempt"),
    }
}

fn attempt(lease: &Lease, content: &DeliveryContent, report: Report, next: Next) -> Settlement {
    let target = content.target.clone();
    let record = AttemptRecord { report, latency_ms: 7, began_ms_ago: 9, target, next, mark: None };
    Settlement { lease: lease.clone(), change: Change::Attempt(record) }
}

fn the_one<T: Copy>(items: &[T]) -> T {
    assert_eq!(items.len(), 1);
    items[0]
}

#[test]
fn what_delivers_at_once_has_no_attempt_row() {
    let mut stage = Stage::new();
    let (_, _, work) = stage.accept(to_token("a"));
    let lease = stage.lease(the_one(&work));
    let content = content(stage.load(&lease));
    let report = Report::of(Outcome::Delivered).with_status(200).with_detail("projects/p/messages/1");
    let recorded = stage.record(attempt(&lease, &content, report, Next::Complete));
    assert_eq!(recorded.taken, Taken::Recorded);
    assert_eq!(stage.count("SELECT count(*) FROM attempts"), 0);
    let first =
        "SELECT first_at || ' ' || first_latency_ms || ' ' || first_status || ' ' || first_detail, attempts
                 FROM delivery_states";
    let at = stage.now().plus_ms(-9).as_ms();
    assert_eq!(stage.pairs(first), BTreeMap::from([(format!("{at} 7 200 projects/p/messages/1"), 1)]));
    stage.recount();
}

#[test]
fn every_other_attempt_has_a_row() {
    let mut stage = Stage::new();
    let (_, _, work) = stage.accept(to_token("a"));
    let again = Next::Retry { delay_ms: 0, counted: true };
    for next in [again, again, Next::Complete] {
        let lease = stage.lease(the_one(&work));
        let content = content(stage.load(&lease));
        let outcome = if next == Next::Complete { Outcome::Delivered } else { Outcome::Unknown };
        stage.record(attempt(&lease, &content, Report::of(outcome), next));
    }
    assert_eq!(stage.count("SELECT count(*) FROM attempts"), 3);
    assert_eq!(stage.count("SELECT count(*) FROM delivery_states WHERE first_at IS NULL AND counted = 2"), 1);
    // The delivery's own row has no room for a code.
    let (_, _, work) = stage.accept(to_token("b"));
    let lease = stage.lease(the_one(&work));
    let content = content(stage.load(&lease));
    let report = Report::of(Outcome::Delivered).with_code("WELL");
    stage.record(attempt(&lease, &content, report, Next::Complete));
    assert_eq!(stage.count("SELECT count(*) FROM attempts WHERE code = 'WELL' AND number = 1"), 1);
}

/// A walk through everything that moves a counter.
struct Walk {
    stage: Stage,
    chance: SeededChance,
    work: Vec<ItemId>,
    leases: Vec<(Lease, DeliveryContent)>,
}

impl Walk {
    fn below(&self, n: usize) -> usize {
        usize::try_from(self.chance.next_u64() % n as u64).unwrap()
    }

    fn step(&mut self) {
        match self.below(10) {
            0 | 1 => self.accept(),
            2..=4 => self.load(),
            5..=7 => self.settle(),
            8 => self.end(),
            9 if self.below(8) == 0 => self.forget(),
            _ => {
                let reopened = Stage::done(self.stage.core.reopen(APP, &DeadFilter::all(), None, 2));
                self.work.extend(reopened.work.into_iter().map(|item| item.id));
                self.stage.clock.advance(HOUR_MS / 4);
            }
        }
    }

    fn accept(&mut self) {
        let draft = match self.below(4) {
            0 => to_users(&["ann", "bob", "nobody"]),
            1 => to_users(&["bob", "ann"]).send_at(self.stage.now().plus_ms(1000)),
            2 => to_device("ann", "unknown"),
            _ => to_token("literal").ttl_s(3600),
        };
        let (_, _, work) = self.stage.accept(draft);
        self.work.extend(work);
    }

    fn load(&mut self) {
        if self.work.is_empty() {
            return;
        }
        let id = self.work[self.below(self.work.len())];
        let lease = self.stage.lease(id);
        match self.stage.load(&lease) {
            Loaded::Content(Content::Delivery(content)) => self.leases.push((lease, content)),
            Loaded::Content(Content::FanOut(content)) => {
                let page = Stage::done(self.stage.core.page(&lease, &content.cursor, 1));
                if let PageMade::Made { work, .. } = page {
                    self.work.extend(work.into_iter().map(|item| item.id));
                }
            }
            Loaded::Settled(_) | Loaded::Unreadable | Loaded::Unknown => {}
        }
    }

    fn settle(&mut self) {
        if self.leases.is_empty() {
            return;
        }
        let (lease, content) = self.leases[self.below(self.leases.len())].clone();
        let (outcome, next) = match self.below(5) {
            0 => (Outcome::Delivered, Next::Complete),
            1 => (Outcome::Rejected, Next::Dead(Reason::Rejected)),
            2 => (Outcome::Unregistered, Next::Dead(Reason::Unregistered)),
            3 => (Outcome::NotSent, Next::Expire),
            _ => (Outcome::Unknown, Next::Retry { delay_ms: 5, counted: true }),
        };
        // Twice in one batch: the second is refused, and counts nothing.
        let settlement = attempt(&lease, &content, Report::of(outcome), next);
        Stage::done(self.stage.core.record(&[settlement.clone(), settlement]));
    }

    fn forget(&mut self) {
        let now = self.stage.now();
        self.stage
            .core
            .with(|tx| match self.below(3) {
                0 => {
                    let filter = DeadFilter::all();
                    let dead = Dead { app: APP, filter: &filter };
                    purge(tx, &dead.to_do(tx.connection, None, 2)?.found).map(drop)
                }
                1 => {
                    let (ended_ms_ago, dead_ms_ago) = (2 * HOUR_MS, 3 * HOUR_MS);
                    let step = Prune { ended_ms_ago, dead_ms_ago, after: None, rows_max: 3 };
                    prune(tx, &step, &find_ended(tx.connection, &step, now)?).map(drop)
                }
                _ => {
                    let step = ErasureStep::find(tx.connection, APP, &user("bob"), Place::Deliveries)?;
                    step.erase(tx, APP, &user("bob")).map(drop)
                }
            })
            .unwrap();
    }

    fn end(&mut self) {
        let reason = if self.below(2) == 0 { Reason::CancelRequested } else { Reason::TtlEnded };
        let selection = match self.below(3) {
            0 => Selection::User(APP, user("ann")),
            1 => Selection::PastExpiry,
            _ => Selection::Notification(APP, notification_id(1 + self.below(40) as u64)),
        };
        let open = Stage::done(self.stage.core.open_work(&selection, reason, None, 3));
        let leased = self.below(4) == 0;
        let endings: Vec<Ending> = open.iter().map(|open| Ending { id: open.item.id, leased }).collect();
        Stage::done(self.stage.core.end(&endings, reason));
    }
}

#[test]
fn counters_equal_a_recount() {
    for seed in 0..20 {
        let stage = Stage::new();
        stage.register("ann", "phone", &android("a"));
        stage.register("ann", "tablet", &ios("b"));
        stage.register("bob", "phone", &android("c"));
        let chance = SeededChance::from_seed(seed);
        let mut walk = Walk { stage, chance, work: Vec::new(), leases: Vec::new() };
        for _ in 0..150 {
            walk.step();
        }
        walk.stage.recount();
        let states = walk.stage.count("SELECT count(DISTINCT state) FROM delivery_states");
        assert!(states >= 5, "seed {seed} came to {states} states only");
    }
}

#[test]
fn a_mark_is_for_the_address_that_was_sent_to() {
    let mut stage = Stage::new();
    stage.register("ann", "phone", &android("old"));
    let (_, _, work) = stage.accept(to_users(&["ann"]));
    let lease = stage.lease(the_one(&work));
    let content = content(stage.load(&lease));
    let dead = |stage: &mut Stage| {
        let lease = stage.lease(the_one(&work));
        let next = Next::Dead(Reason::Unregistered);
        let mut settlement = attempt(&lease, &content, Report::of(Outcome::Unregistered), next);
        if let Change::Attempt(attempt) = &mut settlement.change {
            attempt.mark = Some(MarkKind::Retired);
        }
        stage.record(settlement).taken
    };
    stage.register("ann", "phone", &android("new"));
    assert_eq!(dead(&mut stage), Taken::Superseded);
    assert_eq!(stage.count("SELECT count(mark) FROM devices"), 0);
    stage.register("ann", "phone", &android("old"));
    assert_eq!(dead(&mut stage), Taken::Recorded);
    assert_eq!(
        stage.count("SELECT count(*) FROM devices WHERE mark = 'retired' AND mark_reason = 'unregistered'"),
        1
    );
}

#[test]
fn a_listing_goes_on_where_it_stopped() {
    let mut stage = Stage::new();
    for n in 0..3 {
        stage.accept(to_token(&format!("t{n}")));
    }
    // Due at the same time as what comes last, and after all deliveries of that time.
    let later = stage.now().plus_ms(5);
    let (later_id, _, _) = stage.accept(to_token("later").send_at(later));
    stage.accept(to_token("latest").bulk().send_at(later));
    stage.clock.advance(5);
    stage.accept(to_token("t3"));
    let whole = Stage::done(stage.core.scan_open(None, None, 100));
    assert_eq!(whole.len(), 6);
    let fan_outs: Vec<bool> = whole.iter().map(|open| matches!(open.item.id, ItemId::FanOut(_))).collect();
    assert_eq!(fan_outs, [false, false, false, false, true, true]);
    assert_eq!(whole[4].item.id, ItemId::FanOut(later_id));
    let (mut parts, mut after) = (Vec::new(), None);
    while let [one] = &Stage::done(stage.core.scan_open(after, None, 1))[..] {
        after = Some((one.due, one.item.id));
        parts.push(one.clone());
    }
    assert_eq!(parts, whole);
    let of_app = Stage::done(stage.core.open_work(&Selection::App(APP), Reason::TtlEnded, None, 100));
    assert_eq!(of_app, whole);
    // Longer than that: not what has been due for just as long.
    assert_eq!(Stage::done(stage.core.scan_open(None, Some(5), 100)).len(), 0);
    assert_eq!(Stage::done(stage.core.scan_open(None, Some(4), 100)).len(), 3);
}

#[test]
fn keys_are_forgotten_in_proportion_to_those_that_come() {
    let mut stage = Stage::new();
    let batch = |stage: &mut Stage, from: u64, count: u64| {
        stage.notifications += count;
        let one = |n| to_token("a").key(&format!("k{n}"), 1).build(notification_id(n));
        (from..from + count).map(one).collect::<Vec<_>>()
    };
    let first = batch(&mut stage, 1, 10);
    stage.accept_all(&first);
    stage.clock.advance(u64::try_from(limits::IDEMPOTENCY_KEPT_MS).unwrap() - 1);
    assert!(matches!(stage.accept_all(&first[..1])[0].0, Answer::Replayed { .. }));
    assert_eq!(stage.count("SELECT count(*) FROM idempotency"), 10);
    stage.clock.advance(1 + HOUR_MS);
    let second = batch(&mut stage, 101, 3);
    stage.accept_all(&second);
    assert_eq!(stage.count("SELECT count(*) FROM idempotency"), 10 - 6 + 3);
    // What is not forgotten yet is not remembered either: it gives way to what comes.
    let again = to_token("b").key("k10", 2).build(notification_id(201));
    let answer = stage.accept_all(std::slice::from_ref(&again)).remove(0).0;
    assert_eq!(answer, Answer::Accepted { id: notification_id(201), deliveries: Some(1) });
    assert_eq!(
        stage.count("SELECT count(*) FROM idempotency WHERE key LIKE '%k10' AND body_hash = zeroblob(32)"),
        0
    );
    assert!(matches!(stage.accept_all(&[again])[0].0, Answer::Replayed { .. }));
}

#[test]
fn messages_are_kept_within_their_bound() {
    let stage = Stage::new();
    let cache = MessageCache::default();
    let kept = Kept { lane: Lane::Bulk, ttl_ms: 1, message: Arc::default() };
    let used = notification_id(0);
    cache.keep(used, kept.clone());
    for n in 1..3 * MESSAGES_KEPT_MAX as u64 {
        cache.keep(notification_id(n), kept.clone());
        assert!(cache.get(used).is_some(), "what is in use stays");
        assert!(cache.len() <= MESSAGES_KEPT_MAX);
    }
    assert!(cache.get(notification_id(1)).is_none());
    cache.forget();
    assert!(cache.get(used).is_none());
    assert_eq!(Stage::done(stage.core.scan_open(None, None, 1)), []);
}

#[test]
fn a_message_that_is_not_kept_is_read() {
    let mut stage = Stage::new();
    let (id, _, work) = stage.accept(to_token("a").bulk().titled("발"));
    let lease = stage.lease(the_one(&work));
    let kept = content(stage.load(&lease)).message;
    stage.core.forget();
    let read = content(stage.load(&lease)).message;
    assert_eq!(read, kept);
    assert!(!Arc::ptr_eq(&read, &kept));
    let lane = stage.core.with(|tx| messages::lane_of(tx, id)).unwrap();
    assert_eq!(lane, Lane::Bulk);
}

#[test]
fn an_unknown_item_is_unknown() {
    let mut stage = Stage::new();
    let id = notification_id(9);
    for item in [ItemId::FanOut(id), ItemId::Delivery(DeliveryId::derive(id, "x"))] {
        let lease = stage.lease(item);
        assert!(matches!(stage.load(&lease), Loaded::Unknown));
        let end = Settlement { lease: lease.clone(), change: Change::Postpone { delay_ms: 1 } };
        assert_eq!(stage.record(end).taken, Taken::Refused);
        let page = Stage::done(stage.core.page(&lease, &Cursor::default(), 1));
        assert!(matches!(page, PageMade::Refused(_)));
    }
}
