//! What all parts of one simulated world share: its plan, its clocks, its chance, its witness and its log.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pabal_core::clock::Clock;
use tokio::time::Instant;

use super::clock::SimClock;
use super::dice::Dice;
use super::gate::Gate;
use super::plan::{Part, Plan, stream};
use super::witness::{Limits, Moment, Witness};

/// Calls over seams after which a world counts as one that never comes to rest.
const STEPS_MAX: u64 = 300_000;
/// Looks at a channel's capacity, which cost no call, after which the same holds.
const LOOKS_MAX: u64 = 20_000_000;

/// One simulated world.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) store_clock: Arc<SimClock>,
    /// The same as the store's where both are one server.
    pub(crate) queue_clock: Arc<SimClock>,
    pub(crate) node_clock: Arc<SimClock>,
    began: Instant,
    dice: Mutex<Dice>,
    witness: Mutex<Witness>,
    log: Mutex<Option<Vec<String>>>,
    /// Addresses that the provider has come to call gone.
    gone: Mutex<BTreeSet<String>>,
    /// Whose call is taking effect.
    caller: Mutex<Option<Arc<Gate>>>,
    effects: AtomicU64,
    steps: AtomicU64,
    looks: AtomicU64,
    crashes: AtomicU32,
}

impl World {
    /// A world that begins now; `logs` says whether events are kept.
    pub(crate) fn new(plan: Plan, logs: bool) -> Arc<Self> {
        let store_clock = Arc::new(SimClock::new());
        let composite = plan.kind.is_composite();
        let queue_clock = if composite { Arc::new(SimClock::new()) } else { Arc::clone(&store_clock) };
        let limits = Limits {
            attempts_in_flight_max: plan.engine.attempts_in_flight_max,
            attempts_in_flight_per_route_max: plan.engine.attempts_in_flight_per_route_max,
            attempts_max: plan.engine.retry_default.attempts_max,
            credential_probe_ms: plan.engine.retry_default.credential_probe_ms,
            claim_takes_ms_max: plan.faults.call_takes_ms_max(),
        };
        let mut witness = Witness::new(limits);
        witness.book.open(&plan.script.orders);
        Arc::new(Self {
            store_clock,
            queue_clock,
            node_clock: Arc::new(SimClock::new()),
            began: Instant::now(),
            dice: Mutex::new(Dice::new(plan.seed, stream::FAULTS)),
            witness: Mutex::new(witness),
            log: Mutex::new(logs.then(Vec::new)),
            gone: Mutex::default(),
            caller: Mutex::default(),
            effects: AtomicU64::new(0),
            steps: AtomicU64::new(0),
            looks: AtomicU64::new(0),
            crashes: AtomicU32::new(0),
            plan,
        })
    }

    /// The time since the world began.
    pub(crate) fn at(&self) -> Duration {
        self.began.elapsed()
    }

    /// The moment of an effect.
    pub(crate) fn moment(&self) -> Moment {
        Moment {
            seq: self.effects.fetch_add(1, Ordering::SeqCst),
            at: self.at(),
            store: self.store_clock.now(),
            queue: self.queue_clock.now(),
        }
    }

    /// Whether nothing goes wrong any more.
    pub(crate) fn is_quiet(&self) -> bool {
        self.at() >= self.plan.quiet_at
    }

    pub(crate) fn is_away(&self, part: Part) -> bool {
        self.plan.is_away(part, self.at())
    }

    /// Draws for what goes wrong.
    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut Dice) -> T) -> T {
        draw(&mut lock(&self.dice))
    }

    /// True so often in a thousand, and never once the world is quiet.
    pub(crate) fn fault(&self, per_mille: u32) -> bool {
        per_mille > 0 && !self.is_quiet() && self.draw(|dice| dice.chance(per_mille))
    }

    /// Whether another crash fits into the plan; counts it if so.
    pub(crate) fn takes_crash(&self) -> bool {
        let max = self.plan.faults.crashes_max;
        self.crashes
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |made| (made < max).then_some(made + 1))
            .is_ok()
    }

    /// Tells the witness, or asks it.
    pub(crate) fn witness<T>(&self, tell: impl FnOnce(&mut Witness) -> T) -> T {
        let mut witness = lock(&self.witness);
        let known = witness.tally.violations().len();
        let answer = tell(&mut witness);
        for broken in witness.tally.violations().iter().skip(known) {
            self.log(|| format!("VIOLATION of {}: {}", broken.invariant.name(), broken.what));
        }
        answer
    }

    /// Keeps an event, if events are kept.
    pub(crate) fn log(&self, event: impl FnOnce() -> String) {
        if let Some(log) = lock(&self.log).as_mut() {
            log.push(format!("{:>9.3} {}", self.at().as_secs_f64(), event()));
        }
    }

    /// The events that were kept.
    pub(crate) fn events(&self) -> Vec<String> {
        lock(&self.log).take().unwrap_or_default()
    }

    /// Another call; false once there were too many for a world that comes to rest.
    pub(crate) fn step(&self) -> bool {
        self.steps.fetch_add(1, Ordering::SeqCst) < STEPS_MAX
    }

    /// Another look at a channel's capacity; false once there were too many.
    pub(crate) fn looks(&self) -> bool {
        self.looks.fetch_add(1, Ordering::SeqCst) < LOOKS_MAX
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.steps.load(Ordering::SeqCst) >= STEPS_MAX
    }

    /// A process's call takes effect, or has.
    pub(crate) fn set_caller(&self, caller: Option<Arc<Gate>>) {
        *lock(&self.caller) = caller;
    }

    /// Whose call is taking effect; nobody's when the world itself acts.
    pub(crate) fn caller(&self) -> Option<Arc<Gate>> {
        lock(&self.caller).clone()
    }

    /// From now on the provider calls an address gone.
    pub(crate) fn goes(&self, address: &str) {
        lock(&self.gone).insert(address.to_owned());
    }

    pub(crate) fn is_gone(&self, address: &str) -> bool {
        lock(&self.gone).contains(address)
    }
}

/// A lock that a panicking task may have left: the panic is reported by itself.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
