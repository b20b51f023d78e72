//! The last judgement on a world that has come to rest: the book of what was promised against what became of it.

use std::collections::BTreeSet;

use pabal_core::delivery::{DeliveryState, Reason, Recipient};
use pabal_core::device::MarkKind;
use pabal_core::ids::{DeliveryId, DeviceId, ItemId, NotificationId, UserId};
use pabal_core::notification::NotificationState;
use pabal_core::seam::store::RedriveState;
use pabal_core::steps::complete_now;

use super::eyes::{APP, Eyes};
use super::invariant::Invariant;
use super::names;
use super::script::{Order, To};
use super::witness::Witness;
use super::witness::book::Offer;
use super::witness::state::{Followed, FollowedNotification};
use super::world::World;

/// Judges a world.
pub(crate) fn judge(world: &World, eyes: &Eyes) {
    let offered: Vec<(NotificationId, Offer)> = world.witness(|witness| witness.book.offered().collect());
    for (id, _) in &offered {
        eyes.notification(*id);
    }
    eyes.everything();
    eyes.recount();
    judge_forgotten(world);
    judge_devices(world, eyes);
    judge_redrives(world, eyes);
    world.witness(|witness| {
        for (id, offer) in offered {
            judge_offer(witness, id, offer);
        }
        judge_keys(witness);
    });
}

/// What was promised must have come true; what was not answered may be there or not.
fn judge_offer(witness: &mut Witness, id: NotificationId, offer: Offer) {
    let order = witness.book.order_of(id).cloned();
    let (Some(order), Some(followed)) = (order, witness.notifications().get(&id)) else {
        if offer.accepted.is_some() {
            witness.stats.lost += 1;
            witness.tally.check(Invariant::AcceptedIsNeverLost, false, || {
                format!("{id} was accepted and is not there")
            });
        }
        return;
    };
    let deliveries: Vec<(DeliveryId, &Followed)> = witness
        .deliveries()
        .iter()
        .filter(|(_, delivery)| delivery.notification == id)
        .map(|(id, delivery)| (*id, delivery))
        .collect();
    let open = deliveries.iter().filter(|(_, delivery)| delivery.state.is_open()).count();
    let lost = open + usize::from(followed.state.is_open());
    let promised = offer.accepted.flatten().is_none_or(|promised| promised as usize == deliveries.len());
    let fan_out = judge_fan_out(witness, &order, followed, &deliveries);
    let poison = judge_poison(witness, id, followed, &deliveries);
    let found = format!("{id} is {} with {:?}", followed.state, states(&deliveries));
    let ended = judge_end(witness, id, followed);

    witness.stats.lost += lost as u64;
    let tally = &mut witness.tally;
    tally.check(Invariant::AcceptedIsNeverLost, lost == 0 && promised, || {
        format!("{found}: {offer:?} of {order:?}")
    });
    if let Some(complete) = fan_out {
        tally.check(Invariant::FanOutIsComplete, complete, || {
            format!("{found}: {order:?} missed a device or made one up")
        });
    }
    if let Some(right) = poison {
        tally.check(Invariant::PoisonEndsAlone, right, || format!("{found}: poison did not end as poison"));
    }
    tally.check(Invariant::EndsForTheRightReason, ended, || format!("{found}, for no reason"));
}

fn states(deliveries: &[(DeliveryId, &Followed)]) -> Vec<(DeliveryState, Option<Reason>)> {
    deliveries.iter().map(|(_, delivery)| (delivery.state, delivery.reason)).collect()
}

/// Whether a notification ended as what was done to it.
fn judge_end(witness: &Witness, id: NotificationId, followed: &FollowedNotification) -> bool {
    match followed.state {
        NotificationState::Expanded | NotificationState::Expired => true,
        NotificationState::Cancelled => {
            witness.book.cancel_of_notification_was_asked(id) || followed.is_purged
        }
        NotificationState::Dead => {
            witness.book.order_of(id).is_some_and(|order| order.is_poison) || witness.stats.crashes > 0
        }
        // Counted as lost already.
        NotificationState::Scheduled | NotificationState::Expanding => true,
    }
}

/// Whether an expanded notification reached each device that its users had all the while, and no device that they
/// never had. `None` where there is nothing to say.
fn judge_fan_out(
    witness: &Witness,
    order: &Order,
    followed: &FollowedNotification,
    deliveries: &[(DeliveryId, &Followed)],
) -> Option<bool> {
    let (To::Users(users), Some(expanded)) = (&order.to, followed.expanded) else { return None };
    let from = followed.accepted;
    let fits = users.iter().map(|user| names::user(*user)).all(|user| {
        let of_user: Vec<&Recipient> = deliveries
            .iter()
            .map(|(_, delivery)| &delivery.recipient)
            .filter(|recipient| recipient.user() == Some(&user))
            .collect();
        let reached: BTreeSet<&DeviceId> =
            of_user.iter().filter_map(|recipient| device_of(recipient)).collect();
        let none_missed =
            witness.devices.reachable_throughout(&user, from).iter().all(|it| reached.contains(it));
        let none_made_up =
            reached.iter().all(|it| witness.devices.reachable_at_some_time(&user, it, from, expanded));
        // Whoever is erased before their page is skipped.
        let skipped = of_user.is_empty() && witness.erase_began_before(&user, expanded);
        let told = !of_user.is_empty() || skipped;
        none_missed
            && none_made_up
            && told
            && (skipped || reached.len() + usize::from(reached.is_empty()) == of_user.len())
    });
    Some(fits)
}

fn device_of(recipient: &Recipient) -> Option<&DeviceId> {
    match recipient {
        Recipient::Device { device, .. } => Some(device),
        Recipient::Literal(_) | Recipient::NoDevice { .. } => None,
    }
}

/// Whether poison that killed somebody ended as poison does; `None` for what is none, or was ended otherwise first.
fn judge_poison(
    witness: &Witness,
    id: NotificationId,
    followed: &FollowedNotification,
    deliveries: &[(DeliveryId, &Followed)],
) -> Option<bool> {
    if witness.poison_was_met(ItemId::FanOut(id)) {
        return match followed.state {
            NotificationState::Cancelled | NotificationState::Expired => None,
            state => Some(state == NotificationState::Dead && deliveries.is_empty()),
        };
    }
    let met = deliveries.iter().filter(|(id, _)| witness.poison_was_met(ItemId::Delivery(*id)));
    let ended = met.filter(|(_, delivery)| delivery.state != DeliveryState::Cancelled);
    let abandoned = (DeliveryState::Dead, Some(Reason::Abandoned));
    ended
        .map(|(_, delivery)| (delivery.state, delivery.reason) == abandoned)
        .reduce(|one, other| one && other)
}

/// Where what ended is forgotten, all is forgotten in the end.
fn judge_forgotten(world: &World) {
    if !world.plan.forgets {
        return;
    }
    world.witness(|witness| {
        let left = witness.kept();
        let none = left.deliveries.is_empty() && left.notifications.is_empty();
        witness.tally.check(Invariant::WhatEndedIsForgotten, none, || format!("{left:?} stay in the end"));
    });
}

/// Of all ids that were offered under one key, one is in the store.
fn judge_keys(witness: &mut Witness) {
    let kept: Vec<usize> = witness
        .book
        .by_key()
        .filter(|offered| offered.len() > 1)
        .map(|offered| offered.iter().filter(|id| witness.notifications().contains_key(id)).count())
        .collect();
    for kept in kept {
        witness.tally.check(Invariant::ReplaysAcceptOnce, kept <= 1, || {
            format!("one key accepted {kept} notifications")
        });
    }
}

/// Each job that was asked for is done.
fn judge_redrives(world: &World, eyes: &Eyes) {
    let jobs = complete_now("observe", eyes.store.list_redrives(APP, None, 1000));
    let states: Vec<RedriveState> =
        jobs.map(|jobs| jobs.items.iter().map(|job| job.state).collect()).unwrap_or_default();
    world.witness(|witness| {
        for state in states {
            witness.tally.check(Invariant::RedriveJobsEnd, state == RedriveState::Done, || {
                format!("a redrive job is {state} in the end")
            });
        }
    });
}

/// A device is marked as the provider's word about its present address would have it.
fn judge_devices(world: &World, eyes: &Eyes) {
    let registered: Vec<(UserId, DeviceId)> = world.witness(|witness| {
        witness.devices.registered().map(|(user, device)| (user.clone(), device.clone())).collect()
    });
    for (user, device) in registered {
        let stored = complete_now("observe", eyes.store.device(APP, &user, &device));
        let earned = world.witness(|witness| witness.devices.mark(&user, &device));
        let (there, mark) = match &stored {
            Ok(Some(device)) => (true, device.mark.as_ref().map(|mark| mark.kind)),
            Ok(None) | Err(_) => (false, None),
        };
        let right = there && mark == earned;
        let says_something = mark == Some(MarkKind::Retired) || earned == Some(MarkKind::Retired) || !right;
        if says_something {
            world.witness(|witness| {
                witness.tally.check(Invariant::OnlyTheProviderRetires, right, || {
                    format!(
                        "{user} {device} is marked {mark:?} and has earned {earned:?}; registered: {there}"
                    )
                });
            });
        }
    }
}
