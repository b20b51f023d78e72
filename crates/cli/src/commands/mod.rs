//! The commands, one file each.

pub(crate) mod config;
pub(crate) mod emulator;
pub(crate) mod send;
pub(crate) mod serve;
pub(crate) mod status;
