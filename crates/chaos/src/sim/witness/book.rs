//! The book of what callers asked for and what they were answered. A 202 is a promise; a request without an answer
//! may or may not have been taken.

use std::collections::{BTreeMap, BTreeSet};

use pabal_core::ids::{DeliveryId, NotificationId, UserId};
use pabal_core::seam::{Answer, Selection};

use super::Witness;
use super::state::Followed;
use crate::sim::invariant::Invariant;
use crate::sim::script::{Order, To, TokenKind};

/// All requests.
#[derive(Debug, Default)]
pub(crate) struct Book {
    orders: Vec<Order>,
    /// Each id that was ever offered for an order, and whether it was answered as accepted.
    offered: BTreeMap<NotificationId, Offer>,
    /// What each key answered, with the ids that were offered under it.
    keys: BTreeMap<usize, KeyBook>,
    cancels: Vec<Selection>,
}

/// One id that was offered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offer {
    pub(crate) order: usize,
    /// The number of deliveries that the 202 named, if there was a 202.
    pub(crate) accepted: Option<Option<u32>>,
}

#[derive(Debug, Default)]
struct KeyBook {
    offered: BTreeSet<NotificationId>,
    answers: BTreeSet<(NotificationId, Option<u32>)>,
}

impl Order {
    /// Whether an attempt at it kills its process.
    pub(crate) fn kills_senders(&self) -> bool {
        matches!(self.to, To::Token(TokenKind::Poison, _))
    }
}

impl Book {
    pub(crate) fn open(&mut self, orders: &[Order]) {
        self.orders = orders.to_vec();
    }

    /// A request goes out.
    pub(crate) fn offers(&mut self, id: NotificationId, order: usize) {
        self.offered.insert(id, Offer { order, accepted: None });
        if self.orders[order].has_key {
            self.keys.entry(order).or_default().offered.insert(id);
        }
    }

    /// What was asked for under an id.
    pub(crate) fn order_of(&self, id: NotificationId) -> Option<&Order> {
        self.offered.get(&id).map(|offer| &self.orders[offer.order])
    }

    /// All ids that were offered.
    pub(crate) fn offered(&self) -> impl Iterator<Item = (NotificationId, Offer)> {
        self.offered.iter().map(|(id, offer)| (*id, *offer))
    }

    /// The id under which an order was accepted, as far as its caller knows.
    pub(crate) fn accepted_as(&self, order: usize) -> Option<NotificationId> {
        self.offered
            .iter()
            .find(|(_, offer)| offer.order == order && offer.accepted.is_some())
            .map(|(id, _)| *id)
    }

    /// The ids of each key's requests.
    pub(crate) fn by_key(&self) -> impl Iterator<Item = &BTreeSet<NotificationId>> {
        self.keys.values().map(|key| &key.offered)
    }

    /// A cancel goes out; from here on it may have been done.
    pub(crate) fn asks_to_cancel(&mut self, selection: Selection) {
        self.cancels.push(selection);
    }

    /// Whether anybody asked to cancel a delivery.
    pub(super) fn cancel_was_asked(&self, id: DeliveryId, followed: &Followed) -> bool {
        self.cancels.iter().any(|selection| covers(selection, id, followed))
    }

    /// Whether anybody asked to cancel a notification.
    pub(crate) fn cancel_of_notification_was_asked(&self, id: NotificationId) -> bool {
        self.cancels.iter().any(|selection| matches!(selection, Selection::Notification(_, of) if *of == id))
    }
}

/// Whether a selection names a delivery.
pub(crate) fn covers(selection: &Selection, id: DeliveryId, followed: &Followed) -> bool {
    let user_is = |user: &UserId| followed.recipient.user() == Some(user);
    match selection {
        Selection::Notification(_, of) => followed.notification == *of,
        Selection::User(_, user) => user_is(user),
        Selection::Delivery(_, of) => id == *of,
        Selection::PastExpiry => false,
        Selection::App(_) => true,
    }
}

impl Witness {
    /// A request was answered.
    pub(crate) fn answered_accept(&mut self, offered: NotificationId, order: usize, answer: Answer) {
        let (id, deliveries, replayed) = match answer {
            Answer::Accepted { id, deliveries } => (id, deliveries, false),
            Answer::Replayed { id, deliveries } => (id, deliveries, true),
            Answer::KeyReused => {
                return self.tally.check(Invariant::ReplaysAcceptOnce, false, || {
                    format!("{offered} repeats order {order} and is refused as another body")
                });
            }
        };
        if let Some(offer) = self.book.offered.get_mut(&id) {
            offer.accepted = Some(deliveries);
        }
        let Some(key) = self.book.keys.get_mut(&order) else { return };
        key.answers.insert((id, deliveries));
        let same = key.answers.len() == 1 && key.offered.contains(&id);
        if replayed || !same {
            self.tally.check(Invariant::ReplaysAcceptOnce, same, || {
                format!("order {order} was answered {:?}", self.book.keys.get(&order))
            });
        }
    }
}
