//! A stage: an engine over memory, with a channel that plays a script and writes down what arrives.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use pabal_core::chance::SeededChance;
use pabal_core::clock::{Clock, Timestamp};
use pabal_core::delivery::DeliveryState;
use pabal_core::ids::{AppId, DeliveryId};
use pabal_core::outcome::{Outcome, Report};
use pabal_core::route::{ChannelKind, Credential};
use pabal_core::seam::store::DeliveryView;
use pabal_core::seam::{
    Acceptance, Answer, Channel, Directory, History, Ledger, Outbound, Pauses, Retention,
};
use pabal_engine::{Composite, Engine, EngineConfig, Parts};
use pabal_memory::{MemoryLedger, MemoryQueue, MemoryStore};
use pabal_testkit::clock::START;
use pabal_testkit::fixtures::{android, device, ios, notification_id, user};
use pabal_testkit::{eventually, fixtures};
use tokio::time::Instant;

/// A wall clock that moves with Tokio's, which tests pause.
pub(crate) struct RuntimeClock(pub(crate) Instant);

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        START.plus_ms(i64::try_from(self.0.elapsed().as_millis()).unwrap())
    }
}

/// What the script says to one send.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Line {
    /// Answers so, at once.
    Answer(Outcome),
    /// Answers so, after so long.
    AnswerAfter(Outcome, Duration),
    /// Never answers.
    Hang,
}

type Script = Box<dyn Fn(&Outbound, usize) -> Line + Send + Sync>;

/// A channel that plays a script: a function of what is sent and of how often it was sent before.
pub(crate) struct Scripted {
    script: Script,
    sent: Mutex<BTreeMap<DeliveryId, Vec<Instant>>>,
    pub(crate) under_way: tokio::sync::watch::Sender<usize>,
    most_at_once: Mutex<usize>,
    pub(crate) capacity: AtomicUsize,
}

impl Scripted {
    pub(crate) fn new(script: impl Fn(&Outbound, usize) -> Line + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            script: Box::new(script),
            sent: Mutex::default(),
            under_way: tokio::sync::watch::channel(0).0,
            most_at_once: Mutex::new(0),
            capacity: AtomicUsize::new(usize::MAX),
        })
    }

    /// When each send of a delivery began.
    pub(crate) fn sends(&self, id: DeliveryId) -> Vec<Instant> {
        self.sent.lock().unwrap().get(&id).cloned().unwrap_or_default()
    }

    /// All sends together.
    pub(crate) fn total(&self) -> usize {
        self.sent.lock().unwrap().values().map(Vec::len).sum()
    }

    pub(crate) fn most_at_once(&self) -> usize {
        *self.most_at_once.lock().unwrap()
    }
}

/// Counts a send as under way until it is dropped.
struct UnderWay<'a>(&'a Scripted);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.send_modify(|count| *count -= 1);
    }
}

#[async_trait]
impl Channel for Scripted {
    async fn send(&self, outbound: &Outbound) -> Report {
        let times = {
            let mut sent = self.sent.lock().unwrap();
            let sends = sent.entry(outbound.delivery).or_default();
            sends.push(Instant::now());
            sends.len() - 1
        };
        self.under_way.send_modify(|count| *count += 1);
        let most = *self.under_way.borrow();
        {
            let mut at_once = self.most_at_once.lock().unwrap();
            *at_once = most.max(*at_once);
        }
        let _under_way = UnderWay(self);
        match (self.script)(outbound, times) {
            Line::Answer(outcome) => Report::of(outcome),
            Line::AnswerAfter(outcome, after) => {
                tokio::time::sleep(after).await;
                Report::of(outcome)
            }
            Line::Hang => std::future::pending().await,
        }
    }

    fn capacity(&self, _credential: &Credential) -> usize {
        self.capacity.load(Ordering::SeqCst)
    }
}

/// What outlives an engine.
pub(crate) struct Stage {
    pub(crate) queue: Arc<MemoryQueue>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    chance: Arc<SeededChance>,
}

impl Stage {
    /// Two users, `mina` with an Android device and an iPhone, `jun` with an Android device.
    pub(crate) async fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(RuntimeClock(Instant::now()));
        let chance = Arc::new(SeededChance::from_seed(7));
        let queue = Arc::new(MemoryQueue::new(Arc::clone(&clock)));
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock), &*chance));
        let registrations = [
            (user("mina"), device("phone"), android("mina-1")),
            (user("mina"), device("tablet"), ios("mina-2")),
            (user("jun"), device("phone"), android("jun-1")),
        ];
        store.put_devices(AppId::DEFAULT, &registrations).await.unwrap();
        let ledger = Arc::new(Composite::new(queue.clone(), store.clone(), chance.clone()));
        Self { queue, store, ledger, clock, chance }
    }

    /// Queue and store as one ledger, which leases on accept.
    pub(crate) fn one(&self) -> Arc<dyn Ledger> {
        Arc::new(MemoryLedger::new(self.queue.clone(), self.store.clone()))
    }

    pub(crate) async fn engine(&self, channel: &Arc<Scripted>) -> Engine {
        self.engine_with(channel, self.ledger.clone(), |_| {}).await
    }

    pub(crate) async fn engine_with(
        &self,
        channel: &Arc<Scripted>,
        ledger: Arc<dyn Ledger>,
        change: impl FnOnce(&mut EngineConfig),
    ) -> Engine {
        self.start(channel, ledger, self.store.clone(), change).await
    }

    /// An engine whose pruner works on `retention`.
    pub(crate) async fn engine_keeping(
        &self,
        channel: &Arc<Scripted>,
        retention: Arc<dyn Retention>,
        change: impl FnOnce(&mut EngineConfig),
    ) -> Engine {
        self.start(channel, self.one(), retention, change).await
    }

    async fn start(
        &self,
        channel: &Arc<Scripted>,
        ledger: Arc<dyn Ledger>,
        retention: Arc<dyn Retention>,
        change: impl FnOnce(&mut EngineConfig),
    ) -> Engine {
        let mut config = EngineConfig::standard().unwrap();
        change(&mut config);
        let channel: Arc<dyn Channel> = channel.clone();
        let pauses: Arc<dyn Pauses> = self.store.clone();
        let parts = Parts {
            ledger,
            pauses,
            dead_letters: self.store.clone(),
            retention,
            channels: [(ChannelKind::Fcm, channel)].into(),
            clock: Arc::clone(&self.clock),
            chance: self.chance.clone(),
        };
        Engine::start(parts, config).await.unwrap()
    }

    /// The deliveries of the notification number `n`.
    pub(crate) async fn deliveries(&self, n: u64) -> Vec<DeliveryView> {
        self.store.deliveries(AppId::DEFAULT, notification_id(n), None, 1000).await.unwrap()
    }

    /// Waits until all deliveries of the notification number `n` have ended, and gives them.
    pub(crate) async fn ended(&self, n: u64) -> Vec<DeliveryView> {
        eventually("all deliveries to end", || async {
            let deliveries = self.deliveries(n).await;
            let ended = !deliveries.is_empty() && deliveries.iter().all(|delivery| !delivery.state.is_open());
            ended.then_some(deliveries)
        })
        .await
    }
}

/// Accepts one draft as the notification number `n`.
pub(crate) async fn accept(engine: &Engine, n: u64, draft: fixtures::Draft) -> Answer {
    accept_built(engine, draft.build(notification_id(n))).await
}

pub(crate) async fn accept_built(engine: &Engine, acceptance: Acceptance) -> Answer {
    engine.accept(vec![acceptance]).await.unwrap()[0]
}

pub(crate) fn states(deliveries: &[DeliveryView]) -> Vec<DeliveryState> {
    deliveries.iter().map(|delivery| delivery.state).collect()
}

/// Everything arrives.
pub(crate) fn obliging() -> Arc<Scripted> {
    Scripted::new(|_, _| Line::Answer(Outcome::Delivered))
}
