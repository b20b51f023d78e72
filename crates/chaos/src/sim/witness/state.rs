//! What the store says about deliveries and notifications, each time it is looked at.

use pabal_core::clock::Timestamp;
use pabal_core::delivery::{DeliveryState, Reason, Recipient};
use pabal_core::ids::{DeliveryId, ItemId, NotificationId};
use pabal_core::limits;
use pabal_core::notification::{Notification, NotificationState};
use pabal_core::outcome::OutcomeKind;
use pabal_core::seam::store::{DeliveryView, NotificationView};
use pabal_core::seam::{Cursor, Page, Paged};

use super::attempt::Try;
use super::{Moment, Witness, short};
use crate::sim::invariant::Invariant;

/// A delivery, as the store was last seen to hold it, and what has happened to it.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) notification: NotificationId,
    pub(crate) recipient: Recipient,
    pub(crate) state: DeliveryState,
    pub(crate) reason: Option<Reason>,
    pub(super) tries: Vec<Try>,
    /// Attempts that the store took.
    pub(super) recorded: u32,
    /// Those that count against the budget.
    pub(super) counted: u32,
    /// Not before this time of the store's, after the last retry that was recorded.
    pub(super) due: Option<Timestamp>,
    /// Whether an attempt's record ended its time to live.
    pub(super) expire_is_recorded: bool,
    /// Whether a caller was told that it is cancelled.
    pub(super) cancel_is_known: bool,
    expires_at: Timestamp,
    pub(crate) first_seen: u64,
    redriven: Option<u64>,
    /// The store's time when it was last seen open, or first seen.
    pub(super) open_until: Timestamp,
    /// Whether the store has forgotten it.
    pub(super) is_gone: bool,
}

/// A notification, as the store was last seen to hold it.
#[derive(Debug)]
pub(crate) struct FollowedNotification {
    pub(crate) state: NotificationState,
    /// When it was first seen in the store.
    pub(crate) accepted: u64,
    /// When it was first seen to be expanded.
    pub(crate) expanded: Option<u64>,
    cursors: Vec<Cursor>,
    cancel_is_known: bool,
    redriven: bool,
    /// The store's time when it was last seen open, or first seen.
    pub(super) open_until: Timestamp,
    /// Whether the store has forgotten it.
    pub(super) is_gone: bool,
    /// Whether it was dead when a purge found it.
    pub(crate) is_purged: bool,
}

/// In what an observation was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum During {
    /// Anything but an end.
    AnyStep,
    /// A cancel or an expiry that takes from the queue and writes the store in one step.
    EndInOneStep,
}

impl Followed {
    fn new(view: &DeliveryView, recipient: Recipient, expires_at: Timestamp, moment: Moment) -> Self {
        Self {
            notification: view.notification,
            recipient,
            state: view.state,
            reason: view.reason,
            tries: Vec::new(),
            recorded: 0,
            counted: 0,
            due: None,
            expire_is_recorded: false,
            cancel_is_known: false,
            expires_at,
            first_seen: moment.seq,
            redriven: None,
            open_until: moment.store,
            is_gone: false,
        }
    }

    fn may_become(&self, next: DeliveryState) -> bool {
        self.state == next
            || self.state.may_become(next)
            || (self.state.can_be_redriven() && next.is_open() && self.redriven.is_some())
    }

    /// How many of its sends arrived.
    pub(crate) fn has_arrived(&self) -> bool {
        self.tries.iter().any(Try::has_arrived)
    }
}

impl Witness {
    /// The store was looked at about a notification.
    pub(crate) fn saw_notification(&mut self, view: &NotificationView, moment: Moment) {
        let id = view.notification.id;
        let followed = self.notifications.entry(id).or_insert_with(|| FollowedNotification {
            state: view.state,
            accepted: moment.seq,
            expanded: None,
            cursors: Vec::new(),
            cancel_is_known: false,
            redriven: false,
            open_until: moment.store,
            is_gone: false,
            is_purged: false,
        });
        let redriven = followed.state == NotificationState::Dead && followed.redriven;
        let taken_back = followed.state == NotificationState::Dead
            && followed.is_purged
            && view.state == NotificationState::Cancelled;
        let legal = followed.state == view.state || followed.state.is_open() || redriven || taken_back;
        let was = followed.state;
        followed.state = view.state;
        if view.state.is_open() {
            followed.open_until = moment.store;
        }
        let is_gone = followed.is_gone;
        if view.state == NotificationState::Expanded && followed.expanded.is_none() {
            followed.expanded = Some(moment.seq);
        }
        self.tally.check(Invariant::StatesMoveLegally, legal, || {
            format!("{} went from {was} to {}", short(&ItemId::FanOut(id)), view.state)
        });
        self.saw_recipients(view);
        if is_gone {
            self.came_back(ItemId::FanOut(id));
        }
    }

    /// The store was looked at about a delivery; `timeline` is the number of attempts that it shows.
    pub(crate) fn saw_delivery(
        &mut self,
        view: &DeliveryView,
        timeline: usize,
        during: During,
        moment: Moment,
    ) {
        let name = short(&ItemId::Delivery(view.id));
        let Some(followed) = self.deliveries.get_mut(&view.id) else { return };
        let (was, legal) = (followed.state, followed.may_become(view.state));
        (followed.state, followed.reason) = (view.state, view.reason);
        if view.state.is_open() {
            followed.open_until = moment.store;
        }
        let (recorded, is_gone) = (followed.recorded, followed.is_gone);
        if is_gone {
            self.came_back(ItemId::Delivery(view.id));
        }
        self.saw_recipient(view);
        self.tally.check(Invariant::StatesMoveLegally, legal, || {
            format!("{name} went from {was} to {}", view.state)
        });
        let same = view.attempts == recorded && timeline == recorded as usize;
        self.tally.check(Invariant::AttemptsAreCounted, same, || {
            format!(
                "{name} shows {} attempts, {timeline} in its timeline; {recorded} were recorded",
                view.attempts
            )
        });
        if was == view.state || view.state.is_open() {
            return;
        }
        self.check_reason(view, moment);
        let ended = matches!(view.state, DeliveryState::Cancelled | DeliveryState::Expired);
        if ended && during == During::EndInOneStep {
            self.ended_in_one_step(ItemId::Delivery(view.id), moment);
        }
    }

    /// A delivery is in the store that was not there before.
    pub(crate) fn first_sight(&mut self, view: &DeliveryView, of: &NotificationView, moment: Moment) {
        let Some(recipient) = view.recipient.clone() else {
            let what = format!("{} was made for nobody", short(&ItemId::Delivery(view.id)));
            return self.tally.broken(Invariant::ErasingTouchesNobodyElse, what);
        };
        let followed = Followed::new(view, recipient, expiry(&of.notification, of.created_at), moment);
        self.deliveries.insert(view.id, followed);
        self.stats.deliveries += 1;
        let after_cancel = self.notifications.get(&view.notification).is_some_and(|it| it.cancel_is_known);
        if after_cancel {
            let what =
                format!("{} was made after its notification's cancel", short(&ItemId::Delivery(view.id)));
            self.tally.broken(Invariant::NoAttemptAfterCancel, what);
        }
        if !view.state.is_open() {
            self.check_reason(view, moment);
        }
    }

    /// A final state must have its reason in what the world did.
    fn check_reason(&mut self, view: &DeliveryView, moment: Moment) {
        let Some(followed) = self.deliveries.get(&view.id) else { return };
        let fits = view.reason.map_or(view.state == DeliveryState::Delivered, |reason| {
            state_of(reason) == view.state && self.has_reason(followed, view.id, reason, moment)
        });
        let arrived = view.state != DeliveryState::Delivered || followed.has_arrived();
        let name = short(&ItemId::Delivery(view.id));
        self.tally.check(Invariant::EndsForTheRightReason, fits, || {
            format!(
                "{name} is {} for {:?}, which it has no reason to be: {followed:?}",
                view.state, view.reason
            )
        });
        self.tally.check(Invariant::AcceptedIsNeverLost, arrived, || {
            format!("{name} is delivered and never arrived")
        });
        if !arrived {
            self.stats.lost += 1;
        }
    }

    fn has_reason(&self, followed: &Followed, id: DeliveryId, reason: Reason, moment: Moment) -> bool {
        let device = match &followed.recipient {
            Recipient::Device { user, device } => Some((user, device)),
            Recipient::Literal(_) | Recipient::NoDevice { .. } => None,
        };
        let since = followed.first_seen;
        match reason {
            Reason::AttemptsExhausted => followed.counted + 1 >= self.limits.attempts_max,
            Reason::Rejected => followed.was_answered(OutcomeKind::Rejected),
            Reason::Unregistered => followed.was_answered(OutcomeKind::Unregistered),
            Reason::SenderMismatch => followed.was_answered(OutcomeKind::SenderMismatch),
            Reason::MalformedTarget => followed.was_answered(OutcomeKind::MalformedTarget),
            // Checked where it is settled, with the leases that led to it.
            Reason::Abandoned => true,
            Reason::TtlEnded => {
                followed.expire_is_recorded || moment.store.max(self.store_has_shown) >= followed.expires_at
            }
            Reason::CancelRequested => self.book.cancel_was_asked(id, followed),
            Reason::NoDevice => match &followed.recipient {
                // That the user really had none is judged at the end, with the fan-out.
                Recipient::NoDevice { .. } => true,
                Recipient::Device { .. } | Recipient::Literal(_) => false,
            },
            Reason::DeviceGone => {
                device.is_some_and(|(user, it)| self.devices.was_gone_since(user, it, since))
            }
            Reason::DeviceRetired => {
                device.is_some_and(|(user, it)| self.devices.was_retired_since(user, it, since))
            }
        }
    }

    /// A page was asked for and made, or refused.
    pub(crate) fn paged(&mut self, page: &Page, paged: &Paged) {
        let ItemId::FanOut(id) = page.lease.id else { return };
        let (Some(followed), Paged::Made { cursor, .. }) = (self.notifications.get_mut(&id), paged) else {
            return;
        };
        let name = short(&page.lease.id);
        let begins_at_the_end = followed.cursors.last().cloned().unwrap_or_default() == page.from;
        self.tally.check(Invariant::CursorNeverGoesBack, begins_at_the_end, || {
            format!("{name} was paged from {:?} after {:?}", page.from, followed.cursors)
        });
        let again = followed.cursors.contains(cursor);
        self.tally.check(Invariant::CursorNeverGoesBack, !again, || {
            format!("{name} came back to {cursor:?} after {:?}", followed.cursors)
        });
        followed.cursors.push(cursor.clone());
    }

    /// Dead work was made open again.
    pub(crate) fn reopened(&mut self, ids: &[ItemId], moment: Moment) {
        for id in ids {
            match id {
                ItemId::Delivery(id) => {
                    let Some(followed) = self.deliveries.get_mut(id) else { continue };
                    followed.redriven = Some(moment.seq);
                    (followed.counted, followed.due, followed.cancel_is_known) = (0, None, false);
                    let order = self.book.order_of(followed.notification);
                    let ttl_ms = order.map_or(i64::MAX, |order| order.ttl_ms.max(limits::TTL_GRACE_MS));
                    if followed.expires_at <= moment.store {
                        followed.expires_at = moment.store.plus_ms(ttl_ms);
                    }
                }
                ItemId::FanOut(id) => {
                    if let Some(followed) = self.notifications.get_mut(id) {
                        (followed.redriven, followed.cancel_is_known) = (true, false);
                    }
                }
            }
        }
    }

    /// A caller who asked at `began` was told that these are cancelled. What was dead then, and is redriven since, is
    /// not.
    pub(crate) fn cancel_is_known(&mut self, began: u64, covers: impl Fn(DeliveryId, &Followed) -> bool) {
        let was_open = |followed: &Followed| {
            followed.state.is_open() && followed.redriven.is_none_or(|redriven| redriven < began)
        };
        let open = self.deliveries.iter_mut().filter(|(_, followed)| was_open(followed));
        for (id, followed) in open {
            if covers(*id, followed) {
                followed.cancel_is_known = true;
                self.tally.chance(Invariant::NoAttemptAfterCancel);
            }
        }
    }

    /// A caller was told that a notification is cancelled.
    pub(crate) fn cancel_of_notification_is_known(&mut self, id: NotificationId) {
        if let Some(followed) = self.notifications.get_mut(&id).filter(|followed| followed.state.is_open()) {
            followed.cancel_is_known = true;
            self.tally.chance(Invariant::NoAttemptAfterCancel);
        }
    }

    /// An entry left the queue for good: the store must have ended it. A redrive may come in between.
    pub(crate) fn left_the_queue(&mut self, id: ItemId, is_open: bool) {
        let redriven = match id {
            ItemId::Delivery(id) => self.deliveries.get(&id).is_some_and(|it| it.redriven.is_some()),
            ItemId::FanOut(id) => self.notifications.get(&id).is_some_and(|it| it.redriven),
        };
        if !redriven {
            self.tally.check(Invariant::QueueFollowsTheRecord, !is_open, || {
                format!("{} is done in the queue and open in the store", short(&id))
            });
        }
    }
}

/// When a notification's time to live ends.
fn expiry(notification: &Notification, created_at: Timestamp) -> Timestamp {
    let ttl_ms = notification.ttl_ms.max(limits::TTL_GRACE_MS);
    notification.send_at.unwrap_or(created_at).plus_ms(ttl_ms)
}

/// The final state that a reason belongs to.
const fn state_of(reason: Reason) -> DeliveryState {
    match reason {
        Reason::AttemptsExhausted
        | Reason::Rejected
        | Reason::Unregistered
        | Reason::SenderMismatch
        | Reason::MalformedTarget
        | Reason::Abandoned => DeliveryState::Dead,
        Reason::TtlEnded => DeliveryState::Expired,
        Reason::CancelRequested => DeliveryState::Cancelled,
        Reason::NoDevice | Reason::DeviceGone | Reason::DeviceRetired => DeliveryState::Undeliverable,
    }
}
