//! The world in which a history is played: the ledger under test and the model, and what their process knows.

mod upkeep;

use std::collections::BTreeSet;
use std::sync::Arc;

use pabal_core::chance::SeededChance;
use pabal_core::clock::Clock;
use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::ids::{DeliveryId, DeviceId, ItemId, NotificationId, UserId};
use pabal_core::limits;
use pabal_core::outcome::Outcome;
use pabal_core::route::Route;
use pabal_core::seam::{
    Acceptance, Change, Claim, Content, Cursor, Directory, EndAs, Lease, Page, Paged, Queue, Records,
    Selection, Settled, Settlement, Want, Work, Worker,
};
use pabal_core::verdict::Next;
use pabal_memory::{MemoryLedger, MemoryQueue, MemoryStore};

use super::op::{Came, DEVICES, Op, TOKENS, USERS, Which};
use super::side::{Side, handed};
use super::watch::{Step, Watch};
use crate::TestClock;
use crate::fixtures::{
    APP, HOUR_MS, VISIBILITY_MS, abandoned, all_routes, android, attempted, delivered, device, ios,
    notification_id, postponed, user,
};
use crate::ledger::{LedgerHarness, OVERDUE_MS, Stage};

use upkeep::step_of;

/// The reference model, by its parts, for what only they can do.
struct Model {
    queue: Arc<MemoryQueue>,
    store: Arc<MemoryStore>,
    side: Side,
}

/// Work that was leased on both sides, at the same moment. It is kept when its lease is lost.
struct Held {
    ledgers: Work,
    models: Work,
    /// Where the next page begins, on both sides.
    cursors: Option<(Cursor, Cursor)>,
}

pub(super) struct World<H> {
    stage: Stage<H>,
    clock: TestClock,
    queue_clock: TestClock,
    one_database: bool,
    model: Model,
    worker: u64,
    accepted: Vec<Acceptance>,
    held: Vec<Held>,
    /// Of which something was purged: how many deliveries they had at first is not kept.
    thinned: BTreeSet<NotificationId>,
    watch: Watch,
}

impl<H: LedgerHarness> World<H> {
    pub(super) async fn open(harness: H) -> Self {
        let stage = Stage::open(harness).await;
        let (clock, queue_clock) = (stage.clock(), stage.queue_clock());
        let queue = Arc::new(MemoryQueue::new(Arc::new(queue_clock.clone())));
        let store = Arc::new(MemoryStore::new(Arc::new(clock.clone()), &SeededChance::from_seed(0)));
        let ledger = Arc::new(MemoryLedger::new(queue.clone(), store.clone()));
        let side = Side { ledger, store: store.clone() };
        let one_database = stage.queue_server().await.is_none();
        let model = Model { queue, store, side };
        let (accepted, held) = (Vec::new(), Vec::new());
        Self {
            stage,
            clock,
            queue_clock,
            one_database,
            model,
            worker: 1,
            accepted,
            held,
            thinned: BTreeSet::new(),
            watch: Watch::default(),
        }
    }

    /// Plays a history, and then works through everything that is left: nothing may be lost.
    pub(super) async fn play(mut self, history: &[Op]) {
        for op in history {
            self.step(op).await;
            self.look(step_of(op)).await;
        }
        self.finish().await;
    }

    async fn step(&mut self, op: &Op) {
        match op {
            Op::Accept { what, take } => {
                let id = notification_id(self.accepted.len() as u64 + 1);
                let acceptance = what.draft(self.clock.now()).build(id);
                self.accepted.push(acceptance.clone());
                self.accept(acceptance, *take).await;
            }
            Op::AcceptAgain { nth } => {
                let again = from_the_end(&self.accepted, *nth).cloned();
                if let Some(again) = again.filter(|again| !self.thinned.contains(&again.notification.id)) {
                    self.accept(again, false).await;
                }
            }
            Op::Register { user, device, token, ios } => self.register(*user, *device, *token, *ios).await,
            Op::DeleteDevice { user, device } => self.delete_device(*user, *device).await,
            Op::Claim => self.claim().await,
            Op::ClaimSuspects => self.claim_suspects().await,
            Op::Settle { nth, came, refreshed } => {
                if let Some((token, ios)) = refreshed {
                    self.refresh(*nth, *token, *ios).await;
                }
                self.settle(*nth, *came).await;
            }
            Op::Release { nth } => self.release(*nth).await,
            Op::Extend { nth } => self.extend(*nth).await,
            Op::Page { nth, users_max, again } => self.page(*nth, *users_max, *again).await,
            Op::Cancel(which) => self.end(self.selection(*which).await, Reason::CancelRequested).await,
            Op::Expire => self.end(Some(Selection::PastExpiry), Reason::TtlEnded).await,
            Op::Redrive(letters) => self.redrive(*letters).await,
            Op::Purge(letters) => self.purge(*letters).await,
            Op::Erase { user, cancel } => self.erase(*user, *cancel).await,
            Op::Prune { ended_ms_ago, dead_ms_ago, rows_max } => {
                self.prune(*ended_ms_ago, *dead_ms_ago, *rows_max).await;
            }
            Op::Restore { one } => self.restore(*one).await,
            Op::Advance { ms } => self.clock.advance(*ms),
            Op::SetBack { ms } => self.queue_clock.set_by(-ms),
            Op::Wipe => self.wipe().await,
            Op::Restart => self.restart().await,
        }
    }

    fn sides(&self) -> (Side, Side) {
        let ledgers = Side { ledger: self.stage.ledger(), store: self.stage.store() };
        (ledgers, self.model.side.clone())
    }

    fn ids(&self) -> Vec<NotificationId> {
        self.accepted.iter().map(|acceptance| acceptance.notification.id).collect()
    }

    async fn look(&mut self, step: Step) {
        let (ledgers, models) = self.sides();
        let ids = self.ids();
        let picture = ledgers.picture(&ids).await;
        picture.assert_like(&models.picture(&ids).await);
        self.watch.look(picture, step);
    }

    async fn accept(&mut self, acceptance: Acceptance, take: bool) {
        let (ledgers, models) = self.sides();
        let take = take.then(|| self.everything());
        // A queue that may be out of reach leases nothing in an accept.
        let models_take = take.clone().filter(|_| self.one_database);
        let of_ledger = ledgers.ledger.accept(vec![acceptance.clone()], take).await.expect("an accept");
        let of_model = models.ledger.accept(vec![acceptance], models_take).await.expect("an accept");
        assert_eq!(of_ledger.items, of_model.items);
        assert_eq!(sorted(of_ledger.waiting), sorted(of_model.waiting), "where the rest comes back");
        self.hold(of_ledger.taken, of_model.taken);
    }

    fn everything(&self) -> Claim {
        let routes = all_routes().into_iter().map(|route| (route, limits::CLAIM_MAX)).collect();
        self.claim_for(Want::Ordinary(routes))
    }

    fn claim_for(&self, want: Want) -> Claim {
        Claim { want, worker: Worker(self.worker), visibility_ms: VISIBILITY_MS }
    }

    fn hold(&mut self, ledgers: Vec<Work>, mut models: Vec<Work>) {
        assert_eq!(handed(&ledgers), handed(&models), "leased work: the ledger's, then the model's");
        self.watch.claimed(&ledgers, self.queue_clock.now());
        for ledgers in ledgers {
            let at = models.iter().position(|models| models.lease.id == ledgers.lease.id);
            let models = models.swap_remove(at.expect("both hold the same ids"));
            let cursors = match (&ledgers.content, &models.content) {
                (Content::FanOut(ledgers), Content::FanOut(models)) => {
                    Some((ledgers.cursor.clone(), models.cursor.clone()))
                }
                _ => None,
            };
            self.held.push(Held { ledgers, models, cursors });
        }
    }

    async fn claim(&mut self) {
        let (ledgers, models) = self.sides();
        let of_ledger = ledgers.ledger.claim(self.everything()).await.expect("a claim");
        let of_model = models.ledger.claim(self.everything()).await.expect("a claim");
        assert_eq!(of_ledger.suspects_waiting, of_model.suspects_waiting);
        assert_eq!(of_ledger.next_due_in_ms, of_model.next_due_in_ms);
        assert_eq!((of_ledger.dropped, of_ledger.unreadable), (of_model.dropped, 0));
        assert_eq!(sorted(of_ledger.waiting), sorted(of_model.waiting), "where the rest comes back");
        self.hold(of_ledger.work, of_model.work);
        if of_ledger.dropped > 0 {
            self.reconcile().await;
        }
    }

    /// The reconciler's round, once what was dropped is overdue. The model's own has nothing to do, so its queue is
    /// filled by hand; what is in it is left alone.
    async fn reconcile(&mut self) {
        self.clock.advance(OVERDUE_MS);
        self.stage.reconcile_overdue().await;
        self.fill_the_models_queue(Some(OVERDUE_MS - 1000)).await;
    }

    async fn fill_the_models_queue(&self, overdue_by_ms: Option<u64>) {
        let open = self.model.store.scan_open(None, overdue_by_ms, usize::MAX).await.expect("a scan");
        let items: Vec<_> = open.into_iter().map(|open| open.item).collect();
        self.model.queue.enqueue(&items).await.expect("an enqueue");
    }

    async fn claim_suspects(&mut self) {
        let (ledgers, models) = self.sides();
        let claim = self.claim_for(Want::Suspects(all_routes()));
        let of_ledger = ledgers.ledger.claim(claim.clone()).await.expect("a claim").work;
        let of_model = models.ledger.claim(claim).await.expect("a claim").work;
        if ids_of(&of_ledger) == ids_of(&of_model) {
            return self.hold(of_ledger, of_model);
        }
        // Of suspects that are alike, either side may choose its own: both put them back.
        assert_eq!(of_ledger.len(), of_model.len());
        for (side, work) in [(ledgers, of_ledger), (models, of_model)] {
            side.ledger.release(work.into_iter().map(|work| work.lease).collect()).await.expect("a release");
        }
    }

    async fn settle(&mut self, nth: usize, came: Came) {
        let Some(held) = from_the_end(&self.held, nth) else { return };
        let (of_ledger, of_model) = (settlement(&held.ledgers, came), settlement(&held.models, came));
        let lease = held.ledgers.lease.clone();
        let (ledgers, models) = self.sides();
        let of_ledger = ledgers.ledger.settle(vec![of_ledger]).await.expect("a settle");
        let of_model = models.ledger.settle(vec![of_model]).await.expect("a settle");
        assert_eq!(of_ledger, of_model, "a settle of {lease:?}");
        self.watch.given_back(&lease);
        if of_ledger[0].settled != Settled::Refused {
            self.watch.recorded(&lease);
        }
    }

    async fn release(&mut self, nth: usize) {
        let Some(held) = from_the_end(&self.held, nth) else { return };
        let (of_ledger, of_model) = (held.ledgers.lease.clone(), held.models.lease.clone());
        let (ledgers, models) = self.sides();
        ledgers.ledger.release(vec![of_ledger.clone()]).await.expect("a release");
        models.ledger.release(vec![of_model]).await.expect("a release");
        self.watch.given_back(&of_ledger);
    }

    async fn extend(&mut self, nth: usize) {
        let Some(held) = from_the_end(&self.held, nth) else { return };
        let (of_ledger, of_model) = (held.ledgers.lease.clone(), held.models.lease.clone());
        let (ledgers, models) = self.sides();
        let extend = async |side: &Side, lease: Lease| -> Option<Lease> {
            let mut answers = side.ledger.extend(vec![lease], HOUR_MS).await.expect("an extension");
            assert_eq!(answers.len(), 1);
            answers.remove(0)
        };
        let of_ledger = extend(&ledgers, of_ledger).await;
        let of_model = extend(&models, of_model).await;
        let until = |lease: &Option<Lease>| lease.as_ref().map(|lease| lease.until);
        assert_eq!(until(&of_ledger), until(&of_model));
        if let Some(lease) = of_ledger {
            self.watch.extended(&lease);
        }
    }

    async fn page(&mut self, nth: usize, users_max: usize, again: bool) {
        let fan_outs: Vec<usize> =
            (0..self.held.len()).filter(|index| self.held[*index].cursors.is_some()).collect();
        let Some(index) = from_the_end(&fan_outs, nth).copied() else { return };
        let held = &self.held[index];
        let from = match (&held.ledgers.content, &held.models.content, &held.cursors) {
            (Content::FanOut(ledgers), Content::FanOut(models), _) if again => {
                (ledgers.cursor.clone(), models.cursor.clone())
            }
            (_, _, Some(cursors)) => cursors.clone(),
            _ => return,
        };
        let page = |work: &Work, from| Page { lease: work.lease.clone(), from, users_max };
        let (of_ledger, of_model) = (page(&held.ledgers, from.0), page(&held.models, from.1));
        let lease = of_ledger.lease.clone();
        let (ledgers, models) = self.sides();
        let of_ledger = ledgers.ledger.page(of_ledger).await.expect("a page");
        let of_model = models.ledger.page(of_model).await.expect("a page");
        match (of_ledger, of_model) {
            (Paged::Refused, Paged::Refused) => self.watch.given_back(&lease),
            (
                Paged::Made { cursor, last, waiting },
                Paged::Made { cursor: models_cursor, last: models_last, waiting: models_waiting },
            ) => {
                assert_eq!((last, waiting), (models_last, models_waiting));
                self.held[index].cursors = Some((cursor, models_cursor));
                if last {
                    self.watch.given_back(&lease);
                }
            }
            (of_ledger, of_model) => panic!("the ledger: {of_ledger:?}, the model: {of_model:?}"),
        }
    }

    async fn register(&mut self, of: usize, name: usize, token: usize, on_ios: bool) {
        self.put(&user(USERS[of]), &device(DEVICES[name]), token, on_ios).await;
    }

    /// The device that a lease is being sent to is registered anew.
    async fn refresh(&mut self, nth: usize, token: usize, on_ios: bool) {
        let Some(held) = from_the_end(&self.held, nth) else { return };
        let Content::Delivery(content) = &held.models.content else { return };
        for name in USERS {
            let devices = self.model.store.devices(APP, &user(name)).await.expect("a read");
            if let Some(sent_to) = devices.iter().find(|device| device.registration.target == content.target)
            {
                return self.put(&sent_to.user, &sent_to.id, token, on_ios).await;
            }
        }
    }

    async fn put(&self, user: &UserId, device: &DeviceId, token: usize, on_ios: bool) {
        let registration = if on_ios { ios(TOKENS[token]) } else { android(TOKENS[token]) };
        let (ledgers, models) = self.sides();
        let of_ledger = ledgers.store.put_device(APP, user, device, &registration).await;
        let of_model = models.store.put_device(APP, user, device, &registration).await;
        assert_eq!(of_ledger.expect("a registration"), of_model.expect("a registration"));
    }

    async fn delete_device(&mut self, of: usize, name: usize) {
        let (ledgers, models) = self.sides();
        let (user, device) = (user(USERS[of]), device(DEVICES[name]));
        let of_ledger = ledgers.store.delete_device(APP, &user, &device).await.expect("a delete");
        let of_model = models.store.delete_device(APP, &user, &device).await.expect("a delete");
        assert_eq!(of_ledger, of_model);
    }

    async fn selection(&self, which: Which) -> Option<Selection> {
        Some(match which {
            Which::Notification { nth } => {
                Selection::Notification(APP, from_the_end(&self.accepted, nth)?.notification.id)
            }
            Which::Delivery { nth } => {
                Selection::Delivery(APP, *from_the_end(&self.deliveries().await, nth)?)
            }
            Which::User { user: of } => Selection::User(APP, user(USERS[of])),
            Which::All => Selection::App(APP),
        })
    }

    async fn deliveries(&self) -> Vec<DeliveryId> {
        let picture = self.model.side.picture(&self.ids()).await;
        picture.deliveries.values().flatten().map(|(view, _)| view.id).collect()
    }

    async fn end(&mut self, selection: Option<Selection>, reason: Reason) {
        let Some(selection) = selection else { return };
        let (ledgers, models) = self.sides();
        let of_ledger = ledgers.ledger.end(selection.clone(), reason, None, 1000).await.expect("an end");
        let of_model = models.ledger.end(selection, reason, None, 1000).await.expect("an end");
        assert_eq!(of_ledger, of_model);
    }

    async fn wipe(&mut self) {
        let Some(server) = self.stage.queue_server().await else { return };
        (server.wipe)();
        self.stage.rebuild().await;
        self.model.queue.wipe();
        self.fill_the_models_queue(None).await;
        self.watch.leases_lost();
    }

    async fn restart(&mut self) {
        self.worker += 1;
        self.stage.restart().await;
        if !self.stage.leases_survive_restart() {
            self.model.queue.end_leases();
            self.watch.leases_lost();
        }
    }

    /// Works through everything that is left, by the rules. Afterwards nothing is open.
    async fn finish(&mut self) {
        self.stage.drain(|_| false).await;
        let (ledgers, _) = self.sides();
        let picture = ledgers.picture(&self.ids()).await;
        for view in picture.notifications.values() {
            assert!(!view.state.is_open(), "{view:?} is lost");
        }
        for (view, _) in picture.deliveries.values().flatten() {
            assert!(!view.state.is_open(), "{view:?} is lost");
        }
        self.watch.look(picture, Step::Ordinary);
    }
}

/// The settlement of leased work; a fan-out has fewer ways to end.
fn settlement(work: &Work, came: Came) -> Settlement {
    let end = |state, reason| {
        let change = Change::End(EndAs { state, reason });
        Settlement { lease: work.lease.clone(), change }
    };
    let dead = |outcome, reason| attempted(work, outcome, Next::Dead(reason));
    let unavailable = Outcome::Unavailable { retry_after_ms: None };
    match (&work.content, came) {
        (_, Came::Abandoned) => abandoned(work),
        (Content::FanOut(_), Came::WouldExpire) => end(DeliveryState::Expired, Reason::TtlEnded),
        (Content::FanOut(_), Came::Failed { delay_ms, .. }) => postponed(work, delay_ms),
        (Content::FanOut(_), _) => postponed(work, 1000),
        (Content::Delivery(_), Came::Delivered) => delivered(work),
        (Content::Delivery(_), Came::Failed { delay_ms, counted }) => {
            attempted(work, unavailable, Next::Retry { delay_ms, counted })
        }
        (Content::Delivery(_), Came::Rejected) => dead(Outcome::Rejected, Reason::Rejected),
        (Content::Delivery(_), Came::Unregistered) => dead(Outcome::Unregistered, Reason::Unregistered),
        (Content::Delivery(_), Came::Malformed) => dead(Outcome::MalformedTarget, Reason::MalformedTarget),
        (Content::Delivery(_), Came::Exhausted) => dead(unavailable, Reason::AttemptsExhausted),
        (Content::Delivery(_), Came::WouldExpire) => attempted(work, unavailable, Next::Expire),
    }
}

fn ids_of(work: &[Work]) -> BTreeSet<ItemId> {
    work.iter().map(|work| work.lease.id).collect()
}

fn sorted(mut waiting: Vec<(Route, u64)>) -> Vec<(Route, u64)> {
    waiting.sort();
    waiting
}

/// The `nth` from the end, modulo how many there are.
fn from_the_end<T>(items: &[T], nth: usize) -> Option<&T> {
    items.len().checked_sub(1).map(|last| &items[last - nth % items.len()])
}
