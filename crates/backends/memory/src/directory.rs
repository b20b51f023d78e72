//! Users and their devices. That an address belongs to one device of an app at a time holds by construction: the
//! address is the key under which its device is known.

use std::collections::BTreeMap;

use pabal_core::clock::Timestamp;
use pabal_core::device::{Device, Registration, Target};
use pabal_core::ids::{AppId, DeviceId, UserId};
use pabal_core::limits;
use pabal_core::{Error, ErrorKind, Result};

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
}
