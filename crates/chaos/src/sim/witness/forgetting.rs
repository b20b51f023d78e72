//! What the store may forget, and whom: what ended goes when its retention is over or somebody purges it, and a person's
//! name goes when somebody erases them. What is gone stays gone.

use pabal_core::clock::Timestamp;
use pabal_core::delivery::DeliveryState;
use pabal_core::ids::{DeliveryId, ItemId, NotificationId, UserId};
use pabal_core::notification::{NotificationState, Recipients};
use pabal_core::seam::DeadFilter;
use pabal_core::seam::store::{DeliveryView, NotificationView, Prune};

use super::state::Followed;
use super::{Moment, Witness, short};
use crate::sim::invariant::Invariant;

/// A step that removes rows from the store.
#[derive(Debug, Clone)]
pub(crate) enum Removal {
    Prune(Prune),
    Purge(DeadFilter),
}

/// What was there before a step and is not after it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Removed {
    pub(crate) deliveries: Vec<DeliveryId>,
    pub(crate) notifications: Vec<NotificationId>,
}

/// The erasing of one user.
#[derive(Debug)]
pub(super) struct Erasure {
    user: UserId,
    /// What was accepted before this is covered.
    began: u64,
    /// Whether its last step was answered.
    is_done: bool,
}

impl Removal {
    /// A time that what goes must not have been open after.
    fn ended_before(prune: &Prune, has_dead: bool, moment: Moment) -> Timestamp {
        let kept_ms = if has_dead { prune.dead_ms_ago } else { prune.ended_ms_ago };
        moment.store.plus_ms(-i64::try_from(kept_ms).unwrap_or(i64::MAX))
    }
}

impl Witness {
    /// What is known to be in the store.
    pub(crate) fn kept(&self) -> Removed {
        let deliveries = self.deliveries.iter().filter(|(_, it)| !it.is_gone).map(|(id, _)| *id);
        let notifications = self.notifications.iter().filter(|(_, it)| !it.is_gone).map(|(id, _)| *id);
        Removed { deliveries: deliveries.collect(), notifications: notifications.collect() }
    }

    /// A step removed these; everything was looked at right before it.
    pub(crate) fn removed_from_store(&mut self, by: &Removal, gone: &Removed, moment: Moment) {
        for id in &gone.deliveries {
            let fits = self.delivery_may_go(*id, by, moment);
            self.goes(ItemId::Delivery(*id), fits, by, moment);
        }
        for id in &gone.notifications {
            let fits = self.notification_may_go(*id, by, moment);
            self.goes(ItemId::FanOut(*id), fits, by, moment);
        }
        for id in &gone.deliveries {
            if let Some(followed) = self.deliveries.get_mut(id) {
                followed.is_gone = true;
            }
        }
        for id in &gone.notifications {
            if let Some(followed) = self.notifications.get_mut(id) {
                followed.is_gone = true;
            }
            let left = self.left_of(*id).count();
            self.tally.check(Invariant::OnlyTheEndedIsForgotten, left == 0, || {
                format!("{} is gone and left {left} deliveries behind", short(&ItemId::FanOut(*id)))
            });
        }
        if let Removal::Purge(filter) = by {
            self.may_be_taken_back(filter);
        }
    }

    fn goes(&mut self, id: ItemId, fits: bool, by: &Removal, moment: Moment) {
        let was = match id {
            ItemId::Delivery(id) => format!("{:?}", self.deliveries.get(&id)),
            ItemId::FanOut(id) => format!("{:?}", self.notifications.get(&id)),
        };
        self.tally.check(Invariant::OnlyTheEndedIsForgotten, fits, || {
            format!("{} was removed at {:?} by {by:?} as {was}", short(&id), moment.store)
        });
    }

    fn left_of(&self, id: NotificationId) -> impl Iterator<Item = &Followed> {
        self.deliveries.values().filter(move |it| it.notification == id && !it.is_gone)
    }

    fn delivery_may_go(&self, id: DeliveryId, by: &Removal, moment: Moment) -> bool {
        let Some(followed) = self.deliveries.get(&id) else { return false };
        match by {
            Removal::Prune(prune) => self.may_be_pruned(followed.notification, prune, moment),
            Removal::Purge(filter) => {
                followed.state == DeliveryState::Dead && finds(filter, followed.notification)
            }
        }
    }

    fn notification_may_go(&self, id: NotificationId, by: &Removal, moment: Moment) -> bool {
        let Some(followed) = self.notifications.get(&id) else { return false };
        match by {
            Removal::Prune(prune) => self.may_be_pruned(id, prune, moment),
            Removal::Purge(filter) => followed.state == NotificationState::Dead && finds(filter, id),
        }
    }

    /// Whether all that is left of a notification had ended by the time that its retention names.
    fn may_be_pruned(&self, id: NotificationId, prune: &Prune, moment: Moment) -> bool {
        let Some(of) = self.notifications.get(&id) else { return false };
        let has_dead = of.state == NotificationState::Dead
            || self.left_of(id).any(|delivery| delivery.state == DeliveryState::Dead);
        let before = Removal::ended_before(prune, has_dead, moment);
        let ended = |is_open: bool, open_until| !is_open && open_until <= before;
        ended(of.state.is_open(), of.open_until)
            && self.left_of(id).all(|it| ended(it.state.is_open(), it.open_until))
    }

    /// A purge takes a dead fan-out back where deliveries of it are left.
    fn may_be_taken_back(&mut self, filter: &DeadFilter) {
        for (id, followed) in &mut self.notifications {
            followed.is_purged |= followed.state == NotificationState::Dead && finds(filter, *id);
        }
    }

    /// The store does not know an item: if it once did, a step must have removed it.
    pub(crate) fn is_missing(&mut self, id: ItemId) {
        let gone = match id {
            ItemId::Delivery(id) => self.deliveries.get_mut(&id).map(|it| &mut it.is_gone),
            ItemId::FanOut(id) => self.notifications.get_mut(&id).map(|it| &mut it.is_gone),
        };
        let Some(was_gone) = gone.map(|gone| std::mem::replace(gone, true)) else { return };
        if was_gone {
            self.tally.chance(Invariant::WhatIsForgottenStaysSo);
        } else {
            let what = format!("{} is missing, and nothing removed it", short(&id));
            self.tally.broken(Invariant::OnlyTheEndedIsForgotten, what);
        }
    }

    /// A settlement came: for what is forgotten none may be taken.
    pub(super) fn settles_what_is_gone(&mut self, id: ItemId, taken: bool) {
        let is_gone = match id {
            ItemId::Delivery(id) => self.deliveries.get(&id).is_some_and(|it| it.is_gone),
            ItemId::FanOut(id) => self.notifications.get(&id).is_some_and(|it| it.is_gone),
        };
        if is_gone {
            self.tally.check(Invariant::LateSettlementsAreRefused, !taken, || {
                format!("{} was settled after it was forgotten", short(&id))
            });
        }
    }

    /// The store knows an item that it had forgotten.
    pub(super) fn came_back(&mut self, id: ItemId) {
        self.tally.broken(Invariant::WhatIsForgottenStaysSo, format!("{} came back", short(&id)));
    }

    /// An erasure begins: from here on the name may be missing. Answers its number.
    pub(crate) fn erase_begins(&mut self, user: &UserId, moment: Moment) -> usize {
        self.erasures.push(Erasure { user: user.clone(), began: moment.seq, is_done: false });
        self.erasures.len() - 1
    }

    /// An erasure's last step was answered.
    pub(crate) fn erase_is_done(&mut self, number: usize) {
        self.erasures[number].is_done = true;
    }

    /// Whether erasing a user began before then.
    pub(crate) fn erase_began_before(&self, user: &UserId, seq: u64) -> bool {
        self.erasures.iter().any(|it| it.user == *user && it.began < seq)
    }

    /// Whether an erasure that is done covers what was accepted for a user as a part of a notification.
    fn is_erased(&self, user: &UserId, of: NotificationId) -> bool {
        let Some(of) = self.notifications.get(&of) else { return false };
        self.erasures.iter().any(|it| it.is_done && it.user == *user && of.accepted < it.began)
    }

    /// Whether a delivery's user is erased for good.
    pub(super) fn is_for_an_erased(&self, followed: &Followed) -> bool {
        followed.recipient.user().is_some_and(|user| self.is_erased(user, followed.notification))
    }

    /// Whom the store names in a delivery: whom it has always named, or nobody who was to be erased.
    pub(super) fn saw_recipient(&mut self, view: &DeliveryView) {
        let Some(followed) = self.deliveries.get(&view.id) else { return };
        let name = short(&ItemId::Delivery(view.id));
        let fits = match &view.recipient {
            Some(recipient) => *recipient == followed.recipient,
            None => followed.recipient.user().is_some_and(|it| self.erase_began_before(it, u64::MAX)),
        };
        let (erased, is_named) = (self.is_for_an_erased(followed), view.recipient.is_some());
        if !self.erasures.is_empty() {
            self.tally.check(Invariant::ErasingTouchesNobodyElse, fits, || {
                format!("{name} has come to be for {:?}", view.recipient)
            });
        }
        if erased {
            self.tally.check(Invariant::ErasedStaysErased, !is_named, || {
                format!("{name} names its user after the erasure")
            });
        }
    }

    /// Whom the store names in a notification.
    pub(super) fn saw_recipients(&mut self, view: &NotificationView) {
        let id = view.notification.id;
        let named = match &view.notification.recipients {
            Recipients::Users(users) => users.iter().collect(),
            Recipients::Device { user, .. } => vec![user],
            Recipients::Literal { .. } => Vec::new(),
        };
        let left = named.into_iter().find(|user| self.is_erased(user, id)).cloned();
        if self.erasures.iter().any(|it| it.is_done) {
            self.tally.check(Invariant::ErasedStaysErased, left.is_none(), || {
                format!("{} names {left:?} after the erasure", short(&ItemId::FanOut(id)))
            });
        }
    }
}

/// Whether a purge's filter finds what is dead of a notification, as far as the simulator's filters go.
fn finds(filter: &DeadFilter, id: NotificationId) -> bool {
    filter.notification.is_none_or(|only| only == id)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use pabal_core::ids::AppId;
    use pabal_core::message::Message;
    use pabal_core::notification::Notification;
    use pabal_core::route::Lane;

    use super::*;
    use crate::sim::names;
    use crate::sim::witness::Limits;

    const DAY_MS: i64 = 24 * 60 * 60 * 1000;

    fn witness() -> Witness {
        Witness::new(Limits {
            attempts_in_flight_max: 1,
            attempts_in_flight_per_route_max: 1,
            attempts_max: 1,
            credential_probe_ms: 1,
            claim_takes_ms_max: 1,
        })
    }

    /// The effect number `seq`, so many seconds after the beginning.
    fn at(seq: u64) -> Moment {
        let now = Timestamp::from_ms(i64::try_from(seq).expect("a small number") * 1000);
        Moment { seq, at: Duration::from_secs(seq), store: now, queue: now }
    }

    fn notification(state: NotificationState) -> NotificationView {
        let recipients = Recipients::users(vec![names::user(0)]).expect("one user");
        let notification = Notification {
            id: NotificationId::from_bytes([7; 16]),
            app: AppId::DEFAULT,
            recipients,
            message: Arc::new(Message::default()),
            lane: Lane::Bulk,
            channels: None,
            ttl_ms: DAY_MS,
            send_at: None,
        };
        let (created_at, expires_at) = (Timestamp::default(), Timestamp::default().plus_ms(DAY_MS));
        NotificationView { notification, state, created_at, expires_at, counts: Vec::new() }
    }

    fn prune(ended_ms_ago: u64) -> Removal {
        Removal::Prune(Prune { ended_ms_ago, dead_ms_ago: ended_ms_ago, after: None, rows_max: 1 })
    }

    fn broken(witness: &Witness) -> Vec<Invariant> {
        witness.tally.violations().iter().map(|violation| violation.invariant).collect()
    }

    fn after_removal(state: NotificationState, by: &Removal) -> (Witness, NotificationView) {
        let (mut witness, view) = (witness(), notification(state));
        witness.saw_notification(&view, at(0));
        let gone = Removed { deliveries: Vec::new(), notifications: vec![view.notification.id] };
        witness.removed_from_store(by, &gone, at(5));
        (witness, view)
    }

    #[test]
    fn what_ended_long_enough_ago_may_go_and_nothing_else() {
        let goes = |state, by| broken(&after_removal(state, &by).0);
        assert_eq!(goes(NotificationState::Expanded, prune(5000)), []);
        let kept = [Invariant::OnlyTheEndedIsForgotten];
        assert_eq!(goes(NotificationState::Expanded, prune(5001)), kept);
        assert_eq!(goes(NotificationState::Expanding, prune(0)), kept);
        assert_eq!(goes(NotificationState::Dead, Removal::Purge(DeadFilter::all())), []);
        assert_eq!(goes(NotificationState::Expanded, Removal::Purge(DeadFilter::all())), kept);
    }

    #[test]
    fn what_is_missing_without_a_removal_is_found() {
        let (mut witness, view) = (witness(), notification(NotificationState::Expanded));
        witness.saw_notification(&view, at(0));
        witness.is_missing(ItemId::FanOut(view.notification.id));
        assert_eq!(broken(&witness), [Invariant::OnlyTheEndedIsForgotten]);
    }

    #[test]
    fn what_comes_back_is_found() {
        let (mut witness, view) = after_removal(NotificationState::Expanded, &prune(0));
        witness.is_missing(ItemId::FanOut(view.notification.id));
        assert_eq!(broken(&witness), []);
        witness.saw_notification(&view, at(6));
        assert_eq!(broken(&witness), [Invariant::WhatIsForgottenStaysSo]);
    }

    #[test]
    fn a_settlement_of_what_is_forgotten_is_found() {
        let (mut witness, view) = after_removal(NotificationState::Expanded, &prune(0));
        witness.settles_what_is_gone(ItemId::FanOut(view.notification.id), false);
        assert_eq!(broken(&witness), []);
        witness.settles_what_is_gone(ItemId::FanOut(view.notification.id), true);
        assert_eq!(broken(&witness), [Invariant::LateSettlementsAreRefused]);
    }

    #[test]
    fn a_name_that_stays_after_the_erasure_is_found_and_one_from_later_is_none() {
        let (mut witness, view) = (witness(), notification(NotificationState::Scheduled));
        let early = witness.erase_begins(&names::user(0), at(0));
        witness.saw_notification(&view, at(1));
        witness.erase_is_done(early);
        witness.saw_notification(&view, at(2));
        assert_eq!(broken(&witness), []);
        let late = witness.erase_begins(&names::user(0), at(3));
        witness.saw_notification(&view, at(4));
        assert_eq!(broken(&witness), []);
        witness.erase_is_done(late);
        witness.saw_notification(&view, at(5));
        assert_eq!(broken(&witness), [Invariant::ErasedStaysErased]);
    }

    #[test]
    fn a_name_that_goes_without_an_erasure_is_found() {
        let (mut witness, of) = (witness(), notification(NotificationState::Expanded));
        witness.saw_notification(&of, at(0));
        let recipient = pabal_core::delivery::Recipient::NoDevice { user: names::user(0) };
        let mut view = DeliveryView {
            id: recipient.delivery_id(of.notification.id),
            notification: of.notification.id,
            recipient: Some(recipient),
            route: None,
            state: DeliveryState::Scheduled,
            reason: None,
            attempts: 0,
            created_at: Timestamp::default(),
            due_at: None,
            finished_at: None,
        };
        witness.first_sight(&view, &of, at(0));
        let number = witness.erase_begins(&names::user(1), at(1));
        witness.erase_is_done(number);
        witness.saw_recipient(&view);
        assert_eq!(broken(&witness), []);
        view.recipient = None;
        witness.saw_recipient(&view);
        assert_eq!(broken(&witness), [Invariant::ErasingTouchesNobodyElse]);
    }
}
