//! Who has which address, and what the provider said about it: the witness's own copy of the directory.

use std::collections::BTreeMap;

use pabal_core::device::{MarkKind, Registration, Target};
use pabal_core::ids::{DeviceId, UserId};

use super::Moment;

type Key = (UserId, DeviceId);

/// All devices that ever were.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    by_name: BTreeMap<Key, Known>,
}

/// What is known about one device over its whole life.
#[derive(Debug, Default)]
struct Known {
    registration: Option<Registration>,
    /// What the provider said about the present address, since it was registered.
    mark: Option<MarkKind>,
    /// Since when it is registered and not retired, if it is.
    reachable_since: Option<u64>,
    /// When it was last not registered, or registered and retired.
    last_gone: Option<u64>,
    last_retired: Option<u64>,
    /// When it was last reachable, if it no longer is.
    last_reachable: Option<u64>,
}

impl Known {
    fn becomes(&mut self, registration: Option<Registration>, mark: Option<MarkKind>, seq: u64) {
        if self.registration.is_none() {
            self.last_gone = Some(seq);
        }
        if self.mark == Some(MarkKind::Retired) {
            self.last_retired = Some(seq);
        }
        let was = self.reachable_since.is_some();
        let is = registration.is_some() && mark != Some(MarkKind::Retired);
        self.registration = registration;
        self.mark = mark;
        match (was, is) {
            (false, true) => self.reachable_since = Some(seq),
            (true, false) => {
                self.reachable_since = None;
                self.last_reachable = Some(seq);
            }
            (true, true) | (false, false) => {}
        }
    }
}

impl Devices {
    /// A device is registered; whoever had its address is gone.
    pub(crate) fn put(
        &mut self,
        user: &UserId,
        device: &DeviceId,
        registration: &Registration,
        moment: Moment,
    ) {
        let key = (user.clone(), device.clone());
        let of_another = |(name, known): &(&Key, &mut Known)| {
            **name != key && known.registration.as_ref().is_some_and(|it| it.target == registration.target)
        };
        for (_, known) in self.by_name.iter_mut().filter(of_another) {
            known.becomes(None, None, moment.seq);
        }
        self.by_name.entry(key).or_default().becomes(Some(registration.clone()), None, moment.seq);
    }

    /// A device is gone.
    pub(crate) fn deleted(&mut self, user: &UserId, device: &DeviceId, moment: Moment) {
        if let Some(known) = self.by_name.get_mut(&(user.clone(), device.clone())) {
            known.becomes(None, None, moment.seq);
        }
    }

    /// All devices of a user are gone.
    pub(crate) fn erased(&mut self, user: &UserId, moment: Moment) {
        for (_, known) in self.by_name.iter_mut().filter(|((of, _), _)| of == user) {
            known.becomes(None, None, moment.seq);
        }
    }

    /// The store was told what the provider said about an address; it holds if the device still has that address.
    pub(crate) fn marked(
        &mut self,
        user: &UserId,
        device: &DeviceId,
        target: &Target,
        mark: MarkKind,
        moment: Moment,
    ) {
        let Some(known) = self.by_name.get_mut(&(user.clone(), device.clone())) else { return };
        if known.registration.as_ref().is_some_and(|it| it.target == *target) {
            let registration = known.registration.take();
            known.becomes(registration, Some(mark), moment.seq);
        }
    }

    /// The registration that a device has now.
    pub(crate) fn registration(&self, user: &UserId, device: &DeviceId) -> Option<&Registration> {
        self.by_name.get(&(user.clone(), device.clone()))?.registration.as_ref()
    }

    /// The mark that a device has earned with its present address.
    pub(crate) fn mark(&self, user: &UserId, device: &DeviceId) -> Option<MarkKind> {
        self.by_name.get(&(user.clone(), device.clone()))?.mark
    }

    /// All that are registered now.
    pub(crate) fn registered(&self) -> impl Iterator<Item = (&UserId, &DeviceId)> {
        let registered = self.by_name.iter().filter(|(_, known)| known.registration.is_some());
        registered.map(|((user, device), _)| (user, device))
    }

    /// Whether a device was missing at any time since.
    pub(crate) fn was_gone_since(&self, user: &UserId, device: &DeviceId, seq: u64) -> bool {
        let Some(known) = self.by_name.get(&(user.clone(), device.clone())) else { return true };
        known.registration.is_none() || known.last_gone.is_some_and(|gone| gone >= seq)
    }

    /// Whether a device was retired at any time since.
    pub(crate) fn was_retired_since(&self, user: &UserId, device: &DeviceId, seq: u64) -> bool {
        let Some(known) = self.by_name.get(&(user.clone(), device.clone())) else { return false };
        known.mark == Some(MarkKind::Retired) || known.last_retired.is_some_and(|retired| retired >= seq)
    }

    /// The devices of a user that were reachable from then on until now.
    pub(crate) fn reachable_throughout(&self, user: &UserId, from: u64) -> Vec<DeviceId> {
        let of_user = self.by_name.iter().filter(|((of, _), _)| of == user);
        let throughout =
            of_user.filter(|(_, known)| known.reachable_since.is_some_and(|since| since <= from));
        throughout.map(|((_, device), _)| device.clone()).collect()
    }

    /// Whether a device can have been reachable at any time between.
    pub(crate) fn reachable_at_some_time(
        &self,
        user: &UserId,
        device: &DeviceId,
        from: u64,
        until: u64,
    ) -> bool {
        let Some(known) = self.by_name.get(&(user.clone(), device.clone())) else { return false };
        known.reachable_since.is_some_and(|since| since <= until)
            || known.last_reachable.is_some_and(|last| last >= from)
    }
}
