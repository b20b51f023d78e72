//! What all connections share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::sync::watch;

use crate::clock::{Clock, unix_ms};
use crate::faults::active::ActiveFaults;
use crate::faults::{Faults, FaultsError};
use crate::hash::Hasher128;
use crate::identity::Account;
use crate::inbox::Inbox;
use crate::message::TargetKind;
use crate::oauth::Grants;
use crate::page::events::Watchers;
use crate::schema::Schema;
use crate::topics::Subscriptions;

pub(crate) struct State {
    pub(crate) base_url: String,
    /// One per project.
    pub(crate) accounts: Vec<Account>,
    pub(crate) token_lifetime_s: u32,
    pub(crate) schema: Schema,
    pub(crate) clock: Clock,
    pub(crate) grants: Grants,
    pub(crate) inbox: Inbox,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) rng: Mutex<SmallRng>,
    pub(crate) hasher: Hasher128,
    pub(crate) oauth_requests: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) watchers: Watchers,
    faults: watch::Sender<Arc<ActiveFaults>>,
    message_ids: MessageIds,
}

/// What a [`State`] starts from.
pub(crate) struct Beginnings {
    pub(crate) base_url: String,
    pub(crate) accounts: Vec<Account>,
    pub(crate) token_lifetime_s: u32,
    pub(crate) schema: Schema,
    pub(crate) faults: Faults,
    pub(crate) seed: Option<u64>,
}

impl State {
    pub(crate) fn new(beginnings: Beginnings) -> State {
        let Beginnings { base_url, accounts, token_lifetime_s, schema, faults, seed } = beginnings;
        let rng = seed.map_or_else(SmallRng::from_os_rng, SmallRng::seed_from_u64);
        State {
            base_url,
            accounts,
            token_lifetime_s,
            schema,
            clock: Clock::default(),
            grants: Grants::default(),
            inbox: Inbox::default(),
            subscriptions: Subscriptions::default(),
            rng: Mutex::new(rng),
            hasher: Hasher128::default(),
            oauth_requests: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            watchers: Watchers::default(),
            faults: watch::Sender::new(Arc::new(ActiveFaults::new(faults))),
            message_ids: MessageIds::default(),
        }
    }

    pub(crate) fn faults(&self) -> Arc<ActiveFaults> {
        Arc::clone(&self.faults.borrow())
    }

    /// The faults in force, and every change of them.
    pub(crate) fn watch_faults(&self) -> watch::Receiver<Arc<ActiveFaults>> {
        self.faults.subscribe()
    }

    /// Puts other faults in force. Buckets are full again and `first` counts anew.
    pub(crate) fn set_faults(&self, faults: Faults) -> Result<(), FaultsError> {
        faults.validate()?;
        self.faults.send_replace(Arc::new(ActiveFaults::new(faults)));
        Ok(())
    }

    /// A project by its id or its number.
    pub(crate) fn project(&self, id_or_number: &str) -> Option<usize> {
        let number = id_or_number.parse::<u64>().ok();
        self.accounts
            .iter()
            .position(|account| account.project_id == id_or_number || number == Some(account.project_number))
    }

    pub(crate) fn project_ids(&self) -> Vec<&str> {
        self.accounts.iter().map(|account| account.project_id.as_str()).collect()
    }

    pub(crate) fn message_id(&self, kind: TargetKind) -> String {
        self.message_ids.next(kind)
    }
}

/// Message ids: `0:<µs>%<hex>` for a device, a number for a topic or condition (numbers observed July 2026).
#[derive(Debug, Default)]
struct MessageIds {
    given: AtomicU64,
}

impl MessageIds {
    fn next(&self, kind: TargetKind) -> String {
        let unique = scramble(self.given.fetch_add(1, Ordering::Relaxed));
        if kind.is_device() {
            let micros = unix_ms() * 1_000 + (unique % 1_000) as i64;
            format!("0:{micros}%{unique:016x}")
        } else {
            unique.to_string()
        }
    }
}

/// The finaliser of SplitMix64: a bijection, so that a counter gives ids that look random and never repeat.
fn scramble(counter: u64) -> u64 {
    let mut mixed = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_their_shapes() {
        let ids = MessageIds::default();
        let token = ids.next(TargetKind::Token);
        let (micros, hex) = token.strip_prefix("0:").and_then(|rest| rest.split_once('%')).unwrap();
        assert_eq!((micros.len(), hex.len()), (16, 16));
        let topic = ids.next(TargetKind::Topic);
        assert!(topic.parse::<u64>().is_ok(), "{topic}");
    }
}
