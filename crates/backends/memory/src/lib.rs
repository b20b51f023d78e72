//! The reference model: a queue and a store in memory, with the simplest code that is obviously right. The
//! conformance suites' property test runs every other backend side by side with it, and the simulator runs on it.
//!
//! What is deliberately absent: speed, durability, and anything that does not replay. There is no `HashMap`, no clock
//! and no chance but those handed in, so that a seed gives the same run for ever.
//!
//! Reading order: [`queue`] (which ids are due when) · `rows` (what the store knows) · `accept`, `load`, `record`,
//! `page`, `end`, `dead_letters` (the flows of a ledger, one file each) · `directory`, `keys`, `history`, `lists`,
//! `redrives` (what the API reads and writes) · `erase`, `prune` (what is forgotten) · [`store`] (the traits) ·
//! [`ledger`] (both as one).

mod accept;
mod dead_letters;
mod directory;
mod end;
mod erase;
mod history;
mod keys;
pub mod ledger;
mod lists;
mod load;
mod page;
mod prune;
pub mod queue;
mod recipients;
mod record;
mod redrives;
mod rows;
pub mod store;

pub use ledger::MemoryLedger;
pub use queue::MemoryQueue;
pub use store::MemoryStore;
