//! Series by route. They are looked up once per batch and route, and ride along with each piece of work.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::outcome::OutcomeKind;
use pabal_core::route::{ChannelKind, Lane, Route, Way};
use pabal_core::seam::Lease;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;

use super::family::Family;
use super::histogram::Histogram;
use super::{Metrics, its};

/// The families that have series by route.
pub(super) struct RouteFamilies {
    lateness: Family<Histogram>,
    attempts: Family<Counter>,
    attempt_time: Family<Histogram>,
    ended: Family<Counter>,
    known: RwLock<BTreeMap<Route, Arc<RouteMeters>>>,
}

/// The series of one route.
pub(crate) struct RouteMeters {
    lateness: Histogram,
    attempts: [Counter; OUTCOMES.len()],
    attempt_time: Histogram,
    ended: [Counter; ENDS.len()],
}

/// Every outcome, in the order of [`outcome_index`].
const OUTCOMES: [OutcomeKind; 10] = [
    OutcomeKind::Delivered,
    OutcomeKind::NotSent,
    OutcomeKind::Unknown,
    OutcomeKind::Throttled,
    OutcomeKind::Unavailable,
    OutcomeKind::Rejected,
    OutcomeKind::MalformedTarget,
    OutcomeKind::Unregistered,
    OutcomeKind::SenderMismatch,
    OutcomeKind::CredentialInvalid,
];

/// Every end that an outcome can have, in the order of [`end_index`]; `None` is delivered.
const ENDS: [Option<Reason>; 9] = [
    None,
    Some(Reason::AttemptsExhausted),
    Some(Reason::Rejected),
    Some(Reason::Unregistered),
    Some(Reason::SenderMismatch),
    Some(Reason::MalformedTarget),
    Some(Reason::Abandoned),
    Some(Reason::TtlEnded),
    Some(Reason::CancelRequested),
];

// Matches, so that a new word can't be forgotten here.
const fn outcome_index(kind: OutcomeKind) -> usize {
    match kind {
        OutcomeKind::Delivered => 0,
        OutcomeKind::NotSent => 1,
        OutcomeKind::Unknown => 2,
        OutcomeKind::Throttled => 3,
        OutcomeKind::Unavailable => 4,
        OutcomeKind::Rejected => 5,
        OutcomeKind::MalformedTarget => 6,
        OutcomeKind::Unregistered => 7,
        OutcomeKind::SenderMismatch => 8,
        OutcomeKind::CredentialInvalid => 9,
    }
}

const fn end_index(end: Option<Reason>) -> Option<usize> {
    Some(match end {
        None => 0,
        Some(Reason::AttemptsExhausted) => 1,
        Some(Reason::Rejected) => 2,
        Some(Reason::Unregistered) => 3,
        Some(Reason::SenderMismatch) => 4,
        Some(Reason::MalformedTarget) => 5,
        Some(Reason::Abandoned) => 6,
        Some(Reason::TtlEnded) => 7,
        Some(Reason::CancelRequested) => 8,
        // The store sees these by itself, before anything is attempted.
        Some(Reason::NoDevice | Reason::DeviceGone | Reason::DeviceRetired) => return None,
    })
}

impl RouteMeters {
    /// An attempt has ended.
    pub(crate) fn attempted(&self, began: Instant, outcome: OutcomeKind) {
        self.attempts[outcome_index(outcome)].inc();
        self.attempt_time.observe_time(began.elapsed());
    }

    /// A delivery has ended, for this reason or else delivered.
    pub(super) fn ended(&self, end: Option<Reason>) {
        if let Some(index) = end_index(end) {
            self.ended[index].inc();
        }
    }
}

impl Default for RouteFamilies {
    fn default() -> Self {
        let families = Self {
            lateness: Family::new(&its::LATENESS_AT_CLAIM),
            attempts: Family::new(&its::ATTEMPTS),
            attempt_time: Family::new(&its::ATTEMPT_TIME),
            ended: Family::new(&its::ENDED),
            known: RwLock::default(),
        };
        for lane in Lane::ALL {
            families.lateness.of(&[lane.as_str()]);
        }
        families
    }
}

impl RouteFamilies {
    fn meters(&self, route: &Route) -> Arc<RouteMeters> {
        if let Some(known) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(route) {
            return Arc::clone(known);
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(route.clone()).or_insert_with(|| Arc::new(self.make(route))))
    }

    fn make(&self, route: &Route) -> RouteMeters {
        let lateness = self.lateness.of(&[route.lane.as_str()]);
        let channel = channel_label(&route.way);
        let ended = ENDS.map(|end| {
            let state = end.map_or(DeliveryState::Delivered, Reason::state);
            self.ended.of(&[channel, state.as_str(), end.map_or("", Reason::as_str)])
        });
        let Way::Channel { credential, .. } = &route.way else {
            // Fan-outs are not attempts: nothing is ever counted into these.
            let attempts = OUTCOMES.map(|_| Counter::default());
            return RouteMeters { lateness, attempts, attempt_time: Histogram::new(&super::LATENCY), ended };
        };
        let credential = credential.as_str();
        let attempts = OUTCOMES.map(|outcome| self.attempts.of(&[channel, credential, outcome.as_str()]));
        RouteMeters { lateness, attempts, attempt_time: self.attempt_time.of(&[channel, credential]), ended }
    }

    pub(super) fn expose_lateness(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        self.lateness.expose(encoder)
    }

    pub(super) fn expose_attempts(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        self.attempts.expose(encoder)?;
        self.attempt_time.expose(encoder)
    }

    pub(super) fn expose_ended(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        self.ended.expose(encoder)
    }
}

fn channel_label(way: &Way) -> &'static str {
    match way {
        Way::FanOut => "fanout",
        Way::Channel { channel, .. } => ChannelKind::as_str(*channel),
    }
}

/// The series of a batch's routes, each looked up once.
pub(crate) struct Handles<'a> {
    metrics: &'a Metrics,
    known: BTreeMap<Route, Arc<RouteMeters>>,
}

impl<'a> Handles<'a> {
    /// None looked up yet.
    pub(crate) fn new(metrics: &'a Metrics) -> Self {
        Self { metrics, known: BTreeMap::new() }
    }

    /// Those of a route.
    pub(crate) fn of(&mut self, route: &Route) -> &Arc<RouteMeters> {
        if !self.known.contains_key(route) {
            self.known.insert(route.clone(), self.metrics.routes.meters(route));
        }
        &self.known[route]
    }

    /// Something was leased, and its work begins. Answers its route's series.
    pub(crate) fn leased(&mut self, lease: &Lease) -> Arc<RouteMeters> {
        if lease.abandoned > 0 {
            self.metrics.claimed_abandoned.inc();
        }
        let meters = self.of(&lease.route);
        meters.lateness.observe(lease.late_ms);
        Arc::clone(meters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_has_its_own_place() {
        assert_eq!(OUTCOMES.map(outcome_index), std::array::from_fn(|index| index));
        assert_eq!(ENDS.map(end_index), std::array::from_fn(Some));
    }

    #[test]
    fn routes_of_one_credential_share_what_has_no_platform_in_its_labels() {
        let metrics = Metrics::default();
        let mut handles = Handles::new(&metrics);
        let route = |text: &str| text.parse::<Route>().unwrap();
        let now = Instant::now();
        handles.of(&route("bulk/fcm/a/ios")).attempted(now, OutcomeKind::Throttled);
        handles.of(&route("transactional/fcm/a/web")).attempted(now, OutcomeKind::Throttled);
        handles.of(&route("bulk/fcm/b/ios")).attempted(now, OutcomeKind::Throttled);
        let counted = |credential| metrics.routes.attempts.of(&["fcm", credential, "throttled"]).get();
        assert_eq!([counted("a"), counted("b")], [2, 1]);
    }
}
