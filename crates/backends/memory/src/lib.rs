//! The reference model: a queue and a store in memory, with the simplest code that is obviously right. The
//! conformance suites' property test runs every other backend side by side with it, and the simulator runs on it.
//!
//! What is deliberately absent: speed, durability, and anything that does not replay. There is no `HashMap`, no clock
//! and no chance but those handed in, so that a seed gives the same run for ever.
//!
//! Reading order: [`queue`] (which ids are due when) · `rows` (what the store knows) · `accept`, `load`, `record`,
//! `page`, `end` (the flows of a ledger, one file each) · `directory`, `history` (what the API reads and writes) ·
//! [`store`] (the traits) · [`ledger`] (both as one).

mod accept;
mod directory;
mod end;
mod history;
pub mod ledger;
mod load;
mod page;
pub mod queue;
mod record;
mod rows;
pub mod store;

pub use ledger::MemoryLedger;
pub use queue::MemoryQueue;
pub use store::MemoryStore;
