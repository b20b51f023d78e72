//! The seams: what the engine knows of the world. Each is small, object-safe and takes batches.
//!
//! ```text
//!   engine ──► Ledger ──► Queue   which ids are due when; never content
//!                    └──► Records the truth of notifications and deliveries  ┐
//!   server ──► Directory, Erasure, History, DeadLetters, Apps, Keys          ├ a store is all of these
//!   engine ──► DeadLetters, Retention, Pauses                                ┘
//!   engine ──► Channel            a way out
//! ```
//!
//! A backend that is queue and store at once implements [`Ledger`] in one transaction per call; over two servers
//! the engine's composite does the same steps ([`crate::steps`]) in an order that survives a crash between any two.

pub mod channel;
pub mod ledger;
pub mod queue;
pub mod records;
pub mod store;

pub use channel::{Channel, Outbound};
pub use ledger::{
    Accepted, AcceptedItem, Claimed, EndSummary, Ledger, Page, Paged, Reconciled, Redriven, Scan, Settled,
    SettledItem, Work,
};
pub use queue::{
    Binding, Claim, Epoch, Generation, Lease, Leased, Queue, QueueItem, QueueSettle, Removed, RouteCount,
    Settle, Then, Want, Worker,
};
pub use records::{
    Acceptance, Answer, AttemptRecord, Change, Content, Cursor, DeliveryContent, EndAs, Ending,
    FanOutContent, Idempotency, Loaded, OpenItem, PageMade, Recorded, Records, Reopened, Selection,
    Settlement, Taken,
};
pub use store::{
    Apps, DeadFilter, DeadLetters, Directory, Erasure, History, Keys, Listed, Pauses, Retention, Store,
};
