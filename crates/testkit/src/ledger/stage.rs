//! The stage on which ledger cases play: a harness, and the moves that most of them make.

use std::sync::Arc;

use pabal_core::clock::{Clock, Timestamp};
use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::device::Registration;
use pabal_core::ids::{DeliveryId, ItemId, NotificationId};
use pabal_core::limits;
use pabal_core::notification::NotificationState;
use pabal_core::route::Route;
use pabal_core::seam::store::{AttemptView, DeliveryView, NotificationView};
use pabal_core::seam::{
    Acceptance, AcceptedItem, Answer, Claim, Claimed, Content, EndSummary, Ledger, Page, Paged, Scan,
    Selection, Settled, SettledItem, Settlement, Store, Want, Work, Worker,
};

use super::{LedgerHarness, QueueServer};
use crate::TestClock;
use crate::fixtures::{
    APP, Draft, HOUR_MS, VISIBILITY_MS, abandoned, all_routes, delivered, device, notification_id, user,
};

/// Longer than any enqueue can still be under way: what is overdue by this much and not queued is a gap.
pub const OVERDUE_MS: u64 = 31_000;

/// A harness in use.
pub struct Stage<H> {
    harness: H,
    worker: u64,
    notifications: u64,
}

impl<H: LedgerHarness> Stage<H> {
    /// Opens the ledger as a server does at its start: the queue is filled before anything else.
    pub async fn open(harness: H) -> Self {
        let mut stage = Self { harness, worker: 1, notifications: 0 };
        stage.rebuild().await;
        stage
    }

    /// The ledger.
    pub fn ledger(&self) -> Arc<dyn Ledger> {
        self.harness.ledger()
    }

    /// The store.
    pub fn store(&self) -> Arc<dyn Store> {
        self.harness.store()
    }

    /// The clock of the store's server.
    pub fn clock(&self) -> TestClock {
        self.harness.clock()
    }

    /// The time by that clock.
    pub fn now(&self) -> Timestamp {
        self.clock().now()
    }

    /// The clock by which leases and due times go.
    pub fn queue_clock(&self) -> TestClock {
        self.harness.queue_server().map_or_else(|| self.clock(), |server| server.clock)
    }

    /// Lets time pass everywhere.
    pub fn advance(&self, ms: u64) {
        self.clock().advance(ms);
    }

    /// The queue's server, where it is one of its own. Where it is not, asserts what that means: the queue can't be
    /// lost apart from the store, and there is never anything to reconcile.
    pub async fn queue_server(&self) -> Option<QueueServer> {
        let server = self.harness.queue_server();
        if server.is_none() {
            let reconciled = self.ledger().reconcile(Scan::default(), 1000).await.expect("a step");
            assert_eq!((reconciled.repaired, reconciled.rebuilding), (0, false), "both are one");
        }
        server
    }

    /// Whether leases outlive the process that holds them.
    pub fn leases_survive_restart(&self) -> bool {
        self.harness.leases_survive_restart()
    }

    /// Kills the process, and starts another.
    pub async fn restart(&mut self) {
        self.worker += 1;
        self.harness.restart().await;
        self.rebuild().await;
    }

    /// Kills the process, starts another, and waits until what it had leased can be claimed again.
    pub async fn crash(&mut self) {
        self.restart().await;
        if self.leases_survive_restart() {
            self.advance(VISIBILITY_MS);
        }
    }

    /// Has the queue held against the store until it is complete.
    pub async fn rebuild(&mut self) {
        let mut scan = Scan::default();
        for _ in 0..1000 {
            let reconciled = self.ledger().reconcile(scan, 500).await.expect("a step of reconciling");
            if !reconciled.rebuilding {
                return;
            }
            scan = reconciled.scan;
        }
        panic!("the rebuild does not end");
    }

    /// Has all overdue work held against the queue, as the reconciler does in the course of time.
    pub async fn reconcile_overdue(&mut self) -> u64 {
        let (mut scan, mut repaired) = (Scan::default(), 0);
        for _ in 0..20 {
            let reconciled = self.ledger().reconcile(scan, 500).await.expect("a step of reconciling");
            (scan, repaired) = (reconciled.scan, repaired + reconciled.repaired);
        }
        repaired
    }

    /// Registers a device.
    pub async fn register(&self, of: &str, name: &str, registration: Registration) {
        let put = self.store().put_device(APP, &user(of), &device(name), &registration).await;
        put.expect("a registration");
    }

    /// The next notification's id.
    pub fn next_id(&mut self) -> NotificationId {
        self.notifications += 1;
        notification_id(self.notifications)
    }

    /// Accepts a notification under the next id.
    pub async fn accept(&mut self, draft: Draft) -> NotificationId {
        let id = self.next_id();
        let item = self.accept_as(draft.build(id)).await;
        assert!(matches!(item.answer, Answer::Accepted { id: answered, .. } if answered == id), "{item:?}");
        id
    }

    /// Accepts one acceptance.
    pub async fn accept_as(&self, acceptance: Acceptance) -> AcceptedItem {
        let accepted = self.ledger().accept(vec![acceptance], None).await.expect("an accept");
        assert_eq!((accepted.items.len(), accepted.taken.len()), (1, 0));
        accepted.items.into_iter().next().expect("one answer")
    }

    /// Accepts a notification that has one delivery, and answers that delivery's id.
    pub async fn accept_one(&mut self, draft: Draft) -> DeliveryId {
        let id = self.accept(draft).await;
        let deliveries = self.deliveries(id).await;
        assert_eq!(deliveries.len(), 1, "{deliveries:?}");
        deliveries[0].id
    }

    /// The claim of ordinary work that is due anywhere.
    pub fn everything(&self) -> Claim {
        let routes = all_routes().into_iter().map(|route| (route, limits::CLAIM_MAX)).collect();
        self.claim_for(Want::Ordinary(routes))
    }

    /// A claim by the process that runs now.
    pub fn claim_for(&self, want: Want) -> Claim {
        Claim { want, worker: Worker(self.worker), visibility_ms: VISIBILITY_MS }
    }

    /// Claims whatever ordinary work is due.
    pub async fn claim(&self) -> Vec<Work> {
        self.claim_all().await.work
    }

    /// Claims whatever ordinary work is due, with all that the ledger says of it.
    pub async fn claim_all(&self) -> Claimed {
        self.ledger().claim(self.everything()).await.expect("a claim")
    }

    /// Claims whatever ordinary work is due on one route.
    pub async fn claim_on(&self, route: &Route) -> Claimed {
        let claim = self.claim_for(Want::Ordinary(vec![(route.clone(), limits::CLAIM_MAX)]));
        self.ledger().claim(claim).await.expect("a claim")
    }

    /// Claims what must be the only thing due.
    pub async fn claim_one(&self) -> Work {
        let mut work = self.claim().await;
        assert_eq!(work.len(), 1, "one thing is due: {work:?}");
        work.remove(0)
    }

    /// Claims suspects of any route.
    pub async fn claim_suspects(&self) -> Claimed {
        let claim = self.claim_for(Want::Suspects(all_routes()));
        self.ledger().claim(claim).await.expect("a claim of suspects")
    }

    /// Settles one lease.
    pub async fn settle(&self, settlement: Settlement) -> SettledItem {
        let mut items = self.ledger().settle(vec![settlement]).await.expect("a settle");
        assert_eq!(items.len(), 1, "one answer for one settlement");
        items.remove(0)
    }

    /// Settles one lease, which must be recorded and still its holder's.
    pub async fn settle_well(&self, settlement: Settlement) {
        assert_eq!(self.settle(settlement).await.settled, Settled::Settled);
    }

    /// Resolves up to so many users of a leased fan-out, from where it was loaded.
    pub async fn page(&self, work: &Work, users_max: usize) -> Paged {
        let from = crate::fixtures::fan_out(work).cursor.clone();
        let page = Page { lease: work.lease.clone(), from, users_max };
        self.ledger().page(page).await.expect("a page")
    }

    /// Pages a leased fan-out to its end.
    pub async fn page_to_the_end(&self, work: &Work) {
        let mut from = crate::fixtures::fan_out(work).cursor.clone();
        for _ in 0..limits::USERS_MAX {
            let page = Page { lease: work.lease.clone(), from, users_max: limits::FAN_OUT_PAGE_USERS };
            match self.ledger().page(page).await.expect("a page") {
                Paged::Made { last: true, .. } | Paged::Refused => return,
                Paged::Made { cursor, .. } => from = cursor,
            }
        }
        panic!("the pages don't end");
    }

    /// Cancels open work.
    pub async fn cancel(&self, selection: Selection) -> EndSummary {
        self.end(selection, Reason::CancelRequested).await
    }

    /// Ends open work, in one step that must be enough.
    pub async fn end(&self, selection: Selection, reason: Reason) -> EndSummary {
        let ended = self.ledger().end(selection, reason, None, 1000).await.expect("an end");
        assert_eq!(ended.next, None, "one step is enough");
        ended
    }

    /// Works through everything, delivering at the first attempt, until nothing waits. Work for which `kills` holds is
    /// never settled: its process dies.
    pub async fn drain(&mut self, kills: impl Fn(&Work) -> bool) {
        let mut idle_rounds = 0;
        for _ in 0..10_000 {
            let claimed = self.next_work().await;
            let Claimed { work, next_due_in_ms, suspects_waiting, dropped, waiting, .. } = claimed;
            if dropped > 0 {
                self.advance(OVERDUE_MS);
                self.reconcile_overdue().await;
            }
            if work.iter().any(|work| kills(work) && !is_hopeless(work)) {
                self.crash().await;
                continue;
            }
            for work in &work {
                self.work_off(work).await;
            }
            if !work.is_empty() || suspects_waiting || dropped > 0 || !waiting.is_empty() {
                continue;
            }
            // A suspect is in no due time: after a step of the clock one may still have to wait.
            idle_rounds = if next_due_in_ms.is_some() { 0 } else { idle_rounds + 1 };
            if idle_rounds == 2 {
                return;
            }
            self.advance(next_due_in_ms.unwrap_or(2 * HOUR_MS));
        }
        panic!("the work does not end");
    }

    /// Ordinary work, or else suspects.
    async fn next_work(&self) -> Claimed {
        let ordinary = self.claim_all().await;
        if ordinary.work.is_empty() && ordinary.suspects_waiting {
            return self.claim_suspects().await;
        }
        ordinary
    }

    /// Delivers, pages to the end, or gives up, by the rules.
    async fn work_off(&self, work: &Work) {
        match &work.content {
            _ if is_hopeless(work) => self.settle_well(abandoned(work)).await,
            Content::FanOut(_) => self.page_to_the_end(work).await,
            Content::Delivery(_) => self.settle_well(delivered(work)).await,
        }
    }

    /// A notification, as the API shows it.
    pub async fn notification(&self, id: NotificationId) -> NotificationView {
        self.store().notification(APP, id).await.expect("a read").expect("it was accepted")
    }

    /// The state of a notification.
    pub async fn notification_state(&self, id: NotificationId) -> NotificationState {
        self.notification(id).await.state
    }

    /// All deliveries of a notification.
    pub async fn deliveries(&self, id: NotificationId) -> Vec<DeliveryView> {
        self.store().deliveries(APP, id, None, 10_000).await.expect("a read")
    }

    /// A delivery with its timeline.
    pub async fn delivery(&self, id: DeliveryId) -> (DeliveryView, Vec<AttemptView>) {
        self.store().delivery(APP, id).await.expect("a read").expect("it exists")
    }

    /// How a delivery stands.
    pub async fn state(&self, id: DeliveryId) -> (DeliveryState, Option<Reason>) {
        let (view, _) = self.delivery(id).await;
        (view.state, view.reason)
    }

    /// Asserts that nothing can be claimed, now or later.
    pub async fn assert_nothing_waits(&self) {
        let first = self.claim_all().await;
        assert!(first.work.is_empty(), "{:?}", first.work);
        // What the first claim found to be over is gone by the second.
        let second = self.claim_all().await;
        let left = (second.work.len(), second.next_due_in_ms, second.suspects_waiting);
        assert_eq!(left, (0, None, false));
    }

    /// How many entries the queue holds on a route.
    pub async fn queued_on(&self, route: &Route) -> u64 {
        let counts = self.ledger().counts().await.expect("counts");
        counts.iter().filter(|count| count.route == *route).map(|count| count.entries).sum()
    }
}

/// Whether every process that tried this work died.
fn is_hopeless(work: &Work) -> bool {
    work.lease.abandoned >= limits::ABANDONED_MAX
}

/// The delivery that work is about.
pub(super) fn delivery_of(work: &Work) -> DeliveryId {
    match work.lease.id {
        ItemId::Delivery(id) => id,
        ItemId::FanOut(id) => panic!("{id} is a fan-out"),
    }
}
