//! The engine over the reference model, in paused time: what it does, not how.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod attempts;
mod crashes;
mod credentials;
mod fairness;
mod knobs;
mod metrics;
mod shutdown;
mod stage;
mod storage;
mod upkeep;
