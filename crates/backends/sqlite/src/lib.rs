//! Queue and store in one SQLite file: the embedded default.
//!
//! One writer thread owns the writing connection. It takes everything that waits, runs each piece in a savepoint of
//! its own inside one transaction, commits once, and only then answers: a commit costs an fsync, and batching is the
//! whole difference (docs/adr/0002). Reads for the API have connections of their own.
//!
//! ```text
//!   SqliteLedger ┐                    ┌ queue.rs     (Queue)
//!   SqliteQueue  ├─► Port ─► Core ───►┤ records/     (Records)
//!   SqliteStore  ┘    │               └ devices, marks, history, dead, apps, keys, pauses
//!                     ├ WriterThread: group commit
//!                     └ Inline: the simulator calls the core itself, and crashes it around commits
//! ```
//!
//! What it refuses: a second process on the same file, a schema newer than
//! this program, a file that is no Pabal database.

mod apps;
mod backup;
mod cache;
mod clock;
mod config;
mod core;
mod dead;
mod devices;
mod errors;
mod history;
mod keys;
mod ledger;
mod marks;
mod open;
mod pauses;
mod port;
mod queue;
mod reads;
mod recipients;
mod records;
mod rows;
mod schema;
mod size;
mod store;
mod tx;
mod walk;

pub use backup::{Backup, CopyProgress, LOG_GROWTH_BYTES_MAX, back_up, schema_of};
pub use clock::AnchoredClock;
pub use config::SqliteConfig;
pub use ledger::{SqliteLedger, SqliteQueue};
pub use open::Sqlite;
pub use port::{CommitHook, Fate};
pub use store::SqliteStore;
