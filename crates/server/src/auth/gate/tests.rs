//! The gate against a book of keys that can be slow, or fail.

use async_trait::async_trait;
use pabal_core::seam::store::Listed;
use pabal_core::{Error, ErrorKind, Result};
use tokio::sync::Notify;

use super::*;

/// Keys in memory.
#[derive(Default)]
pub(in crate::auth) struct Book(Mutex<Pages>);

#[derive(Default)]
struct Pages {
    keys: HashMap<Hash, KeyRecord>,
    touched: Vec<(KeyId, Timestamp)>,
    reads: usize,
    fails: bool,
    /// Answers wait for it.
    slow: Option<Arc<Notify>>,
    /// Told when a key is revoked.
    revoked: Arc<Notify>,
}

impl Book {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap()
    }

    pub(in crate::auth) fn with(keys: &[KeyRecord]) -> Self {
        let book = Self::default();
        book.pages().keys.extend(keys.iter().map(|key| (key.hash, key.clone())));
        book
    }

    /// From now on answers wait until they are told to come.
    pub(in crate::auth) fn slow_down(&self) -> Arc<Notify> {
        Arc::clone(self.pages().slow.insert(Arc::default()))
    }

    /// Waits until a key is revoked here, which its answer need not have told.
    pub(in crate::auth) async fn is_revoked(&self) {
        let revoked = Arc::clone(&self.pages().revoked);
        revoked.notified().await;
    }

    pub(in crate::auth) fn fail(&self, fails: bool) {
        self.pages().fails = fails;
    }

    /// What was written, by key.
    pub(in crate::auth) fn touched(&self) -> Vec<(KeyId, Timestamp)> {
        let mut touched = self.pages().touched.clone();
        touched.sort_unstable();
        touched
    }
}

#[async_trait]
impl Keys for Book {
    async fn put_key(&self, key: &KeyRecord) -> Result<()> {
        self.pages().keys.insert(key.hash, key.clone());
        Ok(())
    }

    async fn key(&self, hash: &Hash) -> Result<Option<KeyRecord>> {
        let (found, slow) = {
            let mut pages = self.pages();
            pages.reads += 1;
            (pages.keys.get(hash).cloned(), pages.slow.clone())
        };
        if let Some(slow) = slow {
            slow.notified().await;
        }
        Ok(found)
    }

    async fn list_keys(
        &self,
        _: AppId,
        _: bool,
        _: Option<KeyId>,
        _: usize,
    ) -> Result<Listed<KeyRecord, KeyId>> {
        Ok(Listed { items: Vec::new(), next: None })
    }

    async fn revoke_key(&self, app: AppId, id: KeyId) -> Result<Option<KeyRecord>> {
        let (revoked, slow) = {
            let mut pages = self.pages();
            let found = pages.keys.values_mut().find(|key| key.app == app && key.id == id);
            let revoked = found.map(|key| {
                key.revoked_at = Some(key.created_at);
                key.clone()
            });
            pages.revoked.notify_one();
            (revoked, pages.slow.take())
        };
        if let Some(slow) = slow {
            slow.notified().await;
        }
        Ok(revoked)
    }

    async fn touch_keys(&self, used: &[(KeyId, Timestamp)]) -> Result<()> {
        let mut pages = self.pages();
        if pages.fails {
            return Err(Error::new(ErrorKind::Full, "touch_keys", "full"));
        }
        pages.touched.extend_from_slice(used);
        Ok(())
    }

    async fn keys(&self) -> Result<u64> {
        Ok(self.pages().keys.len() as u64)
    }
}

const BOUNDS: KeyBounds = KeyBounds { requests_in_flight: 4, requests_per_second: 0 };

pub(in crate::auth) fn record(n: u8) -> KeyRecord {
    KeyRecord {
        id: KeyId::from_bytes([n; 16]),
        hash: [n; 32],
        app: AppId(3),
        name: "a key".to_owned(),
        scopes: vec!["send".to_owned()],
        created_at: at(0),
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
    }
}

pub(in crate::auth) fn at(ms: i64) -> Timestamp {
    Timestamp::from_ms(1_700_000_000_000 + ms)
}

fn cached_for_ms() -> i64 {
    i64::try_from(limits::KEY_CACHED_FOR.as_millis()).unwrap()
}

pub(in crate::auth) fn gate() -> Gate {
    Gate::new(None, BOUNDS, Arc::default())
}

async fn refusal(gate: &Gate, book: &Book, n: u8, now: Timestamp) -> String {
    let problem = gate.identify(&[n; 32], book, now).await.unwrap_err();
    format!("{problem:?}")
}

#[tokio::test]
async fn a_key_is_read_once_in_a_while() {
    let (gate, book) = (gate(), Book::with(&[record(1)]));
    for ms in [0, 1, cached_for_ms() - 1] {
        gate.identify(&[1; 32], &book, at(ms)).await.unwrap();
    }
    assert_eq!(book.pages().reads, 1);
    gate.identify(&[1; 32], &book, at(cached_for_ms())).await.unwrap();
    assert_eq!(book.pages().reads, 2);
    gate.identify(&[1; 32], &book, at(-5)).await.unwrap();
    assert_eq!(book.pages().reads, 3, "a clock that is set back makes it old");
}

#[tokio::test]
async fn what_became_of_a_key_is_told_to_whoever_has_it() {
    let gate = gate();
    let revoked = KeyRecord { revoked_at: Some(at(0)), ..record(2) };
    let expiring = KeyRecord { expires_at: Some(at(10)), ..record(3) };
    let book = Book::with(&[record(1), revoked, expiring]);
    assert!(refusal(&gate, &book, 9, at(0)).await.contains("is not known"));
    for _ in 0..3 {
        assert!(refusal(&gate, &book, 2, at(0)).await.contains("was revoked"));
    }
    gate.identify(&[3; 32], &book, at(9)).await.unwrap();
    assert!(
        refusal(&gate, &book, 3, at(10)).await.contains("has expired"),
        "to the millisecond, cached or not"
    );
    assert_eq!(book.pages().reads, 3);
    assert_eq!(gate.uses.noted(), [(KeyId::from_bytes([3; 16]), at(9))], "a refused key is not used");
}

#[tokio::test]
async fn a_revocation_holds_at_once_also_against_a_read_under_way() {
    let (gate, book) = (Arc::new(gate()), Arc::new(Book::with(&[record(1)])));
    let slow = Arc::new(Notify::new());
    book.pages().slow = Some(Arc::clone(&slow));
    let reading = tokio::spawn({
        let (gate, book) = (Arc::clone(&gate), Arc::clone(&book));
        async move { gate.identify(&[1; 32], &*book, at(0)).await }
    });
    while book.pages().reads == 0 {
        tokio::task::yield_now().await;
    }
    // It has read the key as it was; now the key is revoked, and then the read ends.
    gate.revoked(&KeyRecord { revoked_at: Some(at(1)), ..record(1) }, at(1));
    slow.notify_one();
    assert!(reading.await.unwrap().is_err(), "the revocation counts");
    assert!(refusal(&gate, &book, 1, at(2)).await.contains("was revoked"));
    assert_eq!(book.pages().reads, 1);
}

#[tokio::test]
async fn strangers_take_turns_and_nobody_else_waits_for_them() {
    let (gate, book) = (Arc::new(gate()), Arc::new(Book::with(&[record(1)])));
    gate.identify(&[1; 32], &*book, at(0)).await.unwrap();
    let slow = Arc::new(Notify::new());
    book.pages().slow = Some(Arc::clone(&slow));
    let guesses: Vec<_> = (0..limits::STRANGERS_AT_ONCE_MAX)
        .map(|n| {
            let (gate, book) = (Arc::clone(&gate), Arc::clone(&book));
            let guess = [100 + u8::try_from(n).unwrap(); 32];
            tokio::spawn(async move { gate.identify(&guess, &*book, at(1)).await.map(drop) })
        })
        .collect();
    while book.pages().reads < 1 + limits::STRANGERS_AT_ONCE_MAX {
        tokio::task::yield_now().await;
    }
    assert!(refusal(&gate, &book, 99, at(1)).await.contains("Overloaded"));
    assert_eq!(book.pages().reads, 1 + limits::STRANGERS_AT_ONCE_MAX, "it costs no read");
    gate.identify(&[1; 32], &*book, at(1)).await.unwrap();
    book.pages().slow = None;
    gate.identify(&[1; 32], &*book, at(cached_for_ms())).await.unwrap();
    slow.notify_waiters();
    for guess in guesses {
        assert!(guess.await.unwrap().is_err());
    }
    assert!(refusal(&gate, &book, 99, at(1)).await.contains("is not known"), "there is room again");
    assert_eq!(gate.lock().entries.len(), 1, "nothing of the guesses is kept");
}

#[tokio::test]
async fn a_key_read_anew_keeps_what_it_has_taken() {
    let (gate, book) = (gate(), Book::with(&[record(1)]));
    let before = gate.identify(&[1; 32], &book, at(0)).await.unwrap();
    let _places = Arc::clone(&before.standing.places).try_acquire_many_owned(4).unwrap();
    let after = gate.identify(&[1; 32], &book, at(cached_for_ms())).await.unwrap();
    assert_eq!(after.standing.places.available_permits(), 0);
}

#[tokio::test]
async fn there_is_room_for_so_many_keys() {
    let gate = gate();
    let keys: Vec<KeyRecord> = (0..limits::KEYS_CACHED_MAX + 10)
        .map(|n| {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&(n as u64).to_be_bytes());
            KeyRecord { hash, ..record(1) }
        })
        .collect();
    let book = Book::with(&keys);
    let used = gate.identify(&keys[0].hash, &book, at(0)).await.unwrap();
    let _place = Arc::clone(&used.standing.places).try_acquire_owned().unwrap();
    for key in &keys {
        gate.identify(&key.hash, &book, at(0)).await.unwrap();
        assert!(gate.lock().entries.len() <= limits::KEYS_CACHED_MAX);
    }
    assert!(gate.lock().entries.contains_key(&keys[0].hash), "a key with a request in flight stays");
}

#[tokio::test]
async fn the_configured_key_needs_no_store() {
    let gate = Gate::new(Some(record(1)), BOUNDS, Arc::default());
    let book = Book::default();
    gate.identify(&[1; 32], &book, at(0)).await.unwrap();
    assert_eq!(book.pages().reads, 0);
    assert!(refusal(&gate, &book, 2, at(0)).await.contains("is not known"));
}
