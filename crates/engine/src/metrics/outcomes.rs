//! What the store made of outcomes: which were recorded, what they ended, and which devices they marked.

use std::fmt;

use pabal_core::delivery::Reason;
use pabal_core::device::MarkKind;
use pabal_core::outcome::OutcomeKind;
use pabal_core::route::{Platform, Way};
use pabal_core::seam::{Change, Settled, SettledItem, Settlement};
use pabal_core::verdict::Next;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;

use super::family::Family;
use super::histogram::{Histogram, ITEMS};
use super::routes::{Handles, RouteFamilies};
use super::{Metrics, its};

/// What the store made of outcomes.
pub(super) struct Settlements {
    items: Histogram,
    answers: Family<Counter>,
    settled: Counter,
    overtaken: Counter,
    superseded: Counter,
    refused: Counter,
    lost: Counter,
    marked: Family<Counter>,
}

/// The marks that there are, each with the outcome that is its reason.
const MARKS: [(MarkKind, OutcomeKind); 3] = [
    (MarkKind::Retired, OutcomeKind::Unregistered),
    (MarkKind::Retired, OutcomeKind::SenderMismatch),
    (MarkKind::Quarantined, OutcomeKind::MalformedTarget),
];

impl Default for Settlements {
    fn default() -> Self {
        let answers = Family::new(&its::SETTLEMENTS);
        let marked = Family::new(&its::MARKED);
        for (mark, reason) in MARKS {
            marked.of(&[mark.as_str(), reason.as_str()]);
        }
        Self {
            items: Histogram::new(&ITEMS),
            settled: answers.of(&["settled"]),
            overtaken: answers.of(&["overtaken"]),
            superseded: answers.of(&["superseded"]),
            refused: answers.of(&["refused"]),
            lost: answers.of(&["lost"]),
            answers,
            marked,
        }
    }
}

impl Settlements {
    fn counter(&self, settled: Settled) -> &Counter {
        match settled {
            Settled::Settled => &self.settled,
            Settled::Overtaken => &self.overtaken,
            Settled::Superseded => &self.superseded,
            Settled::Refused => &self.refused,
        }
    }

    pub(super) fn expose(&self, encoder: &mut DescriptorEncoder<'_>, routes: &RouteFamilies) -> fmt::Result {
        its::SETTLE_ITEMS.expose(encoder, [(&[][..], &self.items)])?;
        self.answers.expose(encoder)?;
        routes.expose_ended(encoder)?;
        self.marked.expose(encoder)
    }
}

impl Metrics {
    /// A try to settle a batch has ended.
    pub(crate) fn settled(
        &self,
        batch: &[Settlement],
        began: Instant,
        answered: &pabal_core::Result<Vec<SettledItem>>,
    ) {
        self.settle.ended(began, answered);
        let Ok(items) = answered else { return };
        self.settlements.items.observe(items.len() as u64);
        let mut handles = Handles::new(self);
        for (settlement, item) in batch.iter().zip(items) {
            self.settlements.counter(item.settled).inc();
            if let Some(end) = end_of(&settlement.change, item) {
                handles.of(&settlement.lease.route).ended(end);
            }
            if let Some((mark, reason)) = mark_of(settlement, item) {
                self.settlements.marked.of(&[mark.as_str(), reason.as_str()]).inc();
            }
        }
    }

    /// An outcome could not be written, and never will be: its lease ends.
    pub(crate) fn lost(&self) {
        self.settlements.lost.inc();
    }
}

/// How a settlement ended its delivery, if it did: for a reason, or else (`None`) delivered.
fn end_of(change: &Change, item: &SettledItem) -> Option<Option<Reason>> {
    match item.settled {
        Settled::Settled | Settled::Overtaken => {}
        Settled::Superseded | Settled::Refused => return None,
    }
    // What was to come back, and does not, was taken back meanwhile.
    let is_taken_back = item.settled == Settled::Settled && item.waiting.is_none();
    let unless_taken_back = is_taken_back.then_some(Some(Reason::CancelRequested));
    match change {
        Change::Attempt(attempt) => match attempt.next {
            Next::Complete => Some(None),
            Next::Dead(reason) => Some(Some(reason)),
            Next::Expire => Some(Some(Reason::TtlEnded)),
            Next::Retry { .. } => unless_taken_back,
        },
        Change::End(end) => Some(Some(end.reason)),
        Change::Postpone { .. } => unless_taken_back,
    }
}

/// The mark that a settlement put on a device. Only what goes to a registered device has a platform, and what has none
/// has no device to mark.
fn mark_of(settlement: &Settlement, item: &SettledItem) -> Option<(MarkKind, OutcomeKind)> {
    let Change::Attempt(attempt) = &settlement.change else { return None };
    let to_device =
        !matches!(settlement.lease.route.way, Way::FanOut | Way::Channel { platform: Platform::Other, .. });
    let is_recorded = matches!(item.settled, Settled::Settled | Settled::Overtaken);
    let mark = attempt.mark.filter(|_| to_device && is_recorded)?;
    Some((mark, attempt.report.outcome.kind()))
}

#[cfg(test)]
mod tests {
    use pabal_core::clock::Timestamp;
    use pabal_core::delivery::DeliveryState;
    use pabal_core::device::Target;
    use pabal_core::outcome::{Outcome, Report};
    use pabal_core::seam::{AttemptRecord, EndAs, Epoch, Lease, Worker};
    use pabal_testkit::fixtures::notification_id;

    use super::*;

    const RETRY: Next = Next::Retry { delay_ms: 5, counted: true };

    fn attempt(outcome: Outcome, next: Next, mark: Option<MarkKind>) -> Change {
        Change::Attempt(AttemptRecord {
            report: Report::of(outcome),
            latency_ms: 1,
            began_ms_ago: 1,
            target: Target::new("token", "t").unwrap(),
            next,
            mark,
        })
    }

    fn on(route: &str, change: Change) -> Settlement {
        let lease = Lease {
            id: pabal_core::ids::ItemId::FanOut(notification_id(1)),
            route: route.parse().unwrap(),
            worker: Worker(1),
            epoch: Epoch(1),
            until: Timestamp::from_ms(0),
            abandoned: 0,
            late_ms: 0,
        };
        Settlement { lease, change }
    }

    fn item(settled: Settled, comes_back: bool) -> SettledItem {
        SettledItem { settled, waiting: comes_back.then(|| ("bulk/fanout".parse().unwrap(), 5)) }
    }

    #[test]
    fn ends_are_what_was_recorded_and_does_not_come_back() {
        let check = |next, settled, comes_back, expect: Option<Option<Reason>>| {
            let change = attempt(Outcome::Unknown, next, None);
            assert_eq!(end_of(&change, &item(settled, comes_back)), expect, "{next:?} {settled:?}");
        };
        check(Next::Complete, Settled::Settled, false, Some(None));
        check(Next::Complete, Settled::Overtaken, false, Some(None));
        check(Next::Complete, Settled::Refused, false, None);
        check(Next::Dead(Reason::Rejected), Settled::Settled, false, Some(Some(Reason::Rejected)));
        check(Next::Dead(Reason::Unregistered), Settled::Superseded, true, None);
        check(Next::Expire, Settled::Settled, false, Some(Some(Reason::TtlEnded)));
        check(RETRY, Settled::Settled, true, None);
        check(RETRY, Settled::Settled, false, Some(Some(Reason::CancelRequested)));
        check(RETRY, Settled::Overtaken, false, None);
        let end = Change::End(EndAs { state: DeliveryState::Dead, reason: Reason::Abandoned });
        assert_eq!(end_of(&end, &item(Settled::Settled, false)), Some(Some(Reason::Abandoned)));
        let postponed = Change::Postpone { delay_ms: 1 };
        assert_eq!(end_of(&postponed, &item(Settled::Settled, true)), None);
    }

    #[test]
    fn only_registered_devices_are_marked() {
        let gone =
            || attempt(Outcome::Unregistered, Next::Dead(Reason::Unregistered), Some(MarkKind::Retired));
        let marked = |route, settled| mark_of(&on(route, gone()), &item(settled, false));
        let retired = Some((MarkKind::Retired, OutcomeKind::Unregistered));
        assert_eq!(marked("bulk/fcm/a/ios", Settled::Settled), retired);
        assert_eq!(marked("bulk/fcm/a/other", Settled::Settled), None);
        assert_eq!(marked("bulk/fcm/a/ios", Settled::Superseded), None);
        assert_eq!(marked("bulk/fcm/a/ios", Settled::Refused), None);
    }

    #[test]
    fn a_batch_is_counted_once_it_is_written() {
        let metrics = Metrics::default();
        let delivered = || on("bulk/fcm/a/ios", attempt(Outcome::Delivered, Next::Complete, None));
        let batch = [delivered(), delivered()];
        let failed = Err(pabal_core::Error::new(pabal_core::ErrorKind::Full, "settle", "full"));
        metrics.settled(&batch, Instant::now(), &failed);
        let answered = Ok(vec![item(Settled::Settled, false), item(Settled::Refused, false)]);
        metrics.settled(&batch, Instant::now(), &answered);
        let of = |answer| metrics.settlements.answers.of(&[answer]).get();
        assert_eq!([of("settled"), of("refused"), of("lost")], [1, 1, 0]);
        assert_eq!(metrics.settle.failures.get(), 1);
        assert_eq!(metrics.settlements.items.snapshot().sum, 2);
    }
}
