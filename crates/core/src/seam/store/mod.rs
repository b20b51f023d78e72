//! The rest of a store: what the API and maintenance read and write beside the ledger. One small trait per concern.
//!
//! Lists are bounded twice: by the items of a page, and by the rows that are looked at for it
//! ([`crate::limits::LIST_SCAN_MAX`]), so that a filter which matches little of much still answers at once. A page may
//! therefore be shorter than asked for, or empty, and the list still go on.

mod dead_letters;
mod directory;
mod history;
mod keys;
mod pauses;
mod retention;

pub use dead_letters::{DeadFilter, DeadLetter, DeadLetters, NewRedrive, Purged, RedriveJob, RedriveState};
pub use directory::{Directory, Erased, Erasure, MarkFilter, MarkedAt};
pub use history::{AttemptView, DeliveryFilter, DeliveryView, History, NotificationFilter, NotificationView};
pub use keys::{App, Apps, KeyRecord, Keys};
pub use pauses::{Pause, Pauses};
pub use retention::{Prune, Pruned, Retention, StoreSize};

use super::records::Records;

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T, C> {
    /// What was found.
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end of the list.
    pub next: Option<C>,
}

/// Everything a store is.
pub trait Store:
    Records + Directory + Erasure + History + DeadLetters + Retention + Apps + Keys + Pauses
{
}

impl<S: Records + Directory + Erasure + History + DeadLetters + Retention + Apps + Keys + Pauses> Store
    for S
{
}
