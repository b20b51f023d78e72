//! The heart: accepts, fans out, attempts, settles and maintains. It knows the seams of `pabal-core` only.
//!
//! ```text
//!   accept ─► Ledger ◄── claim ── dispatcher ──► attempt ─► Channel
//!                ▲                     │            │
//!                │                     └► fanout    ▼ judge (pure)
//!                └──────── settle ◄──── settler ◄───┘
//! ```
//!
//! What is deliberately absent: the name of any backend or channel, a question whether queue and store are one,
//! a lock held over an await, and a delivery that is leased without a permit to send it now.

pub mod composite;
pub mod config;
pub mod metrics;

mod admission;
mod attempt;
mod dispatcher;
mod engine;
mod fanout;
mod health;
mod maintenance;
mod pauses;
mod permits;
mod phase;
mod settler;
mod shared;
mod wakes;

pub use composite::Composite;
pub use config::{EngineConfig, RetentionPolicy};
pub use engine::{Engine, Parts, Status};
pub use metrics::Metrics;
