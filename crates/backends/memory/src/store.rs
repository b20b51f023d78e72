//! The truth, in memory: the traits of a store over one lock. Each method is one step; the flows are in their files.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use pabal_core::Result;
use pabal_core::chance::Chance;
use pabal_core::clock::{Clock, Timestamp};
use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::device::{Device, Registration};
use pabal_core::ids::{AppId, DeliveryId, DeviceId, ItemId, NotificationId, StoreId, UserId};
use pabal_core::route::Route;
use pabal_core::seam::store::{AttemptView, DeliveryView, KeyRecord, NotificationView, Pause};
use pabal_core::seam::{
    Acceptance, Answer, Cursor, Directory, Ending, History, Keys, Lease, Loaded, OpenItem, PageMade, Pauses,
    QueueItem, Recorded, Records, Selection, Settlement,
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
        selection: &Selection,
        after: Option<ItemId>,
        max: usize,
    ) -> Result<Vec<QueueItem>> {
        let (mut state, now) = self.begin();
        Ok(state.reopen(selection, after, max, now))
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
}

#[async_trait]
impl Keys for MemoryStore {
    async fn put_key(&self, key: &KeyRecord) -> Result<()> {
        self.lock().keys.insert(key.hash, key.clone());
        Ok(())
    }

    async fn key(&self, hash: &[u8; 32]) -> Result<Option<KeyRecord>> {
        Ok(self.lock().keys.get(hash).cloned())
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
