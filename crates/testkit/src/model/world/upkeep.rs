//! What happens to a ledger from the side: dead letters are redriven and purged, people are forgotten, what is old is
//! pruned, marks are taken off.

use std::collections::BTreeSet;

use pabal_core::clock::Clock;
use pabal_core::delivery::Reason;
use pabal_core::device::MarkKind;
use pabal_core::ids::{ItemId, UserId};
use pabal_core::seam::store::{DeadLetter, Erased, MarkFilter, Prune, Pruned};
use pabal_core::seam::{DeadFilter, Selection, Store};

use super::{World, from_the_end};
use crate::fixtures::{APP, device, user};
use crate::ledger::{LedgerHarness, walking};
use crate::model::op::{DEVICES, Letters, Op, USERS, Which};
use crate::model::watch::Step;

/// More steps than anything here takes.
const STEPS_MAX: usize = 10_000;

/// What a step may do that others may not.
pub(super) fn step_of(op: &Op) -> Step {
    match op {
        Op::Redrive(_) => Step::Redrives,
        Op::Purge(_) => Step::Purges,
        Op::Prune { .. } => Step::Prunes,
        _ => Step::Ordinary,
    }
}

impl<H: LedgerHarness> World<H> {
    async fn filter(&self, letters: Letters) -> Option<DeadFilter> {
        let Letters { which, reason, died_ms_ago } = letters;
        let filter = match which {
            Which::Notification { nth } => {
                DeadFilter::of_notification(from_the_end(&self.accepted, nth)?.notification.id)
            }
            Which::Delivery { nth } => DeadFilter::of_delivery(*from_the_end(&self.deliveries().await, nth)?),
            Which::User { user: of } => DeadFilter::of_user(user(USERS[of])),
            Which::All => DeadFilter::all(),
        };
        let until = died_ms_ago.map(|ms| self.clock.now().plus_ms(1 - ms));
        Some(DeadFilter { reason, until, ..filter })
    }

    pub(super) async fn redrive(&mut self, letters: Letters) {
        let Some(filter) = self.filter(letters).await else { return };
        let (ledgers, models) = self.sides();
        let of_ledger = ledgers.ledger.redrive(APP, filter.clone(), None, 1000).await.expect("a redrive");
        let of_model = models.ledger.redrive(APP, filter, None, 1000).await.expect("a redrive");
        let set = |ids: Vec<ItemId>| ids.into_iter().collect::<BTreeSet<_>>();
        assert_eq!(set(of_ledger.reopened), set(of_model.reopened));
        assert_eq!(of_ledger.waiting, of_model.waiting);
    }

    pub(super) async fn purge(&mut self, letters: Letters) {
        let Some(filter) = self.filter(letters).await else { return };
        let (ledgers, models) = self.sides();
        for letter in walking::dead_letters(&*models.store, APP, &filter, 1000).await {
            if let DeadLetter::Delivery { view, .. } = letter {
                self.thinned.insert(view.notification);
            }
        }
        let of_ledger = ledgers.store.purge_dead(APP, &filter, None, 1000).await.expect("a purge");
        let of_model = models.store.purge_dead(APP, &filter, None, 1000).await.expect("a purge");
        assert_eq!(of_ledger, of_model, "purged by {filter:?}");
    }

    pub(super) async fn erase(&mut self, of: usize, cancel: bool) {
        let user = user(USERS[of]);
        if cancel {
            self.end(Some(Selection::User(APP, user.clone())), Reason::CancelRequested).await;
        }
        let (ledgers, models) = self.sides();
        let (of_ledger, of_model) = (erase(&*ledgers.store, &user).await, erase(&*models.store, &user).await);
        assert_eq!(of_ledger, of_model, "what was erased of {user}");
    }

    pub(super) async fn prune(&mut self, ended_ms_ago: u64, dead_ms_ago: u64, rows_max: usize) {
        let prune = Prune { ended_ms_ago, dead_ms_ago, after: None, rows_max };
        let (ledgers, models) = self.sides();
        let of_ledger = prune_all(&*ledgers.store, prune).await;
        let of_model = prune_all(&*models.store, prune).await;
        assert_eq!(of_ledger, of_model, "pruned by {prune:?}");
    }

    pub(super) async fn restore(&mut self, one: Option<(usize, usize)>) {
        let (ledgers, models) = self.sides();
        let restore = async |store: &dyn Store| match one {
            Some((of, name)) => {
                let named = [(user(USERS[of]), device(DEVICES[name]))];
                store.restore_devices(APP, &named).await.expect("a restore")
            }
            None => {
                let filter = MarkFilter { kind: Some(MarkKind::Retired), ..MarkFilter::default() };
                store.restore_marked(APP, &filter, 1000).await.expect("a restore")
            }
        };
        assert_eq!(restore(&*ledgers.store).await, restore(&*models.store).await, "how many bore a mark");
    }
}

async fn erase(store: &dyn Store, user: &UserId) -> Erased {
    let (mut all, mut after) = (Erased::default(), None);
    for _ in 0..STEPS_MAX {
        let step = store.erase_user(APP, user, after).await.expect("a step");
        all.devices += step.devices;
        all.deliveries += step.deliveries;
        all.notifications += step.notifications;
        after = step.next;
        if after.is_none() {
            return all;
        }
    }
    panic!("the erasing does not end");
}

async fn prune_all(store: &dyn Store, mut prune: Prune) -> Pruned {
    let mut all = Pruned::default();
    for _ in 0..STEPS_MAX {
        let step = store.prune(&prune).await.expect("a step");
        assert!(step.notifications + step.deliveries <= prune.rows_max as u64, "a step is bounded");
        all.notifications += step.notifications;
        all.deliveries += step.deliveries;
        prune.after = step.next;
        if prune.after.is_none() {
            return all;
        }
    }
    panic!("the pruning does not end");
}
