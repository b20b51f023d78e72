//! A simulated channel: it plays a script, draws from a seed, takes the runtime's time (which tests pause), and writes
//! down what arrived, so that a test can hold what was accepted against what people got.
//!
//! A send has two halves: the way there, after which it has arrived or not, and the way back, after which the caller
//! knows. Whoever drops the future in between leaves a notification that arrived without anybody knowing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pabal_core::chance::Chance;
use pabal_core::ids::DeliveryId;
use pabal_core::outcome::{Outcome, Report, ThrottleScope};
use pabal_core::route::Credential;
use pabal_core::seam::{Channel, Outbound};

/// What happens to one send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Play {
    /// Whether the notification gets there.
    pub arrives: bool,
    /// What the caller is told.
    pub outcome: Outcome,
    /// How long it takes, there and back, in milliseconds.
    pub latency_ms: u64,
}

impl Play {
    /// It arrives, and the caller knows.
    pub const fn delivers() -> Self {
        Self { arrives: true, outcome: Outcome::Delivered, latency_ms: 0 }
    }

    /// It does not arrive, for this reason.
    pub const fn fails(outcome: Outcome) -> Self {
        Self { arrives: false, outcome, latency_ms: 0 }
    }

    /// It arrives, and the answer is lost.
    pub const fn arrives_unknown() -> Self {
        Self { arrives: true, outcome: Outcome::Unknown, latency_ms: 0 }
    }

    /// The provider says: too much.
    pub const fn throttles(retry_after_ms: u64) -> Self {
        let retry_after_ms = Some(retry_after_ms);
        Self::fails(Outcome::Throttled { retry_after_ms, scope: ThrottleScope::Project })
    }

    /// The same, taking so long.
    #[must_use]
    pub const fn in_ms(mut self, latency_ms: u64) -> Self {
        self.latency_ms = latency_ms;
        self
    }
}

/// What decides how a send goes: what is sent, how often that delivery was sent before, and a source of chance.
pub type Script = Box<dyn Fn(&Outbound, u64, &dyn Chance) -> Play + Send + Sync>;

/// A script that draws each send's play by weight, and its latency up to `latency_ms_max`.
///
/// # Panics
/// When it plays, if all weights are 0.
pub fn drawn(plays: Vec<(u64, Play)>, latency_ms_max: u64) -> Script {
    Box::new(move |_, _, chance| {
        let total: u64 = plays.iter().map(|(weight, _)| weight).sum();
        let mut draw = chance.next_u64() % total;
        let play = plays.iter().find(|(weight, _)| {
            let found = draw < *weight;
            draw = draw.saturating_sub(*weight);
            found
        });
        let (_, play) = play.expect("a draw lies below the total");
        play.in_ms(chance.next_u64() % (latency_ms_max + 1))
    })
}

/// A channel that plays a script.
pub struct SimChannel {
    script: Mutex<Arc<Script>>,
    chance: Arc<dyn Chance>,
    in_flight_max: usize,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    sent: BTreeMap<DeliveryId, u64>,
    arrived: BTreeMap<DeliveryId, u64>,
    in_flight: usize,
    most_in_flight: usize,
}

impl SimChannel {
    /// A channel for up to `in_flight_max` sends at once.
    pub fn new(script: Script, in_flight_max: usize, chance: Arc<dyn Chance>) -> Self {
        Self { script: Mutex::new(Arc::new(script)), chance, in_flight_max, seen: Mutex::default() }
    }

    /// Plays another script from now on: an outage begins, or ends.
    pub fn play(&self, script: Script) {
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(script);
    }

    /// How often each delivery arrived; those that never did are not in it.
    pub fn arrivals(&self) -> BTreeMap<DeliveryId, u64> {
        self.seen().arrived.clone()
    }

    /// How often a delivery was sent.
    pub fn sent(&self, id: DeliveryId) -> u64 {
        self.seen().sent.get(&id).copied().unwrap_or(0)
    }

    /// How many sends are in flight.
    pub fn in_flight(&self) -> usize {
        self.seen().in_flight
    }

    /// How many sends were in flight at once, at most.
    pub fn most_in_flight(&self) -> usize {
        self.seen().most_in_flight
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a send: its place is free again when the guard is dropped.
    fn begin(&self, outbound: &Outbound) -> (InFlight<'_>, Play) {
        let before = {
            let mut seen = self.seen();
            seen.in_flight += 1;
            seen.most_in_flight = seen.most_in_flight.max(seen.in_flight);
            let sent = seen.sent.entry(outbound.delivery).or_default();
            *sent += 1;
            *sent - 1
        };
        let script = Arc::clone(&self.script.lock().unwrap_or_else(PoisonError::into_inner));
        (InFlight(self), script(outbound, before, &*self.chance))
    }
}

struct InFlight<'a>(&'a SimChannel);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.seen().in_flight -= 1;
    }
}

#[async_trait]
impl Channel for SimChannel {
    async fn send(&self, outbound: &Outbound) -> Report {
        let (_in_flight, play) = self.begin(outbound);
        let there = play.latency_ms / 2;
        pass(there).await;
        if play.arrives {
            *self.seen().arrived.entry(outbound.delivery).or_default() += 1;
        }
        pass(play.latency_ms - there).await;
        Report::of(play.outcome)
    }

    fn capacity(&self, _credential: &Credential) -> usize {
        self.in_flight_max
    }
}

async fn pass(ms: u64) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

#[cfg(test)]
mod tests {
    use pabal_core::chance::SeededChance;
    use pabal_core::message::Message;
    use pabal_core::outcome::CredentialScope;
    use pabal_core::route::Platform;

    use super::*;
    use crate::fixtures::{delivery_id, notification_id, project, token};

    fn outbound(n: u64) -> Outbound {
        Outbound {
            delivery: delivery_id(n),
            notification: notification_id(n),
            credential: project(),
            platform: Platform::Android,
            target: token("a"),
            message: Arc::new(Message::default()),
            remaining_ms: 1000,
        }
    }

    fn channel(play: Play) -> SimChannel {
        SimChannel::new(Box::new(move |_, _, _| play), 4, Arc::new(SeededChance::from_seed(1)))
    }

    // channel.md C1
    #[tokio::test]
    async fn every_outcome_is_a_report() {
        let scope = ThrottleScope::Device;
        let outcomes = [
            Outcome::Delivered,
            Outcome::NotSent,
            Outcome::Unknown,
            Outcome::Throttled { retry_after_ms: None, scope },
            Outcome::Unavailable { retry_after_ms: Some(1) },
            Outcome::Rejected,
            Outcome::MalformedTarget,
            Outcome::Unregistered,
            Outcome::SenderMismatch,
            Outcome::CredentialInvalid { scope: CredentialScope::Platform },
        ];
        for outcome in outcomes {
            let channel = channel(Play::fails(outcome));
            assert_eq!(channel.send(&outbound(1)).await, Report::of(outcome));
            assert!(channel.arrivals().is_empty());
        }
    }

    // channel.md C2
    #[tokio::test]
    async fn one_call_sends_once() {
        for play in [Play::delivers(), Play::throttles(5), Play::fails(Outcome::NotSent)] {
            let channel = channel(play);
            channel.send(&outbound(1)).await;
            assert_eq!((channel.sent(delivery_id(1)), channel.sent(delivery_id(2))), (1, 0));
        }
    }

    // channel.md C3
    #[tokio::test(start_paused = true)]
    async fn a_dropped_send_frees_its_place_and_may_have_arrived() {
        let channel = channel(Play::delivers().in_ms(100));
        for (n, deadline_ms, arrivals) in [(1, 49, 0), (2, 51, 1)] {
            let sending = outbound(n);
            let deadline = Duration::from_millis(deadline_ms);
            tokio::time::timeout(deadline, channel.send(&sending)).await.expect_err("it is cut short");
            assert_eq!(channel.in_flight(), 0, "its place is free");
            assert_eq!(channel.arrivals().get(&delivery_id(n)).copied().unwrap_or(0), arrivals);
        }
    }

    // channel.md C4
    #[tokio::test(start_paused = true)]
    async fn capacity_includes_what_is_in_flight() {
        let channel = channel(Play::delivers().in_ms(10));
        let sends = [outbound(1), outbound(2), outbound(3)];
        let all = futures::future::join_all(sends.iter().map(|outbound| channel.send(outbound)));
        let look = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            (channel.in_flight(), channel.capacity(&project()))
        };
        let (_, meanwhile) = futures::future::join(all, look).await;
        assert_eq!(meanwhile, (3, 4), "the caller keeps count of its own");
        assert_eq!((channel.in_flight(), channel.most_in_flight()), (0, 3));
    }

    // channel.md C5
    #[tokio::test]
    async fn what_may_have_arrived_is_unknown() {
        let told = channel(Play::arrives_unknown());
        assert_eq!(told.send(&outbound(1)).await.outcome, Outcome::Unknown);
        assert_eq!(told.arrivals(), BTreeMap::from([(delivery_id(1), 1)]));
        let lost = channel(Play::fails(Outcome::NotSent));
        assert_eq!(lost.send(&outbound(1)).await.outcome, Outcome::NotSent);
        assert!(lost.arrivals().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_seed_plays_the_same() {
        let play = async || {
            let plays = vec![(3, Play::delivers()), (1, Play::arrives_unknown()), (1, Play::throttles(9))];
            let channel = SimChannel::new(drawn(plays, 50), 4, Arc::new(SeededChance::from_seed(7)));
            let mut reports = Vec::new();
            for n in 0..50 {
                reports.push(channel.send(&outbound(n)).await);
            }
            (reports, channel.arrivals())
        };
        let first = play().await;
        assert_eq!(first, play().await);
        let kinds: std::collections::BTreeSet<_> =
            first.0.iter().map(|report| report.outcome.kind()).collect();
        assert_eq!(kinds.len(), 3, "every play has its turn");
    }

    #[tokio::test]
    async fn a_script_knows_how_often_it_was_sent_and_can_be_changed() {
        let second_try: Script =
            Box::new(|_, before, _| if before == 0 { Play::throttles(1) } else { Play::delivers() });
        let channel = SimChannel::new(second_try, 4, Arc::new(SeededChance::from_seed(1)));
        channel.send(&outbound(1)).await;
        assert_eq!(channel.send(&outbound(1)).await.outcome, Outcome::Delivered);
        channel.play(drawn(vec![(1, Play::fails(Outcome::Rejected))], 0));
        assert_eq!(channel.send(&outbound(1)).await.outcome, Outcome::Rejected);
    }
}
