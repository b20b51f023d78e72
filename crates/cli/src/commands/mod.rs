//! The commands, one file each.

pub(crate) mod apps;
pub(crate) mod backup;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod dead_letters;
pub(crate) mod deliveries;
pub(crate) mod devices;
pub(crate) mod emulator;
pub(crate) mod keys;
pub(crate) mod migrate;
pub(crate) mod notifications;
pub(crate) mod send;
pub(crate) mod serve;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod store;
pub(crate) mod top;
pub(crate) mod users;
