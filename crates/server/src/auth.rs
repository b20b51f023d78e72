//! Who calls, and what the caller may do.
//!
//! A handler gets at an app only through [`Granted`], which names the scope it needs: a handler that forgets to ask
//! can't be written.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;
use pabal_core::clock::{Clock, Timestamp};
use pabal_core::ids::AppId;
use pabal_core::seam::Keys;
use pabal_core::seam::store::KeyRecord;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::problem::{Problem, ProblemKind};
use crate::api::{Api, Shared};
use crate::keys::{self, ADMIN};
use crate::limits;

/// Something that a key may be allowed to do.
pub(crate) trait Scope: Send {
    /// The word in the key's record and in the docs.
    const WORD: &'static str;
}

/// To send and to cancel notifications.
pub(crate) struct Sends;
/// To look at notifications, deliveries and devices.
pub(crate) struct Reads;
/// To register and to remove devices.
pub(crate) struct Registers;

impl Scope for Sends {
    const WORD: &'static str = "send";
}

impl Scope for Reads {
    const WORD: &'static str = "read";
}

impl Scope for Registers {
    const WORD: &'static str = "devices";
}

/// A caller whose key has the scope `S`. Holds one of the key's places among the requests in flight.
pub(crate) struct Granted<S> {
    /// Whose namespace the key opens.
    pub(crate) app: AppId,
    _place: OwnedSemaphorePermit,
    _scope: PhantomData<fn() -> S>,
}

impl<S: Scope> FromRequestParts<Shared> for Granted<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Shared) -> Result<Self, Problem> {
        let caller = api.gate.identify(parts, api).await?;
        if !caller.scopes.iter().any(|scope| scope == S::WORD || scope == ADMIN) {
            let detail = format!("this API key lacks the scope '{}'", S::WORD);
            return Err(Problem::new(ProblemKind::Forbidden, detail));
        }
        let place = Arc::clone(&caller.places).try_acquire_owned().map_err(|_| {
            Problem::new(ProblemKind::TooManyRequests, "wait for an answer before you send the next request")
                .retry_after(Duration::from_secs(1))
        })?;
        Ok(Granted { app: caller.app, _place: place, _scope: PhantomData })
    }
}

/// What is known of a key that may come in.
struct Caller {
    app: AppId,
    scopes: Vec<String>,
    places: Arc<Semaphore>,
}

/// Knows the keys.
pub(crate) struct Gate {
    configured: Option<([u8; 32], Arc<Caller>)>,
    cached: Mutex<HashMap<[u8; 32], Cached>>,
    places_per_key: usize,
}

struct Cached {
    caller: Arc<Caller>,
    read_at: Timestamp,
}

impl Gate {
    /// `configured` is a key that holds beside those in the store.
    pub(crate) fn new(configured: Option<KeyRecord>, places_per_key: usize) -> Self {
        let configured = configured.map(|key| (key.hash, Arc::new(Caller::new(key, places_per_key))));
        Self { configured, cached: Mutex::default(), places_per_key }
    }

    async fn identify(&self, parts: &Parts, api: &Api) -> Result<Arc<Caller>, Problem> {
        let unauthorized = |detail: &str| Problem::new(ProblemKind::Unauthorized, detail);
        let header = parts
            .headers
            .get(AUTHORIZATION)
            .ok_or_else(|| unauthorized("send the header 'Authorization: Bearer KEY'"))?;
        let secret = header
            .to_str()
            .ok()
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, secret)| secret.trim())
            .ok_or_else(|| unauthorized("the header must read 'Authorization: Bearer KEY'"))?;
        let caller = self.find(&keys::hash(secret), &*api.store, &*api.clock).await?;
        caller.ok_or_else(|| unauthorized("this API key is not known"))
    }

    async fn find(
        &self,
        hash: &[u8; 32],
        store: &(impl Keys + ?Sized),
        clock: &dyn Clock,
    ) -> Result<Option<Arc<Caller>>, Problem> {
        if let Some((_, caller)) = self.configured.as_ref().filter(|(known, _)| known == hash) {
            return Ok(Some(Arc::clone(caller)));
        }
        let now = clock.now();
        if let Some(caller) = self.remembered(hash, now) {
            return Ok(Some(caller));
        }
        match store.key(hash).await? {
            Some(key) => Ok(Some(self.remember(key, now))),
            None => {
                self.lock().remove(hash);
                Ok(None)
            }
        }
    }

    fn remembered(&self, hash: &[u8; 32], now: Timestamp) -> Option<Arc<Caller>> {
        let cached = self.lock();
        let entry = cached.get(hash)?;
        let is_fresh = u128::from(entry.read_at.ms_until(now)) < limits::KEY_CACHED_FOR.as_millis();
        is_fresh.then(|| Arc::clone(&entry.caller))
    }

    /// Keeps a record for a while; the places of a key that was known before stay the same.
    fn remember(&self, key: KeyRecord, read_at: Timestamp) -> Arc<Caller> {
        let mut cached = self.lock();
        if cached.len() >= limits::KEYS_CACHED_MAX && !cached.contains_key(&key.hash) {
            // Those in use stay, for their places are taken; there are no more of them than requests in flight.
            cached.retain(|_, entry| Arc::strong_count(&entry.caller) > 1);
        }
        let hash = key.hash;
        let mut caller = Caller::new(key, self.places_per_key);
        if let Some(before) = cached.get(&hash) {
            caller.places = Arc::clone(&before.caller.places);
        }
        let caller = Arc::new(caller);
        cached.insert(hash, Cached { caller: Arc::clone(&caller), read_at });
        caller
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Cached>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Caller {
    fn new(key: KeyRecord, places: usize) -> Self {
        Self { app: key.app, scopes: key.scopes, places: Arc::new(Semaphore::new(places)) }
    }
}
