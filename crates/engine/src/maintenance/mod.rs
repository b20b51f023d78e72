//! Small named services, one per concern. Each is a loop that runs one step, waits, and stops when the engine drains.

pub(crate) mod expirer;
pub(crate) mod pruner;
pub(crate) mod reconciler;
pub(crate) mod redriver;
