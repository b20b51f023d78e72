//! Users and their devices. That an address belongs to one device of an app at a time holds by construction: the
//! address is the key under which its device is known.

use std::collections::BTreeMap;

use pabal_core::clock::Timestamp;
use pabal_core::device::{Device, Registration, Target};
use pabal_core::ids::{AppId, DeviceId, UserId};
use pabal_core::limits;
use pabal_core::seam::Listed;
use pabal_core::seam::store::{MarkFilter, MarkedAt};
use pabal_core::{Error, ErrorKind, Result};

use crate::lists::{page_of, within};

#[derive(Debug, Clone, Default)]
pub(crate) struct Devices {
    by_user: BTreeMap<(AppId, UserId), BTreeMap<DeviceId, Device>>,
    by_address: BTreeMap<(AppId, Target), (UserId, DeviceId)>,
}

impl Devices {
    pub(crate) fn get(&self, app: AppId, user: &UserId, device: &DeviceId) -> Option<&Device> {
        self.by_user.get(&(app, user.clone()))?.get(device)
    }

    pub(crate) fn get_mut(&mut self, app: AppId, user: &UserId, device: &DeviceId) -> Option<&mut Device> {
        self.by_user.get_mut(&(app, user.clone()))?.get_mut(device)
    }

    /// A user's devices, by name.
    pub(crate) fn of(&self, app: AppId, user: &UserId) -> impl Iterator<Item = &Device> {
        self.by_user.get(&(app, user.clone())).into_iter().flat_map(BTreeMap::values)
    }

    /// Registers a device, or registers it anew; whoever had its address is gone.
    pub(crate) fn put(
        &mut self,
        app: AppId,
        user: &UserId,
        id: &DeviceId,
        registration: &Registration,
        now: Timestamp,
    ) -> Result<Device> {
        let address = (app, registration.target.clone());
        let former = self.by_address.get(&address).cloned();
        let stays =
            |other: &&Device| other.id != *id && former.as_ref() != Some(&(user.clone(), other.id.clone()));
        if self.of(app, user).filter(stays).count() >= limits::DEVICES_PER_USER_MAX {
            let message = format!("a user has at most {} devices", limits::DEVICES_PER_USER_MAX);
            return Err(Error::new(ErrorKind::LimitReached, "put_device", message));
        }
        let known = self.remove(app, user, id);
        if let Some((user, device)) = former {
            self.remove(app, &user, &device);
        }
        let put = Device {
            user: user.clone(),
            id: id.clone(),
            registration: registration.clone(),
            mark: None,
            created_at: known.map_or(now, |known| known.created_at),
            seen_at: now,
        };
        self.by_address.insert(address, (user.clone(), id.clone()));
        self.by_user.entry((app, user.clone())).or_default().insert(id.clone(), put.clone());
        Ok(put)
    }

    pub(crate) fn remove(&mut self, app: AppId, user: &UserId, device: &DeviceId) -> Option<Device> {
        let removed = self.by_user.get_mut(&(app, user.clone()))?.remove(device)?;
        self.by_address.remove(&(app, removed.registration.target.clone()));
        Some(removed)
    }

    /// Removes all devices of a user. Answers how many.
    pub(crate) fn remove_all(&mut self, app: AppId, user: &UserId) -> u64 {
        let names: Vec<DeviceId> = self.of(app, user).map(|device| device.id.clone()).collect();
        names.iter().filter_map(|name| self.remove(app, user, name)).count() as u64
    }

    /// Devices that bear a mark, by its time.
    pub(crate) fn marked(
        &self,
        app: AppId,
        filter: &MarkFilter,
        after: Option<&MarkedAt>,
        max: usize,
    ) -> Listed<Device, MarkedAt> {
        let devices = self.by_user.iter().filter(|((of, _), _)| *of == app).flat_map(|(_, of)| of.values());
        let mut marked: Vec<(MarkedAt, &Device)> =
            devices.filter_map(|device| Some((marked_at(device)?, device))).collect();
        marked.retain(|(at, _)| after.is_none_or(|after| at > after));
        marked.sort_by(|(a, _), (b, _)| a.cmp(b));
        page_of(
            marked.into_iter().map(|(at, device)| (at, is_among(filter, device).then(|| device.clone()))),
            max,
        )
    }

    /// Takes the mark off a device. Answers whether it bore one.
    pub(crate) fn restore(&mut self, app: AppId, user: &UserId, device: &DeviceId) -> bool {
        self.get_mut(app, user, device).is_some_and(|device| device.mark.take().is_some())
    }

    /// Takes the marks off so many devices that a filter finds. Answers how many.
    pub(crate) fn restore_marked(&mut self, app: AppId, filter: &MarkFilter, max: usize) -> u64 {
        let (mut found, mut after) = (Vec::new(), None);
        while found.len() < max {
            let Listed { items, next } = self.marked(app, filter, after.as_ref(), max - found.len());
            found.extend(items);
            after = next;
            if after.is_none() {
                break;
            }
        }
        found.iter().filter(|device| self.restore(app, &device.user, &device.id)).count() as u64
    }
}

fn marked_at(device: &Device) -> Option<MarkedAt> {
    let mark = device.mark.as_ref()?;
    Some(MarkedAt { at: mark.at, user: device.user.clone(), device: device.id.clone() })
}

fn is_among(filter: &MarkFilter, device: &Device) -> bool {
    device.mark.as_ref().is_some_and(|mark| {
        filter.kind.is_none_or(|kind| mark.kind == kind)
            && filter.reason.as_ref().is_none_or(|reason| mark.reason == *reason)
            && within(mark.at, filter.since, filter.until)
    })
}
