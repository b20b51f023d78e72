//! Apps, and the keys that open them.

use pabal_core::clock::Timestamp;
use pabal_core::ids::{AppId, AppName, KeyId};
use pabal_core::limits;
use pabal_core::seam::Listed;
use pabal_core::seam::store::{App, KeyRecord};
use pabal_core::{Error, ErrorKind, Result};

use crate::lists::page_of;
use crate::rows::State;

impl State {
    pub(crate) fn put_app(&mut self, name: &AppName) -> Result<Option<App>> {
        if self.apps.contains_key(name) {
            return Ok(None);
        }
        if self.apps.len() >= limits::APPS_MAX {
            let message = format!("there may be at most {} apps", limits::APPS_MAX);
            return Err(Error::new(ErrorKind::LimitReached, "put_app", message));
        }
        let last = self.apps.values().map(|id| id.0).max().unwrap_or(0);
        let app = App { id: AppId(last + 1), name: name.clone() };
        self.apps.insert(name.clone(), app.id);
        Ok(Some(app))
    }

    pub(crate) fn put_key(&mut self, key: &KeyRecord) -> Result<()> {
        let open = |other: &&KeyRecord| other.app == key.app && other.revoked_at.is_none();
        if self.keys.values().filter(open).count() >= limits::KEYS_PER_APP_MAX {
            let message =
                format!("an app has at most {} keys that are not revoked", limits::KEYS_PER_APP_MAX);
            return Err(Error::new(ErrorKind::LimitReached, "put_key", message));
        }
        self.keys.insert(key.id, key.clone());
        Ok(())
    }

    pub(crate) fn list_keys(
        &self,
        app: AppId,
        with_revoked: bool,
        before: Option<KeyId>,
        max: usize,
    ) -> Listed<KeyRecord, KeyId> {
        let keys = self.keys.values().rev().filter(|key| key.app == app);
        let keys = keys.filter(|key| before.is_none_or(|before| key.id < before));
        let shown = |key: &KeyRecord| (with_revoked || key.revoked_at.is_none()).then(|| key.clone());
        page_of(keys.map(|key| (key.id, shown(key))), max)
    }

    pub(crate) fn revoke_key(&mut self, app: AppId, id: KeyId, now: Timestamp) -> Option<KeyRecord> {
        let key = self.keys.get_mut(&id).filter(|key| key.app == app)?;
        key.revoked_at.get_or_insert(now);
        Some(key.clone())
    }

    pub(crate) fn touch_keys(&mut self, used: &[(KeyId, Timestamp)]) {
        for (id, at) in used {
            if let Some(key) = self.keys.get_mut(id) {
                key.last_used_at = key.last_used_at.max(Some(*at));
            }
        }
    }
}
