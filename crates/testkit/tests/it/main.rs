//! The suites over ledgers that are made of parts from several crates. Those that are one crate's stand there.

mod composite;
mod policy;
mod specs;
mod unreadable;

/// Both servers in memory: the reference for every composite.
mod composite_over_memory {
    use std::sync::Arc;

    use pabal_memory::MemoryStore;

    use crate::composite::CompositeHarness;

    pabal_testkit::ledger_suite!(CompositeHarness::<Arc<MemoryStore>>::new());
}

/// A queue's server beside a database file.
mod composite_over_sqlite {
    use crate::composite::{CompositeHarness, SqliteFile};

    pabal_testkit::ledger_suite!(CompositeHarness::<SqliteFile>::new());
}
