//! What callers and operators do in a simulated world, and when: drawn in full before anything runs, so that what
//! goes wrong never changes what is asked for.

use std::time::Duration;

use pabal_core::route::{Lane, Platform};

use super::dice::Dice;
use super::plan::{LedgerKind, ms};

/// The order of events, and what they are about.
#[derive(Debug)]
pub(crate) struct Script {
    /// Users, each with the devices that are registered before the start.
    pub(crate) users: Vec<Vec<NewDevice>>,
    pub(crate) orders: Vec<Order>,
    /// By time.
    pub(crate) events: Vec<(Duration, Event)>,
}

/// A registration to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewDevice {
    pub(crate) platform: Platform,
    pub(crate) project: usize,
    pub(crate) token: TokenKind,
}

/// What the provider makes of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TokenKind {
    /// It reaches its device.
    Good,
    /// The provider says that it is gone.
    Gone,
    /// It belongs to another sender.
    Foreign,
    /// It is malformed.
    Malformed,
    /// The provider refuses every message to it.
    Refused,
    /// The provider fails at it for ever.
    Broken,
    /// Whoever sends to it dies.
    Poison,
}

/// A notification that a caller asks for.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) to: To,
    pub(crate) lane: Lane,
    pub(crate) ttl_ms: i64,
    /// How long after the request it is to be sent.
    pub(crate) delay: Option<Duration>,
    pub(crate) has_key: bool,
    /// Whether paging it kills the process.
    pub(crate) is_poison: bool,
}

/// For whom.
#[derive(Debug, Clone)]
pub(crate) enum To {
    Users(Vec<usize>),
    Device(usize, usize),
    Token(TokenKind, usize),
    Topic,
}

/// What happens.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A batch of orders is accepted.
    Accept(Vec<usize>),
    /// An order is sent again with the same key and body.
    Repeat(usize),
    /// Another order is sent with the key of this one.
    Reuse(usize),
    CancelOrder(usize),
    /// One delivery of an order is cancelled.
    CancelOne(usize),
    CancelUser(usize),
    RedriveOrder(usize),
    RedriveAll,
    /// What is dead is purged: of an order, or all.
    Purge(Option<usize>),
    /// A user is erased, their open work cancelled first.
    Erase(usize),
    /// A device is registered, anew or again; the address before it may be gone for the provider.
    Put {
        user: usize,
        device: usize,
        new: NewDevice,
        old_is_gone: bool,
    },
    /// A device is registered with the address of another: a shared phone.
    Move {
        from: (usize, usize),
        to: (usize, usize),
    },
    Delete {
        user: usize,
        device: usize,
    },
    /// The queue's server forgets everything.
    Wipe,
    SetClock {
        clock: WhichClock,
        by_ms: i64,
    },
    /// A process is killed where it is.
    Kill(usize),
    /// A process is asked to stop.
    Stop(usize),
    /// Counters are held against a recount.
    Recount,
}

/// Whose clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhichClock {
    Store,
    Queue,
    Node,
}

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const WEEKS_MS: i64 = 28 * 24 * HOUR_MS;
const DEVICES_MAX: usize = 3;

impl Script {
    /// A script whose events end some time before the world goes quiet.
    pub(crate) fn draw(dice: &mut Dice, forgetting: &mut Dice, kind: LedgerKind, quiet_at: Duration) -> Self {
        let users = (0..dice.count(1..=5)).map(|_| draw_devices(dice)).collect::<Vec<_>>();
        let mut orders: Vec<Order> = (0..dice.count(2..=9)).map(|_| draw_order(dice, users.len())).collect();
        if dice.chance(120) {
            let poisoned = dice.count(0..=orders.len() - 1);
            poison(dice, &mut orders[poisoned]);
        }
        let last_ms = ms(quiet_at) * 9 / 10;
        let mut events = draw_requests(dice, &orders, last_ms);
        events.extend(draw_changes(dice, users.len(), last_ms));
        events.extend(draw_operations(dice, kind, last_ms));
        events.extend(draw_forgetting(forgetting, users.len(), orders.len(), last_ms));
        events.sort_by_key(|(at, _)| *at);
        Self { users, orders, events }
    }
}

fn draw_devices(dice: &mut Dice) -> Vec<NewDevice> {
    (0..dice.count(0..=DEVICES_MAX)).map(|_| draw_device(dice)).collect()
}

fn draw_device(dice: &mut Dice) -> NewDevice {
    NewDevice {
        platform: *dice.pick(&[Platform::Android, Platform::Ios, Platform::Web]),
        project: dice.count(0..=1),
        token: draw_token(dice),
    }
}

fn draw_token(dice: &mut Dice) -> TokenKind {
    use TokenKind::{Broken, Foreign, Gone, Good, Malformed, Refused};
    if dice.chance(780) {
        Good
    } else {
        *dice.pick(&[Gone, Gone, Foreign, Malformed, Refused, Broken, Broken])
    }
}

fn draw_order(dice: &mut Dice, users: usize) -> Order {
    let to = match dice.within(0..=9) {
        0..=4 => {
            let all: Vec<usize> = (0..users).collect();
            let first = dice.count(0..=users - 1);
            To::Users(all.into_iter().cycle().skip(first).take(dice.count(1..=users)).collect())
        }
        5..=6 => To::Device(dice.count(0..=users - 1), dice.count(0..=DEVICES_MAX - 1)),
        7..=8 => To::Token(draw_token(dice), dice.count(0..=1)),
        _ => To::Topic,
    };
    let ttl_ms = match dice.within(0..=9) {
        0 => 0,
        1..=2 => i64::try_from(dice.within(12_000..=40_000)).unwrap_or(WEEKS_MS),
        _ => WEEKS_MS,
    };
    Order {
        to,
        lane: if dice.chance(300) { Lane::Bulk } else { Lane::Transactional },
        ttl_ms,
        delay: dice.chance(400).then(|| dice.ms(1000..=30_000)),
        has_key: dice.chance(600),
        is_poison: false,
    }
}

/// Makes an order one that kills whoever works on it.
fn poison(dice: &mut Dice, order: &mut Order) {
    order.ttl_ms = WEEKS_MS;
    if dice.chance(700) {
        order.to = To::Token(TokenKind::Poison, 0);
    } else {
        order.is_poison = true;
        order.delay = Some(order.delay.unwrap_or(Duration::from_secs(2)));
    }
}

fn draw_requests(dice: &mut Dice, orders: &[Order], last_ms: u64) -> Vec<(Duration, Event)> {
    let mut events = Vec::new();
    let mut next = 0;
    while next < orders.len() {
        let batch: Vec<usize> = (next..orders.len()).take(dice.count(1..=3)).collect();
        next += batch.len();
        let at = dice.ms(0..=last_ms * 2 / 3);
        for &order in batch.iter().filter(|order| orders[**order].has_key) {
            if dice.chance(400) {
                // Often at the same moment: of two at once the second gets the first's answer.
                let again = if dice.chance(300) { at } else { at + dice.ms(0..=20_000) };
                events.push((again, Event::Repeat(order)));
            }
            if dice.chance(100) {
                events.push((at + dice.ms(1..=5000), Event::Reuse(order)));
            }
        }
        for &order in &batch {
            if dice.chance(150) {
                let cancel =
                    if dice.chance(700) { Event::CancelOrder(order) } else { Event::CancelOne(order) };
                events.push((at + dice.ms(0..=15_000), cancel));
            }
            if dice.chance(100) {
                events.push((at + dice.ms(5000..=40_000), Event::RedriveOrder(order)));
            }
        }
        events.push((at, Event::Accept(batch)));
    }
    events
}

fn draw_changes(dice: &mut Dice, users: usize, last_ms: u64) -> Vec<(Duration, Event)> {
    let mut events = Vec::new();
    for _ in 0..dice.count(0..=4) {
        let (user, device) = (dice.count(0..=users - 1), dice.count(0..=DEVICES_MAX - 1));
        let event = match dice.within(0..=9) {
            0..=5 => Event::Put { user, device, new: draw_device(dice), old_is_gone: dice.chance(700) },
            6..=7 => Event::Delete { user, device },
            8 => {
                let to = (dice.count(0..=users - 1), dice.count(0..=DEVICES_MAX - 1));
                Event::Move { from: (user, device), to }
            }
            _ => Event::CancelUser(user),
        };
        events.push((dice.ms(0..=last_ms), event));
    }
    if dice.chance(150) {
        events.push((dice.ms(last_ms / 2..=last_ms), Event::RedriveAll));
    }
    events
}

/// Purges and erasures, each in a part of the worlds and there perhaps several times.
fn draw_forgetting(dice: &mut Dice, users: usize, orders: usize, last_ms: u64) -> Vec<(Duration, Event)> {
    let mut events = Vec::new();
    while dice.chance(250) {
        let order = dice.chance(500).then(|| dice.count(0..=orders - 1));
        events.push((dice.ms(last_ms / 4..=last_ms), Event::Purge(order)));
    }
    while dice.chance(250) {
        events.push((dice.ms(0..=last_ms), Event::Erase(dice.count(0..=users - 1))));
    }
    events
}

fn draw_operations(dice: &mut Dice, kind: LedgerKind, last_ms: u64) -> Vec<(Duration, Event)> {
    let mut events = vec![(dice.ms(0..=last_ms), Event::Recount)];
    while dice.chance(250) {
        let node = dice.count(0..=1);
        let event = if dice.chance(500) { Event::Kill(node) } else { Event::Stop(node) };
        events.push((dice.ms(0..=last_ms), event));
    }
    while kind.is_composite() && dice.chance(250) {
        events.push((dice.ms(0..=last_ms), Event::Wipe));
    }
    while dice.chance(80) {
        let clock = *dice.pick(&[WhichClock::Store, WhichClock::Queue, WhichClock::Node]);
        let by_ms = *dice.pick(&[-HOUR_MS, -MINUTE_MS, -2000, 2000, MINUTE_MS, HOUR_MS]);
        events.push((dice.ms(0..=last_ms), Event::SetClock { clock, by_ms }));
    }
    events
}
