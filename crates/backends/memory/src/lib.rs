//! The reference model: queue and store in memory.
