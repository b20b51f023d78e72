//! The engine over the reference model, in paused time: what it does, not how.

mod attempts;
mod crashes;
mod credentials;
mod shutdown;
mod stage;
mod storage;
