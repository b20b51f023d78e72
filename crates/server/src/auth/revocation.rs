//! Revoking a key: in the store, and at the gate.
//!
//! ```text
//!   turn ──► is an admin key left? ──► store ──► gate
//! ```
//!
//! It is one task that survives its request: a client that hangs up, or a deadline, cuts nothing off half-way.

use std::sync::Arc;

use pabal_core::clock::{Clock, Timestamp};
use pabal_core::ids::{AppId, KeyId};
use pabal_core::seam::Keys;
use pabal_core::seam::store::KeyRecord;
use pabal_core::{Error, ErrorKind};
use tracing::Instrument;

use super::{Gate, ScopeWord, Scopes};
use crate::api::problem::{Problem, ProblemKind};
use crate::limits;

/// A key that is to open nothing any more, in the store and here.
pub(crate) struct Revocation {
    pub(crate) gate: Arc<Gate>,
    pub(crate) keys: Arc<dyn Keys>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The app that the key belongs to.
    pub(crate) app: AppId,
    pub(crate) id: KeyId,
}

impl Revocation {
    /// Answers the key, if there is one. Once begun it runs to its end even if the caller goes away: between the store and
    /// the gate the key would be revoked, and open everything for seconds.
    pub(crate) async fn carry_out(self) -> Result<Option<KeyRecord>, Problem> {
        let task = tokio::spawn(self.run().in_current_span());
        task.await.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Unexpected, "revoke_key", "it was cut off").with_source(error).into())
        })
    }

    async fn run(self) -> Result<Option<KeyRecord>, Problem> {
        // One at a time: two admin keys that revoke each other would both see the other one left.
        let _turn = self.gate.revoking().await;
        if self.app == AppId::DEFAULT && !self.gate.has_configured() {
            refuse_the_last_admin(&*self.keys, self.id, self.clock.now()).await?;
        }
        let revoked = self.keys.revoke_key(self.app, self.id).await?;
        if let Some(key) = &revoked {
            self.gate.revoked(key, self.clock.now());
        }
        Ok(revoked)
    }
}

/// Nobody could make a key any more without an admin key of the app `default`: one that does not expire has to be left,
/// for of those that do, nobody might be there in time to make the next one.
async fn refuse_the_last_admin(keys: &dyn Keys, id: KeyId, now: Timestamp) -> Result<(), Problem> {
    let (mut before, mut is_admin) = (None, false);
    loop {
        let page = keys.list_keys(AppId::DEFAULT, false, before, limits::PAGE_ITEMS_MAX).await?;
        for key in page.items.iter().filter(|key| is_usable_admin(key, now)) {
            if key.id == id {
                is_admin = true;
            } else if key.expires_at.is_none() {
                return Ok(());
            }
        }
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    if !is_admin {
        return Ok(());
    }
    let detail = "this is the last admin key of the app default, but for such as expire: make another one without expires_at \
         first, or configure api_key";
    Err(Problem::new(ProblemKind::Conflict, detail))
}

fn is_usable_admin(key: &KeyRecord, now: Timestamp) -> bool {
    let is_valid = key.revoked_at.is_none() && key.expires_at.is_none_or(|at| at > now);
    is_valid && Scopes::of(&key.scopes).include(ScopeWord::Admin)
}

#[cfg(test)]
mod tests {
    use super::super::gate::tests::{Book, at, gate, record};
    use super::*;

    /// A clock that stands.
    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            at(0)
        }
    }

    #[tokio::test]
    async fn a_revocation_that_nobody_waits_for_holds_at_once_too() {
        let (book, gate) = (Arc::new(Book::with(&[record(1)])), Arc::new(gate()));
        assert!(gate.identify(&[1; 32], &*book, at(0)).await.is_ok(), "now the gate knows it");
        let revocation = Revocation {
            gate: Arc::clone(&gate),
            keys: book.clone(),
            clock: Arc::new(Still),
            app: record(1).app,
            id: record(1).id,
        };
        let hold = book.slow_down();
        let mut request = Box::pin(revocation.carry_out());
        tokio::select! {
            biased;
            _ = &mut request => panic!("the store has not answered"),
            () = book.is_revoked() => {}
        }
        drop(request);
        hold.notify_one();
        // Whose turn it was has ended.
        let _turn = gate.revoking().await;
        let refused = gate.identify(&[1; 32], &*book, at(0)).await.unwrap_err();
        assert!(format!("{refused:?}").contains("this API key was revoked"), "{refused:?}");
    }
}
