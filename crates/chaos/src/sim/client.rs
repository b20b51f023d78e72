//! Callers and operators: they do what the script says, on whichever process answers, and enter into the book what
//! they asked for and what they were told.

mod forget;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pabal_core::clock::{Clock, Timestamp};
use pabal_core::delivery::Reason;
use pabal_core::device::{Registration, Target};
use pabal_core::ids::{IdempotencyKey, NotificationId, RedriveId};
use pabal_core::message::Message;
use pabal_core::notification::{Notification, Recipients};
use pabal_core::route::ChannelKind;
use pabal_core::seam::store::NewRedrive;
use pabal_core::seam::{Acceptance, Answer, DeadFilter, Idempotency, Selection};
use pabal_core::steps::complete_now;
use pabal_core::{Error, Result};
use pabal_engine::Engine;

use super::eyes::APP;
use super::invariant::Invariant;
use super::names;
use super::node::{Node, Running};
use super::script::{Event, NewDevice, Order, To, WhichClock};
use super::servers::Servers;
use super::witness::book::covers;
use super::witness::state::During;
use super::world::World;

/// How often a caller repeats a request that got no answer.
const REPEATS_MAX: usize = 6;
/// What stands for a request's body where it is another than its order's.
const OTHER_BODY: u8 = 255;

/// Everybody outside the processes.
pub(crate) struct Client {
    world: Arc<World>,
    servers: Arc<Servers>,
    nodes: Vec<Arc<Node>>,
    registrations: AtomicUsize,
    /// When each order is to be sent, once it was asked for: a repeated request says the same.
    send_at: Mutex<BTreeMap<usize, Timestamp>>,
}

impl Client {
    pub(crate) fn new(world: &Arc<World>, servers: &Arc<Servers>, nodes: &[Arc<Node>]) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(world),
            servers: Arc::clone(servers),
            nodes: nodes.to_vec(),
            registrations: AtomicUsize::new(0),
            send_at: Mutex::default(),
        })
    }

    /// Registers what the script begins with.
    pub(crate) fn register_all(&self) {
        let users = &self.world.plan.script.users;
        for (user, devices) in users.iter().enumerate() {
            for (device, new) in devices.iter().enumerate() {
                self.put(user, device, self.registration(*new));
            }
        }
    }

    /// Does what an event says.
    pub(crate) async fn perform(self: Arc<Self>, event: Event) {
        self.world.log(|| format!("{event:?}"));
        match event {
            Event::Accept(orders) => self.accept(&orders).await,
            Event::Repeat(order) => self.accept(&[order]).await,
            Event::Reuse(order) => self.reuse(order).await,
            Event::CancelOrder(order) => self.cancel_order(order).await,
            Event::CancelOne(order) => self.cancel_one(order).await,
            Event::CancelUser(user) => {
                self.cancel(Selection::User(APP, names::user(user))).await;
            }
            Event::RedriveOrder(order) => self.redrive_order(order).await,
            Event::RedriveAll => self.redrive_all(),
            Event::Purge(order) => self.purge(order).await,
            Event::Erase(user) => self.erase(user).await,
            Event::Put { user, device, new, old_is_gone } => {
                if old_is_gone && let Some(old) = self.address_of(user, device) {
                    self.world.goes(old.address());
                }
                self.put(user, device, self.registration(new));
            }
            Event::Move { from, to } => self.move_address(from, to),
            Event::Delete { user, device } => self.delete(user, device),
            Event::Wipe => self.servers.wipe(),
            Event::SetClock { clock, by_ms } => self.set_clock(clock, by_ms),
            Event::Kill(node) => self.node(node).kill(),
            Event::Stop(node) => self.node(node).ask_to_stop(),
            Event::Recount => self.servers.eyes().recount(),
        }
    }

    async fn accept(&self, orders: &[usize]) {
        for _ in 0..REPEATS_MAX {
            let batch: Vec<Acceptance> = orders.iter().map(|order| self.acceptance(*order)).collect();
            self.world.witness(|witness| {
                for (acceptance, order) in batch.iter().zip(orders) {
                    witness.book.offers(acceptance.notification.id, *order);
                }
            });
            let offered: Vec<NotificationId> =
                batch.iter().map(|acceptance| acceptance.notification.id).collect();
            if let Some(Ok(answers)) = self.ask(|engine| async move { engine.accept(batch).await }).await {
                return self.note_answers(&offered, orders, &answers);
            }
            let all_have_keys = orders.iter().all(|order| self.order(*order).has_key);
            if !all_have_keys || self.world.draw(|dice| dice.chance(200)) {
                return;
            }
            tokio::time::sleep(self.world.draw(|dice| dice.ms(50..=8000))).await;
        }
    }

    fn note_answers(&self, offered: &[NotificationId], orders: &[usize], answers: &[Answer]) {
        self.world.log(|| format!("answered {answers:?}"));
        self.world.witness(|witness| {
            for ((offered, order), answer) in offered.iter().zip(orders).zip(answers) {
                witness.answered_accept(*offered, *order, *answer);
            }
        });
    }

    /// The key of an order that is known to be accepted, with another body.
    async fn reuse(&self, order: usize) {
        if self.world.witness(|witness| witness.book.accepted_as(order)).is_none() {
            return;
        }
        let mut acceptance = self.acceptance(order);
        if let Some(idempotency) = &mut acceptance.idempotency {
            idempotency.body_hash = [OTHER_BODY; 32];
        }
        if let Some(Ok(answers)) =
            self.ask(|engine| async move { engine.accept(vec![acceptance]).await }).await
        {
            self.world.witness(|witness| {
                witness.tally.check(Invariant::ReplaysAcceptOnce, answers == [Answer::KeyReused], || {
                    format!("the key of order {order} with another body was answered {answers:?}")
                });
            });
        }
    }

    async fn cancel_order(&self, order: usize) {
        if let Some(id) = self.world.witness(|witness| witness.book.accepted_as(order)) {
            self.cancel(Selection::Notification(APP, id)).await;
        }
    }

    async fn cancel_one(&self, order: usize) {
        let one = self.world.witness(|witness| {
            let id = witness.book.accepted_as(order)?;
            witness.deliveries().iter().find(|(_, followed)| followed.notification == id).map(|(id, _)| *id)
        });
        if let Some(id) = one {
            self.cancel(Selection::Delivery(APP, id)).await;
        }
    }

    /// Answers whether it was done.
    async fn cancel(&self, selection: Selection) -> bool {
        self.world.witness(|witness| witness.book.asks_to_cancel(selection.clone()));
        let began = self.world.moment().seq;
        let asked = selection.clone();
        let ended = self.ask(|engine| async move { engine.end(asked, Reason::CancelRequested).await }).await;
        let done = matches!(ended, Some(Ok(_)));
        if let Some(Ok(summary)) = ended {
            self.world.log(|| format!("cancelled {} and {} in flight", summary.ended, summary.in_flight));
            self.world.witness(|witness| {
                // What was accepted for a user meanwhile is not covered; what a notification adds meanwhile is.
                let whole = matches!(selection, Selection::Notification(..));
                witness.cancel_is_known(began, |id, followed| {
                    (whole || followed.first_seen < began) && covers(&selection, id, followed)
                });
                if let Selection::Notification(_, id) = selection {
                    witness.cancel_of_notification_is_known(id);
                }
            });
        }
        done
    }

    async fn redrive_order(&self, order: usize) {
        if let Some(id) = self.world.witness(|witness| witness.book.accepted_as(order)) {
            self.redrive(DeadFilter::of_notification(id)).await;
        }
    }

    /// Asks for a job, as the API does: it is kept in the store, and whichever process runs then works on it.
    fn redrive_all(&self) {
        let (random, rate_per_s) = self.world.draw(|dice| (dice.bits(), dice.within(1..=200)));
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&random.to_be_bytes());
        let id = RedriveId::new(self.world.store_clock.now(), bytes);
        let rate_per_s = u32::try_from(rate_per_s).unwrap_or(1);
        let new = NewRedrive { id, app: APP, filter: DeadFilter::all(), rate_per_s };
        let put = complete_now("put_redrive", self.servers.store().put_redrive(&new));
        self.must(put.map(drop));
        for running in self.nodes.iter().filter_map(|node| node.running()) {
            running.engine.redrives_changed();
        }
    }

    async fn redrive(&self, filter: DeadFilter) {
        let redriven = self.ask(|engine| async move { engine.redrive(APP, filter, None, 100).await }).await;
        if let Some(Ok(redriven)) = redriven {
            self.world.log(|| format!("redrove {}", redriven.reopened.len()));
        }
    }

    /// Asks a process; `None` where none runs, or it died before it answered.
    async fn ask<T, F>(&self, question: impl FnOnce(Arc<Engine>) -> F) -> Option<Result<T, Error>>
    where
        F: Future<Output = Result<T>>,
    {
        self.on_process(|running| question(running.engine)).await
    }

    async fn on_process<T, F>(&self, question: impl FnOnce(Running) -> F) -> Option<Result<T, Error>>
    where
        F: Future<Output = Result<T>>,
    {
        let running: Vec<Running> = self.nodes.iter().filter_map(|node| node.running()).collect();
        if running.is_empty() {
            return None;
        }
        let running = self.world.draw(|dice| dice.pick(&running).clone());
        let gate = Arc::clone(&running.gate);
        tokio::select! {
            biased;
            () = gate.ended() => None,
            answer = question(running) => Some(answer),
        }
    }

    fn put(&self, user: usize, device: usize, registration: Registration) {
        let (user, device) = (names::user(user), names::device(device));
        let put =
            complete_now("put_device", self.servers.store().put_device(APP, &user, &device, &registration));
        self.must(put.map(drop));
        let moment = self.world.moment();
        self.world.witness(|witness| witness.devices.put(&user, &device, &registration, moment));
        self.servers.eyes().open(During::AnyStep);
    }

    fn move_address(&self, from: (usize, usize), to: (usize, usize)) {
        let (user, device) = (names::user(from.0), names::device(from.1));
        let moved = self.world.witness(|witness| witness.devices.registration(&user, &device).cloned());
        if let Some(registration) = moved {
            self.put(to.0, to.1, registration);
        }
    }

    fn delete(&self, user: usize, device: usize) {
        let (user, device) = (names::user(user), names::device(device));
        let deleted = complete_now("delete_device", self.servers.store().delete_device(APP, &user, &device));
        self.must(deleted.map(drop));
        let moment = self.world.moment();
        self.world.witness(|witness| witness.devices.deleted(&user, &device, moment));
        self.servers.eyes().open(During::AnyStep);
    }

    fn set_clock(&self, clock: WhichClock, by_ms: i64) {
        let store_is_queue = !self.world.plan.kind.is_composite();
        // What ends from here on ends by the new time, and what has ended by the old.
        self.servers.eyes().everything();
        let moment = self.world.moment();
        self.world.witness(|witness| {
            if clock == WhichClock::Store {
                witness.store_is_set(moment);
            }
            if by_ms < 0 && (clock == WhichClock::Queue || (clock == WhichClock::Store && store_is_queue)) {
                witness.queue_is_set_back(moment);
            }
        });
        match clock {
            WhichClock::Store => self.world.store_clock.set_by(by_ms),
            WhichClock::Queue => self.world.queue_clock.set_by(by_ms),
            WhichClock::Node => self.world.node_clock.set_by(by_ms),
        }
        self.servers.eyes().everything();
    }

    /// What the directory does for an operator never fails in a sound world.
    fn must(&self, done: Result<()>) {
        if let Err(error) = done {
            self.world.witness(|witness| {
                witness.tally.check(Invariant::NothingBreaks, false, || format!("{error}"))
            });
        }
    }

    fn address_of(&self, user: usize, device: usize) -> Option<Target> {
        let (user, device) = (names::user(user), names::device(device));
        self.world.witness(|witness| witness.devices.registration(&user, &device).map(|it| it.target.clone()))
    }

    fn registration(&self, new: NewDevice) -> Registration {
        names::registration(new, self.registrations.fetch_add(1, Ordering::SeqCst))
    }

    fn node(&self, number: usize) -> &Node {
        &self.nodes[number % self.nodes.len()]
    }

    fn order(&self, number: usize) -> &Order {
        &self.world.plan.script.orders[number]
    }

    fn acceptance(&self, number: usize) -> Acceptance {
        let order = self.order(number);
        let random = self.world.draw(|dice| {
            let mut random = [0; 10];
            random[..8].copy_from_slice(&dice.bits().to_be_bytes());
            random[8..].copy_from_slice(&dice.bits().to_be_bytes()[..2]);
            random
        });
        let now = self.world.store_clock.now();
        let send_at = order.delay.map(|delay| self.send_at(number, now, delay));
        let notification = Notification {
            id: NotificationId::new(now, random),
            app: APP,
            recipients: recipients(&order.to),
            message: Arc::new(Message { title: Some(format!("order {number}")), ..Message::default() }),
            lane: order.lane,
            channels: None,
            ttl_ms: order.ttl_ms,
            send_at,
        };
        let idempotency = order.has_key.then(|| Idempotency {
            key: IdempotencyKey::new(format!("order-{number}")).expect("a short key"),
            body_hash: [u8::try_from(number).unwrap_or(OTHER_BODY - 1); 32],
        });
        Acceptance { notification, idempotency }
    }

    fn send_at(&self, order: usize, now: Timestamp, delay: Duration) -> Timestamp {
        let later = now.plus_ms(i64::try_from(delay.as_millis()).unwrap_or(0));
        *self.send_at.lock().unwrap_or_else(PoisonError::into_inner).entry(order).or_insert(later)
    }
}

fn recipients(to: &To) -> Recipients {
    let literal =
        |target| Recipients::Literal { channel: ChannelKind::Fcm, credential: names::project(0), target };
    match to {
        To::Users(users) => Recipients::users(users.iter().map(|user| names::user(*user)).collect())
            .expect("a script names each user once"),
        To::Device(user, device) => {
            Recipients::Device { user: names::user(*user), device: names::device(*device) }
        }
        To::Token(kind, number) => literal(names::token(*kind, &[1000 + number])),
        To::Topic => literal(Target::FcmTopic(names::TOPIC.to_owned())),
    }
}
