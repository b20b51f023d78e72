//! The truth, in memory: the traits of a store over one lock. Each method is one step; the flows are in their files.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use pabal_core::Result;
use pabal_core::chance::Chance;
use pabal_core::clock::{Clock, Timestamp};
use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::device::{Device, Registration};
use pabal_core::ids::{
    AppId, AppName, DeliveryId, DeviceId, ItemId, KeyId, NotificationId, RedriveId, StoreId, UserId,
};
use pabal_core::route::Route;
use pabal_core::seam::store::{
    App, AttemptView, DeadLetter, DeliveryFilter, DeliveryView, Erased, KeyRecord, MarkFilter, MarkedAt,
    NewRedrive, NotificationFilter, NotificationView, Pause, Prune, Pruned, Purged, RedriveJob, StoreSize,
};
use pabal_core::seam::{
    Acceptance, Answer, Apps, Cursor, DeadFilter, DeadLetters, Directory, Ending, Erasure, History, Keys,
    Lease, Listed, Loaded, OpenItem, PageMade, Pauses, QueueItem, Recorded, Records, Reopened, Retention,
    Selection, Settlement,
};

use crate::rows::State;

/// A store in memory. It is a server of its own, as PostgreSQL would be: it outlives the ledgers made over it.
pub struct MemoryStore {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
}

impl MemoryStore {
    /// An empty store that goes by `clock`; its own id is drawn from `chance`.
    pub fn new(clock: Arc<dyn Clock>, chance: &dyn Chance) -> Self {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&chance.next_u64().to_be_bytes());
        id[8..].copy_from_slice(&chance.next_u64().to_be_bytes());
        Self { state: Mutex::new(State::new(StoreId::from_bytes(id))), clock }
    }

    /// The state and the time, read under its lock: no step sees a later time than one that follows it.
    fn begin(&self) -> (MutexGuard<'_, State>, Timestamp) {
        let state = self.lock();
        let now = self.clock.now();
        (state, now)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Records for MemoryStore {
    async fn store_id(&self) -> Result<StoreId> {
        Ok(self.lock().store_id)
    }

    async fn accept(&self, batch: &[Acceptance]) -> Result<Vec<(Answer, Vec<QueueItem>)>> {
        let (mut state, now) = self.begin();
        Ok(batch.iter().map(|acceptance| state.accept(acceptance, now)).collect())
    }

    async fn load(&self, leases: &[Lease]) -> Result<Vec<Loaded>> {
        let (mut state, now) = self.begin();
        Ok(leases.iter().map(|lease| state.load(lease, now)).collect())
    }

    async fn record(&self, batch: &[Settlement]) -> Result<Vec<Recorded>> {
        let (mut state, now) = self.begin();
        Ok(batch.iter().map(|settlement| state.record(settlement, now)).collect())
    }

    async fn page(&self, lease: &Lease, from: &Cursor, users_max: usize) -> Result<PageMade> {
        let (mut state, now) = self.begin();
        Ok(state.page(lease, from, users_max, now))
    }

    async fn open_work(
        &self,
        selection: &Selection,
        reason: Reason,
        after: Option<(Timestamp, ItemId)>,
        max: usize,
    ) -> Result<Vec<OpenItem>> {
        let (mut state, now) = self.begin();
        Ok(state.open_work(selection, reason, after, max, now))
    }

    async fn end(&self, items: &[Ending], reason: Reason) -> Result<u64> {
        let (mut state, now) = self.begin();
        Ok(items.iter().map(|ending| u64::from(state.end(*ending, reason, now))).sum())
    }

    async fn reopen(
        &self,
        app: AppId,
        filter: &DeadFilter,
        after: Option<ItemId>,
        max: usize,
    ) -> Result<Reopened> {
        let (mut state, now) = self.begin();
        Ok(state.reopen(app, filter, after, max, now))
    }

    async fn scan_open(
        &self,
        after: Option<(Timestamp, ItemId)>,
        overdue_by_ms: Option<u64>,
        max: usize,
    ) -> Result<Vec<OpenItem>> {
        let (state, now) = self.begin();
        Ok(state.scan_open(after, overdue_by_ms, max, now))
    }
}

#[async_trait]
impl Directory for MemoryStore {
    async fn put_device(
        &self,
        app: AppId,
        user: &UserId,
        device: &DeviceId,
        registration: &Registration,
    ) -> Result<Device> {
        let (mut state, now) = self.begin();
        state.devices.put(app, user, device, registration, now)
    }

    async fn put_devices(&self, app: AppId, devices: &[(UserId, DeviceId, Registration)]) -> Result<()> {
        let (mut state, now) = self.begin();
        let mut after = state.devices.clone();
        for (user, device, registration) in devices {
            after.put(app, user, device, registration, now)?;
        }
        state.devices = after;
        Ok(())
    }

    async fn device(&self, app: AppId, user: &UserId, device: &DeviceId) -> Result<Option<Device>> {
        Ok(self.lock().devices.get(app, user, device).cloned())
    }

    async fn devices(&self, app: AppId, user: &UserId) -> Result<Vec<Device>> {
        Ok(self.lock().devices.of(app, user).cloned().collect())
    }

    async fn delete_device(&self, app: AppId, user: &UserId, device: &DeviceId) -> Result<bool> {
        Ok(self.lock().devices.remove(app, user, device).is_some())
    }

    async fn marked_devices(
        &self,
        app: AppId,
        filter: &MarkFilter,
        after: Option<&MarkedAt>,
        max: usize,
    ) -> Result<Listed<Device, MarkedAt>> {
        Ok(self.lock().devices.marked(app, filter, after, max))
    }

    async fn restore_devices(&self, app: AppId, devices: &[(UserId, DeviceId)]) -> Result<u64> {
        let mut state = self.lock();
        let restored = |(user, device): &&(UserId, DeviceId)| state.devices.restore(app, user, device);
        Ok(devices.iter().filter(restored).count() as u64)
    }

    async fn restore_marked(&self, app: AppId, filter: &MarkFilter, max: usize) -> Result<u64> {
        Ok(self.lock().devices.restore_marked(app, filter, max))
    }
}

#[async_trait]
impl Erasure for MemoryStore {
    async fn erase_user(&self, app: AppId, user: &UserId, _after: Option<String>) -> Result<Erased> {
        Ok(self.lock().erase_user(app, user))
    }
}

#[async_trait]
impl Retention for MemoryStore {
    async fn prune(&self, prune: &Prune) -> Result<Pruned> {
        let (mut state, now) = self.begin();
        Ok(state.prune(prune, now))
    }

    async fn size(&self) -> Result<StoreSize> {
        Ok(StoreSize { used_bytes: self.lock().used_bytes(), disk_free_bytes: None })
    }
}

#[async_trait]
impl History for MemoryStore {
    async fn notification(&self, app: AppId, id: NotificationId) -> Result<Option<NotificationView>> {
        Ok(self.lock().notification_view(app, id))
    }

    async fn deliveries(
        &self,
        app: AppId,
        id: NotificationId,
        after: Option<DeliveryId>,
        max: usize,
    ) -> Result<Vec<DeliveryView>> {
        Ok(self.lock().delivery_views(app, id, after, max))
    }

    async fn delivery(&self, app: AppId, id: DeliveryId) -> Result<Option<(DeliveryView, Vec<AttemptView>)>> {
        Ok(self.lock().delivery_view(app, id))
    }

    async fn totals(&self, app: AppId) -> Result<Vec<(DeliveryState, Option<Reason>, u64)>> {
        Ok(self.lock().totals(app))
    }

    async fn list_notifications(
        &self,
        app: AppId,
        filter: &NotificationFilter,
        before: Option<NotificationId>,
        max: usize,
    ) -> Result<Listed<NotificationView, NotificationId>> {
        Ok(self.lock().list_notifications(app, filter, before, max))
    }

    async fn list_deliveries(
        &self,
        app: AppId,
        filter: &DeliveryFilter,
        before: Option<DeliveryId>,
        max: usize,
    ) -> Result<Listed<DeliveryView, DeliveryId>> {
        Ok(self.lock().list_deliveries(app, filter, before, max))
    }
}

#[async_trait]
impl DeadLetters for MemoryStore {
    async fn list_dead(
        &self,
        app: AppId,
        filter: &DeadFilter,
        before: Option<ItemId>,
        max: usize,
    ) -> Result<Listed<DeadLetter, ItemId>> {
        Ok(self.lock().list_dead(app, filter, before, max))
    }

    async fn purge_dead(
        &self,
        app: AppId,
        filter: &DeadFilter,
        after: Option<ItemId>,
        max: usize,
    ) -> Result<Purged> {
        let (mut state, now) = self.begin();
        Ok(state.purge_dead(app, filter, after, max, now))
    }

    async fn put_redrive(&self, new: &NewRedrive) -> Result<RedriveJob> {
        let (mut state, now) = self.begin();
        state.put_redrive(new, now)
    }

    async fn redrive(&self, app: AppId, id: RedriveId) -> Result<Option<RedriveJob>> {
        Ok(self.lock().redrive_job(app, id))
    }

    async fn list_redrives(
        &self,
        app: AppId,
        before: Option<RedriveId>,
        max: usize,
    ) -> Result<Listed<RedriveJob, RedriveId>> {
        Ok(self.lock().list_redrives(app, before, max))
    }

    async fn running_redrives(&self) -> Result<Vec<RedriveJob>> {
        Ok(self.lock().running_redrives().cloned().collect())
    }

    async fn advance_redrive(&self, id: RedriveId, reopened: u64, next: Option<ItemId>) -> Result<bool> {
        let (mut state, now) = self.begin();
        Ok(state.advance_redrive(id, reopened, next, now))
    }

    async fn stop_redrive(&self, app: AppId, id: RedriveId) -> Result<Option<RedriveJob>> {
        let (mut state, now) = self.begin();
        Ok(state.stop_redrive(app, id, now))
    }
}

#[async_trait]
impl Apps for MemoryStore {
    async fn put_app(&self, name: &AppName) -> Result<Option<App>> {
        self.lock().put_app(name)
    }

    async fn apps(&self) -> Result<Vec<App>> {
        let state = self.lock();
        Ok(state.apps.iter().map(|(name, id)| App { id: *id, name: name.clone() }).collect())
    }
}

#[async_trait]
impl Keys for MemoryStore {
    async fn put_key(&self, key: &KeyRecord) -> Result<()> {
        self.lock().put_key(key)
    }

    async fn key(&self, hash: &[u8; 32]) -> Result<Option<KeyRecord>> {
        Ok(self.lock().keys.values().find(|key| key.hash == *hash).cloned())
    }

    async fn list_keys(
        &self,
        app: AppId,
        with_revoked: bool,
        before: Option<KeyId>,
        max: usize,
    ) -> Result<Listed<KeyRecord, KeyId>> {
        Ok(self.lock().list_keys(app, with_revoked, before, max))
    }

    async fn revoke_key(&self, app: AppId, id: KeyId) -> Result<Option<KeyRecord>> {
        let (mut state, now) = self.begin();
        Ok(state.revoke_key(app, id, now))
    }

    async fn touch_keys(&self, used: &[(KeyId, Timestamp)]) -> Result<()> {
        self.lock().touch_keys(used);
        Ok(())
    }

    async fn keys(&self) -> Result<u64> {
        Ok(self.lock().keys.len() as u64)
    }
}

#[async_trait]
impl Pauses for MemoryStore {
    async fn put_pause(&self, pause: &Pause) -> Result<()> {
        self.lock().pauses.entry(pause.route.clone()).or_insert_with(|| pause.clone());
        Ok(())
    }

    async fn clear_pause(&self, route: &Route) -> Result<bool> {
        Ok(self.lock().pauses.remove(route).is_some())
    }

    async fn pauses(&self) -> Result<Vec<Pause>> {
        Ok(self.lock().pauses.values().cloned().collect())
    }
}
