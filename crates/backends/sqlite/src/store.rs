//! The store's handle: each call is one job of the core, answered after its commit, or one read beside it. Where much has
//! to be looked at before little is written, the looking is done beside the writer, and what was found is looked at again
//! where it is written. What a service needs beside its deliveries is in `service`.

#[cfg(test)]
mod plans;
mod service;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use pabal_core::clock::{Clock, Timestamp};
use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::device::{Device, Registration};
use pabal_core::ids::{AppId, DeliveryId, DeviceId, ItemId, NotificationId, StoreId, UserId};
use pabal_core::seam::store::{
    AttemptView, DeliveryFilter, DeliveryView, MarkFilter, MarkedAt, NotificationFilter, NotificationView,
};
use pabal_core::seam::{
    Acceptance, Answer, Cursor, DeadFilter, Directory, Ending, History, Lease, Listed, Loaded, OpenItem,
    PageMade, QueueItem, Recorded, Records, Reopened, Selection, Settlement,
};
use pabal_core::{Result, steps};
use rusqlite::Connection;

use crate::dead::Dead;
use crate::port::{Port, call};
use crate::reads::Reads;
use crate::walk::Walked;
use crate::{devices, history, marks, records};

/// The store of a database. Clones share it.
#[derive(Clone)]
pub struct SqliteStore {
    pub(crate) port: Arc<dyn Port>,
    pub(crate) reads: Reads,
    pub(crate) clock: Arc<dyn Clock>,
    /// Where the database lies; `None` in memory.
    pub(crate) file: Option<Arc<Path>>,
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
        app: AppId,
        filter: &DeadFilter,
        after: Option<ItemId>,
        max: usize,
    ) -> Result<Reopened> {
        let filter = filter.clone();
        let find = move |connection: &Connection| Dead { app, filter: &filter }.to_do(connection, after, max);
        let Walked { found, next, .. } = self.reads.read("reopen", find).await?;
        let work = match found {
            none if none.is_empty() => Vec::new(),
            ids => call(&*self.port, move |core| core.with(|tx| records::reopen(tx, &ids))).await?,
        };
        Ok(Reopened { work, next })
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

    async fn marked_devices(
        &self,
        app: AppId,
        filter: &MarkFilter,
        after: Option<&MarkedAt>,
        max: usize,
    ) -> Result<Listed<Device, MarkedAt>> {
        let (filter, after) = (filter.clone(), after.cloned());
        self.reads
            .read("marked_devices", move |connection| {
                marks::marked_devices(connection, app, &filter, after.as_ref(), max)
            })
            .await
    }

    async fn restore_devices(&self, app: AppId, devices: &[(UserId, DeviceId)]) -> Result<u64> {
        let devices = devices.to_vec();
        call(&*self.port, move |core| core.with(|tx| marks::restore(tx, app, &devices))).await
    }

    async fn restore_marked(&self, app: AppId, filter: &MarkFilter, max: usize) -> Result<u64> {
        let (mut devices, mut after) = (Vec::new(), None);
        while devices.len() < max {
            let (filter, missing) = (filter.clone(), max - devices.len());
            let find =
                move |connection: &Connection| marks::find_marked(connection, app, &filter, after, missing);
            let page = self.reads.read("restore_marked", find).await?;
            devices.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        self.restore_devices(app, &devices).await
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

    async fn list_notifications(
        &self,
        app: AppId,
        filter: &NotificationFilter,
        before: Option<NotificationId>,
        max: usize,
    ) -> Result<Listed<NotificationView, NotificationId>> {
        let filter = filter.clone();
        self.reads
            .read("list_notifications", move |connection| {
                history::list_notifications(connection, app, &filter, before, max)
            })
            .await
    }

    async fn list_deliveries(
        &self,
        app: AppId,
        filter: &DeliveryFilter,
        before: Option<DeliveryId>,
        max: usize,
    ) -> Result<Listed<DeliveryView, DeliveryId>> {
        let filter = filter.clone();
        self.reads
            .read("list_deliveries", move |connection| {
                history::list_deliveries(connection, app, &filter, before, max)
            })
            .await
    }
}

/// A database in memory for the tests of what works on a connection.
#[cfg(test)]
pub(crate) mod testing {
    use pabal_core::clock::Timestamp;
    use rusqlite::Connection;

    use crate::cache::MessageCache;
    use crate::rows::RouteNumbers;
    use crate::schema;
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
            schema::migrate(&connection, Timestamp::from_ms(1), [7; 16]).unwrap();
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
