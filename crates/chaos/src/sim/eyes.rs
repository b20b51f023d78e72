//! How the witness looks at the store: past all layers, at the very moment of an effect, and without any time passing.

use std::collections::BTreeMap;
use std::sync::Arc;

use pabal_core::Result;
use pabal_core::ids::{AppId, DeliveryId, ItemId, NotificationId};
use pabal_core::seam::Store;
use pabal_core::seam::store::NotificationView;
use pabal_core::steps::complete_now;

use super::invariant::Invariant;
use super::witness::forgetting::{Removal, Removed};
use super::witness::state::During;
use super::world::World;

/// The app that every simulated world has.
pub(crate) const APP: AppId = AppId::DEFAULT;
/// More deliveries than any simulated notification has.
const MANY: usize = 1000;

/// A look at the store.
#[derive(Clone)]
pub(crate) struct Eyes {
    pub(crate) world: Arc<World>,
    pub(crate) store: Arc<dyn Store>,
}

impl Eyes {
    /// Looks at a notification and all its deliveries. Answers whether it is there.
    pub(crate) fn notification(&self, id: NotificationId) -> bool {
        if !self.notification_alone(id) {
            return false;
        }
        let deliveries = self.read(complete_now("observe", self.store.deliveries(APP, id, None, MANY)));
        for delivery in deliveries.unwrap_or_default() {
            self.delivery(delivery.id, During::AnyStep);
        }
        true
    }

    /// Looks at a notification, and not at its deliveries. Answers whether it is there.
    fn notification_alone(&self, id: NotificationId) -> bool {
        let Some(view) = self.notification_view(id) else {
            self.world.witness(|witness| witness.is_missing(ItemId::FanOut(id)));
            return false;
        };
        let moment = self.world.moment();
        self.world.witness(|witness| witness.saw_notification(&view, moment));
        true
    }

    /// Looks at everything that the store is known to hold.
    pub(crate) fn everything(&self) {
        let kept = self.world.witness(|witness| witness.kept());
        for id in kept.notifications {
            self.notification_alone(id);
        }
        kept.deliveries.into_iter().for_each(|id| self.delivery(id, During::AnyStep));
    }

    /// Looks at what a step removed: everything was looked at right before it. Answers how much that is.
    pub(crate) fn removed(&self, by: &Removal) -> Removed {
        let mut gone = self.world.witness(|witness| witness.kept());
        let is_gone = |id: &DeliveryId| {
            matches!(self.read(complete_now("observe", self.store.delivery(APP, *id))), Some(None))
        };
        gone.deliveries.retain(is_gone);
        gone.notifications.retain(|id| self.notification_view(*id).is_none());
        let moment = self.world.moment();
        self.world.witness(|witness| witness.removed_from_store(by, &gone, moment));
        self.everything();
        self.recount();
        gone
    }

    /// Looks at items that a step was about.
    pub(crate) fn items(&self, ids: impl IntoIterator<Item = ItemId>) {
        for id in ids {
            match id {
                ItemId::Delivery(id) => self.delivery(id, During::AnyStep),
                ItemId::FanOut(id) => {
                    self.notification(id);
                }
            }
        }
    }

    /// Looks at a delivery.
    pub(crate) fn delivery(&self, id: DeliveryId, during: During) {
        let Some((view, timeline)) =
            self.read(complete_now("observe", self.store.delivery(APP, id))).flatten()
        else {
            return self.world.witness(|witness| witness.is_missing(ItemId::Delivery(id)));
        };
        let moment = self.world.moment();
        if !self.world.witness(|witness| witness.deliveries().contains_key(&id)) {
            let Some(of) = self.notification_view(view.notification) else { return };
            self.world.witness(|witness| witness.first_sight(&view, &of, moment));
        }
        self.world.witness(|witness| witness.saw_delivery(&view, timeline.len(), during, moment));
    }

    /// Looks at everything that was open when it was last seen.
    pub(crate) fn open(&self, during: During) {
        let open = self.world.witness(|witness| witness.open_deliveries());
        open.into_iter().for_each(|id| self.delivery(id, during));
    }

    /// Whether an item is open in the store.
    pub(crate) fn is_open(&self, id: ItemId) -> bool {
        match id {
            ItemId::Delivery(id) => {
                let found = self.read(complete_now("observe", self.store.delivery(APP, id))).flatten();
                found.is_some_and(|(view, _)| view.state.is_open())
            }
            ItemId::FanOut(id) => self.notification_view(id).is_some_and(|view| view.state.is_open()),
        }
    }

    /// Holds the store's counters against a recount.
    pub(crate) fn recount(&self) {
        let ids: Vec<NotificationId> =
            self.world.witness(|witness| witness.notifications().keys().copied().collect());
        let mut recounted = BTreeMap::new();
        for id in ids {
            let Some(view) = self.notification_view(id) else { continue };
            let deliveries = self.read(complete_now("observe", self.store.deliveries(APP, id, None, MANY)));
            let mut of_it = BTreeMap::new();
            for delivery in deliveries.unwrap_or_default() {
                *recounted.entry((delivery.state, delivery.reason)).or_insert(0) += 1;
                *of_it.entry(delivery.state).or_insert(0) += 1;
            }
            let shown: BTreeMap<_, u64> = view.counts.into_iter().filter(|(_, count)| *count > 0).collect();
            self.world.witness(|witness| {
                witness.tally.check(Invariant::CountersEqualARecount, shown == of_it, || {
                    format!("{id} counts {shown:?} and has {of_it:?}")
                });
            });
        }
        let totals = self.read(complete_now("observe", self.store.totals(APP))).unwrap_or_default();
        let totals = totals.into_iter().filter(|(_, _, count)| *count > 0);
        let totals: BTreeMap<_, u64> =
            totals.map(|(state, reason, count)| ((state, reason), count)).collect();
        self.world.witness(|witness| {
            witness.tally.check(Invariant::CountersEqualARecount, totals == recounted, || {
                format!("the totals are {totals:?}, a recount gives {recounted:?}")
            });
        });
    }

    pub(crate) fn notification_view(&self, id: NotificationId) -> Option<NotificationView> {
        self.read(complete_now("observe", self.store.notification(APP, id))).flatten()
    }

    /// A look never fails in a sound world.
    fn read<T>(&self, answer: Result<T>) -> Option<T> {
        let failed = match answer {
            Ok(answer) => return Some(answer),
            Err(error) => error,
        };
        self.world
            .witness(|witness| witness.tally.check(Invariant::NothingBreaks, false, || format!("{failed}")));
        None
    }
}
