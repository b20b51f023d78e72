//! The seams with the plan's say in between: each call of a process goes through its gate, and the witness sees what
//! took effect. Over two servers the queue and the store are wrapped, so that the engine's composite itself is what
//! is tested; over one, the ledger is.

pub(crate) mod channel;
pub(crate) mod ledger;
pub(crate) mod pauses;
pub(crate) mod queue;
pub(crate) mod records;
pub(crate) mod upkeep;
