//! What a service needs beside its deliveries: apps and keys, dead letters, forgetting, pauses.

use async_trait::async_trait;
use pabal_core::Result;
use pabal_core::clock::Timestamp;
use pabal_core::ids::{AppId, AppName, ItemId, KeyId, RedriveId, UserId};
use pabal_core::route::Route;
use pabal_core::seam::store::{
    App, DeadLetter, Erased, KeyRecord, NewRedrive, Pause, Prune, Pruned, Purged, RedriveJob, StoreSize,
};
use pabal_core::seam::{Apps, DeadFilter, DeadLetters, Erasure, Keys, Listed, Pauses, Retention};
use rusqlite::Connection;

use super::SqliteStore;
use crate::dead::Dead;
use crate::port::call;
use crate::records::{ErasureStep, Place};
use crate::tx::Tx;
use crate::{apps, dead, keys, pauses, records, size};

impl SqliteStore {
    /// Writes, and waits for the commit.
    async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        call(&*self.port, move |core| core.with(write)).await
    }
}

#[async_trait]
impl Apps for SqliteStore {
    async fn put_app(&self, name: &AppName) -> Result<Option<App>> {
        let name = name.clone();
        self.write(move |tx| apps::put_app(tx, &name)).await
    }

    async fn apps(&self) -> Result<Vec<App>> {
        self.reads.read("apps", apps::apps).await
    }
}

#[async_trait]
impl Keys for SqliteStore {
    async fn put_key(&self, key: &KeyRecord) -> Result<()> {
        let key = key.clone();
        self.write(move |tx| keys::put_key(tx, &key)).await
    }

    async fn key(&self, hash: &[u8; 32]) -> Result<Option<KeyRecord>> {
        let hash = *hash;
        self.reads.read("key", move |connection| keys::key(connection, &hash)).await
    }

    async fn list_keys(
        &self,
        app: AppId,
        with_revoked: bool,
        before: Option<KeyId>,
        max: usize,
    ) -> Result<Listed<KeyRecord, KeyId>> {
        let list = move |connection: &Connection| keys::list_keys(connection, app, with_revoked, before, max);
        self.reads.read("list_keys", list).await
    }

    async fn revoke_key(&self, app: AppId, id: KeyId) -> Result<Option<KeyRecord>> {
        self.write(move |tx| keys::revoke_key(tx, app, id)).await
    }

    async fn touch_keys(&self, used: &[(KeyId, Timestamp)]) -> Result<()> {
        let used = used.to_vec();
        self.write(move |tx| keys::touch_keys(tx, &used)).await
    }

    async fn keys(&self) -> Result<u64> {
        self.reads.read("keys", keys::keys).await
    }
}

#[async_trait]
impl DeadLetters for SqliteStore {
    async fn list_dead(
        &self,
        app: AppId,
        filter: &DeadFilter,
        before: Option<ItemId>,
        max: usize,
    ) -> Result<Listed<DeadLetter, ItemId>> {
        let filter = filter.clone();
        let list = move |connection: &Connection| dead::list_dead(connection, app, &filter, before, max);
        self.reads.read("list_dead", list).await
    }

    async fn purge_dead(
        &self,
        app: AppId,
        filter: &DeadFilter,
        after: Option<ItemId>,
        max: usize,
    ) -> Result<Purged> {
        let filter = filter.clone();
        let find = move |connection: &Connection| Dead { app, filter: &filter }.to_do(connection, after, max);
        let found = self.reads.read("purge_dead", find).await?;
        let purged = match found.found {
            none if none.is_empty() => 0,
            ids => self.write(move |tx| records::purge(tx, &ids)).await?,
        };
        Ok(Purged { purged, next: found.next })
    }

    async fn put_redrive(&self, new: &NewRedrive) -> Result<RedriveJob> {
        let mut new = new.clone();
        new.filter = new.filter.dead_by(self.clock.now());
        let (app, filter) = (new.app, new.filter.clone());
        let total =
            self.reads.read("put_redrive", move |connection| dead::count(connection, app, &filter)).await?;
        self.write(move |tx| dead::put_redrive(tx, &new, total)).await
    }

    async fn redrive(&self, app: AppId, id: RedriveId) -> Result<Option<RedriveJob>> {
        self.reads.read("redrive", move |connection| dead::redrive(connection, app, id)).await
    }

    async fn list_redrives(
        &self,
        app: AppId,
        before: Option<RedriveId>,
        max: usize,
    ) -> Result<Listed<RedriveJob, RedriveId>> {
        let list = move |connection: &Connection| dead::list_redrives(connection, app, before, max);
        self.reads.read("list_redrives", list).await
    }

    async fn running_redrives(&self) -> Result<Vec<RedriveJob>> {
        self.reads.read("running_redrives", dead::running_redrives).await
    }

    async fn advance_redrive(&self, id: RedriveId, reopened: u64, next: Option<ItemId>) -> Result<bool> {
        self.write(move |tx| dead::advance_redrive(tx, id, reopened, next)).await
    }

    async fn stop_redrive(&self, app: AppId, id: RedriveId) -> Result<Option<RedriveJob>> {
        self.write(move |tx| dead::stop_redrive(tx, app, id)).await
    }
}

#[async_trait]
impl Erasure for SqliteStore {
    async fn erase_user(&self, app: AppId, user: &UserId, after: Option<String>) -> Result<Erased> {
        let place = Place::read(after.as_deref())?;
        let (user, who) = (user.clone(), user.clone());
        let find = move |connection: &Connection| ErasureStep::find(connection, app, &who, place);
        let step = self.reads.read("erase_user", find).await?;
        call(&*self.port, move |core| {
            let erased = core.with(|tx| step.erase(tx, app, &user))?;
            if erased.next.is_none() {
                core.empty_log_soon();
            }
            Ok(erased)
        })
        .await
    }
}

#[async_trait]
impl Retention for SqliteStore {
    async fn prune(&self, prune: &Prune) -> Result<Pruned> {
        let prune = *prune;
        let now = self.clock.now();
        let find = move |connection: &Connection| records::find_ended(connection, &prune, now);
        let found = self.reads.read("prune", find).await?;
        self.write(move |tx| records::prune(tx, &prune, &found)).await
    }

    async fn size(&self) -> Result<StoreSize> {
        let file = self.file.clone();
        self.reads.read("size", move |connection| size::size(connection, file.as_deref())).await
    }
}

#[async_trait]
impl Pauses for SqliteStore {
    async fn put_pause(&self, pause: &Pause) -> Result<()> {
        let pause = pause.clone();
        self.write(move |tx| pauses::put_pause(tx, &pause)).await
    }

    async fn clear_pause(&self, route: &Route) -> Result<bool> {
        let route = route.clone();
        self.write(move |tx| pauses::clear_pause(tx, &route)).await
    }

    async fn pauses(&self) -> Result<Vec<Pause>> {
        self.reads.read("pauses", pauses::pauses).await
    }
}
