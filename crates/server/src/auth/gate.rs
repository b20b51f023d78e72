//! The gate: which key a secret's hash belongs to, and whether it opens anything now.
//!
//! Records are kept for a short while, the revoked and expired ones too, so that a key in use costs one read of the
//! store every few seconds, whatever becomes of it. A revocation on this node is known at once; one on another node
//! within [`limits::KEY_CACHED_FOR`].
//!
//! A hash that is not kept may be anybody's guess. Guessing is hopeless (256 random bits), and each guess costs a read:
//! so only a few such reads run at once, and a stranger beyond them is turned away for the moment. Keys that are known
//! do not wait behind strangers. There is no memory of wrong keys: it would be the guesser who decides what is in it.
//!
//! The configured key is compared in constant time. Keys of the store are found by their hash: what a guesser could
//! time is how a hash compares, and a hash says nothing of the secret next to it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pabal_core::clock::Timestamp;
use pabal_core::ids::{AppId, KeyId};
use pabal_core::seam::Keys;
use pabal_core::seam::store::KeyRecord;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use super::pace::Bucket;
use super::{Scopes, Uses, unauthorized};
use crate::api::problem::{Problem, ProblemKind};
use crate::limits;

type Hash = [u8; 32];

/// What one key may take of the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyBounds {
    /// Requests worked on at once.
    pub(crate) requests_in_flight: usize,
    /// Requests in a second; 0 is no bound.
    pub(crate) requests_per_second: u32,
}

/// What is known of a key.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) id: KeyId,
    pub(super) app: AppId,
    pub(super) scopes: Scopes,
    pub(super) standing: Arc<Standing>,
    expires_at: Option<Timestamp>,
    is_revoked: bool,
}

/// What a key has taken of the server: it stays when the record is read anew.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) places: Arc<Semaphore>,
    bucket: Mutex<Bucket>,
}

/// Knows the keys.
pub(crate) struct Gate {
    configured: Option<(Hash, Arc<Caller>)>,
    kept: Mutex<Kept>,
    strangers: Semaphore,
    revoking: tokio::sync::Mutex<()>,
    bounds: KeyBounds,
    uses: Arc<Uses>,
}

#[derive(Default)]
struct Kept {
    entries: HashMap<Hash, Entry>,
    /// How often a key was revoked here. What was read before the last time may be wrong.
    revocations: u64,
}

struct Entry {
    caller: Arc<Caller>,
    read_at: Timestamp,
}

impl Gate {
    /// `configured` is a key that holds beside those in the store.
    pub(crate) fn new(configured: Option<KeyRecord>, bounds: KeyBounds, uses: Arc<Uses>) -> Self {
        let configured =
            configured.map(|key| (key.hash, Arc::new(Caller::new(&key, Standing::new(bounds).into()))));
        let strangers = Semaphore::new(limits::STRANGERS_AT_ONCE_MAX);
        Self {
            configured,
            kept: Mutex::default(),
            strangers,
            revoking: tokio::sync::Mutex::default(),
            bounds,
            uses,
        }
    }

    /// Whether a key is configured: then nobody can be locked out.
    pub(super) fn has_configured(&self) -> bool {
        self.configured.is_some()
    }

    /// The key with this hash, if it opens anything at this time.
    pub(super) async fn identify(
        &self,
        hash: &Hash,
        store: &(impl Keys + ?Sized),
        now: Timestamp,
    ) -> Result<Arc<Caller>, Problem> {
        if let Some((known, caller)) = &self.configured
            && bool::from(known.ct_eq(hash))
        {
            return Ok(Arc::clone(caller));
        }
        let caller =
            self.find(hash, store, now).await?.ok_or_else(|| unauthorized("this API key is not known"))?;
        // Whoever has the very secret of a key may be told what became of it.
        if caller.is_revoked {
            return Err(unauthorized("this API key was revoked"));
        }
        if caller.expires_at.is_some_and(|at| at <= now) {
            return Err(unauthorized("this API key has expired"));
        }
        self.uses.note(caller.id, now);
        Ok(caller)
    }

    /// The turn of a request that revokes a key.
    pub(super) async fn revoking(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.revoking.lock().await
    }

    /// Takes note of a revocation: from now on the key opens nothing here, also where a read of it is under way.
    pub(super) fn revoked(&self, key: &KeyRecord, now: Timestamp) {
        let mut kept = self.lock();
        kept.revocations += 1;
        self.keep(&mut kept, key, now);
    }

    async fn find(
        &self,
        hash: &Hash,
        store: &(impl Keys + ?Sized),
        now: Timestamp,
    ) -> Result<Option<Arc<Caller>>, Problem> {
        let (known, revocations) = {
            let kept = self.lock();
            (kept.entries.get(hash).map(|entry| (Arc::clone(&entry.caller), entry.read_at)), kept.revocations)
        };
        let _turn = match known {
            Some((caller, read_at)) if is_fresh(read_at, now) => return Ok(Some(caller)),
            Some(_) => None,
            None => Some(self.strangers.try_acquire().map_err(|_| too_many_strangers())?),
        };
        let read = store.key(hash).await?;
        let mut kept = self.lock();
        let Some(key) = read else {
            kept.entries.remove(hash);
            return Ok(None);
        };
        if kept.revocations == revocations {
            return Ok(Some(self.keep(&mut kept, &key, now)));
        }
        // What was read may be older than a revocation: a kept word of it counts, and else it counts for this once.
        let revoked = kept.entries.get(hash).filter(|entry| entry.caller.is_revoked);
        let known = revoked.map(|entry| Arc::clone(&entry.caller));
        Ok(Some(known.unwrap_or_else(|| Arc::new(Caller::new(&key, Standing::new(self.bounds).into())))))
    }

    /// Keeps a record for a while; what a key that was known before has taken stays taken.
    fn keep(&self, kept: &mut Kept, key: &KeyRecord, read_at: Timestamp) -> Arc<Caller> {
        if kept.entries.len() >= limits::KEYS_CACHED_MAX && !kept.entries.contains_key(&key.hash) {
            make_room(&mut kept.entries, read_at);
        }
        let before = kept.entries.get(&key.hash).map(|entry| Arc::clone(&entry.caller.standing));
        let standing = before.unwrap_or_else(|| Standing::new(self.bounds).into());
        let caller = Arc::new(Caller::new(key, standing));
        kept.entries.insert(key.hash, Entry { caller: Arc::clone(&caller), read_at });
        caller
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets what has to be read anew anyway, and if that is nothing, all but the keys with requests in flight: of those
/// there are never more than requests in flight.
fn make_room(entries: &mut HashMap<Hash, Entry>, now: Timestamp) {
    entries.retain(|_, entry| entry.is_used() || is_fresh(entry.read_at, now));
    if entries.len() >= limits::KEYS_CACHED_MAX {
        entries.retain(|_, entry| entry.is_used());
    }
}

impl Entry {
    /// Whether a request of this key is in flight: it holds a place.
    fn is_used(&self) -> bool {
        Arc::strong_count(&self.caller.standing.places) > 1
    }
}

fn is_fresh(read_at: Timestamp, now: Timestamp) -> bool {
    // A clock that is set back makes what is kept old, not young for ever.
    read_at <= now && u128::from(read_at.ms_until(now)) < limits::KEY_CACHED_FOR.as_millis()
}

fn too_many_strangers() -> Problem {
    let detail = "too many keys that are not known are being looked up; try again in a moment";
    Problem::new(ProblemKind::Overloaded, detail).retry_after(Duration::from_secs(1))
}

impl Caller {
    fn new(key: &KeyRecord, standing: Arc<Standing>) -> Self {
        Self {
            id: key.id,
            app: key.app,
            scopes: Scopes::of(&key.scopes),
            standing,
            expires_at: key.expires_at,
            is_revoked: key.revoked_at.is_some(),
        }
    }
}

impl Standing {
    fn new(bounds: KeyBounds) -> Self {
        let bucket = Mutex::new(Bucket::new(bounds.requests_per_second));
        Self { places: Arc::new(Semaphore::new(bounds.requests_in_flight)), bucket }
    }

    /// Takes one request of this second, or says how long to wait for one.
    pub(super) fn pace(&self, now: Timestamp) -> Result<(), Duration> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(now)
    }
}

#[cfg(test)]
pub(super) mod tests;
