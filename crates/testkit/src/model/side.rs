//! One side of the comparison: a ledger with its store, and what can be seen of them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::device::{Device, Target};
use pabal_core::ids::{ItemId, NotificationId};
use pabal_core::notification::NotificationState;
use pabal_core::route::Route;
use pabal_core::seam::store::{
    AttemptView, DeadLetter, DeliveryFilter, DeliveryView, MarkFilter, MarkedAt, NotificationFilter,
    NotificationView,
};
use pabal_core::seam::{Content, DeadFilter, Ledger, Store, Work};

use super::op::USERS;
use crate::fixtures::{APP, user};
use crate::ledger::walking;

/// A ledger and the store under it.
#[derive(Clone)]
pub(super) struct Side {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) store: Arc<dyn Store>,
}

/// Leased work as it must look on both sides. Epochs and the text of cursors are each side's own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Handed {
    lease_route: Route,
    abandoned: u32,
    content: Shown,
}

#[derive(Debug, PartialEq, Eq)]
enum Shown {
    Delivery {
        notification: NotificationId,
        route: Route,
        target: Target,
        title: Option<String>,
        attempts: u32,
        counted: u32,
        ttl_ms: i64,
        remaining_ms: u64,
    },
    FanOut {
        failures: u32,
        remaining_ms: u64,
        from_the_beginning: bool,
    },
}

/// How leased work looks, by id.
pub(super) fn handed(work: &[Work]) -> BTreeMap<ItemId, Handed> {
    let one = |work: &Work| {
        let content = match &work.content {
            Content::Delivery(content) => Shown::Delivery {
                notification: content.notification,
                route: content.route.clone(),
                target: content.target.clone(),
                title: content.message.title.clone(),
                attempts: content.attempts,
                counted: content.counted,
                ttl_ms: content.ttl_ms,
                remaining_ms: content.remaining_ms,
            },
            Content::FanOut(content) => Shown::FanOut {
                failures: content.failures,
                remaining_ms: content.remaining_ms,
                from_the_beginning: content.cursor.0.is_empty(),
            },
        };
        let handed =
            Handed { lease_route: work.lease.route.clone(), abandoned: work.lease.abandoned, content };
        (work.lease.id, handed)
    };
    work.iter().map(one).collect()
}

/// What the lists show, read to their end in small pages.
#[derive(Debug, PartialEq)]
struct Lists {
    notifications: Vec<NotificationView>,
    deliveries: Vec<DeliveryView>,
    dead: Vec<DeadLetter>,
    marked: Vec<Device>,
}

/// Everything that the API and the operator can see.
#[derive(Debug, PartialEq)]
pub(super) struct Picture {
    pub(super) notifications: BTreeMap<NotificationId, NotificationView>,
    pub(super) deliveries: BTreeMap<NotificationId, Vec<(DeliveryView, Vec<AttemptView>)>>,
    pub(super) totals: BTreeMap<(DeliveryState, Option<Reason>), u64>,
    lists: Lists,
    devices: Vec<Device>,
    queued: BTreeMap<Route, u64>,
}

impl Side {
    /// What can be seen of these notifications, and of everything else.
    pub(super) async fn picture(&self, ids: &[NotificationId]) -> Picture {
        let (mut notifications, mut deliveries) = (BTreeMap::new(), BTreeMap::new());
        for id in ids {
            let Some(view) = self.store.notification(APP, *id).await.expect("a read") else { continue };
            notifications.insert(*id, view);
            let mut of_notification = Vec::new();
            for listed in self.store.deliveries(APP, *id, None, 1000).await.expect("a read") {
                let alone = self.store.delivery(APP, listed.id).await.expect("a read");
                let (view, attempts) = alone.expect("what is listed can be read");
                assert_eq!(view, listed, "a delivery looks the same alone and in its list");
                of_notification.push((view, attempts));
            }
            deliveries.insert(*id, of_notification);
        }
        let totals = self.store.totals(APP).await.expect("totals").into_iter();
        let mut devices = Vec::new();
        for name in USERS {
            devices.extend(self.store.devices(APP, &user(name)).await.expect("a read"));
        }
        let mut queued = BTreeMap::new();
        for count in self.ledger.counts().await.expect("counts") {
            if count.entries > 0 {
                queued.insert(count.route, count.entries);
            }
        }
        Picture {
            notifications,
            deliveries,
            totals: totals
                .filter(|(_, _, count)| *count > 0)
                .map(|(state, reason, count)| ((state, reason), count))
                .collect(),
            lists: Lists::of(&*self.store).await,
            devices,
            queued,
        }
    }
}

/// Items of a page: few, so that lists have several.
const PAGE: usize = 3;

impl Lists {
    async fn of(store: &dyn Store) -> Self {
        let marked = async |after: Option<MarkedAt>| {
            store.marked_devices(APP, &MarkFilter::default(), after.as_ref(), PAGE).await
        };
        Self {
            notifications: walking::notifications(store, APP, &NotificationFilter::default(), PAGE).await,
            deliveries: walking::deliveries(store, APP, &DeliveryFilter::default(), PAGE).await,
            dead: walking::dead_letters(store, APP, &DeadFilter::all(), PAGE).await,
            marked: walking::all_pages(PAGE, marked).await,
        }
    }
}

impl Picture {
    /// Whether an item is still there.
    pub(super) fn holds(&self, id: ItemId) -> bool {
        match id {
            ItemId::FanOut(id) => self.notifications.contains_key(&id),
            ItemId::Delivery(id) => self.deliveries.values().flatten().any(|(view, _)| view.id == id),
        }
    }

    /// Asserts that the lists show what is read alone, newest first.
    pub(super) fn check_lists(&self) {
        let alone: Vec<_> = self.notifications.values().rev().collect();
        assert_eq!(self.lists.notifications.iter().collect::<Vec<_>>(), alone, "the list, then each alone");
        let mut alone: Vec<_> = self.deliveries.values().flatten().map(|(view, _)| view).collect();
        alone.sort_by_key(|view| Reverse(view.id));
        assert_eq!(self.lists.deliveries.iter().collect::<Vec<_>>(), alone, "the list, then each alone");
        let deliveries = alone.iter().filter(|view| view.state == DeliveryState::Dead).count();
        let fan_outs = self.notifications.values().filter(|view| view.state == NotificationState::Dead);
        assert_eq!(self.lists.dead.len(), deliveries + fan_outs.count(), "all that is dead is listed");
        let marked = self.devices.iter().filter(|device| device.mark.is_some()).count();
        assert_eq!(self.lists.marked.len(), marked, "all that bear a mark are listed");
    }

    /// Asserts that both show the same, with a message that names the first difference.
    pub(super) fn assert_like(&self, model: &Picture) {
        assert_eq!(self.notifications, model.notifications, "notifications: the ledger, then the model");
        assert!(self.deliveries.keys().eq(model.deliveries.keys()), "both know the same notifications");
        for (id, of_model) in &model.deliveries {
            for (of_ledger, of_model) in self.deliveries[id].iter().zip(of_model) {
                assert_eq!(of_ledger, of_model, "a delivery: the ledger, then the model");
            }
            assert_eq!(self.deliveries[id].len(), of_model.len(), "deliveries of {id}");
        }
        assert_eq!(self.totals, model.totals, "totals: the ledger, then the model");
        assert_eq!(self.lists, model.lists, "lists: the ledger, then the model");
        assert_eq!(self.devices, model.devices, "devices: the ledger, then the model");
        assert_eq!(self.queued, model.queued, "entries by route: the ledger, then the model");
    }
}
