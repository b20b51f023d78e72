//! The verdict: the book of what was accepted, held against what the store says and what the emulator received.
//!
//! Pure, and id by id. Each accepted delivery falls in exactly one of three:
//!
//! ```text
//!   delivered   the store says so, and the emulator received it
//!   explained   its token is bad for ever by the fault script, and it ended for just that reason
//!   lost        everything else: not stored, still open, ended for another reason, or delivered to nobody
//! ```
//!
//! What is stored or received and was asked for by nobody is a *stray*: a second notification for a repeated request
//! would be one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::ids::NotificationId;

use super::people::{Fate, Target};

/// Findings that are told one by one.
const FINDINGS_MAX: usize = 20;

/// A target that a notification is for.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) target: Target,
    /// Whether there may be no delivery at all: a device that was retired before is left out of its user's.
    pub(crate) optional: bool,
}

impl Expected {
    /// A target that the request names itself.
    pub(crate) fn named(target: &Target) -> Expected {
        Expected { target: target.clone(), optional: false }
    }

    /// A device of a user that the request names.
    pub(crate) fn of_user(target: &Target) -> Expected {
        Expected { target: target.clone(), optional: target.fate.retires() }
    }
}

/// A notification that was answered 202.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: NotificationId,
    /// How many deliveries the answer promised; `None` where they are made later.
    pub(crate) promised: Option<u64>,
    pub(crate) expected: Vec<Expected>,
}

/// A delivery as the store has it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) notification: NotificationId,
    /// Its token; `None` for what has none, as a user without a device.
    pub(crate) token: Option<Arc<str>>,
    pub(crate) state: DeliveryState,
    pub(crate) reason: Option<Reason>,
}

/// A send that the emulator accepted.
#[derive(Debug)]
pub(crate) struct Send {
    /// `None` if the message names no notification.
    pub(crate) notification: Option<NotificationId>,
    pub(crate) token: Arc<str>,
}

/// What came of everything that was accepted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Deliveries of answered 202s: the three below together.
    pub(crate) accepted: u64,
    pub(crate) delivered: u64,
    pub(crate) explained: u64,
    pub(crate) lost: u64,
    /// Accepted sends beyond the first of each delivery.
    pub(crate) duplicates: u64,
    /// Deliveries and sends that nobody asked for.
    pub(crate) strays: u64,
    /// The first of what is wrong, for people.
    pub(crate) findings: Vec<String>,
}

/// Judges.
pub(crate) fn judge(book: &[Entry], rows: &[Row], sends: &[Send]) -> Verdict {
    let mut verdict = Verdict::default();
    let received = verdict.received(sends);
    let stored = verdict.stored(rows);
    let mut asked_for: HashSet<(NotificationId, &str)> = HashSet::new();
    for entry in book {
        let (mut made, mut judged) = (0, 0);
        for Expected { target, optional } in &entry.expected {
            let pair = (entry.id, &*target.token);
            asked_for.insert(pair);
            let row = stored.get(&pair).copied();
            if row.is_some() || !optional {
                made += u64::from(row.is_some());
                judged += 1;
                verdict.delivery(entry.id, target, row, received.contains_key(&pair));
            }
        }
        verdict.promise(entry, made, judged);
    }
    for row in rows.iter().filter(|row| !row.pair().is_some_and(|pair| asked_for.contains(&pair))) {
        verdict.stray(format!(
            "delivery of {} to {} ({})",
            row.notification,
            name(row.token.as_deref()),
            row.state
        ));
    }
    for send in sends.iter().filter(|send| !send.pair().is_some_and(|pair| asked_for.contains(&pair))) {
        verdict.stray(format!("send of {:?} to {}", send.notification, name(Some(&send.token))));
    }
    verdict
}

impl Row {
    fn pair(&self) -> Option<(NotificationId, &str)> {
        Some((self.notification, self.token.as_deref()?))
    }
}

impl Send {
    fn pair(&self) -> Option<(NotificationId, &str)> {
        Some((self.notification?, &self.token))
    }
}

/// A token without its padding.
fn name(token: Option<&str>) -> &str {
    token.and_then(|token| token.split(':').next()).unwrap_or("nobody")
}

impl Verdict {
    /// How often each delivery was received.
    fn received<'a>(&mut self, sends: &'a [Send]) -> HashMap<(NotificationId, &'a str), u64> {
        let mut received: HashMap<_, u64> = HashMap::new();
        for pair in sends.iter().filter_map(Send::pair) {
            *received.entry(pair).or_default() += 1;
        }
        self.duplicates = received.values().map(|count| count - 1).sum();
        received
    }

    /// The row of each delivery.
    fn stored<'a>(&mut self, rows: &'a [Row]) -> HashMap<(NotificationId, &'a str), &'a Row> {
        let mut stored = HashMap::new();
        for row in rows {
            if let Some(pair) = row.pair()
                && stored.insert(pair, row).is_some()
            {
                self.stray(format!("a second delivery of {} to {}", pair.0, name(Some(pair.1))));
            }
        }
        stored
    }

    fn delivery(&mut self, id: NotificationId, target: &Target, row: Option<&Row>, arrived: bool) {
        self.accepted += 1;
        let Some(row) = row else {
            return self.lose(1, format!("{id} to {} is not in the store", name(Some(&target.token))));
        };
        match (target.fate, row.state) {
            (Fate::Good, DeliveryState::Delivered) if arrived => self.delivered += 1,
            (fate, state) if fate.explains(state, row.reason) && !arrived => self.explained += 1,
            _ => {
                let reason = row.reason.map_or("no reason", Reason::as_str);
                let received = if arrived { "received" } else { "not received" };
                let name = name(Some(&target.token));
                self.lose(1, format!("{id} to {name} is {} ({reason}), {received}", row.state));
            }
        }
    }

    /// Holds what the answer promised against the deliveries `made`, and those that were `judged`.
    fn promise(&mut self, entry: &Entry, made: u64, judged: u64) {
        let Some(promised) = entry.promised else { return };
        let what = format!("{} was promised {promised} deliveries and has {made}", entry.id);
        let short = promised.saturating_sub(judged);
        if short > 0 {
            self.accepted += short;
            self.lose(short, what);
        } else if made > promised {
            self.stray(what);
        }
    }

    fn lose(&mut self, count: u64, what: String) {
        self.lost += count;
        self.find(format!("lost: {what}"));
    }

    fn stray(&mut self, what: String) {
        self.strays += 1;
        self.find(format!("stray: {what}"));
    }

    fn find(&mut self, finding: String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: NotificationId = NotificationId::from_bytes([7; 16]);

    fn target(fate: Fate) -> Target {
        Target::new(fate, "one")
    }

    fn entry(fate: Fate) -> Entry {
        Entry { id: ID, promised: Some(1), expected: vec![Expected::named(&target(fate))] }
    }

    fn row(fate: Fate, state: DeliveryState, reason: Option<Reason>) -> Row {
        Row { notification: ID, token: Some(target(fate).token), state, reason }
    }

    fn send(fate: Fate) -> Send {
        Send { notification: Some(ID), token: target(fate).token }
    }

    /// (accepted, delivered, explained, lost, duplicates, strays)
    fn check(book: &[Entry], rows: &[Row], sends: &[Send], expect: [u64; 6]) {
        let verdict = judge(book, rows, sends);
        let Verdict { accepted, delivered, explained, lost, duplicates, strays, .. } = verdict;
        let got = [accepted, delivered, explained, lost, duplicates, strays];
        assert_eq!(got, expect, "{:?}", verdict.findings);
        assert_eq!(accepted, delivered + explained + lost);
        assert_eq!(verdict.findings.is_empty(), lost + strays == 0);
    }

    #[test]
    fn delivered_needs_both_the_stores_word_and_the_emulators() {
        let delivered = || row(Fate::Good, DeliveryState::Delivered, None);
        check(&[entry(Fate::Good)], &[delivered()], &[send(Fate::Good)], [1, 1, 0, 0, 0, 0]);
        check(&[entry(Fate::Good)], &[delivered()], &[], [1, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn what_is_not_stored_is_lost_even_if_it_arrived() {
        check(&[entry(Fate::Good)], &[], &[], [1, 0, 0, 1, 0, 0]);
        check(&[entry(Fate::Good)], &[], &[send(Fate::Good)], [1, 0, 0, 1, 0, 0]);
        check(&[entry(Fate::Gone)], &[], &[], [1, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn what_is_still_open_is_lost() {
        for state in [DeliveryState::Scheduled, DeliveryState::Retrying] {
            check(&[entry(Fate::Good)], &[row(Fate::Good, state, None)], &[], [1, 0, 0, 1, 0, 0]);
            check(&[entry(Fate::Gone)], &[row(Fate::Gone, state, None)], &[], [1, 0, 0, 1, 0, 0]);
        }
    }

    #[test]
    fn sends_beyond_the_first_are_duplicates() {
        let rows = [row(Fate::Good, DeliveryState::Delivered, None)];
        let sends = [send(Fate::Good), send(Fate::Good), send(Fate::Good)];
        check(&[entry(Fate::Good)], &rows, &sends, [1, 1, 0, 0, 2, 0]);
    }

    #[test]
    fn a_bad_token_explains_just_its_own_end() {
        let ends = [
            (Fate::Gone, Reason::Unregistered, 1),
            (Fate::Gone, Reason::DeviceRetired, 1),
            (Fate::Gone, Reason::AttemptsExhausted, 0),
            (Fate::Gone, Reason::MalformedTarget, 0),
            (Fate::Malformed, Reason::MalformedTarget, 1),
            (Fate::Malformed, Reason::DeviceRetired, 0),
            (Fate::Foreign, Reason::SenderMismatch, 1),
            (Fate::Foreign, Reason::Abandoned, 0),
        ];
        for (fate, reason, explained) in ends {
            let rows = [row(fate, reason.state(), Some(reason))];
            check(&[entry(fate)], &rows, &[], [1, 0, explained, 1 - explained, 0, 0]);
        }
    }

    #[test]
    fn a_good_token_explains_no_end() {
        for reason in [Reason::Unregistered, Reason::Abandoned, Reason::TtlEnded, Reason::AttemptsExhausted] {
            let rows = [row(Fate::Good, reason.state(), Some(reason))];
            check(&[entry(Fate::Good)], &rows, &[send(Fate::Good)], [1, 0, 0, 1, 0, 0]);
        }
    }

    #[test]
    fn a_bad_token_is_never_delivered() {
        check(
            &[entry(Fate::Gone)],
            &[row(Fate::Gone, DeliveryState::Delivered, None)],
            &[],
            [1, 0, 0, 1, 0, 0],
        );
    }

    #[test]
    fn a_retired_device_may_be_left_out_unless_it_was_promised() {
        let of_user = |promised| {
            let expected = [Fate::Good, Fate::Gone].map(|fate| Expected::of_user(&target(fate))).to_vec();
            [Entry { id: ID, promised, expected }]
        };
        let rows = [row(Fate::Good, DeliveryState::Delivered, None)];
        let sends = [send(Fate::Good)];
        check(&of_user(Some(1)), &rows, &sends, [1, 1, 0, 0, 0, 0]);
        check(&of_user(None), &rows, &sends, [1, 1, 0, 0, 0, 0]);
        check(&of_user(Some(2)), &rows, &sends, [2, 1, 0, 1, 0, 0]);
    }

    #[test]
    fn what_nobody_asked_for_is_a_stray() {
        let other = NotificationId::from_bytes([8; 16]);
        let foreign_row = Row { notification: other, ..row(Fate::Good, DeliveryState::Delivered, None) };
        let foreign_send = Send { notification: Some(other), ..send(Fate::Good) };
        let nameless = Send { notification: None, ..send(Fate::Good) };
        let without =
            Row { token: None, ..row(Fate::Good, DeliveryState::Undeliverable, Some(Reason::NoDevice)) };
        check(&[], &[foreign_row, without], &[foreign_send, nameless], [0, 0, 0, 0, 0, 4]);
    }

    #[test]
    fn more_than_was_promised_is_a_stray() {
        let book = [Entry { promised: Some(0), ..entry(Fate::Good) }];
        let rows = [row(Fate::Good, DeliveryState::Delivered, None)];
        check(&book, &rows, &[send(Fate::Good)], [1, 1, 0, 0, 0, 1]);
    }
}
