//! What a database file is and stays: through groups of jobs, full disks, crashes, strangers and upgrades. The suites
//! that every backend passes run here over files too.

#![expect(clippy::unwrap_used, reason = "a test fails where it has to, and so do its helpers")]

mod commits;
mod conformance;
mod erasing;
mod full;
mod opening;
mod restarts;
mod upgrades;
mod world;
