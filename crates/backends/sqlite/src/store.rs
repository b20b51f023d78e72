//! The store's handle: each call is one job of the core, answered after its commit, or one read beside it.

use std::sync::Arc;

use async_trait::async_trait;
use pabal_core::clock::Timestamp;
use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::device::{Device, Registration};
use pabal_core::ids::{AppId, DeliveryId, DeviceId, ItemId, NotificationId, StoreId, UserId};
use pabal_core::route::Route;
use pabal_core::seam::store::{AttemptView, DeliveryView, KeyRecord, NotificationView, Pause};
use pabal_core::seam::{
    Acceptance, Answer, Cursor, Directory, Ending, History, Keys, Lease, Loaded, OpenItem, PageMade, Pauses,
    QueueItem, Recorded, Records, Selection, Settlement,
};
use pabal_core::{Result, steps};

use crate::port::{Port, call};
use crate::reads::Reads;
use crate::{devices, history, keys, pauses};

/// The store of a database. Clones share it.
#[derive(Clone)]
pub struct SqliteStore {
    pub(crate) port: Arc<dyn Port>,
    pub(crate) reads: Reads,
}

#[async_trait]
impl Records for SqliteStore {
    async fn store_id(&self) -> Result<StoreId> {
        call(&*self.port, |core| steps::complete_now("store_id", core.store_id())).await
    }

    async fn accept(&self, batch: &[Acceptance]) -> Result<Vec<(Answer, Vec<QueueItem>)>> {
        let batch = batch.to_vec();
        call(&*self.port, move |core| steps::complete_now("accept", core.accept(&batch))).await
    }

    async fn load(&self, leases: &[Lease]) -> Result<Vec<Loaded>> {
        let leases = leases.to_vec();
        call(&*self.port, move |core| steps::complete_now("load", core.load(&leases))).await
    }

    async fn record(&self, batch: &[Settlement]) -> Result<Vec<Recorded>> {
        let batch = batch.to_vec();
        call(&*self.port, move |core| steps::complete_now("record", core.record(&batch))).await
    }

    async fn page(&self, lease: &Lease, from: &Cursor, users_max: usize) -> Result<PageMade> {
        let (lease, from) = (lease.clone(), from.clone());
        call(&*self.port, move |core| steps::complete_now("page", core.page(&lease, &from, users_max))).await
    }

    async fn open_work(
        &self,
        selection: &Selection,
        reason: Reason,
        after: Option<(Timestamp, ItemId)>,
        max: usize,
    ) -> Result<Vec<OpenItem>> {
        let selection = selection.clone();
        call(&*self.port, move |core| {
            steps::complete_now("open_work", core.open_work(&selection, reason, after, max))
        })
        .await
    }

    async fn end(&self, items: &[Ending], reason: Reason) -> Result<u64> {
        let items = items.to_vec();
        call(&*self.port, move |core| steps::complete_now("end", core.end(&items, reason))).await
    }

    async fn reopen(
        &self,
        selection: &Selection,
        after: Option<ItemId>,
        max: usize,
    ) -> Result<Vec<QueueItem>> {
        let selection = selection.clone();
        call(&*self.port, move |core| steps::complete_now("reopen", core.reopen(&selection, after, max)))
            .await
    }

    async fn scan_open(
        &self,
        after: Option<(Timestamp, ItemId)>,
        overdue_by_ms: Option<u64>,
        max: usize,
    ) -> Result<Vec<OpenItem>> {
        call(&*self.port, move |core| {
            steps::complete_now("scan_open", core.scan_open(after, overdue_by_ms, max))
        })
        .await
    }
}

#[async_trait]
impl Directory for SqliteStore {
    async fn put_device(
        &self,
        app: AppId,
        user: &UserId,
        device: &DeviceId,
        registration: &Registration,
    ) -> Result<Device> {
        let (user, device, registration) = (user.clone(), device.clone(), registration.clone());
        call(&*self.port, move |core| {
            core.with(|tx| devices::put_device(tx, app, &user, &device, &registration))
        })
        .await
    }

    async fn put_devices(&self, app: AppId, devices: &[(UserId, DeviceId, Registration)]) -> Result<()> {
        let devices = devices.to_vec();
        call(&*self.port, move |core| core.with(|tx| devices::put_devices(tx, app, &devices))).await
    }

    async fn device(&self, app: AppId, user: &UserId, device: &DeviceId) -> Result<Option<Device>> {
        let (user, device) = (user.clone(), device.clone());
        self.reads.read("device", move |connection| devices::device(connection, app, &user, &device)).await
    }

    async fn devices(&self, app: AppId, user: &UserId) -> Result<Vec<Device>> {
        let user = user.clone();
        self.reads.read("devices", move |connection| devices::devices(connection, app, &user)).await
    }

    async fn delete_device(&self, app: AppId, user: &UserId, device: &DeviceId) -> Result<bool> {
        let (user, device) = (user.clone(), device.clone());
        call(&*self.port, move |core| core.with(|tx| devices::delete_device(tx, app, &user, &device))).await
    }
}

#[async_trait]
impl History for SqliteStore {
    async fn notification(&self, app: AppId, id: NotificationId) -> Result<Option<NotificationView>> {
        self.reads.read("notification", move |connection| history::notification(connection, app, id)).await
    }

    async fn deliveries(
        &self,
        app: AppId,
        id: NotificationId,
        after: Option<DeliveryId>,
        max: usize,
    ) -> Result<Vec<DeliveryView>> {
        self.reads
            .read("deliveries", move |connection| history::deliveries(connection, app, id, after, max))
            .await
    }

    async fn delivery(&self, app: AppId, id: DeliveryId) -> Result<Option<(DeliveryView, Vec<AttemptView>)>> {
        self.reads.read("delivery", move |connection| history::delivery(connection, app, id)).await
    }

    async fn totals(&self, app: AppId) -> Result<Vec<(DeliveryState, Option<Reason>, u64)>> {
        self.reads.read("totals", move |connection| history::totals(connection, app)).await
    }
}

#[async_trait]
impl Keys for SqliteStore {
    async fn put_key(&self, key: &KeyRecord) -> Result<()> {
        let key = key.clone();
        call(&*self.port, move |core| core.with(|tx| keys::put_key(tx, &key))).await
    }

    async fn key(&self, hash: &[u8; 32]) -> Result<Option<KeyRecord>> {
        let hash = *hash;
        self.reads.read("key", move |connection| keys::key(connection, &hash)).await
    }

    async fn keys(&self) -> Result<u64> {
        self.reads.read("keys", keys::keys).await
    }
}

#[async_trait]
impl Pauses for SqliteStore {
    async fn put_pause(&self, pause: &Pause) -> Result<()> {
        let pause = pause.clone();
        call(&*self.port, move |core| core.with(|tx| pauses::put_pause(tx, &pause))).await
    }

    async fn clear_pause(&self, route: &Route) -> Result<bool> {
        let route = route.clone();
        call(&*self.port, move |core| core.with(|tx| pauses::clear_pause(tx, &route))).await
    }

    async fn pauses(&self) -> Result<Vec<Pause>> {
        self.reads.read("pauses", pauses::pauses).await
    }
}

/// A database in memory for the tests of what works on a connection.
#[cfg(test)]
pub(crate) mod testing {
    use pabal_core::clock::Timestamp;
    use rusqlite::Connection;

    use crate::cache::MessageCache;
    use crate::rows::RouteNumbers;
    use crate::tx::Tx;

    pub(crate) struct Db {
        pub(crate) connection: Connection,
        routes: RouteNumbers,
        messages: MessageCache,
    }

    impl Db {
        pub(crate) fn new() -> Self {
            Self::over(Connection::open_in_memory().unwrap())
        }

        pub(crate) fn over(connection: Connection) -> Self {
            connection.execute_batch(include_str!("../schema/0001_first.sql")).unwrap();
            Self { connection, routes: RouteNumbers::default(), messages: MessageCache::default() }
        }

        pub(crate) fn tx(&self, now_ms: i64) -> Tx<'_> {
            let now = Timestamp::from_ms(now_ms);
            Tx { connection: &self.connection, now, routes: &self.routes, messages: &self.messages }
        }

        pub(crate) fn execute(&self, sql: &str) {
            self.connection.execute_batch(sql).unwrap();
        }

        /// As a restart would.
        pub(crate) fn forget(&self) {
            self.routes.forget();
        }
    }
}
